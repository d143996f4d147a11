//! A run: the lab raised, billetd started, every server's story told at once, the report written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use model::Bytes;
use tokio::task::JoinSet;

use crate::{
    billetd,
    image::Image,
    isolation,
    life::Story,
    machine::Machine,
    network, redfish,
    report::{Report, Server},
    show::Board,
    spec::{Attachment, Firmware, Spec},
};

/// The smallest disk that Ironic's default rule takes for the root device.
pub const DISK: Bytes = Bytes(4 << 30);

/// What a run is made with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// `billetd`.
    pub billetd: PathBuf,
    /// `billet-agent`, for this host: it verifies evidence.
    pub agent: PathBuf,
    /// A folder with the ramdisk's `vmlinuz` and `initramfs`.
    pub ramdisk: PathBuf,
    /// A folder of images.
    pub images: PathBuf,
    /// Where everything that a run leaves goes.
    pub out: PathBuf,
    /// More arguments for billetd.
    pub billetd_arguments: Vec<String>,
}

/// A server and the image it gets.
pub struct Cast {
    /// The server.
    pub spec: Spec,
    /// What is deployed on it.
    pub image: Image,
}

/// The demo's two servers: BIOS with a virtio disk and UEFI with an NVMe disk, each with another image
/// format when there are two.
///
/// # Errors
/// When there is no image.
pub fn demo_cast(images: &Path, memory_mib: u32) -> Result<Vec<Cast>> {
    let images = Image::all_in(images)?;
    let (first, other) =
        (images.first().context("no image")?, images.get(1).or(images.first()).context("no image")?);
    let bios = Spec::new("bios-0", 0, Firmware::Bios).memory_mib(memory_mib).disk(Attachment::Virtio, DISK);
    let uefi = Spec::new("uefi-0", 1, Firmware::Uefi).memory_mib(memory_mib).disk(Attachment::Nvme, DISK);
    Ok(vec![Cast { spec: bios, image: first.clone() }, Cast { spec: uefi, image: other.clone() }])
}

/// Raise the lab's network and its DHCP; the child is dnsmasq.
///
/// # Errors
/// When not inside the lab's namespace, or a program is missing.
pub fn raise(out: &Path) -> Result<tokio::process::Child> {
    fs::create_dir_all(out).with_context(|| format!("make the folder {}", out.display()))?;
    isolation::mount_run()?;
    network::raise()?;
    network::start_dnsmasq(&out.join("dnsmasq.log"))
}

/// Tell every story, at once, and report. The reasons of false ones are beside it.
///
/// # Errors
/// When the lab itself cannot be raised.
pub async fn run(parts: &Parts, cast: Vec<Cast>) -> Result<(Report, Vec<String>)> {
    check(parts)?;
    let mut dnsmasq = raise(&parts.out)?;
    let settings = billetd::Settings {
        program: parts.billetd.clone(),
        ramdisk: parts.ramdisk.clone(),
        images: parts.images.clone(),
        out: parts.out.clone(),
        extra: parts.billetd_arguments.clone(),
    };
    let (mut billetd, api) = billetd::start(&settings).await?;
    let board = Board::new();
    let mut stories = JoinSet::new();
    for (place, Cast { spec, image }) in cast.into_iter().enumerate() {
        let line = board.line(&spec.name);
        let machine = Machine::build(spec, &parts.out)?;
        redfish::serve(machine.clone()).await?;
        let (api, agent, out) = (api.clone(), parts.agent.clone(), parts.out.clone());
        let story = Story { machine: machine.clone(), api, image, agent, out, line };
        stories.spawn(async move {
            let told = story.tell().await;
            machine.force_off().await;
            machine.discard_disks();
            (place, told)
        });
    }
    let told = collect(stories).await;
    for child in [&mut billetd, &mut dnsmasq] {
        let _ = child.kill().await; // the namespace's end would kill it too
    }
    let report = Report::new(told.servers);
    write(&report, &parts.out)?;
    Ok((report, told.reasons))
}

struct Told {
    servers: Vec<Server>,
    reasons: Vec<String>,
}

type OneTold = (usize, (Server, Option<anyhow::Error>));

/// In the cast's order, whoever ends first. A story that panics is a bug of the lab's.
async fn collect(mut stories: JoinSet<OneTold>) -> Told {
    let mut all = Vec::new();
    let mut reasons = Vec::new();
    while let Some(joined) = stories.join_next().await {
        match joined {
            Ok(one) => all.push(one),
            Err(error) => reasons.push(format!("the lab failed: {error}")),
        }
    }
    all.sort_by_key(|(place, _)| *place);
    let mut servers = Vec::new();
    for (_, (server, error)) in all {
        reasons.extend(error.map(|error| format!("{}: {error:#}", server.name)));
        servers.push(server);
    }
    Told { servers, reasons }
}

/// Say at once what is missing: a server that finds no kernel says so only after minutes.
fn check(parts: &Parts) -> Result<()> {
    let needed =
        [&parts.billetd, &parts.agent, &parts.ramdisk.join("vmlinuz"), &parts.ramdisk.join("initramfs")];
    for path in needed {
        ensure!(path.is_file(), "{} is missing; `make dist` makes it", path.display());
    }
    Ok(())
}

fn write(report: &Report, out: &Path) -> Result<()> {
    let path = out.join("report.json");
    let text = serde_json::to_string(report).context("encode the report")?;
    fs::write(&path, text + "\n").with_context(|| format!("write {}", path.display()))
}
