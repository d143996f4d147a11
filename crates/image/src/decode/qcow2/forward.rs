//! The forward pass: pieces in the order of the file, each handled as it
//! streams past.

use std::{
    borrow::Cow,
    sync::{Arc, mpsc::SyncSender},
};

use disk::Buffer;
use model::Bytes;

use super::{
    super::{DecodeError, Decoded, Reader, send},
    Qcow2Error, cluster,
    map::{Map, Piece, What},
    window::{Found, Window},
};
use crate::extent::{CHUNK, Extent, Slice};

/// How far back data is kept that may come before its table, when the tables
/// are not known beforehand. `qemu-img convert` needs less than a cluster.
const WINDOW: usize = 16 << 20;

/// Send every piece of `map` to the writer as `content` brings it, and read
/// `content` to its end.
pub(super) fn run(content: &mut Reader, map: Map, to: &SyncSender<Decoded>) -> Result<(), DecodeError> {
    let keep = if map.is_surveyed() { 0 } else { WINDOW };
    let mut pass = Pass { window: Window::new(content, keep), map, to, unpacked: None };
    pass.send_zeros()?;
    while let Some(piece) = pass.map.pop() {
        match piece.what {
            What::L1 | What::Refcounts | What::L2 | What::Check(_) => pass.table(piece)?,
            What::Data(length) => pass.data(piece, length)?,
            What::Packed(length) => pass.packed(piece, length.into())?,
        }
    }
    let length = pass.window.drain()?;
    Ok(pass.map.check_end(length)?)
}

struct Pass<'a> {
    window: Window<'a>,
    map: Map,
    to: &'a SyncSender<Decoded>,
    /// The last compressed cluster, by its place in the file: several parts of
    /// a disk may share one.
    unpacked: Option<(u64, Arc<Buffer>)>,
}

impl Pass<'_> {
    fn table(&mut self, piece: Piece) -> Result<(), DecodeError> {
        let length = self.map.table_length(piece) as u64;
        let slices = self.slices(piece.host, length, "a table")?;
        self.map.take_table(piece, &joined(&slices))?;
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
                let mut unpacked = cluster::empty(self.map.header.cluster());
                if !cluster::unpack(self.map.header.packing, &joined(&packed), &mut unpacked) {
                    return Err(Qcow2Error::Cluster { at: piece.host }.into());
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
            Found::Gone => Err(Qcow2Error::TooFarBack { at, window: Bytes(WINDOW as u64) }.into()),
            Found::Missing => Err(Qcow2Error::Truncated { what, at }.into()),
        }
    }

    fn send_zeros(&mut self) -> Result<(), DecodeError> {
        self.map.take_zeros().try_for_each(|extent| send(self.to, Decoded::Extent(extent)))
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
