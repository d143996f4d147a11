//! `log.collect_system_logs`: everything that helps to understand this boot,
//! and no secret.

use std::{
    fs, io,
    io::Read,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{RingLog, archive::Archive, kernel};

/// Facts that are files already.
const FILES: &[(&str, &str)] = &[
    ("mount", "/proc/mounts"),
    ("mdstat", "/proc/mdstat"),
    ("partitions", "/proc/partitions"),
    ("modules", "/proc/modules"),
    ("interrupts", "/proc/interrupts"),
    ("meminfo", "/proc/meminfo"),
    ("net_dev", "/proc/net/dev"),
    ("resolv.conf", "/etc/resolv.conf"),
];

/// How much of each is taken.
const MAX_FILE: u64 = 1 << 20;

/// What the caller knows besides.
pub(crate) struct Collected {
    /// The inventory, as JSON.
    pub(crate) inventory: Vec<u8>,
    /// The commands so far, without their arguments.
    pub(crate) commands: Vec<u8>,
}

/// base64 of a tar.gz.
///
/// # Errors
/// Only when memory ends.
pub(crate) fn collect(ring: &RingLog, collected: &Collected) -> io::Result<String> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut archive = Archive::new(now_s);
    archive.add("billet-agent.log", &ring.text())?;
    archive.add("dmesg", &kernel::log())?;
    archive.add("inventory.json", &collected.inventory)?;
    archive.add("commands.json", &collected.commands)?;
    for (name, path) in FILES {
        archive.add(name, &file(path))?;
    }
    archive.into_base64()
}

/// What is in the file, or why it cannot be told.
fn file(path: &str) -> Vec<u8> {
    let mut content = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut content)) {
        Ok(_) => content,
        Err(err) => format!("{path} cannot be read: {err}\n").into_bytes(),
    }
}
