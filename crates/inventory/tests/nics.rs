//! Network interfaces of recorded trees: bonds, VLANs, InfiniBand, virtual functions,
//! adapters on USB, and what is wrong with some of them.

use inventory::{Depth, Options, Root, scan};
use model::inventory::{Bond, Duplex, Inventory, Medium, Nic, Onboard, PciIds, Sriov, Vlan};

fn whole(listing: &str) -> Inventory {
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::write(dir.path().join("sysfs.txt"), listing).expect("a file");
    let root = Root::open(dir.path()).expect("a recording");
    scan(&root, &Options { depth: Depth::Whole, ..Options::default() })
}

fn nic<'a>(inventory: &'a Inventory, name: &str) -> &'a Nic {
    let found = inventory.nics.iter().find(|nic| nic.name == name);
    found.unwrap_or_else(|| panic!("{name} of {:?}", inventory.nics))
}

/// Warnings about interfaces.
fn warned(inventory: &Inventory) -> Vec<String> {
    let about = |path: &str| path.contains("/net/") || path.contains("pci");
    let all = inventory.warnings.iter().filter(|warning| about(&warning.path));
    all.map(|warning| format!("{}: {}", warning.path, warning.reason)).collect()
}

/// An interface whose device is at `device`, below `sys/devices`.
fn port(name: &str, device: &str, mac: &str) -> String {
    let place = format!("sys/devices/{device}/net/{name}");
    format!(
        "sys/class/net/{name} -> ../../devices/{device}/net/{name}\n\
         {place}/address = {mac}\n{place}/type = 1\n{place}/mtu = 1500\n{place}/carrier = 1\n\
         {place}/device -> {up}{device}\n",
        up = "../".repeat(device.split('/').count() + 2),
    )
}

const PORT: &str = "pci0000:3a/0000:3a:00.0/0000:3b:00.0";

