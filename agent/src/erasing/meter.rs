//! How far every disk is: share, speed and what remains, for the conductor,
//! the heartbeat and the console.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use erase::Phase;
use model::Bytes;
use wire::ipa::{DeviceProgress, Progress};

/// Speeds are of so long.
const SPEED_OVER: Duration = Duration::from_secs(10);
/// What remains is reckoned from the speed of so long: it jumps less.
const REMAINING_OVER: Duration = Duration::from_secs(60);
/// How often a gauge is read.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// So many readings are kept of one disk.
const SAMPLES: usize = 64;

/// Where one disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// A worker is at it.
    Working,
    /// It is not erased.
    Failed,
    /// No worker has come to it.
    Waiting,
    /// It is erased, or rightly left alone.
    Done,
}

/// Gauges of all the disks of one step.
#[derive(Debug)]
pub(crate) struct Meter {
    step: &'static str,
    gauges: BTreeMap<String, Gauge>,
}

#[derive(Debug)]
struct Gauge {
    stage: Stage,
    phase: &'static str,
    done: Bytes,
    total: Bytes,
    /// Of the whole phase, by the drive's own word, and since when.
    estimate: Option<(Duration, Instant)>,
    samples: VecDeque<(Instant, u64)>,
}

impl Meter {
    /// For `step` over `devices`, nothing begun.
    pub(crate) fn new(step: &'static str, devices: impl IntoIterator<Item = String>) -> Self {
        let waiting = Gauge {
            stage: Stage::Waiting,
            phase: "waiting",
            done: Bytes(0),
            total: Bytes(0),
            estimate: None,
            samples: VecDeque::new(),
        };
        let gauges = model::order::map(devices.into_iter().map(|device| (device, waiting.again())));
        Self { step, gauges }
    }

    /// `device` is so far now.
    pub(crate) fn tell(&mut self, device: &str, progress: &erase::Progress, now: Instant) {
        if let Some(gauge) = self.gauges.get_mut(device) {
            gauge.tell(progress, now);
        }
    }

    /// `device` needs no more worker.
    pub(crate) fn end(&mut self, device: &str, stage: Stage) {
        if let Some(gauge) = self.gauges.get_mut(device) {
            let phase = match stage {
                Stage::Done => "done",
                Stage::Failed => "failed",
                Stage::Working | Stage::Waiting => gauge.phase,
            };
            *gauge = Gauge { stage, phase, estimate: None, samples: VecDeque::new(), ..gauge.again() };
        }
    }

    /// All of them at once.
    pub(crate) fn progress(&self, now: Instant) -> Progress {
        let mut gauges: Vec<(&String, &Gauge)> = self.gauges.iter().collect();
        model::order::sort_by_key(&mut gauges, |(_, gauge)| gauge.stage);
        let devices: Vec<DeviceProgress> = gauges
            .iter()
            .take(Progress::LISTED_DEVICES)
            .map(|(device, gauge)| gauge.shown(device, now))
            .collect();
        let sum = |of: &dyn Fn(&Gauge) -> u64| self.gauges.values().map(of).fold(0, u64::saturating_add);
        Progress {
            step: self.step.to_owned(),
            bytes: sum(&|gauge| gauge.done.0),
            total: Some(sum(&|gauge| gauge.total.0)),
            bytes_per_s: sum(&|gauge| gauge.speed(SPEED_OVER, now)),
            message: self.message(now),
            devices,
        }
    }

    /// For people: one disk in full, of several how many and the last to end.
    fn message(&self, now: Instant) -> String {
        let count = |stage| self.gauges.values().filter(|gauge| gauge.stage == stage).count();
        let working = self.gauges.iter().filter(|(_, gauge)| gauge.stage == Stage::Working);
        let last = working.max_by_key(|(_, gauge)| gauge.remaining(now).unwrap_or(Duration::MAX));
        let last = last.map(|(device, gauge)| gauge.words(device, now));
        if self.gauges.len() == 1 {
            return last.unwrap_or_else(|| "1 disk".to_owned());
        }
        let mut words = vec![format!("{} disks", self.gauges.len())];
        for (stage, name) in [(Stage::Done, "done"), (Stage::Failed, "failed"), (Stage::Waiting, "waiting")] {
            let count = count(stage);
            words.extend((count > 0).then(|| format!("{count} {name}")));
        }
        words.extend(last);
        words.join(", ")
    }
}

