//! Looking whether the data is gone. A command's success is not asked.

use std::io;

use model::Bytes;
use serde::Serialize;

use crate::{
    Answer, Drive, Method, Phase, Sanitize, SecureErase, SecurityErase, Seed, SelfErase, Verify,
    canary::{Canaries, buffer, is_blank, length, shares_a_sector},
    zones::{Piece, Zones},
};

/// The smallest piece a sample reads, in bytes.
pub(crate) const UNIT: u64 = 4096;
/// 1,000 strata of 5 blocks: more than the 4,603 that find a leftover of 0.1 % of
/// the disk with 99 % (ln 0.01 / ln 0.999), and no corner left out.
const STRATA: u64 = 1000;
const PER_STRATUM: u64 = 5;
/// A full read-back goes in steps of this many bytes.
const READ_STEP: u64 = 4 << 20;
/// Blocks remembered before a drive erases itself: none may be the same after.
const REMEMBERED: u64 = 256;
/// How many unreadable places an error and a certificate list.
const UNREADABLE_LIMIT: usize = 64;

/// What an erased block reads as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expectation {
    /// Zeros.
    Zeros,
    /// One byte over and over in each sector: NVMe leaves open which.
    Blank,
    /// Anything but what was there.
    Changed,
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
            // Its pattern is the vendor's own.
            | SelfErase::AtaSecurity(SecurityErase::Enhanced)
            | SelfErase::OpalRevert => Expectation::Changed,
            SelfErase::NvmeSanitize(Sanitize::Block | Sanitize::Overwrite)
            | SelfErase::AtaSanitize(Sanitize::Block | Sanitize::Overwrite)
            | SelfErase::ScsiSanitize(Sanitize::Block | Sanitize::Overwrite)
            | SelfErase::NvmeFormat(SecureErase::UserData)
            | SelfErase::AtaSecurity(SecurityErase::Normal) => Expectation::Blank,
        }
    }

    fn holds(self, bytes: &[u8]) -> bool {
        match self {
            Expectation::Zeros => bytes.iter().all(|&byte| byte == 0),
            Expectation::Blank => bytes.chunks(512).all(is_blank),
            Expectation::Changed => true,
        }
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
    #[error("{count} pieces cannot be read back, the first at {first}")]
    Unreadable {
        /// The first of them.
        first: Bytes,
        /// How many, counted up to a limit.
        count: usize,
        /// What the kernel answered to the first.
        #[source]
        err: io::Error,
    },
}

/// What some blocks held before.
#[derive(Debug, Default)]
pub(crate) struct Memory(Vec<(Piece, Vec<u8>)>);

impl Memory {
    /// Read blocks spread over the zones. Those that say nothing (blank, or
    /// unreadable before) are left out.
    pub(crate) fn of(drive: &mut impl Drive, zones: &Zones, unit: u64, seed: Seed) -> Self {
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
}

impl Search<'_> {
    /// Read back and compare.
    pub(crate) fn run(
        &self,
        drive: &mut impl Drive,
        progress: &mut dyn FnMut(Phase, Bytes, Bytes),
    ) -> Result<Proof, Unproven> {
        self.look_for_old_blocks(drive)?;
        let units = self.zones.units(self.unit);
        let full = self.verify == Verify::Full || units <= STRATA * PER_STRATUM;
        let (kind, blocks, bytes) = if full {
            let total = self.zones.bytes();
            let (_, bytes) = self.read_all(drive, self.zones.steps(READ_STEP), total, progress)?;
            (ProofKind::Full, units, bytes)
        } else {
            let pieces = self.sample(units);
            let total = Bytes(pieces.iter().map(|piece| piece.length).sum());
            let (blocks, bytes) = self.read_all(drive, pieces.into_iter(), total, progress)?;
            (ProofKind::Sample, blocks, bytes)
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
    fn look_for_old_blocks(&self, drive: &mut impl Drive) -> Result<(), Unproven> {
        let canaries = self.canaries.iter().map(|old| (old, true));
        for ((piece, old), is_canary) in canaries.chain(self.memory.0.iter().map(|old| (old, false))) {
            let at = Bytes(piece.at);
            let mut now = buffer(*piece);
            drive.read_at(at, &mut now).map_err(|err| Unproven::Unreadable { first: at, count: 1, err })?;
            match (shares_a_sector(old, &now), is_canary) {
                (true, true) => return Err(Unproven::CanaryFound { at }),
                (true, false) => return Err(Unproven::StillThere { at }),
                (false, _) => {}
            }
        }
        Ok(())
    }

    /// First and last unit, and [`PER_STRATUM`] draws (with replacement) from each stratum in turn.
    fn sample(&self, units: u64) -> Vec<Piece> {
        let mut draw = self.seed.draw();
        let edge =
            |n: u64| u64::try_from(u128::from(units) * u128::from(n) / u128::from(STRATA)).unwrap_or(units);
        let mut indices = vec![0, units - 1];
        for stratum in 0..STRATA {
            let (start, end) = (edge(stratum), edge(stratum + 1));
            indices.extend((0..PER_STRATUM).map(|_| start + draw.below(end - start)));
        }
        // In disk order: a spinning disk then sweeps once.
        indices.sort_unstable();
        indices.into_iter().filter_map(|index| self.zones.unit(index, self.unit)).collect()
    }

    fn read_all(
        &self,
        drive: &mut impl Drive,
        pieces: impl Iterator<Item = Piece>,
        total: Bytes,
        progress: &mut dyn FnMut(Phase, Bytes, Bytes),
    ) -> Result<(u64, Bytes), Unproven> {
        let (mut blocks, mut done) = (0, Bytes(0));
        let mut unreadable: Option<(Bytes, usize, io::Error)> = None;
        let mut read = Vec::new();
        for piece in pieces {
            let at = Bytes(piece.at);
            read.resize(length(piece), 0);
            match (drive.read_at(at, &mut read), &mut unreadable) {
                (Ok(()), _) if !self.expectation.holds(&read) => {
                    return Err(Unproven::StillThere { at: self.first_bad(at, &read) });
                }
                (Ok(()), _) => {}
                (Err(_), Some((_, count, _))) => *count += 1,
                (Err(err), none) => *none = Some((at, 1, err)),
            }
            if unreadable.as_ref().is_some_and(|(_, count, _)| *count >= UNREADABLE_LIMIT) {
                break;
            }
            blocks += 1;
            done = Bytes(done.0 + piece.length);
            progress(Phase::Verify, done, total);
        }
        match unreadable {
            Some((first, count, err)) => Err(Unproven::Unreadable { first, count, err }),
            None => Ok((blocks, done)),
        }
    }

    fn first_bad(&self, at: Bytes, read: &[u8]) -> Bytes {
        let sector = read.chunks(512).position(|sector| !self.expectation.holds(sector)).unwrap_or(0);
        Bytes(at.0 + 512 * sector as u64)
    }
}
