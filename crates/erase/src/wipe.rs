//! The host's writes. Only [`execute`](crate::execute) calls these.
//!
//! Several writes are in flight, all from one buffer. What cannot be written is
//! gone past, block by block, and told. Every few seconds the disk says on
//! itself how far it is ([`Marker`]).

use std::{io, time::Duration};

use disk::{Buffer, Target};
use model::Bytes;

use crate::{
    Method, Phase, Time,
    bad::{BadBlocks, GaveUp, Salvage, Why},
    canary::length,
    lanes::{self, Done},
    marker::{Mark, Marker},
    seed::Draw,
    zones::{Piece, Zones},
};

/// One `BLKZEROOUT`: large enough to be fast, small enough to show progress.
const ZERO_STEP: u64 = 64 << 20;
/// One write. All lanes write from the same buffer.
const WRITE_STEP: u64 = 1 << 20;
/// How often the disk says how far it is; all of it is flushed before.
const MARK_EVERY: Duration = Duration::from_secs(5);
/// The table of partitions goes before the first marker comes.
const MARK_FROM: u64 = 1 << 20;

/// Why the method did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum WipeError {
    /// The disk does not answer any more.
    #[error("the disk stopped answering at {at}: look at its cable, or destroy it with its data")]
    Gone {
        /// Where.
        at: Bytes,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// Too many blocks cannot be written.
    #[error("so many writes failed that the disk is dying, the last at {at}: destroy it with its data")]
    Dying {
        /// Where the last of them was.
        at: Bytes,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// The disk could not say that everything is on the medium.
    #[error("the disk did not confirm its writes; replace it or set it aside")]
    Sync(#[source] io::Error),
    /// The time the policy gives is over.
    #[error("the disk was not done after {} s, which is all the policy gives it", limit.as_secs())]
    TooLong {
        /// What the policy gives.
        limit: Duration,
    },
}

impl WipeError {
    /// True when the disk itself is broken: nothing but destroying it is left.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        match self {
            WipeError::Gone { .. } | WipeError::Dying { .. } => true,
            WipeError::Sync(_) | WipeError::TooLong { .. } => false,
        }
    }
}

impl From<GaveUp> for WipeError {
    fn from(GaveUp { at, why, err }: GaveUp) -> Self {
        match why {
            Why::Gone => WipeError::Gone { at, err },
            Why::Dying => WipeError::Dying { at, err },
        }
    }
}

/// Blocks that could not be written, and what the kernel said of one of them.
pub(crate) type Unwritten = Option<(BadBlocks, io::Error)>;

/// One disk being overwritten.
pub(crate) struct Wipe<'a> {
    pub(crate) zones: &'a Zones,
    pub(crate) time: &'a dyn Time,
    pub(crate) progress: &'a mut dyn FnMut(Phase, Bytes, Bytes),
    pub(crate) marker: Option<&'a Marker>,
    /// Where an earlier agent got to: everything before it in this pass, and all
    /// passes before, are done.
    pub(crate) from: Option<Mark>,
    /// When to give up, by `time`.
    pub(crate) limit: Option<Duration>,
}

