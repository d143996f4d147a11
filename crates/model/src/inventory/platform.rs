//! The kernel and what it stands on.

use serde::{Deserialize, Serialize};

/// The kernel and what it stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `uname -r`.
    pub kernel: Option<String>,
    /// `uname -v`: when it was built, and by whom.
    pub kernel_version: Option<String>,
    /// The kernel's command line; values of secrets are taken out.
    pub command_line: Option<String>,
    /// What the kernel counts time with.
    pub clocksource: Option<String>,
    /// What it could count time with.
    pub clocksources: Vec<String>,
    /// Watchdogs.
    pub watchdogs: Vec<Watchdog>,
    /// The hypervisor, when one says so: `kvm`, `xen`.
    pub hypervisor: Option<String>,
}

/// A watchdog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// The kernel's name: `watchdog0`.
    pub name: String,
    /// What it calls itself: `iTCO_wdt`.
    pub identity: Option<String>,
    /// In seconds.
    pub timeout: Option<u32>,
    /// True while it counts.
    pub active: Option<bool>,
    /// True when it cannot be stopped once it counts.
    pub no_way_out: Option<bool>,
}
