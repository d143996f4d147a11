//! One row: a form of the image onto one kind of disk, by everybody.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    forms::Made,
    measure::{Cost, LIMIT_S, medians},
    peers::{OURS, OURS_UNVERIFIED, PEERS, Way, World},
    program::run,
    stages::{self, Stages},
    target::{Disk, Kind},
};

/// A peer that was this much slower than ours in each of its first two runs is
/// not run again: its median is not in doubt, and the rest of the time is.
const HOPELESS: f64 = 2.0;
/// Runs before a peer can be hopeless.
const CHANCES: usize = 2;
/// A peer that has failed so often is not run again. `qemu-img` hangs over HTTP
/// every other time: its curl driver loses a wake-up.
const MOST_FAILURES: usize = 3;
/// A peer that takes so much longer than ours, and some seconds, hangs.
const HANGS: f64 = 3.0;
/// Those seconds. With them even `gzip -dc` of the image ends.
const PATIENCE_S: f64 = 12.0;

/// A row of `image.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Form of the image.
    pub(crate) format: String,
    /// What the disk is made of.
    pub(crate) target: Kind,
    /// Ours with digest, commit last and full read-back.
    pub(crate) ours_s: f64,
    /// Ours with nothing read back.
    pub(crate) ours_unverified_s: Option<f64>,
    /// The fastest peer.
    pub(crate) best_peer: Option<String>,
    /// What it took.
    pub(crate) best_peer_s: Option<f64>,
    /// The perfect pipeline of the stages measured alone.
    pub(crate) limit_s: f64,
    /// Processor time of ours with full read-back.
    pub(crate) ours_cpu_s: f64,
    /// The largest resident set in any run of ours.
    pub(crate) ours_peak_rss_mib: f64,
    /// Everybody else.
    pub(crate) peers: BTreeMap<String, Peer>,
}

/// What a peer took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Peer {
    /// Seconds, the median; none when it failed.
    pub(crate) s: Option<f64>,
    /// Processor seconds.
    pub(crate) cpu_s: Option<f64>,
    /// The largest resident set of one of its processes.
    pub(crate) peak_rss_mib: Option<f64>,
    /// What it kept in memory beside that.
    pub(crate) staged_mib: f64,
    /// How often it ran: fewer than the others when it was hopeless.
    pub(crate) runs: usize,
    /// How often it failed.
    pub(crate) failures: usize,
    /// What it said when it failed last, if it ever did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// A way, and what its runs cost.
struct Contender<'a> {
    way: &'a Way,
    costs: Vec<Cost>,
    errors: Vec<String>,
}

impl Contender<'_> {
    fn is_hopeless(&self, ours: &[Cost]) -> bool {
        let Some(best) = ours.iter().map(|cost| cost.s).min_by(f64::total_cmp) else { return false };
        self.errors.len() >= MOST_FAILURES
            || self.costs.len() >= CHANCES && self.costs.iter().all(|cost| cost.s > HOPELESS * best)
    }

    fn peer(&self, made: &Made) -> Peer {
        let cost = (!self.costs.is_empty()).then(|| medians(&self.costs));
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let staged_mib = if self.way.stages_image { made.length as f64 / f64::from(1 << 20) } else { 0.0 };
        Peer {
            s: cost.map(|cost| cost.s),
            cpu_s: cost.map(|cost| cost.cpu_s),
            peak_rss_mib: cost.map(|cost| cost.peak_rss_mib),
            staged_mib,
            runs: self.costs.len(),
            failures: self.errors.len(),
            error: self.errors.last().cloned(),
        }
    }
}

/// Run everybody `rounds` times, in turns, there and back.
///
/// # Errors
/// When ours fails, or leaves something else than the image on the disk.
pub(crate) fn measured(
    world: &World<'_>,
    made: &Made,
    disk: &Disk,
    kind: Kind,
    rounds: usize,
) -> Result<(Row, Stages)> {
    run(Command::new("dd")
        .args(["bs=1M", "of=/dev/null", "status=none"])
        .arg(format!("if={}", made.path.display())))?;
    let peers = PEERS.iter().filter(|way| way.takes(made.form.name));
    let mut contenders: Vec<Contender<'_>> = [&OURS, &OURS_UNVERIFIED]
        .into_iter()
        .chain(peers)
        .map(|way| Contender { way, costs: Vec::new(), errors: Vec::new() })
        .collect();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for place in order {
            turn(world, made, disk, &mut contenders, place)?;
        }
    }
    let stages = stages::measured(world, made, disk, rounds)?;
    Ok((row(made, kind, &contenders, &stages), stages))
}

/// One run of one contender.
fn turn(
    world: &World<'_>,
    made: &Made,
    disk: &Disk,
    contenders: &mut [Contender<'_>],
    place: usize,
) -> Result<()> {
    if contenders[place].is_hopeless(&contenders[0].costs) {
        return Ok(());
    }
    disk.reset()?;
    let name = contenders[place].way.name;
    let ours = contenders[0].costs.iter().map(|cost| cost.s).fold(0.0, f64::max);
    let limit_s = if ours > 0.0 { (ours * HANGS + PATIENCE_S).min(LIMIT_S) } else { LIMIT_S };
    let outcome = world.go(contenders[place].way, made, &disk.device, limit_s);
    let contender = &mut contenders[place];
    match outcome {
        Ok(cost) => {
            eprintln!(
                "bench: {:<12} {name:<32} {:7.2} s {:7.2} s of processor",
                made.form.name, cost.s, cost.cpu_s
            );
            contender.costs.push(cost);
            if place == 0 && contender.costs.len() == 1 {
                check(&world.images.join("disk.raw"), &disk.device)?;
            }
            Ok(())
        }
        Err(err) if place == 0 => Err(err.context(format!("{name} failed with {}", made.form.name))),
        Err(err) => {
            eprintln!("bench: {:<12} {name:<32} failed: {err:#}", made.form.name);
            contender.errors.push(format!("{err:#}"));
            Ok(())
        }
    }
}

/// The disk is as large as the image, so they are the same to the last byte.
fn check(raw: &Path, device: &Path) -> Result<()> {
    run(Command::new("blockdev").arg("--flushbufs").arg(device))?;
    run(Command::new("cmp").arg(raw).arg(device)).map(drop).context("the disk does not hold the image")
}

fn row(made: &Made, kind: Kind, contenders: &[Contender<'_>], stages: &Stages) -> Row {
    let [ours, unverified, others @ ..] = contenders else { unreachable!("ours are always there") };
    let peers: BTreeMap<String, Peer> =
        others.iter().map(|contender| (contender.way.name.to_owned(), contender.peer(made))).collect();
    let best = peers
        .iter()
        .filter_map(|(name, peer)| Some((name.clone(), peer.s?)))
        .min_by(|(_, a), (_, b)| a.total_cmp(b));
    let cost = medians(&ours.costs);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Row {
        format: made.form.name.to_owned(),
        target: kind,
        ours_s: cost.s,
        ours_unverified_s: (!unverified.costs.is_empty()).then(|| medians(&unverified.costs).s),
        best_peer: best.as_ref().map(|(name, _)| name.clone()),
        best_peer_s: best.map(|(_, s)| s),
        limit_s: stages.limit_s(cores),
        ours_cpu_s: cost.cpu_s,
        ours_peak_rss_mib: cost.peak_rss_mib,
        peers,
    }
}
