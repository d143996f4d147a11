//! The forward pass: tables and pieces in the order of the file, each used as
//! it streams past.
//!
//! Where the source can be read out of order the tables came first, so that an
//! image that lies was refused before a byte was written; what streams past now
//! must be the same tables. Where it cannot, tables are used as they pass and a
//! bounded window reaches back for data that came before its table.

use std::{borrow::Cow, sync::Arc};

use disk::Buffer;
use model::Bytes;

use super::{
    DecodeError, Decoded, Reader,
    flaw::Flaw,
    map::{Check, Map, Todo},
    pieces::{Next, Piece, Table, What},
    send, unpack,
    window::{Found, Window},
};
use crate::{
    extent::{CHUNK, Extent, Slice},
    outlet::Outlet,
};

/// How far back data is kept that may come before its table, when the tables
/// are not known beforehand. `qemu-img convert` needs less than a cluster.
const WINDOW: usize = 16 << 20;

/// Send every piece of `map` to the writer as `content` brings it, and read
/// `content` to its end. Returns how long the disk is.
pub(super) fn run(content: &mut Reader, map: Map, to: &Outlet) -> Result<Bytes, DecodeError> {
    let keep = if map.is_surveyed() { 0 } else { WINDOW };
    let mut pass = Pass { window: Window::new(content, keep), map, to, unpacked: None };
    pass.send_zeros()?;
    while let Some(todo) = pass.map.pop() {
        match todo {
            Todo::Check(check) => pass.check(check)?,
            Todo::Next(Next::Table(table)) => pass.table(table)?,
            Todo::Next(Next::Piece(piece)) => match piece.what {
                What::Data(length) => pass.data(piece, length.into())?,
                What::Packed(length) => pass.packed(piece, length.into())?,
            },
        }
    }
    let length = pass.window.drain()?;
    pass.map.pieces.check_end(length).map_err(|flaw| pass.map.flawed(flaw))?;
    Ok(pass.map.size())
}

struct Pass<'a> {
    window: Window<'a>,
    map: Map,
    to: &'a Outlet,
    /// The last compressed cluster, by its place in the file: several parts of
    /// a disk may share one.
    unpacked: Option<(u64, Arc<Buffer>)>,
}

impl Pass<'_> {
    fn check(&mut self, check: Check) -> Result<(), DecodeError> {
        let slices = self.slices(check.host, check.length, "a table")?;
        check.compare(&joined(&slices)).map_err(|flaw| self.map.flawed(flaw))
    }

    fn table(&mut self, table: Table) -> Result<(), DecodeError> {
        let slices = self.slices(table.host, table.length.into(), "a table")?;
        let taken = self.map.layout.take(table, &joined(&slices), &mut self.map.pieces);
        taken.map_err(|flaw| self.map.flawed(flaw))?;
        self.send_zeros()
    }

    /// Data is passed on chunk by chunk, so that a run of any length takes no
    /// memory.
    fn data(&mut self, piece: Piece, length: u64) -> Result<(), DecodeError> {
        let (mut host, mut guest) = (piece.host, piece.guest);
        let end = host + length;
        while host < end {
            let next = ((host / CHUNK as u64 + 1) * CHUNK as u64).min(end);
            for bytes in self.slices(host, next - host, "a cluster of data")? {
                let length = bytes.bytes().len() as u64;
                self.send(Extent::Data { at: Bytes(guest), bytes })?;
                guest += length;
            }
            host = next;
        }
        Ok(())
    }

    fn packed(&mut self, piece: Piece, length: u64) -> Result<(), DecodeError> {
        let cached = self.unpacked.take().filter(|(host, _)| *host == piece.host);
        let unpacked = match cached {
            Some((_, unpacked)) => unpacked,
            None => {
                let packed = self.slices(piece.host, length, "a compressed cluster")?;
                let mut unpacked = unpack::empty(self.map.layout.cluster());
                if !unpack::unpack(self.map.layout.packing(), &joined(&packed), &mut unpacked) {
                    return Err(self.map.flawed(Flaw::Cluster { at: piece.host }));
                }
                Arc::new(unpacked)
            }
        };
        let rest = usize::try_from(self.map.size().0 - piece.guest).unwrap_or(usize::MAX);
        let bytes = Slice::new(Arc::clone(&unpacked), 0..unpacked.len().min(rest));
        self.unpacked = Some((piece.host, unpacked));
        self.send(Extent::Data { at: Bytes(piece.guest), bytes })
    }

    fn slices(&mut self, at: u64, length: u64, what: &'static str) -> Result<Vec<Slice>, DecodeError> {
        match self.window.get(at..at + length)? {
            Found::Here(slices) => Ok(slices),
            Found::Gone => Err(self.map.flawed(Flaw::TooFarBack { at, window: Bytes(WINDOW as u64) })),
            Found::Missing => Err(self.map.flawed(Flaw::Truncated { what, at })),
        }
    }

    fn send_zeros(&mut self) -> Result<(), DecodeError> {
        self.map.pieces.take_zeros().try_for_each(|extent| send(self.to, Decoded::Extent(extent)))
    }

    fn send(&self, extent: Extent) -> Result<(), DecodeError> {
        send(self.to, Decoded::Extent(extent))
    }
}

/// The bytes of `slices` in one piece; copied only where they cross chunks.
fn joined(slices: &[Slice]) -> Cow<'_, [u8]> {
    match slices {
        [slice] => Cow::Borrowed(slice.bytes()),
        slices => Cow::Owned(slices.iter().map(Slice::bytes).collect::<Vec<_>>().concat()),
    }
}
