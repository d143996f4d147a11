//! How much memory a manifest takes that is not ours. A program of its own, so
//! that nothing else is in its peak.

use std::fs;

use image::manifest::{LONGEST_DOCUMENT, Manifest, ManifestError};

/// The most memory that this process ever had, in KiB: `VmHWM` of proc(5).
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[test]
fn what_another_version_has_is_skipped_and_not_kept() {
    let list = "0,".repeat((LONGEST_DOCUMENT - 100) / 2);
    let document = format!("{{\"billet_manifest\":2,\"new\":[{list}0]}}");
    let before = peak();
    let found = Manifest::parse(document.as_bytes()).expect_err("another version");
    assert!(matches!(found, ManifestError::Version { found: 2 }), "{found}");
    let more = peak() - before;
    assert!(more < 16 << 10, "{more} KiB");
}
