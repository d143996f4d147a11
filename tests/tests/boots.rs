//! Two whole lives in virtual servers, with the real programs: iPXE, inspection,
//! cleaning, an image with a config drive, its first boot, reclaim, signed
//! erasure. `make dist` builds the programs; the lab's report is the judge.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use tests::programs::program;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the checkout")
}

/// One build at a time: they share a cache.
static BUILDING: Mutex<()> = Mutex::new(());

/// The test system in `format`.
fn image(format: &str) -> PathBuf {
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let out = root().join(format!("target/test-os-{format}"));
    let builder = root().join("target/x86_64-unknown-linux-gnu/release/billet-image");
    let status = Command::new(builder)
        .current_dir(root())
        .args(["os", "--format", format, "--out"])
        .arg(out.join("os.raw"))
        .status()
        .expect("billet-image runs: `make dist` builds it");
    assert!(status.success(), "billet-image os: {status}");
    out.join(format!("os.{format}"))
}

fn live(scenario: &str, ramdisk: &str, disk: &str, format: &str) {
    if !am_root() {
        eprintln!("SKIPPED: {scenario} needs root for its namespaces; nothing was tested");
        return;
    }
    let out = root().join("target").join(format!("test-{scenario}"));
    let lab = root().join("target/x86_64-unknown-linux-gnu/release/billet-lab");
    let done = Command::new(lab)
        .current_dir(root())
        .args(["scenario", scenario, "--disk", disk, "--image"])
        .arg(image(format))
        .arg("--billetd")
        .arg(program("billetd"))
        .arg("--agent")
        .arg(program("billet-agent"))
        .arg("--ramdisk")
        .arg(root().join("dist").join(ramdisk))
        .arg("--out")
        .arg(&out)
        .output()
        .expect("billet-lab runs: `make dist` builds it");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{scenario}: {}\n{said}\nconsoles and logs: {}",
        done.status,
        out.display()
    );
    let report: Value = serde_json::from_slice(&done.stdout).expect("a JSON report");
    let server = &report["servers"][0];
    for fact in ["/ok", "/erase/evidence_verified"] {
        assert_eq!(server.pointer(fact), Some(&Value::Bool(true)), "{fact} in {report:#}");
    }
    assert!(server["first_boot_s"].is_number(), "the deployed system did not boot: {report:#}");
}

fn am_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}

#[test]
fn a_bios_server_lives_its_whole_life() {
    live("life-bios", "ramdisk-vm", "virtio", "qcow2");
}

#[test]
fn a_uefi_server_lives_its_whole_life() {
    live("life-uefi", "ramdisk", "nvme", "raw.zst");
}
