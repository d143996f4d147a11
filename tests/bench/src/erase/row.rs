//! One row: so many disks of one kind, emptied by everybody.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::ways::{Role, WAYS, Way, World};
use crate::{
    measure::{Cost, medians},
    program::{bash, run},
    target::{Disk, Kind},
};

/// A peer that was this much slower than ours in its first run is not run
/// again: its median is not in doubt, and the rest of the time is.
const HOPELESS: f64 = 4.0;
/// What is on the disks before, and must be on none of them after.
const SECRET: &str = "a tenant's secret";

/// A row of `erase.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// How many disks at once.
    pub(crate) disks: usize,
    /// What they are made of.
    pub(crate) target: Kind,
    /// Length of each, in MiB.
    pub(crate) mib: u64,
    /// Everybody, by name.
    pub(crate) ways: BTreeMap<String, Outcome>,
}

/// What a way took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The medians; none when it failed.
    pub(crate) cost: Option<Cost>,
    /// How often it ran: fewer than the others when it was hopeless.
    pub(crate) runs: usize,
    /// What it said when it failed last, if it ever did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl Row {
    /// `8 × 1024 MiB, tmpfs`.
    pub(crate) fn name(&self) -> String {
        format!("{} × {} MiB, {}", self.disks, self.mib, self.target.name())
    }

    /// What the way of this name took, if it ended.
    pub(crate) fn cost(&self, name: &str) -> Option<Cost> {
        self.ways.get(name)?.cost
    }

    /// What the disks themselves took.
    pub(crate) fn device_s(&self) -> Option<f64> {
        WAYS.iter()
            .find(|way| way.role == Role::Device)
            .and_then(|way| self.cost(way.name))
            .map(|cost| cost.s)
    }
}

/// A way, and what its runs cost.
struct Contender {
    way: &'static Way,
    costs: Vec<Cost>,
    error: Option<String>,
}

impl Contender {
    fn is_hopeless(&self, ours: &[Cost]) -> bool {
        let Some(best) = ours.iter().map(|cost| cost.s).min_by(f64::total_cmp) else { return false };
        self.error.is_some() || self.costs.iter().any(|cost| cost.s > HOPELESS * best)
    }

    fn outcome(&self) -> Outcome {
        let cost = (!self.costs.is_empty()).then(|| medians(&self.costs));
        Outcome { cost, runs: self.costs.len(), error: self.error.clone() }
    }
}

/// Run everybody `rounds` times, in turns, there and back.
///
/// # Errors
/// When ours fails, or leaves anything on a disk.
pub(crate) fn measured(world: &World<'_>, disks: &[Disk], kind: Kind, rounds: usize) -> Result<Row> {
    let mut contenders: Vec<_> =
        WAYS.iter().map(|way| Contender { way, costs: Vec::new(), error: None }).collect();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for place in order {
            turn(world, disks, &mut contenders, place)?;
        }
    }
    let outcomes = contenders.iter().map(|contender| (contender.way.name.to_owned(), contender.outcome()));
    Ok(Row { disks: disks.len(), target: kind, mib: world.mib, ways: outcomes.collect() })
}

/// One run of one contender.
fn turn(world: &World<'_>, disks: &[Disk], contenders: &mut [Contender], place: usize) -> Result<()> {
    let way = contenders[place].way;
    if way.role == Role::Peer && contenders[place].is_hopeless(&contenders[0].costs) {
        return Ok(());
    }
    let first_of_ours = way.role == Role::Ours && contenders[place].costs.is_empty();
    disks.iter().try_for_each(Disk::reset)?;
    if first_of_ours {
        world.devices.iter().try_for_each(|device| plant(device, world.mib))?;
    }
    let outcome = world.go(way);
    let contender = &mut contenders[place];
    match outcome {
        Ok(cost) => {
            eprintln!(
                "bench: {} disks {:<34} {:7.2} s {:7.2} s of processor",
                disks.len(),
                way.name,
                cost.s,
                cost.cpu_s
            );
            contender.costs.push(cost);
            if first_of_ours {
                world.devices.iter().try_for_each(|device| check(device, world.mib))?;
            }
            Ok(())
        }
        Err(err) if way.role != Role::Peer => Err(err.context(format!("{} failed", way.name))),
        Err(err) => {
            eprintln!("bench: {} disks {:<34} failed: {err:#}", disks.len(), way.name);
            contender.error = Some(format!("{err:#}"));
            Ok(())
        }
    }
}

/// Fill a disk with the secret.
fn plant(device: &Path, mib: u64) -> Result<()> {
    let fill = format!(
        "{{ yes \"{SECRET}\" || true; }} | dd of={} bs=1M count={mib} iflag=fullblock oflag=direct status=none",
        device.display()
    );
    // `yes` ends by a broken pipe, which is as it should be.
    bash(&fill, Path::new("/")).map(drop).with_context(|| format!("cannot fill {}", device.display()))
}

/// A disk that ours emptied is zero to the last byte.
fn check(device: &Path, mib: u64) -> Result<()> {
    run(Command::new("blockdev").arg("--flushbufs").arg(device))?;
    let compare = Command::new("cmp")
        .args(["--bytes", &(mib << 20).to_string()])
        .arg(device)
        .arg("/dev/zero")
        .status()?;
    ensure!(compare.success(), "{} still holds something after ours said that it is empty", device.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_far_behind_or_broken_is_not_run_again() {
        let cost = |s| Cost { s, cpu_s: 0.0, peak_rss_mib: 0.0 };
        let ours = [cost(1.0), cost(1.5)];
        let contender = |costs, error: Option<&str>| Contender {
            way: &WAYS[0],
            costs,
            error: error.map(ToOwned::to_owned),
        };
        assert!(!contender(vec![cost(3.9)], None).is_hopeless(&ours));
        assert!(contender(vec![cost(4.1)], None).is_hopeless(&ours));
        assert!(contender(vec![], Some("it said no")).is_hopeless(&ours));
        assert!(!contender(vec![cost(9.0)], None).is_hopeless(&[]));
    }

    #[test]
    fn only_loop_devices_are_ever_emptied() {
        for devices in [vec![], vec!["/dev/vda".into()], vec!["/dev/loop0".into(), "/dev/sda".into()]] {
            let world = World { agent: Path::new("/bin/true"), scratch: Path::new("/"), devices, mib: 1 };
            assert!(WAYS.iter().all(|way| world.go(way).is_err()));
        }
    }
}
