//! Which bytes are asked for together.

use std::ops::Range;

use super::{CHUNK_SIZES, Chunk};

/// The longest span that is joined from several chunks, which is the longest
/// chunk: several in flight hide the round trips, longer ones only cost memory.
const LONGEST: u64 = CHUNK_SIZES[1];
/// Bytes nobody needs that are fetched to save a request: the frames of a few
/// zero chunks between two others.
const LARGEST_GAP: u64 = 4 << 10;

/// Chunks that follow each other closely in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Which of the manifest's chunks; not all of these are wanted.
    pub(super) chunks: Vec<u32>,
    /// Their bytes in the file.
    pub(super) bytes: Range<u64>,
}

/// Join the chunks of `chunks` that are `wanted` to spans, in order.
pub(super) fn join<'a>(
    chunks: &'a [Chunk],
    wanted: impl Fn(usize) -> bool + 'a,
) -> impl Iterator<Item = Span> + 'a {
    let mut numbers = (0..chunks.len()).filter(move |&number| wanted(number)).peekable();
    let name = |number: usize| u32::try_from(number).expect("at most MOST_CHUNKS");
    std::iter::from_fn(move || {
        let first = numbers.next()?;
        let mut span = Span { chunks: vec![name(first)], bytes: chunks[first].in_file() };
        while let Some(next) = numbers.next_if(|&next| {
            let next = chunks[next].in_file();
            next.start - span.bytes.end <= LARGEST_GAP && next.end - span.bytes.start <= LONGEST
        }) {
            span.chunks.push(name(next));
            span.bytes.end = chunks[next].in_file().end;
        }
        Some(span)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(offset: u64, stored: u32) -> Chunk {
        Chunk { at: 0, length: stored, offset, stored, digest: [0; 32] }
    }

    #[test]
    fn neighbours_are_joined_up_to_a_limit_and_far_ones_are_not() {
        let half = 1 << 19;
        let at = |number: u32| u64::from(number * half);
        let chunks = [
            chunk(0, half),
            chunk(at(1), half),
            chunk(at(2), half),
            chunk(at(3) + LARGEST_GAP, 100),
            chunk(at(5), 100),
            chunk(at(5) + 100, 100),
        ];
        let spans = |wanted: fn(usize) -> bool| -> Vec<(Vec<u32>, Range<u64>)> {
            join(&chunks, wanted).map(|span| (span.chunks, span.bytes)).collect()
        };
        assert_eq!(
            spans(|_| true),
            [
                (vec![0, 1], 0..at(2)),
                (vec![2, 3], at(2)..at(3) + LARGEST_GAP + 100),
                (vec![4, 5], at(5)..at(5) + 200),
            ]
        );
        assert_eq!(spans(|number| number == 5), [(vec![5], at(5) + 100..at(5) + 200)]);
        assert_eq!(spans(|_| false), []);
    }
}
