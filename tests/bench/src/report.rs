//! What is kept of a benchmark: rows while it runs, the report, and the ratios
//! of the last one that was committed.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{document, row::Row, stages::Stages};

/// A row as it is kept, so that a benchmark goes on where it was interrupted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// What was measured: the agent's digest, the image, rounds. Other keys are measured anew.
    pub(crate) key: String,
    /// The result.
    pub(crate) row: Row,
    /// The stages that the limit comes from.
    pub(crate) stages: Stages,
}

/// The kept row at `path`, if it is of this `key`.
pub(crate) fn kept(path: &Path, key: &str) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (kept.key == key).then_some(kept)
}

/// `target/bench/image.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'r> {
    /// One a form and kind of disk.
    pub(crate) rows: Vec<&'r Row>,
    /// The stages alone, by `format/target`.
    pub(crate) stages: BTreeMap<String, &'r Stages>,
    /// How often everybody ran.
    pub(crate) rounds: usize,
    /// Length of the disk in the image, in MiB.
    pub(crate) disk_mib: u64,
    /// Length of the files in it, in MiB.
    pub(crate) content_mib: u64,
    /// How many cores, and which.
    pub(crate) machine: String,
}

/// Ratios that are committed: numbers of other machines are not comparable,
/// ratios nearly are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Ratio {
    /// Ours with full read-back to the best peer; below 1 is ahead.
    to_best_peer: Option<f64>,
    /// Ours without read-back to the limit; 1.15 is the aim.
    to_limit: Option<f64>,
}

impl Ratio {
    fn of(row: &Row) -> Self {
        Self {
            to_best_peer: row.best_peer_s.map(|s| rounded(row.ours_s / s)),
            to_limit: row.ours_unverified_s.map(|s| rounded(s / row.limit_s)),
        }
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The committed ratios, by `format/target`. None when there are none yet.
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

/// Make the ratios of `rows` those that the next benchmark is compared with.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn commit(path: &Path, rows: &[&Row]) -> Result<()> {
    let ratios: BTreeMap<String, Ratio> = rows.iter().map(|row| (name(row), Ratio::of(row))).collect();
    fs::write(path, serde_json::to_string_pretty(&ratios)? + "\n").context("cannot keep the ratios")
}

/// `raw.zst/tmpfs`.
pub(crate) fn name(row: &Row) -> String {
    format!("{}/{}", row.format, row.target.name())
}

/// The table for people: the row, and the last committed ratios beside the new.
pub(crate) fn table(rows: &[&Row], committed: &BTreeMap<String, Ratio>) -> String {
    let mut text = format!(
        "{:<17} {:>7} {:>7} {:>7}  {:<28} {:>7} {:>7} {:>6} {:>13} {:>13}\n",
        "seconds", "ours", "no rb", "limit", "best peer", "", "cpu", "MiB", "/peer (was)", "/limit (was)"
    );
    for row in rows {
        let (now, was) = (Ratio::of(row), committed.get(&name(row)).copied());
        text += &format!(
            "{:<17} {:>7.2} {:>7} {:>7.2}  {:<28} {:>7} {:>7.2} {:>6.0} {:>13} {:>13}\n",
            name(row),
            row.ours_s,
            number(row.ours_unverified_s),
            row.limit_s,
            row.best_peer.as_deref().unwrap_or("-"),
            number(row.best_peer_s),
            row.ours_cpu_s,
            row.ours_peak_rss_mib,
            beside(now.to_best_peer, was.and_then(|was| was.to_best_peer)),
            beside(now.to_limit, was.and_then(|was| was.to_limit)),
        );
    }
    text
}

/// Put the table of `rows` into the document at `path`, between its marks.
///
/// # Errors
/// When the marks are not there, or the file cannot be written.
pub(crate) fn publish(path: &Path, rows: &[&Row], how: &str) -> Result<()> {
    document::publish(path, "bench-image", &markdown(rows, how))
}

/// The table for `docs/figures.md`.
fn markdown(rows: &[&Row], how: &str) -> String {
    let mut text = format!(
        "\n{how}\n\n| image, disk on | ours, all read back | nothing read back | limit | best peer | processor: ours, least peer | our memory |\n|---|---|---|---|---|---|---|\n"
    );
    for row in rows {
        let least = row.peers.values().filter_map(|peer| peer.cpu_s).min_by(f64::total_cmp);
        text += &format!(
            "| {} | **{:.2} s** | {} s | {:.2} s | {} s ({}) | {:.2} s, {} s | {:.0} MiB |\n",
            name(row),
            row.ours_s,
            number(row.ours_unverified_s),
            row.limit_s,
            number(row.best_peer_s),
            row.best_peer.as_deref().unwrap_or("nobody"),
            row.ours_cpu_s,
            number(least),
            row.ours_peak_rss_mib,
        );
    }
    text + "\n"
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn beside(now: Option<f64>, was: Option<f64>) -> String {
    format!("{} ({})", number(now), number(was))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Kind;

    fn row(ours_s: f64) -> Row {
        Row {
            format: "raw.zst".into(),
            target: Kind::Tmpfs,
            ours_s,
            ours_unverified_s: Some(2.0),
            best_peer: Some("curl|zstd|dd".into()),
            best_peer_s: Some(4.0),
            limit_s: 1.9,
            ours_cpu_s: 3.0,
            ours_peak_rss_mib: 50.0,
            peers: BTreeMap::new(),
        }
    }

    #[test]
    fn ratios_are_committed_and_shown_beside_the_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("figures.json");
        assert!(committed(&path).unwrap().is_empty());
        commit(&path, &[&row(3.0)]).unwrap();
        let table = table(&[&row(2.0)], &committed(&path).unwrap());
        assert!(table.contains("0.50 (0.75)") && table.contains("1.05 (1.05)"), "{table}");
        fs::write(&path, "[]").unwrap();
        assert!(committed(&path).is_err(), "a file of something else is not taken for none");
    }

    #[test]
    fn the_table_for_the_document_has_the_row() {
        assert!(markdown(&[&row(3.0)], "how").contains("| raw.zst/tmpfs | **3.00 s** |"));
    }
}
