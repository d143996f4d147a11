//! The forward pass: tables and pieces in the order of the file, each used as
//! it streams past.
//!
//! Where the source can be read out of order the tables came first, so that an
//! image that lies was refused before a byte was written; what streams past now
//! must be the same tables. Where it cannot, tables are used as they pass and a
//! bounded window reaches back for data that came before its table.

use std::{ops::Range, thread};

use model::Bytes;

use super::{
    DecodeError, Decoded, Reader,
    flaw::Flaw,
    map::{Check, Map, Todo},
    pieces::{Next, Piece, Pieces, SPARE, Table, What},
    raw, send,
    spill::Spilled,
    window::{Found, Window},
    workers::{Packed, Shared, Workers, joined},
};
use crate::{
    extent::{CHUNK, Extent, Slice},
    outlet::Outlet,
};

/// Send every piece of `map` to the writer as `content` brings it, and read
/// `content` to its end. Returns how long the disk is.
pub(super) fn run(
    content: &mut Reader,
    map: Map,
    spilled: Option<Spilled>,
    to: &Outlet,
) -> Result<Bytes, DecodeError> {
    let shared = Shared::new(map.layout.packing(), map.layout.cluster(), to);
    let format = map.format;
    let passed = thread::scope(|scope| {
        let workers = Workers::new(scope, &shared);
        Pass { window: Window::new(content, spilled), map, to, workers }.run()
    });
    match shared.damaged() {
        Some(at) => Err(DecodeError::Flawed { format, flaw: Flaw::Cluster { at } }),
        None => passed,
    }
}

struct Pass<'scope, 'env> {
    window: Window<'env>,
    map: Map,
    to: &'env Outlet,
    workers: Workers<'scope, 'env>,
}

impl Pass<'_, '_> {
    fn run(mut self) -> Result<Bytes, DecodeError> {
        self.learned()?;
        while let Some(todo) = self.map.pop() {
            match todo {
                Todo::Check(check) => self.check(check)?,
                Todo::Next(Next::Table(table)) => self.table(table)?,
                Todo::Next(Next::Piece(piece)) => match piece.what {
                    What::Data(length) => self.data(piece, length.into())?,
                    What::Packed(length) => self.packed(piece, length.into())?,
                },
            }
        }
        self.workers.flush()?;
        let length = self.window.drain()?;
        self.map.pieces.check_end(length).map_err(|flaw| self.map.flawed(flaw))?;
        Ok(self.map.size())
    }

    fn check(&mut self, check: Check) -> Result<(), DecodeError> {
        let slices = self.slices(check.host..check.host + check.length, 0, "a table")?;
        check.compare(&joined(&slices)).map_err(|flaw| self.map.flawed(flaw))
    }

    fn table(&mut self, table: Table) -> Result<(), DecodeError> {
        let slices = self.slices(table.host..table.host + u64::from(table.length), 0, "a table")?;
        let taken = self.map.layout.take(table, &joined(&slices), &mut self.map.pieces);
        taken.map_err(|flaw| self.map.flawed(flaw))?;
        self.learned()
    }

    /// More is known than before.
    fn learned(&mut self) -> Result<(), DecodeError> {
        if self.map.pieces.is_complete() {
            self.window.settle();
        }
        self.map.pieces.forget_before(self.window.reach());
        self.map.pieces.take_zeros().try_for_each(|extent| send(self.to, Decoded::Extent(extent)))
    }

    /// Data is passed on chunk by chunk, so that a run of any length takes no
    /// memory; long zeros in it are the disk's to make.
    fn data(&mut self, piece: Piece, length: u64) -> Result<(), DecodeError> {
        let (mut host, mut guest) = (piece.host, piece.guest);
        let end = host + length;
        let mut zeros = 0;
        while host < end {
            let next = ((host / CHUNK as u64 + 1) * CHUNK as u64).min(end);
            for slice in self.slices(host..next, 0, "a cluster of data")? {
                for run in raw::runs(slice.bytes()) {
                    let length = run.range.len() as u64;
                    if run.zero {
                        zeros += length;
                    } else {
                        self.send_zeros(guest, &mut zeros)?;
                        let (at, bytes) = (Bytes(guest), slice.part(run.range));
                        send(self.to, Decoded::Extent(Extent::Data { at, bytes }))?;
                    }
                    guest += length;
                }
            }
            host = next;
        }
        self.send_zeros(guest, &mut zeros)
    }

    /// There are so many `zeros` before `end`.
    fn send_zeros(&self, end: u64, zeros: &mut u64) -> Result<(), DecodeError> {
        let length = std::mem::take(zeros);
        if length == 0 {
            return Ok(());
        }
        let (at, length) = (Bytes(end - length), Bytes(length));
        send(self.to, Decoded::Extent(Extent::Zero { at, length }))
    }

    fn packed(&mut self, piece: Piece, length: u64) -> Result<(), DecodeError> {
        let bytes = self.slices(piece.host..piece.host + length, SPARE, "a compressed cluster")?;
        let rest = self.map.size().0 - piece.guest;
        let length = usize::try_from(self.map.layout.cluster().min(rest)).expect("at most 2 MiB");
        self.workers.unpack(Packed { host: piece.host, guest: piece.guest, length, bytes })
    }

    fn slices(
        &mut self,
        range: Range<u64>,
        spare: u64,
        what: &'static str,
    ) -> Result<Vec<Slice>, DecodeError> {
        let at = range.start;
        match self.window.get(range, spare)? {
            Found::Here(slices) => Ok(slices),
            // Range requests would not help it, and it has them.
            Found::Gone(_) if self.map.crowded => Err(self.map.flawed(Pieces::too_many())),
            Found::Gone(kept) => Err(self.map.flawed(Flaw::TooFarBack { at, kept })),
            Found::Missing => Err(self.map.flawed(Flaw::Truncated { what, at })),
        }
    }
}
