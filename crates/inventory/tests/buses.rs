//! PCI and USB of recorded trees: links and their limits, accelerators, drives that a
//! controller pretends; and machines that hwloc and ghw recorded.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use inventory::{Options, Root, limits, scan};
use model::inventory::{AcceleratorKind, Inventory, PciDevice, PciLink};

fn quick(listing: &str) -> Inventory {
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::write(dir.path().join("sysfs.txt"), listing).expect("a file");
    scan(&Root::open(dir.path()).expect("a recording"), &Options::default())
}

/// Warnings about these buses.
fn warned(inventory: &Inventory) -> Vec<String> {
    let about = |path: &str| path.contains("pci") || path.contains("usb");
    let all = inventory.warnings.iter().filter(|warning| about(&warning.path));
    all.map(|warning| format!("{}: {}", warning.path, warning.reason)).collect()
}

/// A function at `place` below `sys/devices`, with `ids` and a class.
fn function(place: &str, ids: (u16, u16), class: u32) -> String {
    let address = place.rsplit('/').next().expect("a name");
    let device = format!("sys/devices/{place}");
    format!(
        "sys/bus/pci/devices/{address} -> ../../../devices/{place}\n{device}/vendor = 0x{:04x}\n\
         {device}/device = 0x{:04x}\n{device}/class = 0x{class:06x}\n{device}/numa_node = -1\n",
        ids.0, ids.1,
    )
}

/// Its link, now and at best.
fn link(place: &str, now: (&str, u32), best: (&str, u32)) -> String {
    let device = format!("sys/devices/{place}");
    format!(
        "{device}/current_link_speed = {}\n{device}/current_link_width = {}\n\
         {device}/max_link_speed = {}\n{device}/max_link_width = {}\n",
        now.0, now.1, best.0, best.1,
    )
}

fn pci<'a>(inventory: &'a Inventory, address: &str) -> &'a PciDevice {
    let found = inventory.pci.iter().find(|device| device.address == address);
    found.unwrap_or_else(|| panic!("{address} of {:?}", inventory.pci))
}

#[test]
fn a_card_that_sits_badly_is_seen_and_a_narrow_slot_is_not_its_fault() {
    const PORT: &str = "pci0000:17/0000:17:00.0";
    const SLOT: &str = "pci0000:17/0000:17:01.0";
    let (badly, narrow) = (format!("{PORT}/0000:18:00.0"), format!("{SLOT}/0000:19:00.0"));
    let pci4 = "16.0 GT/s PCIe";
    let inventory = quick(
        &[
            function(PORT, (0x8086, 0x347a), 0x06_0400),
            link(PORT, (pci4, 8), (pci4, 16)),
            function(&badly, (0x10de, 0x20b2), 0x03_0200),
            link(&badly, (pci4, 8), ("32.0 GT/s PCIe", 16)),
            function(SLOT, (0x8086, 0x347b), 0x06_0400),
            link(SLOT, ("2.5 GT/s PCIe", 8), ("8.0 GT/s PCIe", 8)),
            function(&narrow, (0x15b3, 0x101d), 0x02_0000),
            link(&narrow, ("2.5 GT/s PCIe", 8), (pci4, 16)),
        ]
        .concat(),
    );
    assert_eq!(warned(&inventory), Vec::<String>::new());
    let (badly, narrow) = (pci(&inventory, "0000:18:00.0"), pci(&inventory, "0000:19:00.0"));
    assert_eq!(badly.upstream.as_deref(), Some("0000:17:00.0"));
    assert_eq!(badly.link, Some(PciLink { speed_mts: 16_000, width: 8 }));
    assert_eq!(badly.best_link, Some(PciLink { speed_mts: 16_000, width: 16 }), "the slot is no faster");
    assert!(badly.is_narrowed());
    assert_eq!(narrow.best_link, Some(PciLink { speed_mts: 8_000, width: 8 }));
    assert!(!narrow.is_narrowed(), "it idles, and has all the lanes of its slot");
    assert_eq!(narrow.numa_node, None, "-1 is no node");
    let names = [&badly.vendor_name, &badly.class_name].map(|name| name.as_deref());
    assert_eq!(names, [Some("NVIDIA"), Some("3D controller")]);
    let accelerators: Vec<_> =
        inventory.accelerators.iter().map(|a| (a.pci_address.as_str(), a.kind)).collect();
    assert_eq!(accelerators, [("0000:18:00.0", AcceleratorKind::Gpu)]);
}

