//! The memory of a write, in one place: 64 MiB for the whole process, for any
//! image. Every queue of the pipeline is as short as is named here.
//!
//! | what | MiB |
//! |---|---|
//! | downloaded chunks: read, hashed, decoded, and [`IN_FLIGHT`] waiting | 6 |
//! | decoded chunks: [`DECODED`] waiting, [`QUEUED`] and [`LANES`] being written, one collecting | 9 |
//! | buffers of the read-back, one a lane | 4 |
//! | both ends of the disk, held back | 2 |
//! | records of what was written: [`RECORDS`] of 40 bytes, twice | 5 |
//! | incomplete blocks, when clusters are smaller than blocks | ≤ 16, else 0 |
//! | the decoder: a window to reach back, of 12, or of zstd and a small one | ≤ 35 |
//! | the program, its stacks, HTTP and TLS | 8 |
//!
//! Raw images move chunks from the first row to the second without a copy. No
//! image that people make needs the last three rows at once: what is incomplete
//! comes from small clusters, and they are rarely within a zstd window of 32 MiB.
//! One that was made to (512-byte clusters written in a scattered order, within
//! such a window, onto a disk of 4096-byte sectors) took 84 MiB.

/// Chunks waiting between the reader and the hasher, and between the reader and
/// the decoder. Three hide the jitter that the sockets do not.
pub(crate) const IN_FLIGHT: usize = 3;
/// Extents waiting for their place on the disk; each may hold a chunk.
pub(crate) const DECODED: usize = 2;
/// Writes waiting for a lane.
pub(crate) const QUEUED: usize = 2;
/// Writes, or reads back, in flight at once. More than four gain nothing on a
/// loop device (docs/adr/0011), and a disk's own queue is full with them:
/// each is up to a mebibyte.
pub(crate) const LANES: usize = 4;
/// The most records of things written and not yet read back.
pub(crate) const RECORDS: usize = 64 << 10;
/// Buffers kept for further use; as many as the pipeline has in use at most.
pub(crate) const POOLED: usize = 24;
