//! What is kept of a benchmark: the report, and the ratios of the last one that
//! was committed.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{
    row::Row,
    ways::{Role, WAYS, Way},
};

/// Ratios that are committed: numbers of other machines are not comparable,
/// ratios nearly are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    /// The disks' own time to ours with a sample; 0.95 is the aim.
    of_device_rate: Option<f64>,
    /// nwipe's time to ours, both reading everything back; 1.5 is the aim with eight disks.
    times_nwipe: Option<f64>,
    /// Ours, the larger of both.
    peak_rss_mib: Option<f64>,
}

/// The ways of this role, in the order of the table.
fn of(role: Role) -> impl Iterator<Item = &'static Way> {
    WAYS.iter().filter(move |way| way.role == role)
}

impl Ratio {
    fn of(row: &Row) -> Self {
        let seconds = |role, reads_all_back| {
            let way = of(role).find(|way| way.reads_all_back == reads_all_back)?;
            row.cost(way.name).map(|cost| cost.s)
        };
        let ratio = |theirs: Option<f64>, ours: Option<f64>| Some(rounded(theirs? / ours?));
        Self {
            of_device_rate: ratio(row.device_s(), seconds(Role::Ours, false)),
            times_nwipe: ratio(seconds(Role::Peer, true), seconds(Role::Ours, true)),
            peak_rss_mib: of(Role::Ours)
                .filter_map(|way| row.cost(way.name))
                .map(|cost| rounded(cost.peak_rss_mib))
                .max_by(f64::total_cmp),
        }
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The committed ratios, by the row's name. None when there are none yet.
///
/// # Errors
/// When the file is there and is not what [`commit`] wrote.
pub(crate) fn committed(path: &Path) -> Result<BTreeMap<String, Ratio>> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is malformed", path.display()))
        }
        Err(_) => Ok(BTreeMap::new()),
    }
}

/// Make the ratios of `rows` those that the next benchmark is compared with;
/// of rows that were not measured now, the old ones stay.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn commit(path: &Path, rows: &[Row]) -> Result<()> {
    let mut ratios = committed(path)?;
    ratios.extend(rows.iter().map(|row| (row.name(), Ratio::of(row))));
    fs::write(path, serde_json::to_string_pretty(&ratios)? + "\n").context("cannot keep the ratios")
}

/// The table for people: every way, and the last committed ratios beside the new.
pub(crate) fn table(rows: &[Row], committed: &BTreeMap<String, Ratio>) -> String {
    let mut text = String::new();
    for row in rows {
        text += &format!("{}\n", row.name());
        for way in WAYS {
            let cost = row.cost(way.name);
            text += &format!(
                "  {:<34} {:>8} s {:>8} s of processor {:>6} MiB\n",
                way.name,
                number(cost.map(|cost| cost.s)),
                number(cost.map(|cost| cost.cpu_s)),
                number(cost.map(|cost| cost.peak_rss_mib)),
            );
        }
        let (now, was) = (Ratio::of(row), committed.get(&row.name()).copied());
        text += &format!(
            "  of the device's rate {} (was {}), times nwipe's speed {} (was {})\n",
            number(now.of_device_rate),
            number(was.and_then(|was| was.of_device_rate)),
            number(now.times_nwipe),
            number(was.and_then(|was| was.times_nwipe)),
        );
    }
    text
}

/// The table for `docs/figures.md`.
pub(crate) fn markdown(rows: &[Row], how: &str) -> String {
    let names: Vec<_> = WAYS.iter().map(|way| way.name).collect();
    let mut text = format!(
        "\n{how} Seconds.\n\n| disks | {} | of the device's rate | times nwipe's speed | our memory |\n{}|\n",
        names.join(" | "),
        "|---".repeat(names.len() + 4),
    );
    for row in rows {
        let seconds: Vec<_> = WAYS.iter().map(|way| number(row.cost(way.name).map(|cost| cost.s))).collect();
        let ratio = Ratio::of(row);
        text += &format!(
            "| {} | {} | **{}** | **{}** | {} MiB |\n",
            row.name(),
            seconds.join(" | "),
            number(ratio.of_device_rate),
            number(ratio.times_nwipe),
            number(ratio.peak_rss_mib),
        );
    }
    text + "\n"
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{erase::row::Outcome, measure::Cost, target::Kind};

    fn row(ours_s: f64) -> Row {
        let outcome = |way: &Way| {
            let s = match way.role {
                Role::Ours => ours_s,
                Role::Device => 2.0,
                Role::Peer => 4.0,
            };
            let cost = Some(Cost { s, cpu_s: 1.0, peak_rss_mib: 12.0 });
            (way.name.to_owned(), Outcome { cost, runs: 1, error: None })
        };
        Row { disks: 8, target: Kind::Tmpfs, mib: 1024, ways: WAYS.iter().map(outcome).collect() }
    }

    #[test]
    fn ratios_are_committed_and_shown_beside_the_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("figures.json");
        assert!(committed(&path).unwrap().is_empty());
        commit(&path, &[row(4.0)]).unwrap();
        let table = table(&[row(2.0)], &committed(&path).unwrap());
        let want = "of the device's rate 1.00 (was 0.50), times nwipe's speed 2.00 (was 1.00)";
        assert!(table.contains(want), "{table}");
        fs::write(&path, "[]").unwrap();
        assert!(committed(&path).is_err(), "a file of something else is not taken for none");
    }

    #[test]
    fn a_way_that_failed_has_no_number() {
        let mut row = row(2.0);
        for outcome in row.ways.values_mut() {
            outcome.cost = None;
        }
        let text = markdown(&[row], "how");
        assert!(
            text.contains("| 8 × 1024 MiB, tmpfs | - | - | - | - | - | - | - | - | **-** | **-** | - MiB |"),
            "{text}"
        );
    }
}
