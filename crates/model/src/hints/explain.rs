//! Which disk gets the image, and why each other does not: for the person who
//! wrote the hints.

use std::fmt;

use super::{NoSuitableDevice, RootDeviceHints, SMALLEST_ROOT_DISK, choose};
use crate::inventory::Disk;

/// What became of every disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation<'a> {
    /// What decided.
    pub rule: Rule<'a>,
    /// Every disk in listing order.
    pub disks: Vec<(&'a Disk, Verdict)>,
}

/// What decides which disk gets the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule<'a> {
    /// The first in listing order that matches all of these.
    Hints(&'a RootDeviceHints),
    /// Without hints: the smallest of at least [`SMALLEST_ROOT_DISK`], by name where
    /// two are equal.
    Smallest,
}

/// What became of one disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It gets the image.
    Chosen,
    /// It would do, and another one goes first.
    Behind {
        /// The node of that other.
        chosen: String,
    },
    /// An entry of `skip_block_devices` matches it.
    Skipped {
        /// That entry.
        hints: String,
    },
    /// It is not this machine's own, such as a medium that its BMC lends.
    LeftOut {
        /// Why.
        reason: String,
    },
    /// It does not match.
    Misses {
        /// Hint by hint.
        reasons: Vec<String>,
    },
    /// Nobody gave a hint, and it is smaller than [`SMALLEST_ROOT_DISK`].
    TooSmall,
}

/// What [`choose`] does with `disks`, but for those that an entry of `skip`
/// matches or that `left_out` has a reason against.
pub fn explain<'a>(
    disks: &'a [Disk],
    hints: Option<&'a RootDeviceHints>,
    skip: &[RootDeviceHints],
    left_out: &dyn Fn(&Disk) -> Option<String>,
) -> Explanation<'a> {
    let hints = hints.filter(|hints| !hints.0.is_empty());
    let barred = |disk: &Disk| {
        let entry = skip.iter().find(|entry| entry.match_disk(disk));
        let skipped = entry.map(|entry| Verdict::Skipped { hints: entry.to_string() });
        skipped.or_else(|| left_out(disk).map(|reason| Verdict::LeftOut { reason }))
    };
    let barred: Vec<Option<Verdict>> = disks.iter().map(barred).collect();
    let allowed = disks.iter().zip(&barred).filter(|(_, barred)| barred.is_none());
    let chosen = choose(allowed.map(|(disk, _)| disk), hints).ok();
    let verdict = |(disk, barred): (&'a Disk, Option<Verdict>)| {
        (disk, barred.unwrap_or_else(|| judge(disk, hints, chosen)))
    };
    Explanation {
        rule: hints.map_or(Rule::Smallest, Rule::Hints),
        disks: disks.iter().zip(barred).map(verdict).collect(),
    }
}

/// Of a disk that may be chosen.
fn judge(disk: &Disk, hints: Option<&RootDeviceHints>, chosen: Option<&Disk>) -> Verdict {
    if chosen.is_some_and(|chosen| chosen.name == disk.name) {
        return Verdict::Chosen;
    }
    let reasons = hints.map(|hints| hints.misses(disk)).unwrap_or_default();
    match chosen {
        _ if !reasons.is_empty() => Verdict::Misses { reasons },
        _ if hints.is_none() && disk.size < SMALLEST_ROOT_DISK => Verdict::TooSmall,
        // Whatever would do is chosen when nothing is before it.
        chosen => Verdict::Behind { chosen: chosen.map(Disk::path).unwrap_or_default() },
    }
}

