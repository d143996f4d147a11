//! How the conductor behaves.

use std::time::Duration;

/// Which steps an automated cleaning takes, and so what counts as proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CleanPolicy {
    /// `erase_devices_metadata`: partition tables and signatures.
    Metadata,
    /// `erase_devices_metadata`, then `erase_devices`: every byte.
    Full,
}

impl CleanPolicy {
    /// The steps to take, the proving one last.
    #[must_use]
    pub const fn steps(self) -> &'static [&'static str] {
        match self {
            Self::Metadata => &["erase_devices_metadata"],
            Self::Full => &["erase_devices_metadata", "erase_devices"],
        }
    }

    /// The step whose evidence frees a node.
    #[must_use]
    pub const fn proving_step(self) -> &'static str {
        match self {
            Self::Metadata => "erase_devices_metadata",
            Self::Full => "erase_devices",
        }
    }
}

/// How the conductor behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Base URL that ramdisks and BMCs reach, without a trailing slash.
    pub advertise: String,
    /// What an automated cleaning does.
    pub clean_policy: CleanPolicy,
    /// Leave agents running between operations.
    pub fast_track: bool,
    /// Appended to the ramdisk's kernel command line.
    pub kernel_params: String,
    /// How long a booted ramdisk may be silent before the operation fails.
    pub callback_timeout: Duration,
    /// What agents are told to heartbeat within.
    pub heartbeat_timeout: Duration,
    /// How long a running command may be unreachable before the operation fails.
    pub silence_timeout: Duration,
    /// Pause between two looks at a running command.
    pub poll_interval: Duration,
    /// How long a BMC may take to reach a power state.
    pub power_timeout: Duration,
    /// How long an agent may take to power off before its power is cut.
    pub soft_off_timeout: Duration,
}

impl Settings {
    /// Ironic's defaults, but quicker to notice.
    #[must_use]
    pub fn new(advertise: &str) -> Self {
        Self {
            advertise: advertise.trim_end_matches('/').to_owned(),
            clean_policy: CleanPolicy::Full,
            fast_track: false,
            kernel_params: String::new(),
            callback_timeout: Duration::from_secs(1800),
            heartbeat_timeout: Duration::from_secs(60),
            silence_timeout: Duration::from_secs(300),
            poll_interval: Duration::from_secs(1),
            power_timeout: Duration::from_secs(120),
            soft_off_timeout: Duration::from_secs(30),
        }
    }
}
