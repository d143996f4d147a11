//! Disks that something speaks against: layers upon them, other owners, cluster
//! file systems, zones.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

use disk::Device;
use erase::{Policy, Refusal, Subject};
use model::inventory::Disk;
use serde_json::{Value, json};

use super::{Named, scsi_debug::ScsiDebug};
use crate::{
    bench::{Bench, plant, survivors, wait_for},
    modules, programs,
};

pub(crate) const ROWS: &[Named] = &[
    ("layers", layers),
    ("cluster-file-system", cluster),
    ("two-paths", two_paths),
    ("multipath-map", multipath_map),
    ("nvme-shared", shared_namespace),
    ("host-managed", host_managed),
];

/// The superblock of GFS2 is here, and begins like this.
const GFS2: (u64, [u8; 4]) = (64 << 10, [0x01, 0x16, 0x19, 0x70]);

fn subject(disk: &Disk) -> Subject {
    Subject::read(Path::new("/"), disk).expect("a disk that can be looked at")
}

fn refusal(bench: &Bench, disk: &Disk, policy: Policy) -> Refusal {
    bench.plan(disk, policy).expect_err("something speaks against it")
}

/// Two disks as a RAID 1 array, made without mdadm and without a superblock
/// (Documentation/admin-guide/md.rst, "Creating arrays through sysfs").
fn array(disks: &[Disk]) {
    modules::load("md_mod", "");
    modules::load("raid1", "");
    fs::write("/sys/module/md_mod/parameters/new_array", "md_test").expect("md makes an array");
    let set = |name: &str, value: &str| {
        let path = format!("/sys/block/md_test/md/{name}");
        fs::write(&path, value).unwrap_or_else(|err| panic!("{path} = {value}: {err}"));
    };
    set("metadata_version", "none");
    set("level", "raid1");
    set("raid_disks", "2");
    let sectors = disks[0].size.0 / 512;
    set("component_size", &(sectors / 2).to_string());
    for (slot, disk) in disks.iter().enumerate() {
        let number = fs::read_to_string(format!("/sys/block/{}/dev", disk.name)).expect("a number");
        set("new_dev", number.trim());
        set(&format!("dev-{}/slot", disk.name), &slot.to_string());
    }
    set("array_state", "active");
}

fn volume(name: &str, below: &str, sectors: u64) -> String {
    modules::load("dm_mod", "");
    programs::run("dmsetup", &["create", name, "--table", &format!("0 {sectors} linear {below} 0")]);
    mapped(name)
}

/// The kernel's name of the volume `name`.
fn mapped(name: &str) -> String {
    let is_this =
        |folder: &Path| fs::read_to_string(folder.join("dm/name")).is_ok_and(|text| text.trim() == name);
    let mut folders = fs::read_dir("/sys/block").expect("sysfs").flatten().map(|entry| entry.path());
    let folder = folders.find(|folder| is_this(folder)).expect("a mapped device");
    folder.file_name().expect("a name").to_string_lossy().into_owned()
}

/// A volume on a volume on an array over two disks: stopped from the top, not
/// while somebody has the top open, and both disks are erased.
fn layers(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=16 per_host_store=1 add_host=2");
    let disks = module.drives(bench, 2);
    disks.iter().for_each(plant);
    array(&disks);
    let lower = volume("lower", "/dev/md_test", 8192);
    let upper = volume("upper", &format!("/dev/{lower}"), 4096);
    let stack = [upper.as_str(), lower.as_str(), "md_test"];
    assert_eq!(subject(&disks[0]).stack, stack);
    let planned = bench.plan(&disks[0], Policy::FULL).expect("layers are no reason against it");
    let open = File::open(format!("/dev/{upper}")).expect("a volume");
    let held = planned.release().expect_err("somebody has the volume open");
    drop(open);
    assert_eq!(subject(&disks[1]).stack, stack, "nothing was stopped");
    planned.release().expect("stopped");
    // The other disk's plan finds that it is free already.
    bench.plan(&disks[1], Policy::FULL).expect("a free disk").release().expect("free");
    for disk in &disks {
        assert_eq!(subject(disk).stack, [""; 0]);
        let _proof = bench.erase(disk, Policy::FULL).expect("an erased drive");
        assert!(survivors(disk).is_none(), "{:?}", survivors(disk));
    }
    json!({"stopped": stack, "held": init::chain(&held)})
}

/// GFS2 on a volume, far from the start of its disk: refused, unless the policy says so.
fn cluster(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=16");
    let disk = &module.drives(bench, 1)[0];
    let above = volume("clustered", &disk.path(), 8192);
    let file = File::options().write(true).open(format!("/dev/{above}")).expect("a volume");
    file.write_all_at(&GFS2.1, GFS2.0).expect("written");
    file.sync_all().expect("kept");
    drop(file);
    let refusal = refusal(bench, disk, Policy::FULL);
    assert!(matches!(&refusal, Refusal::ClusterFileSystem { signs, .. } if signs.len() == 2), "{refusal}");
    let forced = Policy { force_cluster: true, ..Policy::FULL };
    let plan = bench.plan(disk, forced).expect("forced");
    plan.release().expect("stopped");
    Device::open(disk.path()).expect("free");
    let _proof = bench.erase(disk, forced).expect("an erased drive");
    assert!(subject(disk).cluster.is_empty());
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
    modules::load("dm_mod", "");
    let table = format!("0 8192 linear {} 0", disk.path());
    programs::run("dmsetup", &["create", "paths", "--uuid", "mpath-3600", "--table", &table]);
    let path = refusal(bench, disk, Policy::FULL);
    let map = bench.disk_at(Path::new("/dev").join(mapped("paths")).as_path());
    let whole = refusal(bench, &map, Policy::FULL);
    for refusal in [&path, &whole] {
        assert!(matches!(refusal, Refusal::Shared { .. }), "{refusal}");
    }
    programs::run("dmsetup", &["remove", "paths"]);
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

/// Zones that take writes in order only.
fn host_managed(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=64 zbc=host-managed zone_size_mb=8 zone_nr_conv=1");
    let disk = wait_for("the zoned drive", || module.drives(bench, 1).pop());
    let refusal = refusal(bench, &disk, Policy::FULL);
    assert!(matches!(refusal, Refusal::HostManaged { .. }), "{refusal}");
    json!({"refusal": refusal.to_string()})
}
