//! How many guests run at the same time.

use std::sync::{Condvar, Mutex, PoisonError};

/// Each guest takes a core, and these tests run on two.
const GUESTS: usize = 2;

static FREE: (Mutex<usize>, Condvar) = (Mutex::new(GUESTS), Condvar::new());

/// A place among the guests that run; free again when dropped.
pub(crate) struct Place;

impl Place {
    /// Wait for one.
    pub(crate) fn take() -> Self {
        let free = FREE.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = FREE.1.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *FREE.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        FREE.1.notify_one();
    }
}
