//! `/init` of the small test system: says on the console what a test wants to know.
//!
//! ```text
//! BILLET-OS-BOOTED
//! BILLET-OS-HOSTNAME <name from the config drive, or none>
//! BILLET-OS-ROOT sha256:<digest of the root partition>
//! ```
//!
//! Then it stays, or powers off if the kernel command line says `billet.poweroff`.

mod config_drive;
mod partitions;

use std::{
    fs::{self, File},
    io,
    path::Path,
    thread,
    time::Duration,
};

use image_builder::{digest, os::ROOT_NAME};

/// No news from the hardware for this long means that the disks are there.
const QUIET: Duration = Duration::from_millis(300);
/// No disk takes longer than this to appear.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// File systems that a config drive may have.
const CONFIG_DRIVE_MODULES: [&str; 2] = ["isofs", "vfat"];

fn main() {
    if !init::is_pid_1() {
        eprintln!("billet-os-init: this is the first program of a test system and does nothing elsewhere");
        std::process::exit(2);
    }
    match live() {
        Ok(()) => init::power::power_off(),
        Err(err) => init::fatal(&err.to_string(), init::RESTART_DELAY),
    }
}

/// Say everything; returns when the machine is to be powered off.
fn live() -> io::Result<()> {
    let started = init::start().map_err(|err| io::Error::other(init::chain(&err)))?;
    say("BILLET-OS-BOOTED")?;
    started.drivers.settle(QUIET, SETTLE_LIMIT);
    // Without them the hostname is `none`, which says enough.
    let _ = started.drivers.load(&CONFIG_DRIVE_MODULES);
    let partitions = partitions::all(Path::new("/sys/class/block"))?;
    let hostname = config_drive::hostname(&partitions);
    say(&format!("BILLET-OS-HOSTNAME {}", hostname.as_deref().unwrap_or("none")))?;
    let root = partitions.iter().find(|partition| partition.name == ROOT_NAME);
    let root = root.ok_or_else(|| io::Error::other(format!("no partition is named {ROOT_NAME}")))?;
    say(&format!("BILLET-OS-ROOT sha256:{}", digest::of_reader(&mut File::open(&root.device)?)?))?;
    if fs::read_to_string("/proc/cmdline")?.split_whitespace().any(|word| word == "billet.poweroff") {
        return Ok(());
    }
    loop {
        thread::park();
    }
}

/// One line, past the kernel's own messages: the console is the only way out.
fn say(line: &str) -> io::Result<()> {
    fs::write("/dev/console", format!("\r\n{line}\r\n"))
}
