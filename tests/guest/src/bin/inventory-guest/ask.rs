//! What udev and the agent say of this guest.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use guest::{inside::Named, programs};
use init::Params;
use serde_json::{Value, json};

pub(crate) const ROWS: &[Named<Params>] = &[
    ("udev", udev),
    ("inventory", inventory),
    ("neighbour", neighbour),
    ("record", record),
    ("replay", replay),
];

/// Where a recording is kept in the guest.
const RECORDING: &str = "/tmp/recording";

/// udev's database, after it has looked at every device by its rules.
fn udev(_: &Params) -> Value {
    let daemon = Command::new("/usr/bin/systemd-udevd").arg("--daemon").status();
    // PID 1 may have reaped it: then its status is unknown, and the trigger tells.
    if let Ok(status) = daemon {
        assert!(status.success(), "systemd-udevd: {status}");
    }
    for subsystem in ["--subsystem-match=block", "--subsystem-match=net"] {
        // Not --settle, which waits for the hidden paths of NVMe's multipath: nobody announces those.
        programs::run("udevadm", &["trigger", "--action=add", subsystem]);
    }
    programs::run("udevadm", &["settle", "--timeout=60"]);
    let database = String::from_utf8_lossy(&programs::run("udevadm", &["info", "--export-db"])).into_owned();
    let blocks = database.split("\n\n").filter(|device| device.contains("E: SUBSYSTEM=block"));
    json!(blocks.map(properties).collect::<Vec<_>>())
}

/// `E: ID_WWN=0x5000` of one device.
fn properties(device: &str) -> BTreeMap<&str, &str> {
    device.lines().filter_map(|line| line.strip_prefix("E: ")?.split_once('=')).collect()
}

fn inventory(_: &Params) -> Value {
    agent(&["inventory", "--format", "json"])
}

/// With what switches say within some seconds.
fn neighbour(_: &Params) -> Value {
    agent(&["inventory", "--format", "json", "--lldp", "20"])
}

/// A recording as people give it away, its files by name.
fn record(_: &Params) -> Value {
    agent(&["record", "--json", RECORDING]);
    json!(files(Path::new(RECORDING)))
}

/// The same machine, from a recording that keeps everything, and from one to give away.
fn replay(_: &Params) -> Value {
    agent(&["record", "--json", "--keep-identifiers", "/tmp/kept"]);
    agent(&["record", "--json", "/tmp/given"]);
    let of = |folder| agent(&["inventory", "--format", "json", "--root", folder]);
    json!({"kept": of("/tmp/kept"), "given": of("/tmp/given")})
}

fn agent(arguments: &[&str]) -> Value {
    let output = programs::run("billet-agent", arguments);
    serde_json::from_slice(&output).expect("the agent writes JSON")
}

/// The text files below `folder`.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").display().to_string();
                found.insert(name, fs::read_to_string(&path).expect("text"));
            }
        }
    }
    found
}
