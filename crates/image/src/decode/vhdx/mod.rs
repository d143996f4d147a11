//! VHDX, fixed and dynamic (Microsoft's MS-VHDX).
//!
//! headers, region tables ─▶ metadata ─▶ block allocation table ─▶ blocks
//!
//! A file whose log is not empty is refused: what its tables say is not true
//! until the log has been replayed, and a reader does not write.

mod blocks;
mod crc;
mod metadata;
mod regions;

pub(super) use blocks::open;
