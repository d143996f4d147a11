//! VMDK, one file that describes itself (VMware's "Virtual Disk Format 5.0"):
//! monolithicSparse and streamOptimized.
//!
//! header, descriptor ─▶ grain directory ─▶ grain tables ─▶ grains
//!
//! A compressed grain has a marker in front that says where on the disk it
//! belongs and how long it is. The tables of what was made in one go come after
//! the grains; read in order, the markers say all that is needed, and the tables
//! must agree when they pass ([`stream`]).

mod descriptor;
mod disjoint;
mod header;
mod stream;
mod tables;

use model::Bytes;

use super::{
    flaw::Flaw,
    map::{Layout, Order},
    pieces::Pieces,
};

/// Sectors are what everything is counted in.
const SECTOR: u64 = 512;
/// In front of a compressed grain: its sector on the disk, and its length.
pub(super) const MARKER: usize = 12;

/// The layout of a VMDK that is `length` long, if that is known.
pub(super) fn open(
    start: &[u8],
    length: Option<Bytes>,
    order: Order,
) -> Result<(Box<dyn Layout>, Pieces), Flaw> {
    let header = header::Header::parse(start)?;
    descriptor::check(header.descriptor(start)?)?;
    if header.directory.is_none() && order == Order::Forward {
        let (stream, pieces) = stream::Stream::new(header, length)?;
        return Ok((Box::new(stream), pieces));
    }
    let (tables, pieces) = tables::Tables::new(header, length, order)?;
    Ok((Box::new(tables), pieces))
}
