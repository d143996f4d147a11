//! Machines of every shape that QEMU can be boot with the drivers of the ramdisk for
//! real servers, and the agent tells what QEMU was told and what udev says.
//!
//! `BILLET_RECORD=1` writes what `billet-agent record` made of each to
//! `hardware-fixtures/machines`; then `BLESS=1` for the goldens beside it.

mod hardware;
mod neighbour;
mod shapes;
mod smbios;
mod told;
mod udev;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use guest::{boot::Boot, debian, report::Row};
use serde_json::Value;

use hardware::Hardware;
use neighbour::Switch;
use shapes::{EVERY_TIME, LARGEST, SHAPES, Shape};
use smbios::Board;

/// Programs of this machine that rows run.
const PROGRAMS: [&str; 2] = ["/usr/sbin/ip", "/usr/sbin/dmsetup"];
/// When set, every shape is booted: some ten minutes.
const ALL: &str = "BILLET_ALL_SHAPES";
/// How long the largest may take.
const LARGEST_LIMIT: Duration = Duration::from_secs(900);
/// Memory of a guest that was told nothing else.
const MEMORY_MIB: u32 = 384;

static BOOT: LazyLock<Boot> = LazyLock::new(|| {
    let mut files = vec![("usr/bin/billet-agent".to_owned(), agent())];
    files.extend(debian::udev());
    files.extend(debian::mdadm());
    Boot::full(Path::new(env!("CARGO_BIN_EXE_inventory-guest")), &PROGRAMS.map(Path::new), &files)
});

/// The agent that `make dist` built; `BILLET_DIST` may name another folder.
fn agent() -> PathBuf {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist");
    let path = std::env::var_os("BILLET_DIST").map_or(dist, PathBuf::from).join("billet-agent");
    assert!(path.is_file(), "{} is missing: run `make dist` first", path.display());
    path
}

/// Whether machines are recorded anew.
pub(crate) fn records() -> bool {
    std::env::var_os("BILLET_RECORD").is_some()
}

/// Boot the shape called `name`, and compare.
fn boot(name: &str) {
    if !EVERY_TIME.contains(&name) && std::env::var_os(ALL).is_none() {
        eprintln!("SKIPPED: {name} is not booted every time; set {ALL}");
        return;
    }
    let shape = SHAPES.iter().find(|shape| shape.name == name).expect("a shape");
    let mut hardware = Hardware { memory_mib: MEMORY_MIB, ..Hardware::default() };
    (shape.build)(&mut hardware);
    let sockets = hardware.processors.map_or(1, |(sockets, _, _)| sockets);
    let board = shape.board.and_then(|source| Board::of(name, source, sockets));
    if let (Some(source), None) = (shape.board, &board) {
        eprintln!("SKIPPED: {name} has no recorded board and {source} is not in BILLET_CORPUS");
        return;
    }
    if let Some(board) = &board {
        hardware.arguments.extend(board.arguments());
    }
    let rows = run(shape, &hardware);
    told::compare(&hardware, &rows["inventory"]);
    if let Some(board) = &board {
        told::compare_board(board, &rows["inventory"]);
    }
    if hardware.arguments.iter().any(|argument| argument.contains("isa-ipmi-kcs")) {
        told::compare_controller(&rows["inventory"]);
    }
    udev::compare(&rows["udev"], &rows["inventory"]);
    told::same(&rows["inventory"], &rows["replay"]);
    if records() {
        write(name, &rows["record"]);
    }
}

/// Run the guest; what each row found, by its name.
fn run(shape: &Shape, hardware: &Hardware) -> BTreeMap<String, Value> {
    let mut rows = vec!["up"];
    rows.extend(shape.rows);
    rows.extend(["udev", "inventory", "replay", "record"]);
    let firmware = hardware.arguments.iter().any(|argument| argument.contains("pflash"));
    let kernel = BOOT.packed_kernel.display().to_string();
    let mut machine = hardware.machine();
    if shape.name == LARGEST {
        machine = machine.limit(LARGEST_LIMIT);
    }
    if firmware {
        machine = machine.arguments(&["-kernel", &kernel]);
    }
    machine.run(&BOOT, &rows).into_iter().map(|Row { name, found, .. }| (name, found)).collect()
}

fn write(name: &str, files: &Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hardware-fixtures/machines").join(name);
    for (file, content) in files.as_object().expect("files by name") {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("room");
        fs::write(path, content.as_str().expect("text")).expect("room");
    }
}

#[test]
fn a_switch_that_speaks_is_a_neighbour() {
    let switch = Switch::start();
    let mut hardware = Hardware { memory_mib: MEMORY_MIB, ..Hardware::default() };
    hardware.qemu(&switch.netdev).nic_on("cable", "virtio-net-pci", "virtio_net");
    let rows = hardware.machine().run(&BOOT, &["up", "neighbour"]);
    let nic = &rows[1].found["nics"][0];
    assert_eq!(nic["mac"], hardware.nics[0].mac, "{nic:#}");
    let told = nic["neighbour"].to_string();
    assert!(told.contains(neighbour::SYSTEM) && told.contains(neighbour::PORT), "{nic:#}");
}

macro_rules! shapes {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { boot($name); })*
        /// No shape is forgotten.
        #[test]
        fn every_shape_is_booted() {
            let booted = [$($name),*];
            let shapes: Vec<_> = SHAPES.iter().map(|shape| shape.name).collect();
            assert_eq!(shapes, booted);
        }
    };
}

shapes! {
    dell_r630_megaraid: "dell-r630-megaraid",
    supermicro_x9dbl_ahci: "supermicro-x9dbl-ahci",
    supermicro_dual_xeon_nvme: "supermicro-dual-xeon-nvme",
    gigabyte_x399: "gigabyte-x399",
    beelink_eq12_usb: "beelink-eq12-usb",
    hyper_v: "hyper-v",
    vmware_pvscsi: "vmware-pvscsi",
    lenovo_t480: "lenovo-t480",
    msi_ms_7816: "msi-ms-7816",
    gigabyte_ma74_i440fx: "gigabyte-ma74-i440fx",
    rack_64t_24d: "rack-64t-24d",
    nvme_subsystem: "qemu-nvme-subsystem",
    virtio_scsi: "qemu-virtio-scsi",
    mptsas: "qemu-mptsas",
    multipath: "qemu-multipath",
    mirror_lvm: "qemu-mirror-lvm",
    volume: "qemu-volume",
    bond_vlan: "qemu-bond-vlan",
    numa_pmem: "qemu-numa-pmem",
    ipmi_kcs: "qemu-ipmi-kcs",
    uefi_secure_boot: "qemu-uefi-secure-boot",
}
