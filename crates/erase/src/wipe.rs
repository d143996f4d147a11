//! The host's writes. Only [`execute`](crate::execute) calls these.

use std::io;

use disk::Buffer;
use model::Bytes;

use crate::{Drive, Phase, seed::Draw, zones::Zones};

/// One `BLKZEROOUT`: large enough to be fast, small enough to show progress.
const ZERO_STEP: u64 = 64 << 20;
/// One write, and the memory a wipe needs.
const WRITE_STEP: u64 = 4 << 20;

/// Why the method did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum WipeError {
    /// A write failed.
    #[error("writing zeros failed at {at}; replace the disk or set it aside")]
    Write {
        /// Where.
        at: Bytes,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// The disk could not say that everything is on the medium.
    #[error("the disk did not confirm its writes; replace it or set it aside")]
    Sync(#[source] io::Error),
}

/// Make the zones read as zeros, by the kernel's or the device's own means.
pub(crate) fn zero_out(
    drive: &mut impl Drive,
    zones: &Zones,
    progress: &mut dyn FnMut(Phase, Bytes, Bytes),
) -> Result<(), WipeError> {
    let (mut done, total) = (Bytes(0), zones.bytes());
    for piece in zones.steps(ZERO_STEP) {
        let at = Bytes(piece.at);
        drive.zero_at(at, Bytes(piece.length)).map_err(|err| WipeError::Write { at, err })?;
        done = Bytes(done.0 + piece.length);
        progress(Phase::Zero, done, total);
    }
    drive.sync().map_err(WipeError::Sync)
}

/// Zeros over the zones, and `passes - 1` random passes before them.
pub(crate) fn overwrite(
    drive: &mut impl Drive,
    zones: &Zones,
    passes: u8,
    draw: &mut Draw,
    progress: &mut dyn FnMut(Phase, Bytes, Bytes),
) -> Result<(), WipeError> {
    let mut pattern = Buffer::zeroed(usize::try_from(WRITE_STEP).expect("INVARIANT: 4 MiB fit"));
    for _ in 1..passes {
        draw.fill(&mut pattern);
        write_all(drive, zones, &pattern, progress)?;
    }
    pattern.fill(0);
    write_all(drive, zones, &pattern, progress)
}

fn write_all(
    drive: &mut impl Drive,
    zones: &Zones,
    pattern: &[u8],
    progress: &mut dyn FnMut(Phase, Bytes, Bytes),
) -> Result<(), WipeError> {
    let (mut done, total) = (Bytes(0), zones.bytes());
    for piece in zones.steps(WRITE_STEP) {
        let at = Bytes(piece.at);
        let data = &pattern[..crate::canary::length(piece)];
        drive.write_at(at, data).map_err(|err| WipeError::Write { at, err })?;
        done = Bytes(done.0 + piece.length);
        progress(Phase::Overwrite, done, total);
    }
    drive.sync().map_err(WipeError::Sync)
}