/// An E810, as its files and its driver have it.
fn e810() -> String {
    let mut driver = vec![0; 196];
    for (at, text) in [(4, "ice"), (36, "6.1.0"), (68, "4.40 0x8001c967 1.3534.0"), (100, "0000:3b:00.0")] {
        driver[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    // Speed unknown, a mask of four words: 25000baseCR (31), 100000baseCR4 (38), FEC (50).
    let mut link = vec![0; 48 + 48];
    link[4..8].copy_from_slice(&[0xff; 4]);
    (link[8], link[11], link[15]) = (0xff, 1, 4);
    (link[48 + 3], link[48 + 4], link[48 + 6]) = (0x80, 1 << 6, 1 << 2);
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let device = format!("sys/devices/{PORT}");
    port("eth0", PORT, "b4:96:91:00:00:01")
        + &format!(
            "{device}/subsystem -> ../../../../bus/pci\n{device}/driver -> ../../../../bus/pci/drivers/ice\n\
             {device}/vendor = 0x8086\n{device}/device = 0x1592\n{device}/numa_node = 1\n\
             {device}/subsystem_vendor = 0x1028\n{device}/subsystem_device = 0x0a73\n\
             {device}/sriov_totalvfs = 256\n{device}/sriov_numvfs = 8\n\
             {device}/acpi_index = 3\n{device}/label = NIC in Slot 3\n\
             {device}/infiniband/rocep59s0/node_type = 1\n\
             {device}/net/eth0/phys_port_name = p0\n{device}/net/eth0/phys_switch_id = b4969100\n\
             {device}/net/eth0/speed = -1\n{device}/net/eth0/duplex = unknown\n\
             kernel/net/eth0/permanent_mac = b4:96:91:00:00:00\n\
             kernel/net/eth0/addresses = 192.0.2.7/24\\nfe80::1/64\n\
             kernel/net/eth0/driver = {}\nkernel/net/eth0/link = {}\n",
            bytes(&driver),
            bytes(&link),
        )
}

#[test]
fn a_card_is_told_with_all_its_particulars() {
    let inventory = whole(&e810());
    let eth0 = nic(&inventory, "eth0");
    assert_eq!(warned(&inventory), Vec::<String>::new());
    assert_eq!(eth0.mac.to_string(), "b4:96:91:00:00:00");
    assert_eq!(eth0.present_mac.map(|mac| mac.to_string()).as_deref(), Some("b4:96:91:00:00:01"));
    assert_eq!(eth0.addresses, ["192.0.2.7/24", "fe80::1/64"]);
    assert_eq!(eth0.ipv4, Some("192.0.2.7".parse().expect("an address")));
    assert_eq!(eth0.ipv6.as_deref(), Some("fe80::1%eth0"));
    assert_eq!((eth0.speed_mbps, eth0.maximum_speed_mbps), (None, Some(100_000)));
    assert_eq!((eth0.duplex, eth0.autonegotiation, eth0.mtu), (None, Some(true), Some(1500)));
    assert_eq!((eth0.medium, eth0.bus.as_deref()), (Medium::Ethernet, Some("pci")));
    assert_eq!((eth0.driver.as_deref(), eth0.driver_version.as_deref()), (Some("ice"), Some("6.1.0")));
    assert_eq!(eth0.firmware_version.as_deref(), Some("4.40 0x8001c967 1.3534.0"));
    assert_eq!(eth0.pci_address.as_deref(), Some("0000:3b:00.0"));
    assert_eq!(eth0.ids, Some(PciIds { vendor: "0x8086".into(), product: "0x1592".into() }));
    assert_eq!(eth0.subsystem, Some(PciIds { vendor: "0x1028".into(), product: "0x0a73".into() }));
    assert_eq!(eth0.numa_node, Some(1));
    assert_eq!(eth0.sriov, Some(Sriov { total: 256, enabled: 8 }));
    assert_eq!(eth0.onboard, Some(Onboard { index: Some(3), label: Some("NIC in Slot 3".into()) }));
    assert_eq!(eth0.rdma, ["rocep59s0"]);
    assert_eq!((eth0.port.as_deref(), eth0.switch.as_deref()), (Some("p0"), Some("b4969100")));
}

#[test]
fn a_quick_look_asks_no_driver() {
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::write(dir.path().join("sysfs.txt"), e810()).expect("a file");
    let inventory = scan(&Root::open(dir.path()).expect("a recording"), &Options::default());
    let eth0 = nic(&inventory, "eth0");
    assert_eq!((&eth0.firmware_version, eth0.maximum_speed_mbps), (&None, None));
    assert_eq!(eth0.pci_address.as_deref(), Some("0000:3b:00.0"));
}

#[test]
fn a_virtual_function_names_its_physical_one() {
    let device = "pci0000:3a/0000:3a:00.0/0000:3b:01.0";
    let inventory = whole(&format!(
        "{}sys/devices/{device}/physfn -> ../0000:3b:00.0\nsys/devices/{device}/vendor = 0x8086\n\
         sys/devices/{device}/device = 0x1889\n",
        port("eth0v0", device, "02:00:00:00:00:01")
    ));
    let function = nic(&inventory, "eth0v0");
    assert_eq!(function.physical_function.as_deref(), Some("0000:3b:00.0"));
    assert_eq!(function.sriov, None);
}

#[test]
fn bonds_and_vlans_name_what_they_are_made_of() {
    let bond = "sys/devices/virtual/net/bond0";
    let vlan = "sys/devices/virtual/net/bond0.100";
    let dotted = "sys/devices/virtual/net/dummy.7";
    let inventory = whole(&format!(
        "{eth0}sys/devices/{PORT}/net/eth0/master -> ../../../../../virtual/net/bond0\n\
         sys/class/net/bond0 -> ../../devices/virtual/net/bond0\n{bond}/address = 02:00:00:00:00:02\n\
         {bond}/type = 1\n{bond}/ifindex = 7\n{bond}/speed = 20000\n{bond}/duplex = full\n\
         {bond}/bonding/mode = 802.3ad 4\n{bond}/bonding/slaves = eth0 eth1\n{bond}/bonding/active_slave = \n\
         {bond}/bonding/primary = \n{bond}/bonding/mii_status = up\n\
         sys/class/net/bond0.100 -> ../../devices/virtual/net/bond0.100\n{vlan}/address = 02:00:00:00:00:02\n\
         {vlan}/type = 1\n{vlan}/ifindex = 8\n{vlan}/iflink = 7\nkernel/net/bond0.100/vlan = 100\n\
         sys/class/net/dummy.7 -> ../../devices/virtual/net/dummy.7\n{dotted}/address = 02:00:00:00:00:03\n\
         {dotted}/type = 1\n{dotted}/ifindex = 9\n{dotted}/iflink = 9\n\
         sys/class/net/docker0 -> ../../devices/virtual/net/docker0\n\
         sys/devices/virtual/net/docker0/address = 02:00:00:00:00:04\n",
        eth0 = port("eth0", PORT, "02:00:00:00:00:01"),
    ));
    let names: Vec<_> = inventory.nics.iter().map(|nic| nic.name.as_str()).collect();
    assert_eq!(names, ["bond0", "bond0.100", "dummy.7", "eth0"], "{:?}", inventory.warnings);
    let bond0 = nic(&inventory, "bond0");
    assert_eq!(
        bond0.bond,
        Some(Bond {
            mode: Some("802.3ad".into()),
            members: vec!["eth0".into(), "eth1".into()],
            active: None,
            primary: None,
            up: Some(true),
        })
    );
    assert_eq!((bond0.speed_mbps, bond0.duplex), (Some(20_000), Some(Duplex::Full)));
    assert_eq!((&bond0.bus, &bond0.vlan), (&None, &None));
    assert_eq!(nic(&inventory, "bond0.100").vlan, Some(Vlan { id: 100, parent: Some("bond0".into()) }));
    assert_eq!(nic(&inventory, "dummy.7").vlan, None, "its name is no proof");
    assert_eq!(nic(&inventory, "eth0").controller.as_deref(), Some("bond0"));
}

#[test]
fn an_infiniband_port_knows_its_state() {
    let device = "pci0000:80/0000:80:01.0/0000:82:00.0";
    let place = format!("sys/devices/{device}");
    let guid = "80:00:02:08:fe:80:00:00:00:00:00:00:24:8a:07:03:00:91:f3:c2";
    let inventory = whole(&format!(
        "{}{place}/net/ib1/dev_port = 1\n{place}/infiniband/mlx5_0/ports/2/state = 4: ACTIVE\n\
         {place}/infiniband/mlx5_0/ports/1/state = 1: DOWN\n",
        port("ib1", device, guid).replace("type = 1\n", "type = 32\n"),
    ));
    let ib1 = nic(&inventory, "ib1");
    assert_eq!(ib1.medium, Medium::Infiniband);
    let port = ib1.infiniband.as_ref().expect("a port");
    assert_eq!((port.guid.as_str(), port.port), ("24:8a:07:03:00:91:f3:c2", Some(2)));
    assert_eq!(port.state.as_deref(), Some("ACTIVE"));
    assert_eq!(ib1.rdma, ["mlx5_0"]);
    assert!(ib1.client_id.is_some());
}

#[test]
fn adapters_on_usb_and_radios_are_marked() {
    let hub = "pci0000:00/0000:00:14.0";
    let usb = "pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0";
    let radio = "pci0000:00/0000:00:1c.0/0000:02:00.0";
    let inventory = whole(&format!(
        "{}sys/devices/{usb}/subsystem -> ../../../../../../bus/usb\n{}\
         sys/devices/{hub}/subsystem_vendor = 0x15d9\nsys/devices/{hub}/subsystem_device = 0x0921\n\
         sys/devices/{hub}/label = USB 3\n\
         sys/devices/{radio}/net/wlan0/phy80211 -> ../../ieee80211/phy0\n\
         sys/devices/{radio}/ieee80211/phy0/index = 0\n",
        port("enx00", usb, "02:00:00:00:00:05"),
        port("wlan0", radio, "02:00:00:00:00:06"),
    ));
    let adapter = nic(&inventory, "enx00");
    assert_eq!((adapter.bus.as_deref(), adapter.pci_address.as_deref()), (Some("usb"), Some("0000:00:14.0")));
    assert_eq!((&adapter.subsystem, &adapter.onboard), (&None, &None), "those are the USB controller's");
    assert_eq!(nic(&inventory, "wlan0").medium, Medium::Wireless);
}

#[test]
fn numbers_of_hyper_v_s_bus_are_short() {
    let place = "VMBUS:00/f8615163-0000-1000-2000-00155d000102";
    let inventory = whole(&format!(
        "{}sys/devices/{place}/vendor = 0x1414\nsys/devices/{place}/device = 0x3\n",
        port("eth0", place, "00:15:5d:00:00:02"),
    ));
    assert_eq!(warned(&inventory), Vec::<String>::new());
    let ids = PciIds { vendor: "0x1414".to_owned(), product: "0x3".to_owned() };
    assert_eq!(nic(&inventory, "eth0").ids, Some(ids));
}

#[test]
fn what_is_odd_is_a_warning_and_never_a_value() {
    let place = format!("sys/devices/{PORT}");
    let base = port("eth0", PORT, "02:00:00:00:00:01");
    for (lines, reason) in [
        (format!("{place}/net/eth0/mtu = jumbo\n"), "holds \"jumbo\""),
        (format!("{place}/net/eth0/mtu = -1\n"), "holds \"-1\""),
        (format!("{place}/vendor = 8086\n"), "is not a number such as 0x8086"),
        (format!("{place}/vendor = 0x{}\n", "f".repeat(60_000)), "is not a number such as 0x8086"),
        (format!("{place}/numa_node = 99999999999999999999\n"), "want a number"),
        (format!("{place}/sriov_totalvfs = \\xff\\xfe\n"), "is not UTF-8"),
        (format!("{place}/net/eth0/speed ! 5\n"), "os error 5"),
        ("kernel/net/eth0/driver = short\n".to_owned(), "shorter than the answer"),
        ("kernel/net/eth0/link = short\n".to_owned(), "is not the description of a link"),
        ("kernel/net/eth0/link ! 5\n".to_owned(), "os error 5"),
        ("kernel/net/eth0/addresses = nonsense/24\n".to_owned(), "invalid IP address"),
        ("kernel/net/eth0/permanent_mac = nonsense\n".to_owned(), "is not a MAC address"),
        ("kernel/net/eth0/lldp = nonsense\n".to_owned(), "is no frame of LLDP"),
    ] {
        let inventory = whole(&(base.clone() + &lines));
        let warnings = warned(&inventory);
        assert!(matches!(&warnings[..], [one] if one.contains(reason)), "{lines}: {warnings:?}");
        let eth0 = nic(&inventory, "eth0");
        assert_eq!((&eth0.ids, eth0.numa_node, &eth0.sriov, eth0.speed_mbps), (&None, None, &None, None));
        assert!(eth0.addresses.is_empty() && eth0.neighbour.is_none());
    }
    // "Not supported" in the kernel's two ways.
    for errno in [95, 524] {
        let silent = format!("kernel/net/eth0/link ! {errno}\n{place}/net/eth0/phys_switch_id ! {errno}\n");
        assert_eq!(warned(&whole(&(base.clone() + &silent))), Vec::<String>::new(), "{errno}");
    }
    for mac in ["fa:16:3e:00:00:01", "00:00:00:00:00:00", "none", ""] {
        let inventory = whole(&port("eth0", PORT, mac));
        assert!(inventory.nics.is_empty(), "{mac}");
        assert_eq!(warned(&inventory).len(), 1, "{mac}: {:?}", inventory.warnings);
    }
}

#[test]
fn two_hundred_functions_and_a_thousand_vlans_are_listed_in_order() {
    let function = |number: u32| {
        let device = format!("pci0000:3a/0000:3b:{:02x}.{}", number / 8, number % 8);
        port(&format!("v{number:03}"), &device, &format!("02:00:00:00:01:{number:02x}"))
    };
    let vlan = |number: u32| {
        let place = format!("sys/devices/virtual/net/v000.{number}");
        format!(
            "sys/class/net/v000.{number} -> ../../devices/virtual/net/v000.{number}\n\
             {place}/address = 02:00:00:00:01:00\n{place}/ifindex = {number}\n{place}/iflink = 1\n\
             kernel/net/v000.{number}/vlan = {number}\n"
        )
    };
    let listing: String = (0..200).map(function).chain((100..1300).map(vlan)).collect();
    let start = std::time::Instant::now();
    let inventory = whole(&listing);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert_eq!(inventory.nics.len(), inventory::limits::NICS);
    assert!(inventory.nics.is_sorted_by(|one, other| one.name < other.name));
    assert!(warned(&inventory).is_empty() && inventory.warnings.iter().any(|w| w.reason.contains("1024")));
}
