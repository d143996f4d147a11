//! One boot of the agent, in Ironic's order: inspect, look up, make a
//! certificate, serve, beat; until a command says to leave.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use inventory::{Depth, Options, Root};
use model::inventory::Inventory;
use tokio::sync::mpsc;
use wire::ironic::Heartbeat;

use crate::{
    api::{self, Served, TlsListener},
    command::{self, Board, chain},
    config::{Config, PORT},
    heartbeat::{self, Heart},
    inspection,
    ironic::{ClientError, Ironic},
    json,
    logs::{self, RingLog},
    lookup::{self, Found, LookupError},
    steps::{COMMANDS, Ending, Machine, Settings, view},
    tls::{Identity, IdentityError, MinimumTls},
};

/// How long the last answer has to leave before the machine goes down.
const LINGER: Duration = Duration::from_secs(1);

/// The longest time a control plane may let this agent be silent; Ironic's is 300 s.
const LONGEST_TIMEOUT_S: u64 = 3600;

/// Where UEFI's variables are.
const EFIVARS: &str = "/sys/firmware/efi/efivars";

/// Where the kernel shows what crashed kernels left.
const PSTORE: &str = "/sys/fs/pstore";

/// The most memory this process held at once, in KiB: `VmHWM` of `/proc/self/status`
/// (proc(5)). None when the kernel does not say.
fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// Why the agent cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// No HTTP client.
    #[error("the control plane cannot be called")]
    Client(#[from] ClientError),
    /// The lookup forbids it.
    #[error("this agent must not serve")]
    Lookup(#[from] LookupError),
    /// No address to be reached at.
    #[error("the control plane could not reach this agent")]
    Address(#[from] network::SourceAddressError),
    /// No certificate.
    #[error("the agent's API has no certificate")]
    Identity(#[from] IdentityError),
    /// The evidence key is refused.
    #[error("the key just made cannot sign evidence")]
    Key(#[from] evidence::KeyError),
    /// The port is taken, or not ours to take.
    #[error("cannot listen on {address}; is another agent running?")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
    /// A thread, or the server, is refused or dies.
    #[error("the agent's {part} stopped")]
    Stopped {
        /// Which.
        part: &'static str,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
}

/// Live until a command says how to leave.
///
/// # Errors
/// [`RunError`]: the machine is of no use to anybody; say so and restart.
pub(crate) async fn run(config: Config, logs: RingLog) -> Result<Ending, RunError> {
    let started_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    let options = Options {
        only_disks: config.only_disks.clone(),
        boot_interface: config.boot_interface.clone(),
        depth: Depth::Quick,
        ..Options::default()
    };
    let inventory = scan(&options).await?;
    greet(&inventory);
    let ironic = Arc::new(Ironic::new(&config)?);
    let mut node = inspect(&config, &ironic, &options, &logs).await;
    if config.api_urls.is_empty() {
        // Nobody would ever hear of this machine otherwise.
        while node.is_none() {
            tokio::time::sleep(config.pace.retry_max).await;
            node = inspect(&config, &ironic, &options, &logs).await;
        }
        tracing::info!("inspection is all that was asked for; waiting to be powered off");
        return Ok(std::future::pending().await);
    }
    let identity = lookup::Identity {
        macs: inventory.nics.iter().map(|nic| nic.mac).collect(),
        serial: inventory.system_vendor.serial_number.clone(),
        node,
    };
    let found =
        lookup::lookup(&ironic, &identity, config.token.as_ref(), config.api_version, &config.pace).await?;
    tracing::info!(node = found.response.node.uuid, "this machine is known");
    let (to, version, node) = (Arc::clone(&ironic), found.version, found.response.node.uuid.clone());
    let mut beat = first_beat(&found);
    let serving = Serving { config, logs, options, inventory, ironic, found, started_at };
    let ended = serve(serving, &mut beat).await;
    if let Err(err) = &ended {
        heartbeat::last(&to, version, &node, beat, &chain(err)).await;
    }
    ended
}

/// Who this agent is, before it has an address.
fn first_beat(found: &Found) -> Heartbeat {
    Heartbeat {
        callback_url: Some(String::new()),
        agent_token: found.token.clone(),
        agent_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        ..Heartbeat::default()
    }
}

/// What is known once the lookup has succeeded.
struct Serving {
    config: Config,
    logs: RingLog,
    options: Options,
    inventory: Inventory,
    ironic: Arc<Ironic>,
    found: Found,
    started_at: f64,
}

/// `beat` is what this agent last said of itself.
async fn serve(serving: Serving, beat: &mut Heartbeat) -> Result<Ending, RunError> {
    let Serving { config, logs, options, inventory, ironic, found, started_at } = serving;
    let addresses = advertised(&config, &ironic).await?;
    let identity = Identity::make(&inventory.hostname, &addresses)?;
    let (listener, port) = listen(config.listen)?;
    let base = callback(&addresses, config.advertise_port.unwrap_or(port));

    let (board, jobs) = Board::new(COMMANDS);
    let board = Arc::new(board);
    let (end, mut ending) = mpsc::unbounded_channel();
    let machine = Machine {
        root: Root::live(),
        options,
        node: view(&found.response.node),
        settings: Settings::from(&found.response.config),
        trust: config.trust.clone(),
        downloads: config.downloads,
        key: Arc::new(evidence::Key::new(identity.key_der(), &identity.certificate_pem)?),
        logs,
        board: Arc::clone(&board),
        end,
        clock_source: config.clock_source,
        efivars: EFIVARS.into(),
        pstore: PSTORE.into(),
        prepared: None,
    };
    command::start(machine, jobs, Arc::clone(&board))
        .map_err(|err| RunError::Stopped { part: "command thread", err })?;
    let served =
        Served { board: Arc::clone(&board), token: found.token.clone(), started_at, base: base.clone() };
    let server = serve_tls(listener, &identity, minimum_tls(&found), served)?;
    tracing::info!(at = base, "serving");
    let heart = heart(&config, ironic, &found, base, &identity);
    beat.clone_from(&heart.beat);
    let beating = heartbeat::run(heart, board);
    tokio::select! {
        ending = ending.recv() => {
            // The sender lives in the command thread: none is left when that died.
            let ending = ending.ok_or_else(|| stopped("command thread"))?;
            tracing::info!(peak_memory_kib = peak_memory_kib(), "leaving");
            tokio::time::sleep(LINGER).await;
            Ok(ending)
        }
        () = beating => Err(stopped("heartbeat")),
        ended = server => {
            let err = ended.map_or_else(io::Error::other, |()| io::Error::other("it ended"));
            Err(RunError::Stopped { part: "API", err })
        }
    }
}

fn stopped(part: &'static str) -> RunError {
    RunError::Stopped { part, err: io::Error::other("it ended") }
}

async fn scan(options: &Options) -> Result<Inventory, RunError> {
    let options = options.clone();
    tokio::task::spawn_blocking(move || inventory::scan(&Root::live(), &options))
        .await
        .map_err(|err| RunError::Stopped { part: "inventory", err: io::Error::other(err) })
}

fn greet(inventory: &Inventory) {
    let vendor = &inventory.system_vendor;
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    tracing::info!(
        manufacturer = known(&vendor.manufacturer),
        product = known(&vendor.product_name),
        serial = known(&vendor.serial_number),
        threads = inventory.cpu.threads,
        disks = inventory.disks.len(),
        nics = inventory.nics.len(),
        version = env!("CARGO_PKG_VERSION"),
        "billet-agent"
    );
    for warning in &inventory.warnings {
        tracing::debug!(path = warning.path, reason = warning.reason, "inventory");
    }
}

/// A failed inspection is told and survived, as with Ironic's agent.
async fn inspect(config: &Config, ironic: &Ironic, options: &Options, logs: &RingLog) -> Option<String> {
    let wanted = config.inspection.clone()?;
    let options = options.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let inventory = inspection::look(&wanted, &options);
        (wanted, inventory)
    });
    let Ok((wanted, inventory)) = looked.await else {
        tracing::error!("inspection failed: looking at the machine ended early");
        return None;
    };
    tracing::info!(warnings = inventory.warnings.len(), "looked at all of the machine");
    let collected = logs::Collected {
        inventory: json::pretty(&inventory).unwrap_or_default().into(),
        commands: b"[]".to_vec(),
    };
    let logs = logs::collect(logs, &collected).ok();
    match inspection::inspect(ironic, &wanted, &inventory, logs, &config.pace).await {
        Ok(node) => {
            tracing::info!(node, "inspected");
            Some(node)
        }
        Err(err) => {
            tracing::error!("inspection failed: {}", chain(&err));
            None
        }
    }
}

async fn advertised(config: &Config, ironic: &Ironic) -> Result<Vec<IpAddr>, RunError> {
    if !config.advertise.is_empty() {
        return Ok(config.advertise.clone());
    }
    let peer = ironic.peer().unwrap_or_default();
    // Resolving blocks.
    let found = tokio::task::spawn_blocking(move || network::source_address_for(&peer))
        .await
        .map_err(|err| RunError::Stopped { part: "resolver", err: io::Error::other(err) })?;
    Ok(vec![found?])
}

fn callback(addresses: &[IpAddr], port: u16) -> String {
    let host = addresses.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    format!("https://{}", SocketAddr::new(host, port))
}

/// The listener and its port. A kernel without IPv6 listens on IPv4.
fn listen(address: SocketAddr) -> Result<(TcpListener, u16), RunError> {
    let fail = |err| RunError::Listen { address, err };
    let bound = TcpListener::bind(address).or_else(|err| {
        if address.is_ipv6() && address.ip().is_unspecified() {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))
        } else {
            Err(err)
        }
    });
    let listener = bound.map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    let port = listener.local_addr().map_or(PORT, |bound| bound.port());
    Ok((listener, port))
}

fn serve_tls(
    listener: TcpListener,
    identity: &Identity,
    minimum: MinimumTls,
    served: Served<Machine>,
) -> Result<tokio::task::JoinHandle<()>, RunError> {
    let listener = TlsListener::new(listener, identity.server(minimum)?)
        .map_err(|err| RunError::Stopped { part: "API", err })?;
    Ok(tokio::spawn(api::serve(listener, api::router(Arc::new(served)))))
}

fn minimum_tls(found: &Found) -> MinimumTls {
    match found.response.config.tls_min_version.as_deref() {
        Some("1.2") => MinimumTls::V1_2,
        Some(_) | None => MinimumTls::V1_3,
    }
}

fn heart(config: &Config, ironic: Arc<Ironic>, found: &Found, base: String, identity: &Identity) -> Heart {
    let knows_certificates = found.version >= wire::ironic::Microversion::v1(68);
    Heart {
        ironic,
        version: found.version,
        node: found.response.node.uuid.clone(),
        beat: Heartbeat {
            callback_url: Some(base),
            agent_verify_ca: knows_certificates.then(|| identity.certificate_pem.clone()),
            ..first_beat(found)
        },
        timeout: Duration::from_secs(found.response.config.heartbeat_timeout.clamp(1, LONGEST_TIMEOUT_S)),
        pace: config.pace.clone(),
    }
}
