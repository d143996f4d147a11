//! Numbers at offsets of headers and tables.

use super::flaw::Flaw;

/// The `N` bytes at `at`. Where they are not there, the header is cut off.
pub(super) fn bytes<const N: usize>(header: &[u8], at: usize) -> Result<[u8; N], Flaw> {
    let found = at.checked_add(N).and_then(|end| header.get(at..end)).and_then(|found| found.try_into().ok());
    found.ok_or(Flaw::Truncated { what: "the header", at: at as u64 })
}

/// The big-endian number of 32 bits at `at`.
pub(super) fn be32(header: &[u8], at: usize) -> Result<u32, Flaw> {
    bytes(header, at).map(u32::from_be_bytes)
}

/// The big-endian number of 64 bits at `at`.
pub(super) fn be64(header: &[u8], at: usize) -> Result<u64, Flaw> {
    bytes(header, at).map(u64::from_be_bytes)
}

/// The little-endian number of 16 bits at `at`.
pub(super) fn le16(header: &[u8], at: usize) -> Result<u16, Flaw> {
    bytes(header, at).map(u16::from_le_bytes)
}

/// The little-endian number of 32 bits at `at`.
pub(super) fn le32(header: &[u8], at: usize) -> Result<u32, Flaw> {
    bytes(header, at).map(u32::from_le_bytes)
}

/// The little-endian number of 64 bits at `at`.
pub(super) fn le64(header: &[u8], at: usize) -> Result<u64, Flaw> {
    bytes(header, at).map(u64::from_le_bytes)
}
