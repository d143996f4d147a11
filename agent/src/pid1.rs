//! The agent as the first process of a ramdisk.

use std::time::Duration;

use init::{Params, RESTART_DELAY, Settled};
use network::{Network, NetworkError};

use crate::{
    command::chain,
    config::{Config, ConfigError},
    logs,
    run::{self, RunError},
    steps::Ending,
};

/// Devices are all there when none came for this long.
const QUIET: Duration = Duration::from_millis(300);

/// A bus that never falls silent is waited for this long.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// How often the console says that there is no network yet. It is waited for
/// without limit: a switch may take its time, and nothing else can be done.
const NETWORK_WORD: Duration = Duration::from_secs(60);

/// How many time servers are asked; one that is silent costs seconds.
const MAX_TIME_SERVERS: usize = 2;

/// Why the ramdisk is of no use.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    /// PID 1's own duties.
    #[error("this ramdisk cannot start")]
    Start(#[from] init::StartError),
    /// The command line.
    #[error("the kernel command line cannot be followed")]
    Config(#[from] ConfigError),
    /// The network.
    #[error("this machine cannot get onto its network")]
    Network(#[from] NetworkError),
    /// The runtime.
    #[error("the kernel refuses threads; does the machine have enough memory?")]
    Runtime(#[source] std::io::Error),
    /// The agent.
    #[error("the agent cannot go on")]
    Run(#[from] RunError),
}

/// Live, and leave by power. Whatever is wrong is said on every console before
/// the machine restarts.
pub(crate) fn main() -> ! {
    match live() {
        Ok(Ending::PowerOff) => init::power::power_off(),
        Ok(Ending::Reboot) => init::power::reboot(),
        Err(fatal) => init::fatal(&chain(&fatal), RESTART_DELAY),
    }
}

fn live() -> Result<Ending, Fatal> {
    let started = init::start()?;
    let logs = logs::start(started.params.is_true("ipa-debug"));
    let mut config = Config::from_params(&started.params)?;
    // Leases are asked for while other drivers are still being loaded.
    let options = network::Options {
        boot_mac: started.params.boot_mac(),
        say: |word| tracing::info!("{word}"),
        ..network::Options::default()
    };
    let network = Network::start(&options)?;
    let settled = started.drivers.settle(QUIET, SETTLE_LIMIT);
    let modules = started.drivers.report().loaded.len();
    match settled {
        Settled::Quiet => tracing::info!(modules, "devices"),
        Settled::TimedOut => {
            let limit_s = SETTLE_LIMIT.as_secs();
            tracing::warn!(modules, limit_s, "devices are still coming; the inventory may lack some");
        }
    }
    wait_for(&network)?;
    if set_clock(&started.params, &network) {
        config.clock_source = "ntp";
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Fatal::Runtime)?;
    Ok(runtime.block_on(run::run(config, logs))?)
}

fn wait_for(network: &Network) -> Result<(), NetworkError> {
    loop {
        match network.wait(NETWORK_WORD) {
            Ok(up) => {
                for lease in up.interfaces {
                    tracing::info!(nic = lease.name, mac = %lease.mac, address = %lease.address, "lease");
                }
                return Ok(());
            }
            Err(err @ (NetworkError::NoLease { .. } | NetworkError::NoNic)) => {
                tracing::warn!("{}; still trying", chain(&err));
            }
            Err(err @ (NetworkError::Thread(_) | NetworkError::Stopped { .. })) => return Err(err),
        }
    }
}

/// Ask the time server that the parameters name, else those of DHCP. A wrong
/// clock is survived: it only matters for certificates.
fn set_clock(params: &Params, network: &Network) -> bool {
    let named = params.get("ipa-ntp-server").map(str::to_owned);
    let offered = network.leases().into_iter().flat_map(|lease| lease.ntp).map(|server| server.to_string());
    for server in named.into_iter().chain(offered).take(MAX_TIME_SERVERS) {
        match network::clock::sntp(&server) {
            Ok(time) => match init::clock::set(time) {
                Ok(()) => return true,
                Err(err) => tracing::warn!(%err, "the kernel does not take the time"),
            },
            Err(err) => tracing::warn!("no time from {server}: {}", chain(&err)),
        }
    }
    false
}
