//! The clock and the patience of an erasure, so that tests need neither.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Time as an erasure needs it.
pub trait Time {
    /// Since any fixed moment; never goes back.
    fn elapsed(&self) -> Duration;
    /// Let this much time pass.
    fn wait(&mut self, how_long: Duration);
    /// Now, RFC 3339, for the record.
    fn stamp(&self) -> String;
}

/// The machine's own time.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    stamp: fn() -> String,
}

impl Clock {
    /// A clock that writes dates with `stamp` (RFC 3339).
    #[must_use]
    pub fn new(stamp: fn() -> String) -> Self {
        Self { start: Instant::now(), stamp }
    }
}

impl Time for Clock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn wait(&mut self, how_long: Duration) {
        thread::sleep(how_long);
    }

    fn stamp(&self) -> String {
        (self.stamp)()
    }
}

/// Time that passes only when somebody waits.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct FakeTime(pub(crate) Duration);

#[cfg(test)]
impl Time for FakeTime {
    fn elapsed(&self) -> Duration {
        self.0
    }

    fn wait(&mut self, how_long: Duration) {
        self.0 += how_long;
    }

    fn stamp(&self) -> String {
        "2026-01-02T03:04:05Z".to_owned()
    }
}
