//! billetd: turns bare metal into running machines, by Ironic's REST API.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use control_plane::{
    notary::LostKey,
    runner::{CleanPolicy, Settings},
    server::{Config, run},
};
use tokio::signal::unix::{SignalKind, signal};

/// Billet's control plane.
#[derive(Debug, Parser)]
#[command(name = "billetd", version, about)]
struct Arguments {
    /// Address and port to serve on. Without --htpasswd, anything but loopback
    /// is open to everybody who reaches it.
    #[arg(long, env = "BILLET_LISTEN", default_value = "127.0.0.1:6385")]
    listen: SocketAddr,
    /// Base URL that ramdisks and BMCs reach [default: http://LISTEN].
    #[arg(long, env = "BILLET_ADVERTISE")]
    advertise: Option<String>,
    /// The SQLite file; made when missing.
    #[arg(long, env = "BILLET_DATABASE", default_value = "billet.sqlite")]
    database: PathBuf,
    /// Folder with the ramdisk's vmlinuz and initramfs, served at /ramdisk.
    #[arg(long, value_name = "DIR")]
    ramdisk: Option<PathBuf>,
    /// Folder with images, served at /images.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Appended to the ramdisk's kernel command line.
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    kernel_params: String,
    /// Serve the API over TLS with this certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Ask for HTTP basic authentication: lines of USER:BCRYPT.
    #[arg(long, value_name = "FILE")]
    htpasswd: Option<PathBuf>,
    /// What automated cleaning erases, and so what evidence frees a node.
    #[arg(long, value_enum, default_value = "full")]
    clean_steps: CleanPolicy,
    /// Leave agents running between inspection, cleaning and deployment.
    #[arg(long)]
    fast_track: bool,
    /// Countersign evidence with another key than before: the old one is lost.
    /// Both certificates stay known.
    #[arg(long)]
    new_evidence_key: bool,
    /// Seconds until a booted ramdisk that does not call has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    callback_timeout: u64,
    /// Seconds within which agents are told to heartbeat.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    heartbeat_timeout: u64,
    /// Seconds until an agent that does not answer has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    silence_timeout: u64,
}

fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind(arguments.listen)
        .with_context(|| format!("cannot listen on {}; is another billetd running?", arguments.listen))?;
    let bound = listener.local_addr().context("the listening socket has no address")?;
    if !bound.ip().is_loopback() && arguments.htpasswd.is_none() {
        tracing::warn!(%bound, "the API is open to everybody who reaches this address; give --htpasswd to ask for passwords");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        run(config(arguments, bound), listener, stop).await
    })
}

fn config(arguments: Arguments, bound: SocketAddr) -> Config {
    let scheme = if arguments.tls_cert.is_some() { "https" } else { "http" };
    let advertise = arguments.advertise.unwrap_or_else(|| format!("{scheme}://{bound}"));
    let settings = Settings {
        clean_policy: arguments.clean_steps,
        fast_track: arguments.fast_track,
        kernel_params: arguments.kernel_params,
        callback_timeout: Duration::from_secs(arguments.callback_timeout),
        heartbeat_timeout: Duration::from_secs(arguments.heartbeat_timeout),
        silence_timeout: Duration::from_secs(arguments.silence_timeout),
        ..Settings::new(&advertise)
    };
    Config {
        database: arguments.database,
        ramdisk: arguments.ramdisk,
        images: arguments.images,
        htpasswd: arguments.htpasswd,
        lost_key: if arguments.new_evidence_key { LostKey::Replace } else { LostKey::Refuse },
        tls: arguments.tls_cert.zip(arguments.tls_key),
        settings,
    }
}
