//! What stalled answers wait for: being let go, or the end of the server.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Waiters of different times, and two reasons to go on.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Counts calls of [`Latch::release`].
    released: u64,
    /// The server ends: nobody waits any more.
    closed: bool,
}

impl Latch {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Let go whoever waits now.
    pub(crate) fn release(&self) {
        self.lock().released += 1;
        self.changed.notify_all();
    }

    /// Let go everybody for good.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Tell by `begins` that a wait begins, and wait to be let go: by whoever was told, at the earliest.
    pub(crate) fn wait(&self, begins: impl FnOnce()) {
        let before = self.lock().released;
        begins();
        let waiting = |state: &mut State| !state.closed && state.released == before;
        drop(self.changed.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner));
    }

    /// Wait until the server ends, `at_most` so long. True when it ends.
    pub(crate) fn closes_within(&self, at_most: Duration) -> bool {
        let waiting = |state: &mut State| !state.closed;
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), at_most, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        state.closed
    }
}
