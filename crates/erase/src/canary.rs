//! Stamps written before an erasure: a device that did nothing still has them.

use std::{collections::BTreeSet, io};

use disk::Target;
use model::Bytes;

use crate::{
    seed::Draw,
    zones::{Piece, Zones},
};

/// How many stamps; fewer on a disk with fewer places.
pub(crate) const CANARIES: u64 = 64;
/// Half of them stand on this grid, on which partitions begin.
const GRID: u64 = 1 << 20;
/// A drive may keep one sector of a stamp and lose the others.
const SECTOR: usize = 512;

/// Why the stamps are not on the disk. Nothing was erased yet.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// No random numbers to stamp with.
    #[error("the kernel gave no random numbers for the canaries")]
    Random(#[source] getrandom::Error),
    /// A stamp could not be written.
    #[error("a canary could not be written at {at}")]
    Write {
        /// Where.
        at: Bytes,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// A stamp could not be read back.
    #[error("a canary could not be read back at {at}")]
    Read {
        /// Where.
        at: Bytes,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// The drive said it wrote, and did not.
    #[error("the drive does not keep what is written at {at}")]
    NotKept {
        /// Where.
        at: Bytes,
    },
}

/// The stamps on one disk.
#[derive(Debug, Default)]
pub(crate) struct Canaries(Vec<(Piece, Vec<u8>)>);

impl Canaries {
    /// Stamp the first and the last unit of the zones, a grid between them, and
    /// as many units drawn at random; then make sure that the stamps are there.
    pub(crate) fn place(
        drive: &impl Target,
        zones: &Zones,
        unit: u64,
        draw: &mut Draw,
    ) -> Result<Self, CanaryError> {
        let mut stamps = Vec::new();
        for index in places(zones.units(unit), (GRID / unit).max(1), draw) {
            let Some(piece) = zones.unit(index, unit) else { continue };
            let mut stamp = buffer(piece);
            getrandom::fill(&mut stamp).map_err(CanaryError::Random)?;
            stamps.push((piece, stamp));
        }
        // The last unit of a zone may overlap the one before it: the later stamp would hide the earlier.
        model::order::sort_by_key(&mut stamps, |(piece, _)| *piece);
        stamps.dedup_by(|later, earlier| later.0.at < earlier.0.at + earlier.0.length);
        let wanted = stamps.len();
        let mut refused = None;
        // A disk with some bad blocks is erased too, and told as incomplete in the end.
        stamps.retain(|(piece, stamp)| match drive.write_at(Bytes(piece.at), stamp) {
            Ok(()) => true,
            Err(err) => {
                refused.get_or_insert((Bytes(piece.at), err));
                false
            }
        });
        if let Some((at, err)) = refused.filter(|_| stamps.len() * 2 < wanted) {
            return Err(CanaryError::Write { at, err });
        }
        drive.sync().map_err(|err| CanaryError::Write { at: Bytes(0), err })?;
        Ok(Self(kept(drive, stamps)?))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Every stamp with its place, to be looked for afterwards.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Piece, Vec<u8>)> {
        self.0.iter()
    }
}

/// Those of `stamps` that can be read back, if that is at least half of them.
fn kept(drive: &impl Target, stamps: Vec<(Piece, Vec<u8>)>) -> Result<Vec<(Piece, Vec<u8>)>, CanaryError> {
    let wanted = stamps.len();
    let (mut kept, mut refused) = (Vec::new(), None);
    for (piece, stamp) in stamps {
        let at = Bytes(piece.at);
        let mut read = buffer(piece);
        match drive.read_at(at, &mut read) {
            Ok(()) if read == stamp => kept.push((piece, stamp)),
            Ok(()) => return Err(CanaryError::NotKept { at }),
            Err(err) => drop(refused.get_or_insert((at, err))),
        }
    }
    match refused {
        Some((at, err)) if kept.len() * 2 < wanted => Err(CanaryError::Read { at, err }),
        Some(_) | None => Ok(kept),
    }
}

fn places(units: u64, in_grid: u64, draw: &mut Draw) -> BTreeSet<u64> {
    if units <= CANARIES {
        return model::order::set(0..units);
    }
    let half = CANARIES / 2;
    let of_last =
        |n: u64| u64::try_from(u128::from(units - 1) * u128::from(n) / u128::from(half - 1)).unwrap_or(0);
    // Where partitions begin; the last is the end of the disk.
    let grid = (0..half - 1).map(|n| of_last(n) / in_grid * in_grid).chain([units - 1]);
    model::order::set(grid.chain((0..half).map(|_| draw.below(units))))
}

pub(crate) fn length(piece: Piece) -> usize {
    usize::try_from(piece.length).expect("INVARIANT: a piece is at most one step, which is a few MiB")
}

pub(crate) fn buffer(piece: Piece) -> Vec<u8> {
    vec![0; length(piece)]
}

/// True when any sector of the one is in the same place of the other.
pub(crate) fn shares_a_sector(one: &[u8], other: &[u8]) -> bool {
    one.chunks(SECTOR).zip(other.chunks(SECTOR)).any(|(one, other)| one == other && !is_blank(one))
}

/// All bytes the same.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    // Each like the one before it: memcmp takes many bytes at a time, and every byte of a disk may pass here.
    bytes.is_empty() || bytes[1..] == bytes[..bytes.len() - 1]
}
