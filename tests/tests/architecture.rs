//! Bytes, commands and facts travel one way: each crate may use only what this
//! table lists. Changing the table is a decision; write down why (`docs/adr/`).

use std::{collections::BTreeSet, path::Path, process::Command};

const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("sys", &[]),
    ("wire", &["model"]),
    ("evidence", &["model"]),
    ("disk", &["model", "sys"]),
    ("efi", &["sys"]),
    ("init", &["model", "sys"]),
    ("network", &["model", "sys"]),
    ("inventory", &["model", "disk", "efi", "sys"]),
    ("image", &["model", "disk"]),
    ("fetch", &["model", "image"]),
    ("erase", &["model", "disk", "sys"]),
    ("bmc", &["model"]),
    (
        "agent",
        &[
            "model",
            "wire",
            "sys",
            "evidence",
            "disk",
            "efi",
            "init",
            "network",
            "inventory",
            "image",
            "fetch",
            "erase",
        ],
    ),
    ("control-plane", &["model", "wire", "evidence", "bmc"]),
    ("image-builder", &["model", "init", "disk", "image"]),
    ("hardware-fixtures", &[]),
    ("lab", &["model", "wire", "evidence"]),
    ("bad-server", &[]),
    ("fake-nvme", &[]),
    ("fake-sas", &["sys"]),
    ("bench", &["model", "disk"]),
    ("guest", &["model", "disk", "init", "inventory", "erase", "fake-sas", "image-builder"]),
    ("fuzz", &["model", "disk", "image", "fetch", "init", "inventory", "wire", "hardware-fixtures"]),
    ("tests", &["model", "wire", "evidence", "lab"]),
];

/// Only these may know an async runtime or HTTP.
const MAY_WAIT: &[&str] = &["network", "bmc", "fetch", "agent", "control-plane", "lab", "tests"];

fn packages() -> Vec<serde_json::Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    metadata["packages"].as_array().expect("a list").clone()
}

/// What `package` links, tests aside.
fn uses(package: &serde_json::Value) -> Vec<&str> {
    let dependencies = package["dependencies"].as_array().expect("a list");
    dependencies
        .iter()
        .filter(|dependency| dependency["kind"] != "dev")
        .map(|dependency| dependency["name"].as_str().expect("named"))
        .collect()
}

#[test]
fn crates_use_only_what_lies_below_them() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    for package in &packages {
        let name = package["name"].as_str().expect("named");
        let (_, allowed) =
            MAY_USE.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} has no layer"));
        for used in uses(package) {
            assert!(!ours.contains(used) || allowed.contains(&used), "{name} may not use {used}");
        }
    }
}

#[test]
fn only_the_edge_waits() {
    for package in &packages() {
        let name = package["name"].as_str().expect("named");
        for used in uses(package) {
            let waits = ["tokio", "reqwest", "axum"].contains(&used);
            assert!(!waits || MAY_WAIT.contains(&name), "{name} may not use {used}: it must be synchronous");
        }
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for package in &packages() {
        let name = package["name"].as_str().expect("named");
        let manifest = package["manifest_path"].as_str().expect("a path");
        let text = std::fs::read_to_string(Path::new(manifest)).expect("a manifest");
        let inherits = text.contains("[lints]\nworkspace = true");
        let states_its_own = name == "sys" && text.contains("unsafe_code = \"deny\"");
        assert!(inherits || states_its_own, "{name} lacks [lints] workspace = true");
    }
}
