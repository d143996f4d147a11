//! `billet-lab`: the demo and the scenarios, each in namespaces of its own.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "Virtual servers behind Redfish on a wire of their own")]
struct Cli {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Raise the lab with servers that are off, and wait; drive them with curl. For hands.
    Up {
        /// Where disks and serial logs go.
        #[arg(long, default_value = "target/lab")]
        out: PathBuf,
        /// A folder to serve on port 6385; its boot.ipxe is what iPXE runs.
        #[arg(long)]
        serve: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = if lab::isolation::inside() { run(cli) } else { lab::isolation::enter() };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("billet-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(cli: Cli) -> Result<u8> {
    match cli.job {
        Job::Up { out, serve } => up(out, serve).await,
    }
}
async fn up(out: PathBuf, serve: Option<PathBuf>) -> Result<u8> {
    use lab::spec::*;
    std::fs::create_dir_all(&out)?;
    lab::isolation::mount_run()?;
    lab::network::raise()?;
    let _d = lab::network::start_dnsmasq(&out.join("dnsmasq.log"))?;
    let a = lab::machine::Machine::build(Spec::new("bios-0", 0, Firmware::Bios).disk(Attachment::Virtio, model::Bytes(4 << 30)), &out)?;
    let b = lab::machine::Machine::build(Spec::new("uefi-0", 1, Firmware::Uefi).disk(Attachment::Nvme, model::Bytes(4 << 30)), &out)?;
    lab::redfish::serve(a).await?;
    lab::redfish::serve(b).await?;
    if let Some(folder) = serve { 
        let mut child = tokio::process::Command::new("python3").args(["-m", "http.server", "6385", "-d"]).arg(folder).spawn()?;
        child.wait().await.context("x")?;
    }
    std::future::pending().await
}
