//! qcow2, versions 2 and 3 (QEMU's `docs/interop/qcow2.txt`).
//!
//! header ─▶ L1 ─▶ L2 tables ─▶ [`Pieces`](super::pieces::Pieces) by host offset

mod header;
mod tables;

use model::Bytes;

use super::{
    flaw::Flaw,
    map::{Layout, Order},
    pieces::Pieces,
};

/// The layout of the file that begins with `start`, as far as that says.
pub(super) fn open(start: &[u8], length: Option<Bytes>, _: Order) -> Result<(Box<dyn Layout>, Pieces), Flaw> {
    let (tables, pieces) = tables::Tables::new(header::Header::parse(start, length)?, length)?;
    Ok((Box::new(tables), pieces))
}
