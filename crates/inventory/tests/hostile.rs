//! Trees that are large, that loop, that lead out of themselves, or that wait
//! forever: read in bounded time, and with a warning.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use inventory::{Options, Root, scan};
use model::inventory::Inventory;

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("below root")).expect("temporary directory");
    fs::write(path, content).expect("temporary file");
}

/// One disk, as lines of a recording.
fn disk(name: &str, number: u32) -> String {
    let device = format!("sys/devices/virtual/block/{name}");
    format!(
        "sys/block/{name} -> ../devices/virtual/block/{name}\n{device}/size = 20971520\n{device}/dev = 8:{number}\n\
         {device}/ro = 0\n{device}/removable = 0\n{device}/queue/logical_block_size = 512\n\
         {device}/queue/physical_block_size = 512\n{device}/queue/rotational = 0\n{device}/serial = ALL THE SAME\n"
    )
}

/// One processor: cores of two threads, sockets of 256.
fn cpu(number: u32) -> String {
    let topology = format!("sys/devices/system/cpu/cpu{number}/topology");
    let (socket, core) = (number / 256 * 256, number / 2 * 2);
    format!(
        "{topology}/package_cpus_list = {socket}-{}\n{topology}/core_cpus_list = {core}-{}\n{topology}/core_id = {}\n",
        socket + 255,
        core + 1,
        core / 2 % 128
    )
}

fn warned(inventory: &Inventory, path: &str, reason: &str) -> bool {
    inventory.warnings.iter().any(|warning| warning.path.contains(path) && warning.reason.contains(reason))
}

#[test]
fn five_hundred_disks_and_four_thousand_cpus_are_counted() {
    let root = tempfile::tempdir().expect("temporary directory");
    let disks = (0..500).map(|number| disk(&format!("sd{number}"), number));
    let present = "sys/devices/system/cpu/present = 0-4095\n".to_owned();
    let listing: String = disks.chain([present]).chain((0..4096).map(cpu)).collect();
    write(root.path(), "sysfs.txt", listing);
    let root = Root::open(root.path()).expect("a recording");
    let start = Instant::now();
    let inventory = scan(&root, &Options::default());
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
    assert_eq!(inventory.disks.len(), 500);
    assert_eq!((inventory.cpu.sockets, inventory.cpu.cores, inventory.cpu.threads), (16, 2048, 4096));
    let numbers: Vec<_> = inventory.disks.iter().map(|disk| disk.name.clone()).collect();
    assert_eq!((numbers[2].as_str(), numbers[499].as_str()), ("sd2", "sd499"), "by device number");
}

#[test]
fn a_link_never_leads_out_of_the_tree() {
    let outside = tempfile::tempdir().expect("temporary directory");
    write(outside.path(), "hostname", "secret of the host");
    let root = tempfile::tempdir().expect("temporary directory");
    fs::create_dir_all(root.path().join("proc/sys/kernel")).expect("temporary directory");
    symlink(outside.path().join("hostname"), root.path().join("proc/sys/kernel/hostname")).expect("a link");
    fs::create_dir_all(root.path().join("sys/class/dmi")).expect("temporary directory");
    symlink(
        "../../../../../../../../..".to_owned() + outside.path().to_str().expect("UTF-8"),
        root.path().join("sys/class/dmi/id"),
    )
    .expect("a link");
    write(outside.path(), "sys_vendor", "secret of the host");
    let inventory = scan(&Root::at(root.path()), &Options::default());
    assert_eq!(inventory.hostname, "(none)");
    assert_eq!(inventory.system_vendor.manufacturer, None);
}

