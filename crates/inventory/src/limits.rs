//! How much of a machine is read at most. A hostile or broken tree costs
//! bounded time and memory.

use std::time::Duration;

/// Bytes of one file. sysfs attributes are one page; the longest honest ones
/// (flags, masks of 8192 CPUs) stay far below.
pub const FILE_BYTES: usize = 64 << 10;

/// Bytes of the SMBIOS tables: real ones are 2 to 100 KiB.
pub const SMBIOS_BYTES: usize = 1 << 20;

/// Structures in the SMBIOS tables: 620 in the largest known, a guest of 128
/// sockets and 128 memory slots.
pub const SMBIOS_STRUCTURES: usize = 4096;

/// Bytes of one text of SMBIOS that are kept; the standard once allowed 64.
pub const SMBIOS_TEXT: usize = 256;

/// Names in one directory, such as CPUs, memory blocks or disks.
pub const DIRECTORY_ENTRIES: usize = 32 << 10;

/// Symbolic links in a row, as in the kernel's own lookup (`MAXSYMLINKS`).
pub const LINKS: usize = 40;

/// Folders in a path and in a link's target; sysfs has paths of sixteen.
pub const PATH_DEPTH: usize = 64;

/// Bytes of a path, as in the kernel (`PATH_MAX`).
pub const PATH_BYTES: usize = 4096;

/// Warnings kept; thousands of broken disks have one cause.
pub const WARNINGS: usize = 256;

/// CPU numbers: the kernel's largest `NR_CPUS`, and then some.
pub const CPUS: u32 = 32 << 10;

/// Interfaces to management controllers: boards have one, rarely two.
pub const IPMI_INTERFACES: usize = 2;

/// IPv6 addresses of each kind on one channel of a controller; the specification allows 256.
pub const IPMI_ADDRESSES: u8 = 8;

/// TPMs: a board has one, some have one more in firmware.
pub const TPMS: usize = 4;

/// Bytes of an endorsement key's certificate: real ones have 1 to 2 KiB.
pub const CERTIFICATE_BYTES: u16 = 8 << 10;

/// Entries of a boot menu.
pub const BOOT_ENTRIES: usize = 256;

/// Watchdogs: the kernel's own limit (`MAX_DOGS`).
pub const WATCHDOGS: usize = 32;

/// Functions on the PCI bus: hundreds of cards with hundreds of virtual functions.
pub const PCI_DEVICES: usize = 4096;

/// Devices on the USB bus: eight buses of 127.
pub const USB_DEVICES: usize = 1024;

/// Interfaces of one USB device (`USB_MAXINTERFACES`).
pub const USB_INTERFACES: usize = 32;

/// Letters of a USB device's own words: its descriptors hold 126.
pub const USB_WORDS: usize = 126;

/// Network interfaces looked at: some thousand VLANs or virtual functions.
pub const NICS: usize = 1024;

/// Caches one logical processor sees: four or five on everything built so far.
pub const CACHES: u32 = 16;

/// Caches that differ in level, kind or size: seven on processors of two kinds.
pub const CACHE_SORTS: usize = 64;

/// Kinds of cores in one machine: four in phones.
pub const CORE_KINDS: usize = 16;

/// NUMA nodes: the kernel's own limit (`MAX_NUMNODES`).
pub const NODES: usize = 1024;

/// Weaknesses of processors; the kernel knows some two dozen.
pub const VULNERABILITIES: usize = 64;

/// Regions of persistent memory, and devices on CXL.
pub const MEMORY_DEVICES: usize = 256;

/// Addresses of one network interface.
pub const NIC_ADDRESSES: usize = 256;

/// Partitions of one disk: a GPT has 128 as a rule, the kernel shows 256.
pub const PARTITIONS: usize = 256;

/// Enclosures of disks, and slots of one.
pub const ENCLOSURES: usize = 64;
/// Slots of one enclosure; the largest have a hundred disks.
pub const ENCLOSURE_SLOTS: usize = 256;

/// Network interfaces listened to for LLDP at once.
pub const LLDP_NICS: usize = 64;
/// Bytes of one frame of LLDP, which Ethernet limits to 1518 and two tags.
pub const LLDP_FRAME: usize = 1600;
/// TLVs of one frame; talkative switches send thirty.
pub const LLDP_TLVS: usize = 128;
/// Frames of one interface that make no sense, after which it is not listened to any more.
pub const LLDP_USELESS_FRAMES: u32 = 16;
/// Without news for so long, nobody else will speak: switches do every 30 seconds.
pub const LLDP_IDLE: Duration = Duration::from_secs(30);
/// And never longer than this, whatever still comes.
pub const LLDP_TOTAL: Duration = Duration::from_secs(120);

/// Bytes of a recording in one file: the largest machine so far has a fifth of a mebibyte.
pub const RECORDING_BYTES: usize = 64 << 20;
/// Files in it: its listing, and those of procfs.
pub const RECORDING_FILES: usize = 256;
/// Folders in its listing: 32 thousand blocks of memory and as many for processors, twice.
pub const RECORDING_FOLDERS: usize = 128 << 10;
