//! The table of a benchmark of inventories.

use super::{
    Report,
    ways::{IRONICS, OURS_HERE, Role, WAYS},
};
use crate::measure::Cost;

/// What the issue allows for a recorded server of 64 threads and 24 disks, in milliseconds.
const AIM_MS: f64 = 100.0;

/// The table for `docs/figures.md` and for people.
pub(crate) fn markdown(report: &Report, how: &str) -> String {
    let mut text = format!(
        "\n{how} The recorded server has {} threads and {} disks; warnings: {}.\n\n\
         | | tells | wall | processor | memory |\n|---|---|---|---|---|\n",
        report.threads, report.disks, report.warnings
    );
    for (way, (name, cost)) in WAYS.iter().zip(&report.costs) {
        let mark = if way.role == Role::Ours { "**" } else { "" };
        text += &format!(
            "| {mark}{name}{mark} | {} | {} | {} | {} |\n",
            way.tells,
            milliseconds(cost.map(|cost| cost.s)),
            milliseconds(cost.map(|cost| cost.cpu_s)),
            cost.map_or_else(|| "-".to_owned(), |cost| format!("{:.1} MiB", cost.peak_rss_mib)),
        );
    }
    text + "\n" + &verdict(report) + "\n"
}

fn cost(report: &Report, name: &str) -> Option<Cost> {
    report.costs.iter().find(|(known, _)| known == name)?.1
}

/// The aim, and how many times cheaper ours is than what Ironic's agent runs.
fn verdict(report: &Report) -> String {
    let recorded = report.costs.first().and_then(|(_, cost)| *cost).map(|cost| cost.cpu_s * 1000.0);
    let aim = recorded.map_or_else(
        || "The aim was not measured.".to_owned(),
        |ms| format!("The aim is {AIM_MS} ms of processor for the recorded server; it is {ms:.0}."),
    );
    let ratio = |of: fn(Cost) -> f64| Some(of(cost(report, IRONICS)?) / of(cost(report, OURS_HERE)?));
    match ratio(|cost| cost.cpu_s).zip(ratio(|cost| cost.peak_rss_mib)) {
        Some((processor, memory)) => format!(
            "{aim} Of this host, the five programs take {processor:.1} times our processor time and {memory:.1} times our memory.\n"
        ),
        None => aim + "\n",
    }
}

fn milliseconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{:.0} ms", seconds * 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_has_no_number_and_no_ratio() {
        let cost = |cpu_s| Some(Cost { s: cpu_s, cpu_s, peak_rss_mib: 8.0 });
        let costs = |last| {
            let mut costs: Vec<_> = WAYS.iter().map(|way| (way.name.to_owned(), cost(0.02))).collect();
            costs.last_mut().expect("there are ways").1 = last;
            Report { threads: 64, disks: 24, warnings: 0, costs }
        };
        let text = markdown(&costs(cost(0.5)), "how");
        assert!(text.contains("it is 20.") && text.contains("take 25.0 times our processor"), "{text}");
        let text = markdown(&costs(None), "how");
        assert!(text.contains("| - | - | - |") && !text.contains("times our"), "{text}");
    }
}
