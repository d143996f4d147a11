//! Disks that others use: cluster file systems, second paths, shared namespaces.

use std::{fs::File, os::unix::fs::FileExt as _, path::Path};

use erase::{Policy, Refusal, Subject};
use model::inventory::Disk;
use serde_json::{Value, json};

use super::{Named, mapped::Mapped, scsi_debug::ScsiDebug};
use crate::bench::Bench;

pub(crate) const ROWS: &[Named] = &[
    ("cluster-file-system", cluster),
    ("two-paths", two_paths),
    ("multipath-map", multipath_map),
    ("nvme-shared", shared_namespace),
];

/// The superblock of GFS2 is here, and begins like this.
const GFS2: (u64, [u8; 4]) = (64 << 10, [0x01, 0x16, 0x19, 0x70]);

fn refusal(bench: &Bench, disk: &Disk, policy: Policy) -> Refusal {
    bench.plan(disk, policy).expect_err("something speaks against it")
}

/// GFS2 on a volume far from the start of its disk: refused, unless the policy says so.
fn cluster(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=16");
    let disk = &module.drives(bench, 1)[0];
    let volume = Mapped::volume("clustered", &format!("0 8192 linear {} 1024", disk.path()));
    let node = volume.disk(bench).path();
    let file = File::options().write(true).open(&node).expect("a volume");
    file.write_all_at(&GFS2.1, GFS2.0).expect("written");
    file.sync_all().expect("kept");
    drop(file);
    let refusal = refusal(bench, disk, Policy::FULL);
    let is_named = |signs: &[String]| signs == [format!("GFS2 ({node}, byte 65536)")];
    assert!(matches!(&refusal, Refusal::ClusterFileSystem { signs, .. } if is_named(signs)), "{refusal}");
    let forced = Policy { force_cluster: true, ..Policy::FULL };
    let _proof = bench.erase(disk, forced).expect("an erased drive");
    assert!(!volume.exists());
    assert!(Subject::read(Path::new("/"), disk).expect("a disk").cluster.is_empty());
    json!({"refusal": refusal.to_string()})
}

/// One memory behind two hosts, with one name: two disks that are one.
fn two_paths(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=16 vpd_use_hostno=0 add_host=2");
    let disks = module.drives(bench, 2);
    let refusals = disks.iter().map(|disk| refusal(bench, disk, Policy::FULL).to_string());
    let refusals: Vec<_> = refusals.collect();
    assert!(refusals[0].contains(&format!("{} has the same world wide name", disks[1].name)), "{refusals:?}");
    assert!(refusals[1].contains(&format!("{} has the same world wide name", disks[0].name)), "{refusals:?}");
    json!({"refusals": refusals})
}

/// A map that says it is multipath's: its path and it are refused.
fn multipath_map(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=16");
    let disk = &module.drives(bench, 1)[0];
    let map = Mapped::multipath("paths", &format!("0 8192 linear {} 0", disk.path()));
    let path = refusal(bench, disk, Policy::FULL);
    let whole = refusal(bench, &map.disk(bench), Policy::FULL);
    for refusal in [&path, &whole] {
        assert!(matches!(refusal, Refusal::Shared { .. }), "{refusal}");
    }
    drop(map);
    json!({"path": path.to_string(), "map": whole.to_string()})
}

/// A namespace that two controllers may have.
fn shared_namespace(bench: &Bench) -> Value {
    let disk = bench.find("a shared namespace", |disk| disk.name.starts_with("nvme"));
    let refusal = refusal(bench, &disk, Policy::FULL);
    assert!(refusal.to_string().contains("NMIC bit 0"), "{refusal}");
    let forced = Policy { force_shared: true, ..Policy::FULL };
    let _proof = bench.erase(&disk, forced).expect("an erased drive");
    json!({"refusal": refusal.to_string()})
}
