//! What a command costs: wall, processor and memory, of it and all its children.
//!
//! The kernel tells the resources of waited-for children in one sum for ever, so
//! each measurement is a process of its own: this program, called `measure`.

use std::{
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use serde::{Deserialize, Serialize};

/// The longest that anything measured may take, in seconds.
pub(crate) const LIMIT_S: f64 = 60.0;

/// Arguments of `measure`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the result goes.
    #[arg(long)]
    out: PathBuf,
    /// What to run.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// What one run cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// From start to end, in seconds.
    pub(crate) s: f64,
    /// Seconds of processor, of all processes together.
    pub(crate) cpu_s: f64,
    /// The largest resident set of one process, in MiB.
    pub(crate) peak_rss_mib: f64,
}

/// Be the process that runs and waits for one command.
///
/// # Errors
/// When it cannot be started or its cost not written.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let [program, arguments @ ..] = &args.command[..] else { bail!("nothing to measure") };
    let start = Instant::now();
    let status = Command::new(program).args(arguments).status().with_context(|| program.clone())?;
    let s = start.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let cost = Cost {
        s,
        cpu_s: seconds(usage.user_time()) + seconds(usage.system_time()),
        peak_rss_mib: mib_of_kib(usage.max_rss()),
    };
    std::fs::write(&args.out, serde_json::to_vec(&cost)?)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mib_of_kib(kib: i64) -> f64 {
    kib as f64 / 1024.0
}

/// Run `script` with bash, at most `limit_s` long, and say what it cost.
///
/// # Errors
/// When it fails, with what it said last.
pub(crate) fn script(script: &str, limit_s: f64) -> Result<Cost> {
    let out = tempfile::NamedTempFile::new()?;
    let output = Command::new(std::env::current_exe()?)
        .args(["measure", "--out"])
        .arg(out.path())
        .args(["--", "timeout", "--kill-after", "5", &format!("{limit_s:.1}")])
        .args(["bash", "-eu", "-o", "pipefail", "-c", script])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", last_line(&said));
    let text = std::fs::read(out.path())?;
    serde_json::from_slice(&text).context("no measurement")
}

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed, or took too long")
}

/// The middle of `values`; of an even number, the mean of the two.
///
/// # Panics
/// Never: no values have the median 0.
#[must_use]
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

/// The medians of what several runs cost, each by itself.
#[must_use]
pub(crate) fn medians(costs: &[Cost]) -> Cost {
    Cost {
        s: median(costs.iter().map(|cost| cost.s)),
        cpu_s: median(costs.iter().map(|cost| cost.cpu_s)),
        peak_rss_mib: costs.iter().map(|cost| cost.peak_rss_mib).fold(0.0, f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        for (values, want) in
            [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![1.0, 4.0, 2.0, 9.0], 3.0)]
        {
            assert!((median(values) - want).abs() < f64::EPSILON);
        }
    }
}
