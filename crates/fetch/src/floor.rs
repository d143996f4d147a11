//! Is it still worth waiting? A drip keeps a connection alive, and a disk
//! unwritten for years.

use std::time::Duration;

use crate::request::Floor;

/// What a window of waiting has brought so far. Only waiting for the network
/// counts: a slow disk is not the mirror's fault.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    bytes: u64,
    waited: Duration,
}

/// What to think of the last piece.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// The window is not over.
    Unknown,
    /// Enough came in it.
    Enough,
    /// Only so many bytes came, in so much waiting.
    TooLittle(u64, Duration),
}

impl Watch {
    /// `bytes` came after `waited`.
    pub(crate) fn note(&mut self, floor: Option<Floor>, bytes: u64, waited: Duration) -> Rate {
        let Some(floor) = floor else { return Rate::Unknown };
        self.bytes += bytes;
        self.waited += waited;
        if self.waited < floor.window {
            return Rate::Unknown;
        }
        let window = std::mem::take(self);
        // A single wait may be far longer than the window, and is measured by its own length.
        let share = window.waited.as_secs_f64() / floor.window.as_secs_f64().max(f64::MIN_POSITIVE);
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let enough = window.bytes as f64 >= floor.bytes as f64 * share;
        if enough { Rate::Enough } else { Rate::TooLittle(window.bytes, window.waited) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Option<Floor> = Some(Floor { bytes: 1000, window: Duration::from_secs(10) });

    #[test]
    fn a_window_is_judged_when_it_is_over() {
        let second = Duration::from_secs(1);
        let mut watch = Watch::default();
        let mut drip = |bytes| (0..10).map(|_| watch.note(FLOOR, bytes, second)).collect::<Vec<_>>();
        let enough = drip(100);
        assert!(enough[..9].iter().all(|rate| *rate == Rate::Unknown));
        assert_eq!(enough[9], Rate::Enough);
        assert_eq!(drip(99)[9], Rate::TooLittle(990, 10 * second), "a new window");
        assert_eq!(watch.note(FLOOR, 1500, 20 * second), Rate::TooLittle(1500, 20 * second));
        assert_eq!(watch.note(FLOOR, 1 << 40, Duration::ZERO), Rate::Unknown, "no waiting, no judgement");
        assert_eq!(Watch::default().note(None, 0, 100 * second), Rate::Unknown);
    }
}
