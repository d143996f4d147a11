//! Looking whether the data is gone. A command's success is not asked.

use std::{io, time::Duration};

use disk::{Buffer, Target};
use model::Bytes;
use serde::Serialize;

use crate::{
    Answer, Method, Phase, Sanitize, SecureErase, SecurityErase, Seed, SelfErase, Verify,
    bad::{BadBlocks, GaveUp, Salvage, Why},
    canary::{Canaries, buffer, is_blank, length, shares_a_sector},
    lanes,
    noise::is_noise,
    wipe::is_alive,
    zones::{Piece, Zones},
};

/// The smallest piece a sample reads, in bytes.
pub(crate) const UNIT: u64 = 4096;
/// 1,000 strata of 5 blocks: more than the 4,603 that find a leftover of 0.1 % of
/// the disk with 99 % (ln 0.01 / ln 0.999), and no corner left out.
const STRATA: u64 = 1000;
const PER_STRATUM: u64 = 5;
/// A full read-back goes in steps of this many bytes, one in each lane.
const READ_STEP: u64 = 1 << 20;
/// What a block may be made of: drives of 4 KiB blocks also emulate these.
const SECTOR: usize = 512;
/// Noise is looked for in so many bytes at a time.
const NOISE: usize = 4096;
/// Blocks remembered before a drive erases itself: none may be the same after.
const REMEMBERED: u64 = 256;

/// What an erased block reads as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expectation {
    /// Zeros.
    Zeros,
    /// One byte over and over in each sector: NVMe leaves open which.
    Blank,
    /// Anything but what was there, as after a vendor's own pattern.
    Changed,
    /// Nothing of what was there: each sector blank, or noise.
    Decorrelated,
}

impl Expectation {
    pub(crate) fn of(method: Method) -> Self {
        match method {
            Method::ByDrive(erase) => Self::of_drive(erase),
            Method::ZeroOut | Method::Overwrite | Method::Metadata => Expectation::Zeros,
        }
    }

    fn of_drive(erase: SelfErase) -> Self {
        match erase {
            SelfErase::NvmeSanitize(Sanitize::Crypto)
            | SelfErase::AtaSanitize(Sanitize::Crypto)
            | SelfErase::ScsiSanitize(Sanitize::Crypto)
            | SelfErase::NvmeFormat(SecureErase::Cryptographic)
            | SelfErase::OpalRevert => Expectation::Decorrelated,
            // Its pattern is the vendor's own.
            SelfErase::AtaSecurity(SecurityErase::Enhanced) => Expectation::Changed,
            SelfErase::NvmeSanitize(Sanitize::Block | Sanitize::Overwrite)
            | SelfErase::AtaSanitize(Sanitize::Block | Sanitize::Overwrite)
            | SelfErase::ScsiSanitize(Sanitize::Block | Sanitize::Overwrite)
            | SelfErase::NvmeFormat(SecureErase::UserData)
            | SelfErase::AtaSecurity(SecurityErase::Normal) => Expectation::Blank,
        }
    }

    /// True when it says of every block what it holds, so that the proof needs no canaries.
    pub(crate) fn is_of_every_block(self) -> bool {
        match self {
            Expectation::Zeros | Expectation::Blank => true,
            Expectation::Changed | Expectation::Decorrelated => false,
        }
    }

    /// True when an erased disk may hold `bytes`, which begin a sector.
    pub(crate) fn holds(self, bytes: &[u8]) -> bool {
        match self {
            Expectation::Zeros => bytes.first().is_none_or(|&byte| byte == 0) && is_blank(bytes),
            Expectation::Blank => bytes.chunks(SECTOR).all(is_blank),
            Expectation::Changed => true,
            Expectation::Decorrelated => bytes.chunks(NOISE).all(is_decorrelated),
        }
    }

    /// The first place in `read`, from `at` on, that an erased disk does not hold.
    fn first_wrong(self, at: u64, read: &[u8]) -> Option<Bytes> {
        if self.holds(read) {
            return None;
        }
        let grain = match self {
            Expectation::Zeros | Expectation::Blank | Expectation::Changed => SECTOR,
            Expectation::Decorrelated => NOISE,
        };
        let wrong = read.chunks(grain).position(|piece| !self.holds(piece)).unwrap_or(0);
        Some(Bytes(at + (wrong * grain) as u64))
    }
}

/// How much was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProofKind {
    /// A stratified sample.
    Sample,
    /// Every byte that was to be erased.
    Full,
}

