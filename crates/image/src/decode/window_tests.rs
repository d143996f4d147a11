//! Whatever is asked for, in whatever order a format may: it comes.

use std::{
    ops::Range,
    sync::{Arc, mpsc::sync_channel},
};

use disk::{Buffer, Pool};
use model::Bytes;

use super::{
    Reader,
    pieces::SPARE,
    spill::{Spill, Spilled},
    window::{Found, Window},
};
use crate::{
    Compression, Options,
    decompress::Content,
    extent::CHUNK,
    meter::Meters,
    tap::{Message, Stream},
};

const LENGTH: usize = 24 << 20;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 16) % limit
    }
}

/// All of `bytes`, already on the way.
fn reader(bytes: &[u8]) -> Reader {
    let (to, messages) = sync_channel(LENGTH / CHUNK + 1);
    for chunk in bytes.chunks(CHUNK) {
        to.send(Message::Chunk(Arc::new(Buffer::copy_of(chunk)))).expect("there is room");
    }
    to.send(Message::End).expect("there is room");
    let stream = Stream::new(messages, Arc::new(Meters::new()), Pool::new(CHUNK, 0));
    let content = Content::new(stream, Compression::None, &Options::default().terms()).expect("plain");
    Reader { content, at: 0, compression: Compression::None }
}

/// A part of the stream: where it is, and how much may be asked for beyond it.
#[derive(Clone)]
struct Part {
    range: Range<u64>,
    beyond: u64,
}

/// The whole stream in parts; some are compressed data, packed to the byte.
fn parts(random: &mut Random) -> Vec<Part> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < LENGTH as u64 {
        let most = 1 << random.below(19);
        let length = random.below(most) + 1;
        let end = (at + length).min(LENGTH as u64);
        let beyond = if random.below(2) == 0 { end.next_multiple_of(512) - end } else { 0 };
        parts.push(Part { range: at..end, beyond });
        at = end;
    }
    parts
}

/// Ask for `part`; it is what it should be, or gone.
fn ask(window: &mut Window<'_>, part: &Part, stream: &[u8]) -> bool {
    let spare = if part.beyond > 0 { SPARE } else { 0 };
    match window.get(part.range.start..part.range.end + part.beyond, spare).expect("no error") {
        Found::Here(slices) => {
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.bytes().to_vec()).collect();
            let place = |at: u64| usize::try_from(at).expect("in memory");
            let expected = &stream[place(part.range.start)..place(part.range.end)];
            bytes.starts_with(expected)
        }
        Found::Gone(_) => panic!("{:?} is gone", part.range),
        Found::Missing => panic!("{:?} is missing", part.range),
    }
}

#[test]
fn what_nobody_asked_for_comes_back_from_the_window_or_the_spill() {
    let mut random = Random(8);
    let stream: Vec<u8> = (0..LENGTH).map(|at| (at ^ at >> 8 ^ at >> 16).to_le_bytes()[0]).collect();
    for late_in_100 in [0, 1, 10, 90, 100] {
        let dir = tempfile::tempdir().expect("a directory");
        let spill = Spill { dir: dir.path().to_owned(), limit: Bytes(LENGTH as u64) };
        let mut reader = reader(&stream);
        let mut window = Window::new(&mut reader, Some(Spilled::new(spill)));
        let mut late: Vec<Part> = Vec::new();
        for part in parts(&mut random) {
            // What follows tiny compressed data may be taken for its end.
            let tiny = part.range.end - part.range.start <= SPARE;
            if !tiny && random.below(100) < late_in_100 {
                late.push(part);
            } else {
                assert!(ask(&mut window, &part, &stream), "{:?}", part.range);
            }
            if !late.is_empty() && random.below(1000) == 0 {
                let number = random.below(late.len() as u64);
                let part = late.swap_remove(usize::try_from(number).expect("an index"));
                assert!(ask(&mut window, &part, &stream), "late: {:?}", part.range);
            }
        }
        late.sort_by_key(|part| part.range.start);
        for part in &late {
            assert!(ask(&mut window, part, &stream), "last: {:?}", part.range);
        }
        assert_eq!(window.drain().expect("no error"), LENGTH as u64);
    }
}
