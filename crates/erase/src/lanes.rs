//! Several reads or writes of one disk in flight, and how far they are.
//!
//! ```text
//! pieces ──one each──▶ lanes ──work──▶ disk
//!                        └──done──▶ the caller's own thread: progress, marker
//! ```

use std::{
    iter::Peekable,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use crate::zones::Piece;

/// Reads or writes in flight on one disk: a spinning disk's queue is never
/// empty, a flash disk's is long enough for its whole rate with pieces of 1 MiB.
pub(crate) const LANES: usize = 4;

/// How far the lanes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Bytes done so far.
    pub(crate) bytes: u64,
    /// Everything before this place is done.
    pub(crate) before: u64,
}

struct State<I: Iterator<Item = Piece>, E> {
    pieces: Peekable<I>,
    in_flight: Vec<Piece>,
    bytes: u64,
    /// How many lanes may still do something.
    lanes: usize,
    /// The first failure ends all lanes.
    failure: Option<E>,
}

struct Road<I: Iterator<Item = Piece>, E> {
    state: Mutex<State<I, E>>,
    news: Condvar,
}

impl<I: Iterator<Item = Piece>, E> State<I, E> {
    /// In disk order, so what is in flight or to come says what is behind.
    fn done(&mut self) -> Done {
        let flying = self.in_flight.iter().map(|piece| piece.at).min();
        let coming = self.pieces.peek().map(|piece| piece.at);
        let before = flying.into_iter().chain(coming).min().unwrap_or(u64::MAX);
        Done { bytes: self.bytes, before }
    }
}

impl<I: Iterator<Item = Piece>, E> Road<I, E> {
    fn lock(&self) -> MutexGuard<'_, State<I, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Piece> {
        let mut state = self.lock();
        if state.failure.is_some() {
            return None;
        }
        let piece = state.pieces.next()?;
        state.in_flight.push(piece);
        Some(piece)
    }

    fn end(&self, piece: Piece, outcome: Result<(), E>) {
        let mut state = self.lock();
        if let Some(place) = state.in_flight.iter().position(|flying| *flying == piece) {
            state.in_flight.swap_remove(place);
        }
        match outcome {
            Ok(()) => state.bytes += piece.length,
            Err(err) => drop(state.failure.get_or_insert(err)),
        }
        drop(state);
        self.news.notify_one();
    }

    /// Tell the caller of everything new until the lanes are done.
    fn watch(&self, watch: &mut dyn FnMut(Done) -> Result<(), E>) {
        let mut told = 0;
        let mut state = self.lock();
        loop {
            if state.bytes > told && state.failure.is_none() {
                told = state.bytes;
                let done = state.done();
                drop(state);
                let outcome = watch(done);
                state = self.lock();
                if let Err(err) = outcome {
                    state.failure.get_or_insert(err);
                }
            } else if state.lanes == 0 {
                return;
            } else {
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Signs a lane off, also one that panics.
struct Lane<'r, I: Iterator<Item = Piece>, E>(&'r Road<I, E>);

impl<I: Iterator<Item = Piece>, E> Drop for Lane<'_, I, E> {
    fn drop(&mut self) {
        self.0.lock().lanes -= 1;
        self.0.news.notify_one();
    }
}

/// Do `work` to all `pieces`, several at a time, each lane with what `own` made
/// for it. `watch` is told on this very thread after every few pieces, and may
/// end it all.
///
/// # Errors
/// The first failure of `work` or `watch`; pieces in flight are finished then.
pub(crate) fn run<O, E: Send>(
    pieces: impl Iterator<Item = Piece> + Send,
    own: impl Fn() -> O + Sync,
    work: impl Fn(&mut O, Piece) -> Result<(), E> + Sync,
    watch: &mut dyn FnMut(Done) -> Result<(), E>,
) -> Result<(), E> {
    let state =
        State { pieces: pieces.peekable(), in_flight: Vec::new(), bytes: 0, lanes: LANES, failure: None };
    let road = Road { state: Mutex::new(state), news: Condvar::new() };
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let _lane = Lane(&road);
                let mut own = own();
                while let Some(piece) = road.next() {
                    road.end(piece, work(&mut own, piece));
                }
            });
        }
        road.watch(watch);
    });
    let state = road.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(count: u64) -> impl Iterator<Item = Piece> + Send {
        (0..count).map(|n| Piece { at: n * 10, length: 10 })
    }

    #[test]
    fn every_piece_is_done_once_and_the_end_is_told() {
        let seen = Mutex::new(Vec::new());
        let mut told = Vec::new();
        let work = |mine: &mut u64, piece: Piece| {
            *mine += 1;
            seen.lock().expect("no panic").push(piece.at);
            Ok::<_, ()>(())
        };
        run(pieces(100), || 0, work, &mut |done| {
            told.push(done);
            Ok(())
        })
        .expect("done");
        let mut seen = seen.into_inner().expect("no panic");
        seen.sort_unstable();
        assert_eq!(seen, (0..100).map(|n| n * 10).collect::<Vec<_>>());
        assert_eq!(told.last(), Some(&Done { bytes: 1000, before: u64::MAX }));
        assert!(told.is_sorted_by_key(|done| done.bytes) && told.is_sorted_by_key(|done| done.before));
    }

    #[test]
    fn what_is_behind_the_slowest_piece_is_done_and_no_more() {
        let barrier = (Mutex::new(false), Condvar::new());
        let (mut most, mut told) = (0, 0);
        let work = |(): &mut (), piece: Piece| {
            let mut open = barrier.0.lock().expect("no panic");
            while piece.at == 20 && !*open {
                open = barrier.1.wait(open).expect("no panic");
            }
            Ok::<_, ()>(())
        };
        run(pieces(10), || (), work, &mut |done| {
            told = done.bytes;
            if told < 90 {
                most = most.max(done.before);
            } else {
                // All but the one are done.
                *barrier.0.lock().expect("no panic") = true;
                barrier.1.notify_all();
            }
            Ok(())
        })
        .expect("done");
        assert!(most <= 20, "{most} is told as done, and 20 is not");
        assert_eq!(told, 100);
    }

    #[test]
    fn the_first_failure_ends_it_whoever_has_it() {
        let by_work = run(
            pieces(1_000_000),
            || (),
            |(), piece| if piece.at == 500 { Err("broken") } else { Ok(()) },
            &mut |_| Ok(()),
        );
        assert_eq!(by_work, Err("broken"));
        let mut told = 0;
        let by_watch = run(pieces(1_000_000), || (), |(), _| Ok(()), &mut |done| {
            told = done.bytes;
            Err("enough")
        });
        assert_eq!(by_watch, Err("enough"));
        assert!(told < 10_000_000, "it went on to the end");
    }
}
