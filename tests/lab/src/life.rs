//! One server's whole story, from bare metal to a running machine and back, with a check of the lab's
//! own at every claim: the console, the disk's file, the signed evidence.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    billetd::{Api, Node, STATE_LIMIT},
    evidence,
    image::Image,
    machine::Machine,
    medium, report,
    show::{Line, Progress},
};

/// iPXE's first words, BIOS and UEFI.
const IPXE: &str = "Open Source Network Boot Firmware";
/// The deployed system's first words, and those that prove its config drive.
const BOOTED: &str = "BILLET-OS-BOOTED";
const HOSTNAME: &str = "BILLET-OS-HOSTNAME";
/// A key like a user's; nobody holds its other half.
const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBilletLabBilletLabBilletLabBilletLabBilletLab billet-lab";

/// What one server is put through.
pub struct Story {
    /// The server.
    pub machine: Arc<Machine>,
    /// The control plane.
    pub api: Api,
    /// What is deployed.
    pub image: Image,
    /// `billet-agent`, which verifies evidence.
    pub agent: PathBuf,
    /// Where evidence is kept.
    pub out: PathBuf,
    /// Where it is shown.
    pub line: Line,
}

#[derive(Default)]
struct Figures {
    heartbeat: Option<String>,
    ipxe_to_heartbeat: Option<Duration>,
    inspect: Option<Duration>,
    write: Option<(Instant, Instant)>,
    first_boot: Option<Duration>,
    methods: Vec<String>,
    evidence_verified: bool,
}

impl Story {
    /// Tell it to its end. The report says `ok` only for a story that is true; why not, is the error.
    pub async fn tell(self) -> (report::Server, Option<anyhow::Error>) {
        let mut figures = Figures::default();
        let error = self.live(&mut figures).await.err();
        match &error {
            None => self.line.end("✔ reclaimed, every disk erased and read back, evidence verified"),
            Some(error) => self.line.end(&format!("✘ {error:#}")),
        }
        (self.report(&figures, error.is_none()), error)
    }

    async fn live(&self, figures: &mut Figures) -> Result<()> {
        self.say("enroll", "its BMC and first NIC");
        let id = self.api.enroll(&self.machine.spec).await.context("enroll")?;
        self.reach(&id, "manage", json!({}), "manageable", figures).await?;
        self.inspect(&id, figures).await?;
        self.reach(&id, "provide", json!({}), "available", figures).await?;
        self.deploy(&id, figures).await?;
        self.reclaim(&id, figures).await
    }

    async fn inspect(&self, id: &str, figures: &mut Figures) -> Result<()> {
        let asked = Instant::now();
        self.reach(id, "inspect", json!({}), "manageable", figures).await?;
        figures.inspect = Some(asked.elapsed());
        let answer =
            self.api.get(&format!("/v1/nodes/{id}/inventory")).await.context("read the inventory")?;
        check_inventory(&answer, &self.machine.spec).context("inspection")
    }

    async fn deploy(&self, id: &str, figures: &mut Figures) -> Result<()> {
        let path = format!("/v1/nodes/{id}");
        self.api.call(Method::PATCH, &path, Some(&self.image.patch())).await.context("choose the image")?;
        // New for each run, so that only this run's config drive can print it.
        let hostname =
            format!("{}-{:06x}", self.machine.spec.name, jiff::Timestamp::now().as_microsecond() & 0xff_ffff);
        let from = self.machine.console.position();
        let drive = json!({"configdrive": {
            "meta_data": {
                "uuid": self.machine.spec.uuid(),
                "name": hostname, "hostname": hostname, "local-hostname": hostname,
                "public_keys": {"lab": SSH_KEY},
            },
        }});
        self.reach(id, "active", drive, "active", figures).await?;
        self.say("active", "first boot from its disk");
        let console = &self.machine.console;
        let booted = console.wait_for(BOOTED, from, STATE_LIMIT).await.context("first boot")?;
        let boot = self.machine.boot_of(booted.number).context("a system booted that was not powered on")?;
        figures.first_boot = Some(booted.at.duration_since(boot.at));
        let want = format!("{HOSTNAME} {hostname}");
        console.wait_for(&want, boot.console_from, STATE_LIMIT).await.context("config drive")?;
        ensure!(
            !self.disks_are_zero().await?,
            "the system booted, but nothing is on its disks: the lab is wrong"
        );
        Ok(())
    }

    async fn reclaim(&self, id: &str, figures: &mut Figures) -> Result<()> {
        let before = evidence::fetch(&self.api, id).await?;
        self.reach(id, "deleted", json!({}), "available", figures).await?;
        self.say("available", "checking evidence and disks");
        let documents = evidence::fetch(&self.api, id).await?;
        let new: Vec<&Value> = documents.iter().filter(|document| !before.contains(document)).collect();
        for disk in &self.machine.spec.disks {
            let erasure = evidence::of_disk(&new, &disk.serial)?;
            let file = self.out.join(format!("{}.{}.evidence.json", self.machine.spec.name, disk.serial));
            evidence::verify(&self.agent, erasure.document, &file).await?;
            figures.methods.push(erasure.method.to_owned());
        }
        let chain = self.out.join(format!("{}.erasures.json", self.machine.spec.name));
        evidence::verify_chain(&self.api, id, &self.agent, &chain).await?;
        figures.evidence_verified = !figures.methods.is_empty();
        ensure!(self.disks_are_zero().await?, "the evidence is good but the disk is not all zero");
        Ok(())
    }