impl Gauge {
    /// The same disk with its readings left behind.
    fn again(&self) -> Self {
        Self { samples: VecDeque::new(), ..*self }
    }

    fn tell(&mut self, progress: &erase::Progress, now: Instant) {
        let erase::Progress { phase, done, total, estimate } = *progress;
        if self.phase != phase.name() {
            self.samples.clear();
            self.estimate = None;
        }
        (self.stage, self.phase, self.done, self.total) = (Stage::Working, phase.name(), done, total);
        let since = self.estimate.map_or(now, |(_, since)| since);
        self.estimate = estimate.map(|estimate| (estimate, since));
        let due = self.samples.back().is_none_or(|(then, _)| now.duration_since(*then) >= SAMPLE_EVERY);
        if due {
            if self.samples.len() == SAMPLES {
                self.samples.pop_front();
            }
            self.samples.push_back((now, done.0));
        }
    }

    /// Bytes per second since the last reading that is `over` old, or the oldest.
    fn speed(&self, over: Duration, now: Instant) -> u64 {
        let old = self.samples.iter().rev().find(|(then, _)| now.duration_since(*then) >= over);
        let Some((then, bytes)) = old.or(self.samples.front()) else { return 0 };
        let elapsed_ms = now.duration_since(*then).as_millis().max(1);
        let done = u128::from(self.done.0.saturating_sub(*bytes));
        u64::try_from(done * 1000 / elapsed_ms).unwrap_or(u64::MAX)
    }

    /// To the end of the phase, where anything is known about that.
    fn remaining(&self, now: Instant) -> Option<Duration> {
        if let Some((estimate, since)) = self.estimate {
            return Some(estimate.saturating_sub(now.duration_since(since)));
        }
        let speed = self.speed(REMAINING_OVER, now);
        let left = self.total.0.saturating_sub(self.done.0);
        left.checked_div(speed).map(Duration::from_secs)
    }

    fn percent(&self) -> u8 {
        let percent = (u128::from(self.done.0) * 100).checked_div(u128::from(self.total.0));
        percent.map_or(0, |percent| u8::try_from(percent.min(100)).unwrap_or(100))
    }

    fn shown(&self, device: &str, now: Instant) -> DeviceProgress {
        DeviceProgress {
            device: device.to_owned(),
            phase: self.phase.to_owned(),
            bytes: self.done.0,
            total: self.total.0,
            percent: self.percent(),
            bytes_per_s: self.speed(SPEED_OVER, now),
            remaining_s: self
                .remaining(now)
                .filter(|_| self.stage == Stage::Working)
                .map(|left| left.as_secs()),
        }
    }

    /// `/dev/sda overwrite 37 %, 210.0 MiB/s, 1 h 20 min left`.
    fn words(&self, device: &str, now: Instant) -> String {
        let mut words = vec![format!("{device} {} {} %", self.phase, self.percent())];
        let speed = self.speed(SPEED_OVER, now);
        // A drive that erases itself moves no bytes: its share is a share of time.
        let by_drive = self.phase == Phase::ByDrive.name();
        words.extend((speed > 0 && !by_drive).then(|| format!("{}/s", Bytes(speed))));
        words.extend(self.remaining(now).map(|left| format!("{} left", in_words(left))));
        words.join(", ")
    }
}

