//! `billet-agent run`: the agent on a machine that runs already, without the
//! duties of PID 1.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use init::Params;

use crate::{config::Config, logs, run, steps::Ending};
use fetch::Trust;

/// Arguments of `run`. What is not given comes from the kernel command line.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Base URL of Ironic or billetd (ipa-api-url); repeat for more than one.
    #[arg(long, value_name = "URL")]
    api_url: Vec<String>,
    /// Inspect, and post to this URL (ipa-inspection-callback-url).
    #[arg(long, value_name = "URL")]
    inspection_callback_url: Vec<String>,
    /// Act as if these disks were all there is; loop devices count. Repeatable.
    #[arg(long, value_name = "DEV", required_unless_present = "all_disks")]
    only_disk: Vec<PathBuf>,
    /// Let the control plane write and erase every disk of this machine.
    #[arg(long, conflicts_with = "only_disk")]
    all_disks: bool,
    /// Where the agent's API listens.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The address the control plane reaches it at; also in its certificate.
    #[arg(long, value_name = "IP")]
    advertise_host: Vec<IpAddr>,
    /// Believe any server certificate (ipa-insecure).
    #[arg(long, conflicts_with = "ca_file")]
    insecure: bool,
    /// Believe the authorities in this PEM file.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Follow these kernel parameters instead of /proc/cmdline.
    #[arg(long, value_name = "TEXT")]
    kernel_params: Option<String>,
}

/// Run it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let given = args.kernel_params.clone();
    // Without a command line to read, only the arguments count.
    let text = given.unwrap_or_else(|| fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let params = Params::parse(&format!("{text} {}", words(&args)));
    let logs = logs::start(params.is_true("ipa-debug"));
    let config = config(args, &params)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    match runtime.block_on(run::run(config, logs))? {
        Ending::PowerOff => tracing::info!("told to power off: ending; this machine stays up"),
        Ending::Reboot => tracing::info!("told to reboot: ending; this machine stays up"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Arguments as kernel parameters; the last of a name wins.
fn words(args: &Args) -> String {
    let word = |name: &str, values: &[String]| {
        if values.is_empty() { String::new() } else { format!("{name}={} ", values.join(",")) }
    };
    word("ipa-api-url", &args.api_url) + &word("ipa-inspection-callback-url", &args.inspection_callback_url)
}

/// The command line over the kernel's.
fn config(args: Args, params: &Params) -> anyhow::Result<Config> {
    let mut config = Config::from_params(params)?;
    config.only_disks = args.only_disk;
    config.listen = args.listen.unwrap_or(config.listen);
    if !args.advertise_host.is_empty() {
        config.advertise = args.advertise_host;
    }
    if args.insecure {
        config.trust = Trust::Anybody;
    }
    if let Some(file) = args.ca_file {
        config.trust = Trust::Bundle(file);
    }
    Ok(config)
}