#[test]
fn a_pipe_and_an_endless_file_are_warnings() {
    let root = tempfile::tempdir().expect("temporary directory");
    fs::create_dir_all(root.path().join("proc")).expect("temporary directory");
    let made =
        std::process::Command::new("mkfifo").arg(root.path().join("proc/meminfo")).status().expect("mkfifo");
    assert!(made.success());
    write(root.path(), "sys/class/dmi/id/sys_vendor", vec![b'A'; 1 << 20]);
    write(root.path(), "proc/cpuinfo", "model name : X\n".repeat(1 << 16));
    let inventory = scan(&Root::at(root.path()), &Options::default());
    assert!(warned(&inventory, "proc/meminfo", "is not a file"), "{:?}", inventory.warnings);
    assert!(warned(&inventory, "sys_vendor", "longer than"), "{:?}", inventory.warnings);
    assert_eq!(inventory.cpu.model_name.as_deref(), Some("X"), "the beginning of cpuinfo is enough");
}

#[test]
fn links_that_lead_ever_deeper_are_a_warning() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = root.path().join("sys/class/dmi/id");
    fs::create_dir_all(&dir).expect("temporary directory");
    // Each waits for the next with two thousand folders of its own.
    for nth in 0..50 {
        let target = format!("link{}{}", nth + 1, "/d".repeat(1800));
        symlink(target, dir.join(format!("link{nth}"))).expect("a link");
    }
    symlink("link0", dir.join("sys_vendor")).expect("a link");
    let inventory = scan(&Root::at(root.path()), &Options::default());
    assert!(warned(&inventory, "sys_vendor", "deep"), "{:?}", inventory.warnings);
}

#[test]
fn an_empty_tree_is_an_empty_machine() {
    let root = tempfile::tempdir().expect("temporary directory");
    let inventory = scan(&Root::at(root.path()), &Options::default());
    assert!(inventory.disks.is_empty() && inventory.nics.is_empty() && inventory.cpu.threads == 0);
    assert!(warned(&inventory, "proc/meminfo", "missing") && warned(&inventory, "proc/cpuinfo", "missing"));
}

#[test]
fn a_recording_that_is_none_is_refused() {
    let root = tempfile::tempdir().expect("temporary directory");
    write(root.path(), "sysfs.txt", "sys/block/sda is a disk\n");
    let err = Root::open(root.path()).expect_err("refused");
    assert!(err.to_string().contains("billet-agent record"), "{err}");
    // Nor does one that never ends keep anybody waiting.
    fs::remove_file(root.path().join("sysfs.txt")).expect("written");
    symlink("/dev/zero", root.path().join("sysfs.txt")).expect("a link");
    assert!(Root::open(root.path()).is_err());
}

#[test]
fn the_machine_this_runs_on_is_read() {
    let inventory = scan(&Root::live(), &Options::default());
    assert!(inventory.cpu.threads > 0 && inventory.memory.total.is_some(), "{inventory:?}");
    assert_eq!(inventory.cpu.architecture.as_deref(), Some(std::env::consts::ARCH));
}

#[test]
fn a_disk_that_cannot_be_described_is_left_out_by_name() {
    let (good, odd, dead) = (disk("sda", 0), disk("sdb", 16), disk("sdc", 32));
    let empty =
        disk("sdd", 48).replace("size = 20971520", "size = 0").replace("removable = 0", "removable = 1");
    let virtual_ = disk("nbd0", 64).replace("size = 20971520", "size = 0");
    let odd = odd.replace("logical_block_size = 512", "logical_block_size = 520");
    let dead =
        dead.replace("size = 20971520", "size = 0") + "sys/devices/virtual/block/sdc/device/state = x\n";
    let root = tempfile::tempdir().expect("temporary directory");
    write(root.path(), "sysfs.txt", good + &odd + &dead + &empty + &virtual_);
    let root = Root::open(root.path()).expect("a recording");
    let inventory = scan(&root, &Options::default());
    assert_eq!(inventory.disks.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>(), ["sda"]);
    assert_eq!(inventory::left_out(&root, &Options::default(), &inventory), ["/dev/sdb", "/dev/sdc"]);
    let only = Options { only_disks: vec!["/dev/sda".into(), "/dev/gone".into()], ..Options::default() };
    assert_eq!(inventory::left_out(&root, &only, &scan(&root, &only)), ["/dev/gone"]);
}