#[test]
fn what_is_odd_about_a_function_is_a_warning() {
    const PLACE: &str = "pci0000:00/0000:00:1f.2";
    let base = function(PLACE, (0x8086, 0xa102), 0x01_0601);
    let at = |line: &str| format!("{base}sys/devices/{PLACE}/{line}\n");
    for (listing, reason, listed) in [
        (at("class = storage"), "is not a number such as 0x8086", false),
        (at("vendor ! 5"), "os error 5", false),
        (at("device = 0x"), "is not a number such as 0x8086", false),
        (at("revision = 0xzz"), "is not a number such as 0x8086", true),
        (at("numa_node = far"), "want a number", true),
        (at("max_link_speed = fast"), "is not a speed", true),
        ("sys/bus/pci/devices/0000:00:00.0 -> 0000:00:00.0\n".to_owned(), "circle", false),
    ] {
        let inventory = quick(&listing);
        let warnings = warned(&inventory);
        assert!(warnings.iter().any(|warning| warning.contains(reason)), "{listing}: {warnings:?}");
        assert_eq!(inventory.pci.len(), usize::from(listed), "{listing}");
    }
    for unknown in ["Unknown", "Unknown speed", "unknown", "<unknown>"] {
        let inventory = quick(&at(&format!("max_link_speed = {unknown}")));
        assert_eq!((warned(&inventory).len(), &inventory.pci[0].best_link), (0, &None));
    }
}

#[test]
fn thousands_of_virtual_functions_are_listed_up_to_a_limit() {
    let place = |number: u32| {
        format!("pci0000:00/0000:{:02x}:{:02x}.{:x}", number >> 8, number >> 3 & 31, number & 7)
    };
    let listing: String =
        (0..5000).map(|number| function(&place(number), (0x8086, 0x1889), 0x02_0000)).collect();
    let start = Instant::now();
    let inventory = quick(&listing);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    assert_eq!(inventory.pci.len(), limits::PCI_DEVICES);
    assert_eq!(warned(&inventory).len(), 1);
}

/// A device on USB: its place, its ids, and the classes of its interfaces.
fn plugged(name: &str, ids: (&str, &str), words: (&str, &str), interfaces: &[&str]) -> String {
    let device = format!("sys/devices/pci0000:00/0000:00:14.0/usb1/{name}");
    let link = |name: &str, place: &str| format!("sys/bus/usb/devices/{name} -> ../../../{}\n", &place[4..]);
    let mut listing = link(name, &device)
        + &format!(
            "{device}/idVendor = {}\n{device}/idProduct = {}\n{device}/bDeviceClass = 00\n{device}/speed = 480\n\
             {device}/manufacturer = {}\n{device}/product = {}\n",
            ids.0, ids.1, words.0, words.1,
        );
    for (number, class) in interfaces.iter().enumerate() {
        let interface = format!("{name}:1.{number}");
        listing += &link(&interface, &format!("{device}/{interface}"));
        listing += &format!("{device}/{interface}/bInterfaceClass = {class}\n");
    }
    listing
}

