//! Everybody's ways to know a machine, as shell scripts.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::measure::{self, Cost};

/// The longest that one may take, in seconds.
const LIMIT_S: f64 = 60.0;

/// Where ours puts what it says of the recorded server, in the scratch folder.
pub(crate) const RECORDED_SAID: &str = "recorded.json";

/// What a way is measured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Our program: must succeed.
    Ours,
    /// Somebody else's.
    Peer,
}

/// One way.
#[derive(Debug)]
pub(crate) struct Way {
    /// As in the report.
    pub(crate) name: &'static str,
    /// What it is measured for.
    pub(crate) role: Role,
    /// What is known afterwards.
    pub(crate) tells: &'static str,
    /// What a shell is told.
    script: &'static str,
}

/// Ours of this host: what the peers' sum is compared with.
pub(crate) const OURS_HERE: &str = "billet-agent inventory";
/// All that Ironic's agent runs: what ours is compared with.
pub(crate) const IRONICS: &str = "lshw, lscpu, lsblk, dmidecode, lspci, one after the other";

/// Ours first, then the peers, the sum of them last.
pub(crate) const WAYS: &[Way] = &[
    Way {
        name: "billet-agent inventory --root",
        role: Role::Ours,
        tells: "everything, of the recorded server",
        script: "exec $AGENT inventory --root $RECORDED --format json > $TMP/recorded.json",
    },
    Way {
        name: OURS_HERE,
        role: Role::Ours,
        tells: "everything, of this host",
        script: "exec $AGENT inventory --only-disk $DEV --format json > $TMP/said",
    },
    Way {
        name: "lshw -json",
        role: Role::Peer,
        tells: "board, memory, buses, disks",
        script: "exec lshw -quiet -json > $TMP/said",
    },
    Way { name: "lscpu -J", role: Role::Peer, tells: "processors", script: "exec lscpu -J > $TMP/said" },
    Way { name: "lsblk -J -O", role: Role::Peer, tells: "disks", script: "exec lsblk -J -O > $TMP/said" },
    Way { name: "dmidecode", role: Role::Peer, tells: "SMBIOS", script: "exec dmidecode > $TMP/said" },
    Way { name: "lspci -vmm", role: Role::Peer, tells: "PCI", script: "exec lspci -vmm > $TMP/said" },
    Way {
        name: IRONICS,
        role: Role::Peer,
        tells: "less: no health, TPM, BMC or boot entries",
        // Some hosts have no SMBIOS.
        script: "{ lshw -quiet -json; lscpu -J; lsblk -J -O; dmidecode || true; lspci -vmm; } > $TMP/said",
    },
];

/// What a way is run on.
pub(crate) struct World<'w> {
    /// Our program.
    pub(crate) agent: &'w Path,
    /// The recorded server.
    pub(crate) recorded: &'w Path,
    /// Folder on tmpfs.
    pub(crate) scratch: &'w Path,
    /// The only disk of this host that ours may look at.
    pub(crate) device: &'w Path,
}

impl World<'_> {
    /// Run one way, at most [`LIMIT_S`] long.
    ///
    /// # Errors
    /// When it fails, with what it said last.
    pub(crate) fn go(&self, way: &Way) -> Result<Cost> {
        let device = self.device.display().to_string();
        ensure!(device.starts_with("/dev/loop"), "only a loop device is looked at");
        let variables = [
            ("AGENT", self.agent.display().to_string()),
            ("RECORDED", self.recorded.display().to_string()),
            ("DEV", device),
            ("TMP", self.scratch.display().to_string()),
        ];
        let exports: String = variables.map(|(name, value)| format!("export {name}='{value}'; ")).concat();
        measure::script(&(exports + way.script), LIMIT_S)
    }
}
