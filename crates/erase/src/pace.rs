//! A limit on what erasures write in a second, for machines whose disks share a
//! bus or a power supply with somebody else's.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use model::Bytes;

/// So many bytes a second, of all disks that were given a clone of it.
#[derive(Clone, Debug)]
pub struct Pace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Bytes a second, at least 1.
    rate: u64,
    start: Instant,
    /// When the bytes promised so far are due, since `start`.
    due: Mutex<Duration>,
}

impl Pace {
    /// At most `rate` bytes a second; one byte is the least.
    #[must_use]
    pub fn new(rate: Bytes) -> Self {
        Self(Arc::new(Shared { rate: rate.0.max(1), start: Instant::now(), due: Mutex::default() }))
    }

    /// Wait until `bytes` more may be written.
    pub(crate) fn wait_for(&self, bytes: u64) {
        let now = self.0.start.elapsed();
        let mut due = self.0.due.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = promise(&mut due, now, bytes, self.0.rate);
        drop(due);
        if !wait.is_zero() {
            thread::sleep(wait);
        }
    }
}

/// The same limit, not one as high.
impl PartialEq for Pace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Pace {}

/// How long to wait from `now` for `bytes` that come after all that is due.
/// Time in which nothing was written is not made up for.
fn promise(due: &mut Duration, now: Duration, bytes: u64, rate: u64) -> Duration {
    let from = (*due).max(now);
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
    *due = from.saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
    from - now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_for_those_before_them_and_idle_time_is_lost() {
        let ms = Duration::from_millis;
        let mut due = Duration::ZERO;
        for (now, bytes, wait) in
            [(5000, 100, 0), (5000, 50, 1000), (5000, 100, 1500), (60_000, 100, 0), (61_000, 1, 0)]
        {
            assert_eq!(promise(&mut due, ms(now), bytes, 100), ms(wait), "{bytes} at {now}");
        }
    }

    #[test]
    fn clones_share_one_limit() {
        let pace = Pace::new(Bytes(1 << 40));
        let clone = pace.clone();
        pace.wait_for(1);
        clone.wait_for(1);
        assert_eq!(pace, clone);
        assert_ne!(pace, Pace::new(Bytes(1 << 40)));
        assert!(!clone.0.due.lock().expect("no panic").is_zero());
    }
}