#[test]
fn drives_of_a_controller_are_told_from_drives() {
    let inventory = quick(
        &[
            plugged("1-1", ("046b", "ff20"), ("American Megatrends Inc.", "Virtual Cdrom Device"), &["08"]),
            plugged("1-2", ("046b", "ff10"), ("American Megatrends Inc.", "Virtual Keyboard"), &["03", "03"]),
            plugged("1-3", ("0781", "5567"), ("SanDisk", "Cruzer\\x1b[2J Blade"), &["08"]),
            "sys/bus/usb/devices/usb1/idVendor = 1d6b\n".to_owned(),
            plugged("1-4", ("zz", "5567"), ("", ""), &[]),
            plugged("1-5", ("05ac", "12a8"), ("\\xff\\xfe", "Phone"), &["ff", "xx"]),
        ]
        .concat(),
    );
    let shown: Vec<_> = inventory
        .usb
        .iter()
        .map(|device| {
            let words = device.manufacturer.as_deref().zip(device.product_name.as_deref());
            (device.name.as_str(), device.interfaces.join(" "), device.virtual_media, words)
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("1-1", "0x08".into(), true, Some(("American Megatrends Inc.", "Virtual Cdrom Device"))),
            ("1-2", "0x03".into(), false, Some(("American Megatrends Inc.", "Virtual Keyboard"))),
            ("1-3", "0x08".into(), false, Some(("SanDisk", "Cruzer[2J Blade"))),
            ("1-5", "0xff".into(), false, None),
        ]
    );
    let first = &inventory.usb[0];
    assert_eq!(
        (first.vendor.as_str(), first.product.as_str(), first.speed_mbps),
        ("0x046b", "0xff20", Some(480))
    );
    let warnings = warned(&inventory);
    assert_eq!(
        warnings.len(),
        4,
        "1-4's vendor and so 1-4, 1-5's maker and its second interface: {warnings:#?}"
    );
}

/// A recorded machine of the corpus, unpacked; `None` (loudly) without a corpus.
fn unpacked(test: &str, archive: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let file = env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from).join(archive);
    if !file.exists() {
        eprintln!("SKIPPED {test}: no {}; set BILLET_CORPUS", file.display());
        return None;
    }
    // Thousands of tiny files: memory is a hundred times faster than a busy disk.
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let dir = dir.expect("temporary directory");
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(&file).arg("-C").arg(dir.path());
    tar.args(["--wildcards", "*sys/*"]);
    assert!(tar.status().expect("tar runs").success(), "{}", file.display());
    let mut root = dir.path().to_owned();
    if !root.join("sys").exists() {
        let only = std::fs::read_dir(&root).expect("a tree").next().expect("one folder");
        root = only.expect("a folder").path();
    }
    Some((dir, root))
}

#[test]
fn machines_of_others_are_told_without_a_warning() {
    const TEST: &str = "machines_of_others_are_told_without_a_warning";
    for (archive, functions, accelerators, onboard) in [
        ("hwloc/32em64t-2n8c+dax+nvme+mic+dimms.tar.bz2", 137, vec!["0x225c coprocessor"], 2),
        ("hwloc/32intel64-2p8co2t+8ve.tar.bz2", 28, vec!["0x001c coprocessor"; 8], 1),
        ("hwloc/40intel64-2g2n4c+pcilocality.tar.bz2", 37, vec![], 4),
        ("hwloc/2pa-pcidomain32bits.tar.bz2", 9, vec![], 0),
        ("ghw/snapshots/linux-amd64-accel-nvidia.tar.gz", 29, vec!["0x15f8 gpu"], 0),
        ("ghw/snapshots/linux-amd64-415ee03b8c4d1c4f07ae2e9d8b3d3d6d.tar.gz", 23, vec!["0x46a6 gpu"], 0),
    ] {
        let Some((_dir, root)) = unpacked(TEST, archive) else { continue };
        let inventory = scan(&Root::at(root), &Options::default());
        let found: Vec<_> =
            inventory.accelerators.iter().map(|a| format!("{} {}", a.ids.product, a.kind.as_str())).collect();
        assert_eq!(
            (inventory.pci.len(), found),
            (functions, accelerators.iter().map(|a| (*a).to_owned()).collect())
        );
        assert_eq!(inventory.nics.iter().filter(|nic| nic.onboard.is_some()).count(), onboard, "{archive}");
        let odd: Vec<_> = warned(&inventory);
        assert_eq!(odd, Vec::<String>::new(), "{archive}");
    }
}
