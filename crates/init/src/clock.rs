//! A clock that is not absurd: TLS and logs need one before the network can give a better one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_settime},
};

/// No machine runs this before it was written: 2026-11-01 00:00 UTC. A build
/// that sets `SOURCE_DATE_EPOCH` raises it.
const WRITTEN_S: u64 = 1_793_491_200;

/// The earliest time that can be now.
#[must_use]
pub fn earliest() -> SystemTime {
    let built = option_env!("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok()).unwrap_or(0);
    UNIX_EPOCH + Duration::from_secs(WRITTEN_S.max(built))
}

/// Set the clock to [`earliest`] if it claims an earlier time (a dead battery
/// says 1970 or 2000). Returns the time it claimed, if it was wrong.
pub fn correct() -> Option<SystemTime> {
    let claimed = SystemTime::now();
    if !is_absurd(claimed) {
        return None;
    }
    if let Err(err) = set(earliest()) {
        tracing::warn!(%err, "the clock could not be set");
    }
    Some(claimed)
}

fn is_absurd(time: SystemTime) -> bool {
    time < earliest()
}

/// Set the clock to `time`.
///
/// # Errors
/// `EPERM` when not root; `EINVAL` for a time the kernel cannot hold.
pub fn set(time: SystemTime) -> nix::Result<()> {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_a_dead_battery_is_absurd_and_a_right_one_is_not() {
        assert!(is_absurd(UNIX_EPOCH) && is_absurd(UNIX_EPOCH + Duration::from_secs(946_684_800)));
        assert!(!is_absurd(earliest()));
    }
}
