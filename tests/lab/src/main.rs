//! `billet-lab`: the demo, the scenarios of the tests and a lab for hands, each in namespaces of its own.

use std::{io::stdout, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use lab::{
    demo::{self, Cast, DISK, Parts},
    image::Image,
    isolation,
    machine::Machine,
    redfish,
    report::Report,
    selfcheck,
    spec::{Attachment, Firmware, Spec},
};

#[derive(Parser)]
#[command(version, about = "Virtual servers behind Redfish on a wire of their own (as root)")]
struct Cli {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// The whole story on one BIOS and one UEFI server, ending with a table and <out>/report.json.
    Demo {
        #[command(flatten)]
        parts: PartArguments,
        /// A folder of images: *.qcow2, *.raw.zst, *.raw.gz, *.raw; the servers get the first two formats.
        #[arg(long, default_value = "target/images")]
        images: PathBuf,
        /// Boot the ramdisk anew for inspection, cleaning and deployment, instead of keeping the agent
        /// of the first boot (Ironic's fast track).
        #[arg(long)]
        cold: bool,
    },
    /// One story for the tests; prints the report as JSON.
    Scenario {
        /// Which.
        name: Scenario,
        #[command(flatten)]
        parts: PartArguments,
        /// The image to deploy, such as `billet-image os` makes.
        #[arg(long)]
        image: PathBuf,
        /// How its disk is attached.
        #[arg(long, value_enum, default_value_t = DiskKind::Virtio)]
        disk: DiskKind,
    },
    /// Prove the lab by itself: iPXE, boot override, reset and power, on BIOS and UEFI.
    Check {
        /// Where disks and serial logs go.
        #[arg(long, default_value = "target/lab-check")]
        out: PathBuf,
    },
    /// Servers that are off, for hands: drive their BMCs with curl, or run a billetd of your own.
    Up {
        /// Where disks and serial logs go.
        #[arg(long, default_value = "target/lab")]
        out: PathBuf,
        /// A program to run beside the servers, with its arguments; the lab ends with it.
        #[arg(last = true)]
        beside: Vec<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// The whole life of a BIOS server.
    LifeBios,
    /// The whole life of a UEFI server.
    LifeUefi,
}

#[derive(Clone, Copy, ValueEnum)]
enum DiskKind {
    Nvme,
    Virtio,
    Sata,
    Scsi,
}

#[derive(Args)]
struct PartArguments {
    /// The control plane.
    #[arg(long, env = "BILLETD", default_value = "dist/billetd")]
    billetd: PathBuf,
    /// The agent, which verifies evidence here.
    #[arg(long, env = "BILLET_AGENT", default_value = "dist/billet-agent")]
    agent: PathBuf,
    /// The folder of the ramdisk's vmlinuz and initramfs.
    #[arg(long, env = "BILLET_RAMDISK", default_value = "dist/ramdisk-vm")]
    ramdisk: PathBuf,
    /// Where the report, consoles, logs and evidence go.
    #[arg(long, default_value = "target/demo")]
    out: PathBuf,
    /// Memory of a server, in MiB.
    #[arg(long, default_value_t = 512)]
    memory: u32,
    /// One more argument for billetd; may be repeated.
    #[arg(long, allow_hyphen_values = true)]
    billetd_argument: Vec<String>,
}

impl PartArguments {
    fn parts(&self, images: PathBuf) -> Parts {
        Parts {
            billetd: self.billetd.clone(),
            agent: self.agent.clone(),
            ramdisk: self.ramdisk.clone(),
            images,
            out: self.out.clone(),
            billetd_arguments: self.billetd_argument.clone(),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = if isolation::inside() { run(cli) } else { isolation::enter() };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&mut std::io::stderr(), &format!("billet-lab: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

/// A reader that went away is no reason to panic.
fn say(to: &mut impl std::io::Write, text: &str) {
    let _ = to.write_all(text.as_bytes());
    let _ = to.flush();
}

#[tokio::main]
async fn run(cli: Cli) -> Result<u8> {
    match cli.job {
        Job::Demo { parts, images, cold } => {
            let cast = demo::demo_cast(&images, parts.memory)?;
            let mut parts = parts.parts(images);
            if !cold {
                parts.billetd_arguments.push("--fast-track".to_owned());
            }
            let report = tell(&parts, cast).await?;
            say(
                &mut stdout(),
                &format!("\n{}\n{}\n", report.table(), parts.out.join("report.json").display()),
            );
            Ok(u8::from(!report.ok))
        }
        Job::Scenario { name, parts, image, disk } => {
            let images = image.parent().context("the image is in no folder")?.to_owned();
            let cast = Cast { spec: scenario(name, disk, parts.memory), image: Image::open(&image)? };
            let report = tell(&parts.parts(images), vec![cast]).await?;
            say(&mut stdout(), &format!("{}\n", serde_json::to_string(&report)?));
            Ok(u8::from(!report.ok))
        }
        Job::Check { out } => {
            selfcheck::run(&out).await?;
            say(&mut stdout(), "the lab keeps its promises\n");
            Ok(0)
        }
        Job::Up { out, beside } => up(out, &beside).await,
    }
}

async fn tell(parts: &Parts, cast: Vec<Cast>) -> Result<Report> {
    let (report, reasons) = demo::run(parts, cast).await?;
    for reason in reasons {
        say(&mut std::io::stderr(), &format!("\n{reason}\n"));
    }
    Ok(report)
}

fn scenario(name: Scenario, disk: DiskKind, memory_mib: u32) -> Spec {
    let attachment = match disk {
        DiskKind::Nvme => Attachment::Nvme,
        DiskKind::Virtio => Attachment::Virtio,
        DiskKind::Sata => Attachment::Sata,
        DiskKind::Scsi => Attachment::Scsi,
    };
    let spec = match name {
        Scenario::LifeBios => Spec::new("life-bios", 0, Firmware::Bios),
        Scenario::LifeUefi => Spec::new("life-uefi", 1, Firmware::Uefi),
    };
    spec.memory_mib(memory_mib).disk(attachment, DISK)
}

async fn up(out: PathBuf, beside: &[String]) -> Result<u8> {
    let _dnsmasq = demo::raise(&out)?;
    let servers = [
        Spec::new("bios-0", 0, Firmware::Bios).disk(Attachment::Virtio, DISK),
        Spec::new("uefi-0", 1, Firmware::Uefi).disk(Attachment::Nvme, DISK),
    ];
    for spec in servers {
        let place = spec.place;
        let machine = Machine::build(spec, &out)?;
        let (name, mac) = (machine.spec.name.clone(), machine.spec.macs()[0]);
        redfish::serve(machine).await?;
        say(&mut stdout(), &format!("{name} {mac} http://{}/redfish/v1\n", redfish::address(place)));
    }
    say(&mut stdout(), "up\n");
    let Some((program, arguments)) = beside.split_first() else { return std::future::pending().await };
    let status = tokio::process::Command::new(program).args(arguments).status().await;
    let status = status.with_context(|| format!("run {program}"))?;
    Ok(u8::from(!status.success()))
}
