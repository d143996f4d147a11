//! The lab proven by itself: iPXE over the real ROM, the boot override, reset and power, BIOS and UEFI.
//!
//! iPXE runs a script of ours that says its name and resets the server; the BMC's word about what
//! happened is compared with what the console and QEMU did.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use axum::{Router, extract::State, routing::get};
use reqwest::{Method, StatusCode, tls};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

use crate::{
    demo::{self, DISK},
    machine::Machine,
    network::{API_PORT, HOST},
    redfish,
    spec::{Attachment, BootFirst, Firmware, Spec},
};

/// How long a boot to iPXE's script may take under emulation.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// Between two looks at the power state.
const POLL: Duration = Duration::from_millis(100);
/// What our script says.
const SAID: &str = "BILLET-LAB-SCRIPT";

/// Raise the lab and prove it on one BIOS and one UEFI server, both at once.
///
/// # Errors
/// Which promise was not kept, on which server.
pub async fn run(out: &Path) -> Result<()> {
    let _dnsmasq = demo::raise(out)?;
    serve_script().await?;
    let bios = prove(Spec::new("check-bios", 0, Firmware::Bios).disk(Attachment::Virtio, DISK), out);
    let uefi = prove(Spec::new("check-uefi", 1, Firmware::Uefi).disk(Attachment::Nvme, DISK), out);
    tokio::try_join!(bios, uefi).map(drop)
}

/// The script says its name, with a number that makes each run another line, and resets the server.
async fn serve_script() -> Result<()> {
    async fn script(State(served): State<Arc<AtomicUsize>>) -> String {
        let served = served.fetch_add(1, Ordering::Relaxed);
        format!("#!ipxe\necho {SAID} {served}\nreboot\n")
    }
    let app = Router::new().route("/boot.ipxe", get(script)).with_state(Arc::default());
    let listener = TcpListener::bind((HOST, API_PORT)).await.context("bind the lab's boot server")?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(())
}

async fn prove(spec: Spec, out: &Path) -> Result<()> {
    let name = spec.name.clone();
    let machine = Machine::build(spec, out)?;
    redfish::serve(machine.clone()).await?;
    let proven = story(&Bmc::new(&machine)?, &machine).await;
    machine.force_off().await;
    machine.discard_disks();
    proven.with_context(|| name)
}

async fn story(bmc: &Bmc, machine: &Machine) -> Result<()> {
    ensure!(bmc.power().await? == "Off", "a new server is on");
    bmc.boot_once_from_network().await?;
    bmc.reset("On").await.context("power on")?;
    machine.console.wait_for(SAID, 0, BOOT_LIMIT).await.context("boot from the network once")?;
    ensure!(
        machine.last_boot().map(|boot| boot.first) == Some(BootFirst::Network),
        "it booted from its disk"
    );
    // The script resets the server: the override must be spent, and the disk be tried first.
    let second = wait_for_boot(machine, BootFirst::Disk).await?;
    ensure!(bmc.get().await?["Boot"]["BootSourceOverrideEnabled"] == "Disabled", "the override is not spent");
    machine
        .console
        .wait_for(SAID, second, BOOT_LIMIT)
        .await
        .context("fall back from an empty disk to the network")?;
    bmc.reset("ForceOff").await.context("force off")?;
    ensure!(bmc.power().await? == "Off", "it is on after ForceOff");
    ensure!(
        !machine.files.qmp.exists() || tokio::net::UnixStream::connect(&machine.files.qmp).await.is_err(),
        "QEMU runs after ForceOff"
    );
    bmc.reset("On").await.context("power on again")?;
    ensure!(bmc.power().await? == "On", "it is off after On");
    bmc.reset("ForceRestart").await.context("restart")?;
    ensure!(bmc.power().await? == "On", "it is off after ForceRestart");
    Ok(())
}

/// Wait for the next boot with this order; where its console begins.
async fn wait_for_boot(machine: &Machine, first: BootFirst) -> Result<u64> {
    let deadline = Instant::now() + BOOT_LIMIT;
    loop {
        if let Some(boot) = machine.last_boot().filter(|boot| boot.first == first) {
            return Ok(boot.console_from);
        }
        if Instant::now() > deadline {
            bail!("no boot with {first:?} first within {BOOT_LIMIT:?}");
        }
        sleep(POLL).await;
    }
}

/// A client as simple as curl.
struct Bmc {
    http: reqwest::Client,
    system: String,
}

impl Bmc {
    fn new(machine: &Machine) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http =
            reqwest::Client::builder().no_proxy().tls_certs_only(Vec::<tls::Certificate>::new()).build()?;
        let address = redfish::address(machine.spec.place);
        Ok(Bmc { http, system: format!("http://{address}/redfish/v1/Systems/{}", machine.spec.uuid()) })
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.system));
        request = request.basic_auth(redfish::USER, Some(redfish::PASSWORD));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "the BMC says {status}: {text}");
        if status == StatusCode::NO_CONTENT { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }

    async fn get(&self) -> Result<Value> {
        self.call(Method::GET, "", None).await
    }

    async fn power(&self) -> Result<String> {
        let system = self.get().await?;
        Ok(system["PowerState"].as_str().unwrap_or_default().to_owned())
    }

    async fn boot_once_from_network(&self) -> Result<()> {
        let boot = json!({"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"});
        self.call(Method::PATCH, "", Some(json!({"Boot": boot}))).await.map(drop)
    }

    async fn reset(&self, kind: &str) -> Result<()> {
        let path = "/Actions/ComputerSystem.Reset";
        self.call(Method::POST, path, Some(json!({"ResetType": kind}))).await.map(drop)
    }
}
