//! How much of a machine is read at most. A hostile or broken tree costs
//! bounded time and memory.

/// Bytes of one file. sysfs attributes are one page; the longest honest ones
/// (flags, masks of 8192 CPUs) stay far below.
pub const FILE_BYTES: usize = 64 << 10;

/// Bytes of the SMBIOS tables: real ones are 2 to 100 KiB.
pub const SMBIOS_BYTES: usize = 1 << 20;

/// Names in one directory, such as CPUs, memory blocks or disks.
pub const DIRECTORY_ENTRIES: usize = 32 << 10;

/// Symbolic links in a row, as in the kernel's own lookup (`MAXSYMLINKS`).
pub const LINKS: usize = 40;

/// Warnings kept; thousands of broken disks have one cause.
pub const WARNINGS: usize = 256;

/// CPU numbers: the kernel's largest `NR_CPUS`, and then some.
pub const CPUS: u32 = 32 << 10;