impl Wipe<'_> {
    /// Make the zones read as zeros, by the kernel's or the device's own means.
    pub(crate) fn zero_out(&mut self, drive: &impl Target) -> Result<Unwritten, WipeError> {
        let total = self.zones.bytes().0;
        let zones = self.around_marker(&self.zones.from(self.start(0)));
        let mut trail = self.trail(Method::ZeroOut, 0);
        let mut done = total - zones.bytes().0;
        let salvage = Salvage::new(drive.block().get());
        for piece in zones.steps(ZERO_STEP) {
            zero(drive, piece, &salvage)?;
            done += piece.length;
            let before = salvage.whole_before().min(piece.at + piece.length);
            self.after(drive, &mut trail, Phase::Zero, before, Bytes(done), Bytes(total))?;
        }
        if let Some(marker) = self.marker {
            zero(drive, piece_of(marker), &salvage)?;
        }
        flush(drive)?;
        Ok(salvage.into_found())
    }

    /// Zeros over the zones, and `passes - 1` random passes before them.
    pub(crate) fn overwrite(
        &mut self,
        drive: &impl Target,
        passes: u8,
        draw: &mut Draw,
    ) -> Result<Unwritten, WipeError> {
        let mut pattern = Buffer::zeroed(usize::try_from(WRITE_STEP).expect("INVARIANT: 1 MiB fits"));
        let mut salvage = Salvage::new(drive.block().get());
        for pass in self.from.map_or(0, |from| from.pass)..passes {
            if pass + 1 < passes {
                draw.fill(&mut pattern);
            } else {
                pattern.fill(0);
            }
            // A block that fails in one pass may take the next: only the last counts.
            salvage = Salvage::new(drive.block().get());
            self.pass(drive, pass, passes, &pattern, &salvage)?;
        }
        if let Some(marker) = self.marker {
            write(drive, piece_of(marker), &pattern, &salvage)?;
            flush(drive)?;
        }
        Ok(salvage.into_found())
    }

    fn pass(
        &mut self,
        drive: &impl Target,
        pass: u8,
        passes: u8,
        pattern: &[u8],
        salvage: &Salvage,
    ) -> Result<(), WipeError> {
        let whole = self.zones.bytes().0;
        let zones = self.around_marker(&self.zones.from(self.start(pass)));
        let behind = whole * u64::from(pass) + whole - zones.bytes().0;
        let total = Bytes(whole * u64::from(passes));
        let mut trail = self.trail(Method::Overwrite, pass);
        let work = |(): &mut (), piece: Piece| write(drive, piece, pattern, salvage);
        lanes::run(zones.steps(WRITE_STEP), || (), work, &mut |Done { bytes, before }| {
            let before = before.min(salvage.whole_before());
            self.after(drive, &mut trail, Phase::Overwrite, before, Bytes(behind + bytes), total)
        })?;
        flush(drive)
    }

    /// Where this pass begins.
    fn start(&self, pass: u8) -> u64 {
        self.from.filter(|from| from.pass == pass).map_or(0, |from| from.before)
    }

    fn around_marker(&self, zones: &Zones) -> Zones {
        self.marker.map_or_else(|| zones.clone(), |marker| zones.without(&marker.place()))
    }

    fn trail(&self, method: Method, pass: u8) -> Trail {
        Trail { method, pass, last: self.time.elapsed() }
    }

    /// Tell how far it is, on the disk too when it is time. `before` is no further than the
    /// first block that could not be written: whoever goes on has to meet it again.
    fn after(
        &mut self,
        drive: &impl Target,
        trail: &mut Trail,
        phase: Phase,
        before: u64,
        done: Bytes,
        total: Bytes,
    ) -> Result<(), WipeError> {
        (self.progress)(phase, done, total);
        let now = self.time.elapsed();
        if let Some(marker) = self.marker {
            trail.leave(drive, marker, before.min(drive.size().0), now)?;
        }
        match self.limit {
            Some(limit) if now > limit => Err(WipeError::TooLong { limit }),
            Some(_) | None => Ok(()),
        }
    }
}

fn piece_of(marker: &Marker) -> Piece {
    let place = marker.place();
    Piece { at: place.start, length: place.end - place.start }
}

fn zero(drive: &impl Target, piece: Piece, salvage: &Salvage) -> Result<(), WipeError> {
    let zero = |part: Piece| drive.zero_at(Bytes(part.at), Bytes(part.length));
    Ok(salvage.past(piece, || is_alive(drive, piece.at), zero)?)
}

fn write(drive: &impl Target, piece: Piece, pattern: &[u8], salvage: &Salvage) -> Result<(), WipeError> {
    let write = |part: Piece| drive.write_at(Bytes(part.at), &pattern[..length(part)]);
    Ok(salvage.past(piece, || is_alive(drive, piece.at), write)?)
}

/// Everything written so far onto the medium.
fn flush(drive: &impl Target) -> Result<(), WipeError> {
    drive.sync().map_err(|err| match is_alive(drive, 0) {
        true => WipeError::Sync(err),
        false => WipeError::Gone { at: Bytes(0), err },
    })
}

/// Whether the disk answers at all: its first block, its last, or the one before `at`.
pub(crate) fn is_alive(drive: &impl Target, at: u64) -> bool {
    let block = drive.block().get();
    let mut bytes = Buffer::zeroed(usize::try_from(block).expect("INVARIANT: a block fits in memory"));
    [0, drive.size().0.saturating_sub(block), at.saturating_sub(block)]
        .into_iter()
        .any(|at| drive.read_at(Bytes(at), &mut bytes).is_ok())
}

/// When the marker was written last.
struct Trail {
    method: Method,
    pass: u8,
    last: Duration,
}

impl Trail {
    /// Write the marker when it is time. What it says is on the medium before it
    /// is. A disk that does not take it is only not resumable; the block is
    /// written again at the end, and missed there.
    fn leave(
        &mut self,
        drive: &impl Target,
        marker: &Marker,
        before: u64,
        now: Duration,
    ) -> Result<(), WipeError> {
        if before < MARK_FROM || now.saturating_sub(self.last) < MARK_EVERY {
            return Ok(());
        }
        self.last = now;
        flush(drive)?;
        let Some(bytes) = marker.encode(Mark { method: self.method, pass: self.pass, before }) else {
            return Ok(());
        };
        if let Err(err) = drive.write_at(Bytes(marker.place().start), &bytes) {
            tracing::warn!(%err, "the marker of the overwrite cannot be written");
            return Ok(());
        }
        flush(drive)
    }
}

#[cfg(test)]
mod tests;
