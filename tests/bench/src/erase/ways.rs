//! Everybody's ways to empty disks, as shell scripts.
//!
//! Each is given `$DEVS`, whole disks of `$MIB` MiB each, and ends when the zeros
//! are on all of them: what is not on a disk when a way says so is not compared.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::measure::{self, Cost};

/// The longest that emptying may take, in seconds: nwipe needs 17 for a GiB.
pub(crate) const LIMIT_S: f64 = 240.0;

/// What a way is measured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Our program: must succeed, and must leave nothing.
    Ours,
    /// What the disks themselves can take: what ours is measured by.
    Device,
    /// Somebody else's program.
    Peer,
}

/// One way.
#[derive(Debug)]
pub(crate) struct Way {
    /// As in the report.
    pub(crate) name: &'static str,
    /// What it is measured for.
    pub(crate) role: Role,
    /// Whether everything is read back before it ends.
    pub(crate) reads_all_back: bool,
    /// What a shell is told.
    script: &'static str,
}

/// A way for one disk is run for all of them at once.
const EACH: &str = r#"each() {
    local jobs= DEV job
    for DEV in $DEVS; do eval "$1" & jobs="$jobs $!"; done
    for job in $jobs; do wait $job; done
}
"#;

/// Of the first, the figures are taken: ours, then the devices' own rate, then issue 4's peers.
pub(crate) const WAYS: &[Way] = &[
    Way {
        name: "billet-agent, sample read back",
        role: Role::Ours,
        reads_all_back: false,
        script: "$AGENT erase --yes --json $DEVS > $TMP/said",
    },
    Way {
        name: "billet-agent, all read back",
        role: Role::Ours,
        reads_all_back: true,
        script: "$AGENT erase --yes --json --verify-full $DEVS > $TMP/said",
    },
    Way {
        name: "billet-agent, noise and zeros",
        role: Role::Ours,
        reads_all_back: false,
        // More than one pass is never left to the kernel: the program's own writes.
        script: r#"echo '{"passes": 2}' > $TMP/policy; $AGENT erase --yes --json --policy $TMP/policy $DEVS > $TMP/said"#,
    },
    Way {
        name: "dd bs=4M oflag=direct",
        role: Role::Device,
        reads_all_back: false,
        script: "each 'dd if=/dev/zero of=$DEV bs=4M count=$((MIB / 4)) oflag=direct conv=fsync status=none'",
    },
    Way {
        name: "blkdiscard -z",
        role: Role::Peer,
        reads_all_back: false,
        script: "each 'blkdiscard -z $DEV && sync $DEV'",
    },
    Way {
        name: "shred -n1",
        role: Role::Peer,
        reads_all_back: false,
        script: "each 'shred -n1 $DEV && sync $DEV'",
    },
    Way {
        name: "shred -n1 -z",
        role: Role::Peer,
        reads_all_back: false,
        script: "each 'shred -n1 -z $DEV && sync $DEV'",
    },
    Way {
        name: "nwipe, all read back",
        role: Role::Peer,
        reads_all_back: true,
        // It starts a thread for each disk by itself. `--nogui` for want of a terminal, `--nowait` of a key.
        script: "nwipe --autonuke --nogui --nowait --nousb --method=zero --verify=last \
                 --logfile=$TMP/nwipe.log $DEVS > $TMP/said",
    },
];

/// What a way is run on.
pub(crate) struct World<'w> {
    /// Our program.
    pub(crate) agent: &'w Path,
    /// Folder on tmpfs.
    pub(crate) scratch: &'w Path,
    /// The disks.
    pub(crate) devices: Vec<PathBuf>,
    /// Length of each.
    pub(crate) mib: u64,
}

impl World<'_> {
    /// Run one way, at most [`LIMIT_S`] long.
    ///
    /// # Errors
    /// When it fails, with what it said last.
    pub(crate) fn go(&self, way: &Way) -> Result<Cost> {
        // With no disk named, nwipe takes every disk of this machine.
        let ours = |device: &PathBuf| device.to_string_lossy().starts_with("/dev/loop");
        ensure!(!self.devices.is_empty() && self.devices.iter().all(ours), "only loop devices are emptied");
        let devices: Vec<_> = self.devices.iter().map(|device| device.display().to_string()).collect();
        let variables = [
            ("AGENT", self.agent.display().to_string()),
            ("DEVS", devices.join(" ")),
            ("MIB", self.mib.to_string()),
            ("TMP", self.scratch.display().to_string()),
        ];
        let exports: String = variables.map(|(name, value)| format!("export {name}='{value}'; ")).concat();
        measure::script(&(exports + EACH + way.script), LIMIT_S)
    }
}
