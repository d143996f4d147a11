use std::collections::VecDeque;

use super::*;

/// Wires that say what is written down, when it is time.
struct Script {
    now: Duration,
    /// When, on which wire, and what; `None` is a failure.
    frames: VecDeque<(u64, usize, Option<Vec<u8>>)>,
}

impl Wires for Script {
    fn now(&self) -> Duration {
        self.now
    }

    fn wait(&mut self, wires: &[usize], patience: Duration) -> Vec<(usize, io::Result<Vec<u8>>)> {
        let end = self.now + patience;
        while let Some((second, wire, frame)) = self.frames.front().cloned() {
            if Duration::from_secs(second) >= end {
                break;
            }
            self.frames.pop_front();
            self.now = self.now.max(Duration::from_secs(second));
            if wires.contains(&wire) {
                return vec![(wire, frame.ok_or_else(|| io::ErrorKind::NetworkDown.into()))];
            }
        }
        self.now = end;
        Vec::new()
    }
}

/// A frame of the switch `name` that is true for `lifetime` seconds.
fn switch(name: u8, lifetime: u8) -> Vec<u8> {
    let tlvs = [2, 2, 7, name, 4, 2, 7, b'p', 6, 2, 0, lifetime, 0, 0];
    [&[1, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 1, 0x88, 0xcc], &tlvs[..]].concat()
}

/// What is heard of `frames` on two wires, and when the waiting ends.
fn heard(frames: &[(u64, usize, Option<Vec<u8>>)]) -> (Vec<Option<Vec<u8>>>, u64) {
    let mut script = Script { now: Duration::ZERO, frames: frames.iter().cloned().collect() };
    let heard = collect(&mut script, 2, Patience::default());
    (heard, script.now.as_secs())
}

#[test]
fn waiting_ends_when_everybody_has_spoken() {
    let frames = [(3, 0, Some(switch(b'a', 120))), (5, 1, Some(switch(b'b', 120))), (9, 0, None)];
    let (found, end) = heard(&frames);
    assert_eq!(found, [Some(switch(b'a', 120)), Some(switch(b'b', 120))]);
    assert_eq!(end, 5);
}

#[test]
fn news_prolong_the_waiting_and_nothing_else_does() {
    let nonsense: Vec<_> = (0..12).map(|second| (second * 5, 1, Some(b"nonsense".to_vec()))).collect();
    assert_eq!(heard(&nonsense), (vec![None, None], 30));
    assert_eq!(heard(&[]), (vec![None, None], 30));
    assert_eq!(heard(&[(29, 0, Some(switch(b'a', 120)))]), (vec![Some(switch(b'a', 120)), None], 59));
}

#[test]
fn waiting_ends_whatever_comes() {
    let slow: Vec<_> = (0..64).map(|wire| (wire as u64 * 29, wire, Some(switch(b'a', 120)))).collect();
    let mut script = Script { now: Duration::ZERO, frames: slow.into() };
    let heard = collect(&mut script, 64, Patience::default());
    assert_eq!(script.now, limits::LLDP_TOTAL);
    assert_eq!(heard.into_iter().flatten().count(), 5);
}

#[test]
fn patience_without_end_is_no_overflow() {
    let mut script = Script { now: Duration::from_secs(1), frames: [(3, 0, Some(switch(b'a', 120)))].into() };
    let patience = Patience { idle: Duration::MAX, total: Duration::MAX };
    assert_eq!(collect(&mut script, 1, patience), [Some(switch(b'a', 120))]);
}

#[test]
fn a_wire_full_of_nonsense_is_given_up() {
    let flood: Vec<_> = (0..10_000).map(|_| (0, 0, Some(switch(b'a', 0)[..20].to_vec()))).collect();
    let mut script = Script { now: Duration::ZERO, frames: flood.into() };
    let heard = collect(&mut script, 1, Patience::default());
    assert_eq!(script.frames.len(), 10_000 - limits::LLDP_USELESS_FRAMES as usize);
    assert_eq!(heard, [Some(switch(b'a', 0)[..20].to_vec())], "better than nothing");
    let broken: Vec<_> = (0..100).map(|_| (0, 0, None)).collect();
    let mut script = Script { now: Duration::ZERO, frames: broken.into() };
    assert_eq!(collect(&mut script, 1, Patience::default()), [None]);
    assert_eq!(script.now, Duration::ZERO);
}

#[test]
fn a_goodbye_and_a_bad_frame_give_way_to_a_good_one() {
    let bad = switch(b'x', 120)[..20].to_vec();
    for first in [bad.clone(), switch(b'x', 0)] {
        let (found, _) = heard(&[(1, 0, Some(first.clone())), (2, 0, Some(switch(b'a', 120)))]);
        assert_eq!(found[0], Some(switch(b'a', 120)));
        assert_eq!(heard(&[(1, 0, Some(first.clone()))]).0[0], Some(first));
    }
}