/// `45 s`, `12 min`, `28 h 20 min`.
fn in_words(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn at(phase: Phase, done: u64, total: u64) -> erase::Progress {
        erase::Progress { phase, done: Bytes(done), total: Bytes(total), estimate: None }
    }

    fn meter(disks: &[&str]) -> Meter {
        Meter::new("erase_devices", disks.iter().map(|disk| (*disk).to_owned()))
    }

    #[test]
    fn speed_is_of_the_last_seconds_and_what_remains_of_the_last_minute() {
        let (mut meter, start) = (meter(&["/dev/sda"]), Instant::now());
        let after = |s: u64| start + Duration::from_secs(s);
        // 100 MiB/s for a minute, then 20 MiB/s for ten seconds.
        for s in 0..=60 {
            meter.tell("/dev/sda", &at(Phase::Overwrite, s * 100 * MIB, 12_400 * MIB), after(s));
        }
        for s in 1..=10 {
            meter.tell("/dev/sda", &at(Phase::Overwrite, (6000 + s * 20) * MIB, 12_400 * MIB), after(60 + s));
        }
        let progress = meter.progress(after(70));
        let disk = &progress.devices[0];
        assert_eq!((disk.bytes_per_s, disk.percent, disk.phase.as_str()), (20 * MIB, 50, "overwrite"));
        // 5,200 MiB in the last minute: 6,200 MiB more take 71 s.
        assert_eq!(disk.remaining_s, Some(71));
        assert_eq!(progress.message, "/dev/sda overwrite 50 %, 20.0 MiB/s, 71 s left");
        assert_eq!(meter.progress(after(90)).bytes_per_s, 0, "a disk that stands still has no speed");
    }

    #[test]
    fn a_drive_that_erases_itself_is_believed_about_its_time() {
        let (mut meter, start) = (meter(&["/dev/nvme0n1"]), Instant::now());
        let told = |done| erase::Progress {
            estimate: Some(Duration::from_secs(9000)),
            ..at(Phase::ByDrive, done, 100)
        };
        meter.tell("/dev/nvme0n1", &told(0), start);
        meter.tell("/dev/nvme0n1", &told(20), start + Duration::from_secs(1800));
        let progress = meter.progress(start + Duration::from_secs(1800));
        assert_eq!(progress.devices[0].remaining_s, Some(7200));
        assert_eq!(progress.message, "/dev/nvme0n1 by the drive 20 %, 2 h 0 min left");
    }

    #[test]
    fn disks_that_lie_about_their_size_are_added_up_all_the_same() {
        let (mut meter, now) = (meter(&["/dev/sda", "/dev/sdb"]), Instant::now());
        for disk in ["/dev/sda", "/dev/sdb"] {
            meter.tell(disk, &at(Phase::Verify, 0, u64::MAX), now);
            meter.tell(disk, &at(Phase::Verify, u64::MAX, u64::MAX), now + Duration::from_secs(1));
        }
        let progress = meter.progress(now + Duration::from_secs(1));
        assert_eq!(
            (progress.bytes, progress.total, progress.bytes_per_s),
            (u64::MAX, Some(u64::MAX), u64::MAX)
        );
    }

    #[test]
    fn of_many_disks_the_last_to_end_is_named_and_those_at_work_are_listed() {
        let names: Vec<String> = (0..100).map(|n| format!("/dev/sd{n:02}")).collect();
        let (mut meter, start) = (Meter::new("erase_devices", names.clone()), Instant::now());
        for name in &names[50..53] {
            meter.tell(name, &at(Phase::Verify, 0, 100), start);
        }
        for (name, done) in [("/dev/sd50", 90), ("/dev/sd51", 10), ("/dev/sd52", 50)] {
            meter.tell(name, &at(Phase::Verify, done, 100), start + Duration::from_secs(10));
        }
        meter.end("/dev/sd01", Stage::Done);
        meter.end("/dev/sd99", Stage::Failed);
        let progress = meter.progress(start + Duration::from_secs(10));
        let want = "100 disks, 1 done, 1 failed, 95 waiting, /dev/sd51 verify 10 %, 1 B/s, 90 s left";
        assert_eq!(progress.message, want);
        assert_eq!((progress.bytes, progress.total), (150, Some(300)));
        let listed: Vec<&str> = progress.devices.iter().map(|disk| disk.device.as_str()).collect();
        assert_eq!(listed.len(), Progress::LISTED_DEVICES);
        assert_eq!(listed[..4], ["/dev/sd50", "/dev/sd51", "/dev/sd52", "/dev/sd99"]);
        // What billetd keeps of a node's progress.
        assert!(serde_json::to_string(&progress).unwrap().len() < 16 << 10);
    }
}
