//! The lab's own promises, kept by the real program: what it says it does, and that it leaves nothing.

#![allow(clippy::unwrap_used, reason = "a test says what it wants by unwrapping it")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const LAB: &str = env!("CARGO_BIN_EXE_billet-lab");
/// How long the kernel may take to end every process of a namespace.
const DEATH_LIMIT: Duration = Duration::from_secs(10);

/// The lab makes network devices, so it needs root; without it nothing is tested, and that is said.
fn root() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !root {
        eprintln!("NOT TESTED: the lab needs root");
    }
    root
}

fn network_namespace(process: &Path) -> Option<PathBuf> {
    fs::read_link(process.join("ns/net")).ok()
}

/// Every living process outside our own network namespace whose namespace is `namespace`.
fn members(namespace: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    processes.filter(|process| network_namespace(process).as_deref() == Some(namespace)).collect()
}

/// A process that holds `word` in its command line and lives in another network namespace.
fn namespace_of(word: &str) -> Option<PathBuf> {
    let own = network_namespace(Path::new("/proc/self"));
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    processes
        .filter(|process| {
            fs::read(process.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
        })
        .filter_map(|process| network_namespace(&process))
        .find(|namespace| Some(namespace) != own.as_ref())
}

fn up(out: &Path) -> Child {
    let mut lab = Command::new(LAB)
        .args(["up", "--out"])
        .arg(out)
        .args(["--", "sleep", "3600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(lab.stdout.take().unwrap());
    let up = said.lines().map_while(Result::ok).any(|line| line == "up");
    assert!(up, "the lab ended before it was up");
    lab
}

#[test]
fn a_lab_killed_with_signal_9_leaves_no_process_and_no_network() {
    if !root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut lab = up(folder.path());
    let namespace = namespace_of(&folder.path().display().to_string()).unwrap();
    assert!(members(&namespace).len() >= 3, "billet-lab, dnsmasq and sleep live in it");
    lab.kill().unwrap();
    lab.wait().unwrap();
    let deadline = Instant::now() + DEATH_LIMIT;
    while !members(&namespace).is_empty() {
        assert!(Instant::now() < deadline, "still alive: {:?}", members(&namespace));
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn power_reset_and_boot_override_are_what_the_bmc_says_on_bios_and_uefi() {
    if !root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(LAB).args(["check", "--out"]).arg(folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