/// What was read back, and that it was as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// How much was read.
    pub kind: ProofKind,
    /// What the sample was drawn with.
    pub seed: Seed,
    /// Blocks read, of 4 KiB or the disk's own size if that is larger.
    pub blocks: u64,
    /// Bytes read.
    pub bytes: Bytes,
    /// What they had to be.
    pub expectation: Expectation,
    /// Stamps that were written before and are gone.
    pub canaries: usize,
    /// Blocks remembered before the drive erased itself, all of them changed.
    pub remembered: usize,
}

/// One try of one method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What was tried.
    pub method: Method,
    /// RFC 3339, by the caller's clock.
    pub start: String,
    /// RFC 3339, by the caller's clock.
    pub end: String,
    /// It was under way when this agent came; only its end was watched.
    pub resumed: bool,
    /// What the drive answered.
    pub answer: Answer,
    /// Why it failed; `None` when it is proven.
    pub error: Option<String>,
}

/// Why an erasure that the device called done is not proven.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    /// A stamp survived.
    #[error("the canary at {at} is still there after a successful erase: the drive lies")]
    CanaryFound {
        /// Where.
        at: Bytes,
    },
    /// A block is not what an erased block is.
    #[error("there is still data at {at} after a successful erase")]
    StillThere {
        /// The block.
        at: Bytes,
    },
    /// Blocks cannot be read, so nobody knows what they hold.
    #[error(
        "{} in {} places cannot be read back, the first at {}: destroy the disk with them",
        blocks.bytes(), blocks.ranges().len(), blocks.first()
    )]
    Unreadable {
        /// Where.
        blocks: BadBlocks,
        /// What the kernel answered first.
        #[source]
        err: io::Error,
    },
    /// The time the policy gives is over.
    #[error("reading back was not done after {} s, which is all the policy gives it", limit.as_secs())]
    TooLong {
        /// What the policy gives.
        limit: Duration,
    },
    /// The disk does not answer any more.
    #[error("the disk stopped answering at {at}: look at its cable, or destroy it with its data")]
    Gone {
        /// Where.
        at: Bytes,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
}

/// Told how far a search is; may end it when its time is over.
pub(crate) type Tell<'t> = dyn FnMut(Phase, Bytes, Bytes) -> Result<(), TooLong> + 't;

/// The time that the policy gives is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong {
    pub(crate) limit: Duration,
}

/// Noise where it is not blank.
fn is_decorrelated(bytes: &[u8]) -> bool {
    let rest: Vec<u8> = bytes.chunks(SECTOR).filter(|sector| !is_blank(sector)).flatten().copied().collect();
    is_noise(&rest)
}

/// What some blocks held before.
#[derive(Debug, Default)]
pub(crate) struct Memory(Vec<(Piece, Vec<u8>)>);

impl Memory {
    /// Read blocks spread over the zones. Those that say nothing (blank, or
    /// unreadable before) are left out.
    pub(crate) fn of(drive: &impl Target, zones: &Zones, unit: u64, seed: Seed) -> Self {
        let units = zones.units(unit);
        let mut draw = seed.draw();
        let mut kept = Vec::new();
        for _ in 0..REMEMBERED.min(units) {
            let Some(piece) = zones.unit(draw.below(units), unit) else { continue };
            let mut bytes = buffer(piece);
            if drive.read_at(Bytes(piece.at), &mut bytes).is_ok() && !is_blank(&bytes) {
                kept.push((piece, bytes));
            }
        }
        Self(kept)
    }
}

/// What is looked for, and where.
pub(crate) struct Search<'a> {
    pub(crate) zones: &'a Zones,
    pub(crate) unit: u64,
    pub(crate) verify: Verify,
    pub(crate) expectation: Expectation,
    pub(crate) seed: Seed,
    pub(crate) canaries: &'a Canaries,
    pub(crate) memory: &'a Memory,
    /// Blocks that could not be erased: they hold what they held.
    pub(crate) except: &'a BadBlocks,
}