impl<'a> Explanation<'a> {
    /// The disk that gets the image.
    ///
    /// # Errors
    /// [`NoSuitableDevice`] when there is none.
    pub fn chosen(&self) -> Result<&'a Disk, NoSuitableDevice> {
        let chosen = self.disks.iter().find(|(_, verdict)| *verdict == Verdict::Chosen);
        chosen.map(|(disk, _)| *disk).ok_or_else(|| match self.rule {
            Rule::Hints(hints) => NoSuitableDevice::NoneMatches { hints: hints.clone() },
            Rule::Smallest => NoSuitableDevice::AllTooSmall,
        })
    }

    /// On one line, for an error: `/dev/sda: size 465.76 GiB is not >= 500; …`. At
    /// most `limit` disks are named.
    #[must_use]
    pub fn short(&self, limit: usize) -> String {
        if self.disks.is_empty() {
            return "this machine has no disk at all".to_owned();
        }
        let named = self.disks.iter().take(limit);
        let mut parts: Vec<_> = named.map(|(disk, verdict)| format!("{}: {verdict}", disk.path())).collect();
        let more = self.disks.len().saturating_sub(limit);
        if more > 0 {
            parts.push(format!("and {more} disks more"));
        }
        parts.join("; ")
    }
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hints(hints) => write!(f, "the first disk that matches all of: {hints}"),
            Self::Smallest => write!(f, "no hints, so the smallest disk of at least {SMALLEST_ROOT_DISK}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen => f.write_str("chosen"),
            Self::Behind { chosen } => write!(f, "would do too, but {chosen} goes first"),
            Self::Skipped { hints } => write!(f, "skipped: skip_block_devices has {hints}"),
            Self::LeftOut { reason } => write!(f, "left out: {reason}"),
            Self::Misses { reasons } => f.write_str(&reasons.join(", ")),
            Self::TooSmall => write!(f, "smaller than {SMALLEST_ROOT_DISK}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Bytes,
        inventory::{Transport, Wwn},
    };

    fn disk(name: &str, gibibytes: u64, serial: Option<&str>) -> Disk {
        Disk {
            name: name.to_owned(),
            size: Bytes(gibibytes << 30),
            serial: serial.map(str::to_owned),
            ..Disk::default()
        }
    }

    fn hints(json: &str) -> RootDeviceHints {
        serde_json::from_str(json).expect(json)
    }

    fn verdicts(disks: &[Disk], json: Option<&str>, skip: &[&str]) -> Vec<String> {
        let hints = json.map(hints);
        let skip: Vec<_> = skip.iter().map(|entry| self::hints(entry)).collect();
        let lent = |disk: &Disk| disk.removable.then(|| "its BMC lends it".to_owned());
        let told = explain(disks, hints.as_ref(), &skip, &lent);
        told.disks.iter().map(|(_, verdict)| verdict.to_string()).collect()
    }

    #[test]
    fn each_disk_is_told_why_hint_by_hint() {
        let mut first = disk("sda", 0, Some("AAA"));
        first.size = Bytes(500_107_862_016);
        first.rotational = true;
        let lent = Disk { removable: true, ..disk("sdd", 600, Some("DDD")) };
        let disks = [
            first,
            disk("sdb", 600, None),
            disk("sdc", 600, Some("CCC")),
            lent,
            disk("sde", 600, Some("EEE")),
        ];
        let wanted = r#"{"size": ">= 500", "serial": "<or> bbb <or> ccc <or> eee", "rotational": false}"#;
        assert_eq!(
            verdicts(&disks, Some(wanted), &[r#"{"name": "/dev/sdz"}"#]),
            [
                "rotational true is not false, serial AAA is not <or> bbb <or> ccc <or> eee, \
                 size 465.76 GiB is not >= 500",
                "no serial",
                "chosen",
                "left out: its BMC lends it",
                "would do too, but /dev/sdc goes first",
            ]
        );
        let skipped = verdicts(&disks, Some(wanted), &[r#"{"serial": "ccc"}"#]);
        assert_eq!(skipped[2], "skipped: skip_block_devices has serial s== ccc");
        assert_eq!(skipped[4], "chosen");
    }

    #[test]
    fn every_hint_has_words_for_a_disk_that_misses_it() {
        let wwn = Wwn { id: "0x1".into(), vendor_extension: None, with_extension: Some("0x12".into()) };
        let known = Disk {
            model: Some("Big One".into()),
            wwn: Some(wwn),
            by_path: Some("/dev/disk/by-path/pci-1".into()),
            transport: Some(Transport::Sas),
            ..disk("sda", 8, None)
        };
        for (json, known_words, unknown_words) in [
            (r#"{"model": "x"}"#, "model Big One is not x", "no model"),
            (r#"{"vendor": "x"}"#, "no vendor", "no vendor"),
            (r#"{"wwn": "x"}"#, "wwn 0x1 or 0x12 is not x", "no wwn"),
            (r#"{"wwn_with_extension": "x"}"#, "wwn_with_extension 0x12 is not x", "no wwn_with_extension"),
            (r#"{"wwn_vendor_extension": "x"}"#, "no wwn_vendor_extension", "no wwn_vendor_extension"),
            (r#"{"name": "x"}"#, "name /dev/sda is not x", "name /dev/sdb is not x"),
            (r#"{"hctl": "s!= x"}"#, "no hctl", "no hctl"),
            (r#"{"by_path": "<in> x"}"#, "by_path /dev/disk/by-path/pci-1 is not <in> x", "no by_path"),
            (r#"{"tran": "x"}"#, "tran sas is not x", "no tran"),
            (r#"{"size": 9}"#, "size 8.00 GiB is not == 9", "size 8.00 GiB is not == 9"),
        ] {
            let both = [known.clone(), disk("sdb", 8, None)];
            assert_eq!(verdicts(&both, Some(json), &[]), [known_words, unknown_words], "{json}");
        }
    }

    #[test]
    fn without_hints_size_decides() {
        let disks = [disk("sda", 100, None), disk("sdb", 3, None), disk("sdc", 10, None)];
        for json in [None, Some("{}")] {
            assert_eq!(
                verdicts(&disks, json, &[]),
                ["would do too, but /dev/sdc goes first", "smaller than 4.0 GiB", "chosen"]
            );
        }
        let told = explain(&disks[1..2], None, &[], &|_| None);
        assert_eq!(told.chosen(), Err(NoSuitableDevice::AllTooSmall));
        assert_eq!(told.rule.to_string(), "no hints, so the smallest disk of at least 4.0 GiB");
    }

    #[test]
    fn an_error_names_some_disks_and_counts_the_others() {
        let disks: Vec<_> = (0..20).map(|nth| disk(&format!("sd{nth}"), 8, None)).collect();
        let hints = hints(r#"{"size": ">= 500"}"#);
        let told = explain(&disks, Some(&hints), &[], &|_| None);
        let text = told.short(2);
        assert_eq!(
            text,
            "/dev/sd0: size 8.00 GiB is not >= 500; /dev/sd1: size 8.00 GiB is not >= 500; and 18 disks more"
        );
        assert_eq!(explain(&[], None, &[], &|_| None).short(2), "this machine has no disk at all");
    }

    #[test]
    fn what_is_explained_is_what_is_chosen() {
        let disks: Vec<_> = (0..30).map(|nth| disk(&format!("sd{nth}"), (nth * 7) % 13, None)).collect();
        for json in [r#"{"size": ">= 5"}"#, r#"{"size": "5"}"#, "{}", r#"{"size": "> 50"}"#] {
            let hints = hints(json);
            let told = explain(&disks, Some(&hints), &[], &|_| None);
            assert_eq!(told.chosen(), choose(&disks, Some(&hints)), "{json}");
        }
    }
}
