//! Raw images: every byte where it is, with runs of zeros taken out.

use std::{ops::Range, sync::Arc};

use disk::Buffer;
use model::Bytes;

use super::{DecodeError, Decoded, Reader, send};
use crate::{
    FormatError,
    extent::{Extent, Slice, is_zero},
    format::Inside,
    outlet::Outlet,
};

/// The granularity of looking for zeros: smaller runs are cheaper to write
/// than to have zeroed.
const GRAIN: usize = 64 << 10;
/// The footer of a fixed-size VHD, at the start of the file's last sector.
const VHD: &[u8] = b"conectix";

/// Send all of `content` to the writer.
///
/// # Errors
/// [`FormatError`] when what passes turns out to be another format as well:
/// `inside` tells where one may begin.
pub(super) fn decode(content: &mut Reader, inside: &Inside, to: &Outlet) -> Result<(), DecodeError> {
    let mut at = 0;
    let mut zeros = Range { start: 0, end: 0 };
    let mut last = [0; 512];
    while let Some(chunk) = content.next()? {
        keep_last(&mut last, &chunk);
        inside.check(Bytes(at), &chunk)?;
        for run in runs(&chunk) {
            let place = at + run.range.start as u64..at + run.range.end as u64;
            if run.zero {
                zeros = if zeros.end == place.start { zeros.start..place.end } else { place };
                continue;
            }
            send_zeros(to, &mut zeros)?;
            let bytes = Slice::new(Arc::clone(&chunk), run.range);
            send(to, Decoded::Extent(Extent::Data { at: Bytes(place.start), bytes }))?;
        }
        at += chunk.len() as u64;
    }
    send_zeros(to, &mut zeros)?;
    if last.starts_with(VHD) {
        return Err(FormatError::Ambiguous { one: "a raw disk", other: "a fixed VHD" }.into());
    }
    send(to, Decoded::End { size: Bytes(at) })
}

fn send_zeros(to: &Outlet, zeros: &mut Range<u64>) -> Result<(), DecodeError> {
    if !zeros.is_empty() {
        let (at, length) = (Bytes(zeros.start), Bytes(zeros.end - zeros.start));
        send(to, Decoded::Extent(Extent::Zero { at, length }))?;
    }
    *zeros = zeros.end..zeros.end;
    Ok(())
}

/// A part of a chunk that is all zero, or not.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    range: Range<usize>,
    zero: bool,
}

/// The longest runs of `chunk`, in order, in steps of [`GRAIN`].
fn runs(chunk: &Buffer) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for start in (0..chunk.len()).step_by(GRAIN) {
        let range = start..(start + GRAIN).min(chunk.len());
        let zero = range.len() == GRAIN && is_zero(&chunk[range.clone()]);
        match runs.last_mut() {
            Some(run) if run.zero == zero => run.range.end = range.end,
            _ => runs.push(Run { range, zero }),
        }
    }
    runs
}

/// Keep the last bytes of all that has passed.
fn keep_last(last: &mut [u8; 512], chunk: &[u8]) {
    if let Some(end) = chunk.last_chunk() {
        *last = *end;
    } else {
        last.rotate_left(chunk.len());
        last[512 - chunk.len()..].copy_from_slice(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_zeros_are_found_and_cover_everything() {
        let mut bytes = vec![0; GRAIN * 4 + 100];
        bytes[GRAIN + 5] = 1;
        let found = runs(&Buffer::copy_of(&bytes));
        let shape: Vec<_> = found.iter().map(|run| (run.range.start, run.range.end, run.zero)).collect();
        assert_eq!(
            shape,
            [
                (0, GRAIN, true),
                (GRAIN, GRAIN * 2, false),
                (GRAIN * 2, GRAIN * 4, true),
                (GRAIN * 4, GRAIN * 4 + 100, false)
            ]
        );
    }

    #[test]
    fn the_last_sector_is_known_across_chunks() {
        let mut last = [0; 512];
        keep_last(&mut last, &[1; 1000]);
        keep_last(&mut last, &[2; 12]);
        assert_eq!((last[499], last[500], last[511]), (1, 2, 2));
    }
}