impl Search<'_> {
    /// Read back and compare.
    pub(crate) fn run(&self, drive: &impl Target, progress: &mut Tell) -> Result<Proof, Unproven> {
        let too_long = |TooLong { limit }| Unproven::TooLong { limit };
        progress(Phase::Verify, Bytes(0), Bytes(0)).map_err(too_long)?;
        self.look_for_old_blocks(drive)?;
        let units = self.zones.units(self.unit);
        let full = self.verify == Verify::Full || units <= STRATA * PER_STRATUM;
        let (kind, blocks, bytes) = if full {
            let zones = self.except.ranges().iter().fold(self.zones.clone(), |zones, bad| zones.without(bad));
            let total = zones.bytes();
            self.read_all(drive, zones.steps(READ_STEP), READ_STEP, total, progress)?;
            (ProofKind::Full, zones.units(self.unit), total)
        } else {
            let mut pieces = self.sample(units);
            pieces.retain(|piece| !self.except.touch(*piece));
            let (blocks, total) = (pieces.len() as u64, Bytes(pieces.iter().map(|piece| piece.length).sum()));
            self.read_all(drive, pieces.into_iter(), self.unit, total, progress)?;
            (ProofKind::Sample, blocks, total)
        };
        Ok(Proof {
            kind,
            seed: self.seed,
            blocks,
            bytes,
            expectation: self.expectation,
            canaries: self.canaries.count(),
            remembered: self.memory.0.len(),
        })
    }

    /// Stamps and remembered blocks: the surest sign of a device that did nothing.
    fn look_for_old_blocks(&self, drive: &impl Target) -> Result<(), Unproven> {
        let salvage = Salvage::new(self.unit);
        let canaries = self.canaries.iter().map(|old| (old, true));
        for ((piece, old), is_canary) in canaries.chain(self.memory.0.iter().map(|old| (old, false))) {
            let mut now = buffer(*piece);
            let read = |part: Piece| drive.read_at(Bytes(part.at), &mut now);
            if self.except.touch(*piece) {
                continue;
            }
            salvage.past(*piece, || is_alive(drive, piece.at), read).map_err(|up| gave_up(up, None))?;
            let at = Bytes(piece.at);
            match (shares_a_sector(old, &now), is_canary) {
                (true, true) => return Err(Unproven::CanaryFound { at }),
                (true, false) => return Err(Unproven::StillThere { at }),
                (false, _) => {}
            }
        }
        all_read(salvage)
    }

    /// First and last unit, [`PER_STRATUM`] draws (with replacement) from each
    /// stratum in turn, and where the canaries were.
    fn sample(&self, units: u64) -> Vec<Piece> {
        let mut draw = self.seed.draw();
        let edge =
            |n: u64| u64::try_from(u128::from(units) * u128::from(n) / u128::from(STRATA)).unwrap_or(units);
        let mut indices = vec![0, units - 1];
        for stratum in 0..STRATA {
            let (start, end) = (edge(stratum), edge(stratum + 1));
            indices.extend((0..PER_STRATUM).map(|_| start + draw.below(end - start)));
        }
        let drawn = indices.into_iter().filter_map(|index| self.zones.unit(index, self.unit));
        let mut pieces: Vec<_> = drawn.chain(self.canaries.iter().map(|(piece, _)| *piece)).collect();
        // In disk order: a spinning disk then sweeps once.
        model::order::sort(&mut pieces);
        pieces
    }

    /// Read all `pieces`, none longer than `longest`.
    fn read_all(
        &self,
        drive: &impl Target,
        pieces: impl Iterator<Item = Piece> + Send,
        longest: u64,
        total: Bytes,
        progress: &mut Tell,
    ) -> Result<(), Unproven> {
        let salvage = Salvage::new(drive.block().get());
        let memory = || Buffer::zeroed(length(Piece { at: 0, length: longest }));
        let read = |memory: &mut Buffer, piece: Piece| {
            let mut wrong = None;
            let read = |part: Piece| {
                let bytes = &mut memory[..length(part)];
                drive.read_at(Bytes(part.at), bytes)?;
                wrong = wrong.or_else(|| self.expectation.first_wrong(part.at, bytes));
                Ok(())
            };
            salvage.past(piece, || is_alive(drive, piece.at), read).map_err(Failure::GaveUp)?;
            wrong.map_or(Ok(()), |at| Err(Failure::StillThere { at }))
        };
        let outcome = lanes::run(pieces, memory, read, &mut |done| {
            progress(Phase::Verify, Bytes(done.bytes), total).map_err(Failure::TooLong)
        });
        match outcome {
            Ok(()) => all_read(salvage),
            Err(Failure::StillThere { at }) => Err(Unproven::StillThere { at }),
            Err(Failure::TooLong(TooLong { limit })) => Err(Unproven::TooLong { limit }),
            Err(Failure::GaveUp(up)) => Err(gave_up(up, salvage.into_found())),
        }
    }
}

/// Why a lane stopped.
enum Failure {
    StillThere { at: Bytes },
    GaveUp(GaveUp),
    TooLong(TooLong),
}

fn all_read(salvage: Salvage) -> Result<(), Unproven> {
    match salvage.into_found() {
        Some((blocks, err)) => Err(Unproven::Unreadable { blocks, err }),
        None => Ok(()),
    }
}

fn gave_up(GaveUp { at, why, err }: GaveUp, found: Option<(BadBlocks, io::Error)>) -> Unproven {
    match (why, found) {
        (Why::Dying, Some((blocks, err))) => Unproven::Unreadable { blocks, err },
        (Why::Dying | Why::Gone, _) => Unproven::Gone { at, err },
    }
}

#[cfg(test)]
mod tests;