    /// Ask for a verb and wait for the state it leads to.
    async fn reach(
        &self,
        id: &str,
        verb: &str,
        extra: Value,
        state: &str,
        figures: &mut Figures,
    ) -> Result<()> {
        let before = self.api.node(id).await.with_context(|| verb.to_owned())?;
        self.api.provision(id, verb, extra).await.with_context(|| verb.to_owned())?;
        let look = |node: &Node, progress: &Value| {
            let progress = Progress::of(progress);
            self.line.show(node.state(), verb, progress);
            figures.look(&self.machine, node, progress);
        };
        self.api.wait_for(id, &before, state, look).await.with_context(|| verb.to_owned())?;
        Ok(())
    }

    fn say(&self, state: &str, doing: &str) {
        self.line.show(state, doing, Progress::default());
    }

    async fn disks_are_zero(&self) -> Result<bool> {
        for path in &self.machine.files.disks {
            if !medium::is_zero(path).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn report(&self, figures: &Figures, ok: bool) -> report::Server {
        let seconds =
            |figure: Option<Duration>| figure.map(|time| (time.as_secs_f64() * 100.0).round() / 100.0);
        let write = figures.write.map(|(first, last)| last.duration_since(first));
        report::Server {
            name: self.machine.spec.name.clone(),
            firmware: self.machine.spec.firmware.name(),
            ipxe_to_heartbeat_s: seconds(figures.ipxe_to_heartbeat),
            inspect_s: seconds(figures.inspect),
            image: report::Image {
                format: self.image.format,
                bytes: self.image.bytes.0,
                seconds: seconds(write),
            },
            first_boot_s: seconds(figures.first_boot),
            erase: report::Erase {
                method: (!figures.methods.is_empty()).then(|| figures.methods.join(", ")),
                evidence_verified: figures.evidence_verified,
            },
            ok,
        }
    }
}

impl Figures {
    /// Take from one look at the node what is measured by looking.
    fn look(&mut self, machine: &Machine, node: &Node, progress: Progress<'_>) {
        let now = Instant::now();
        if progress.step == Some("write_image") {
            let first = self.write.map_or(now, |(first, _)| first);
            self.write = Some((first, now));
        }
        let heartbeat = node.text("/driver_internal_info/agent_last_heartbeat").map(str::to_owned);
        if heartbeat.is_some() && heartbeat != self.heartbeat && self.ipxe_to_heartbeat.is_none() {
            let boot = machine.last_boot().and_then(|boot| machine.console.find(IPXE, boot.console_from));
            self.ipxe_to_heartbeat = boot.map(|ipxe| now.duration_since(ipxe.at));
        }
        self.heartbeat = heartbeat;
    }
}

/// What inspection found must be what the lab built.
fn check_inventory(answer: &Value, spec: &crate::spec::Spec) -> Result<()> {
    let inventory = answer.get("inventory").context("the answer has no inventory")?;
    let serial = spec.serial();
    for (fact, want) in [
        ("/system_vendor/manufacturer", "Dell Inc."),
        ("/system_vendor/product_name", "PowerEdge R630"),
        ("/system_vendor/serial_number", serial.as_str()),
        ("/system_vendor/firmware/version", "2.13.0"),
        ("/boot/current_boot_mode", spec.firmware.name()),
        ("/cpu/architecture", "x86_64"),
    ] {
        let found = inventory.pointer(fact).and_then(Value::as_str);
        ensure!(found == Some(want), "{fact} is {found:?}, want {want:?}");
    }
    let memory = inventory.pointer("/memory/physical_mb").and_then(Value::as_u64);
    ensure!(memory == Some(spec.memory_mib.into()), "memory is {memory:?} MiB, want {}", spec.memory_mib);
    let all = |list: &str, key: &str| -> Vec<&str> {
        let items = inventory.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(|item| item.get(key)?.as_str()).collect()
    };
    for mac in spec.macs().map(|mac| mac.to_string()) {
        let found = all("interfaces", "mac_address");
        ensure!(found.contains(&mac.as_str()), "the NIC {mac} was not found among {found:?}");
    }
    let disks = inventory.get("disks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for disk in &spec.disks {
        let is_it = |found: &&Value| found.get("serial").and_then(Value::as_str) == Some(&disk.serial);
        let found = disks.iter().find(is_it);
        let size = found.and_then(|found| found.get("size")?.as_u64());
        ensure!(
            size == Some(disk.size.0),
            "the disk {} of {} is not among {disks:?}",
            disk.serial,
            disk.size
        );
    }
    Ok(())
}
