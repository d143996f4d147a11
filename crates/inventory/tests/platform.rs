//! Firmware, TPM, controller and kernel, from recorded trees: what they say, and that
//! none of it is made up when they say it badly.

use std::path::Path;

use inventory::{Depth, Options, Root, scan};
use model::inventory::{BootMode, Inventory};
use proptest::prelude::*;

const EFIVARS: &str = "sys/firmware/efi/efivars";
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// The inventory of a recording that holds `listing`, and `command_line`.
fn whole(listing: &str, command_line: &str) -> Inventory {
    let dir = tempfile::tempdir().expect("temporary directory");
    let write = |path: &str, content: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a directory");
        std::fs::write(path, content).expect("a file");
    };
    write("sysfs.txt", listing);
    write("proc/cmdline", command_line);
    write("proc/sys/kernel/osrelease", "6.1.0-56-amd64\n");
    let root = Root::open(dir.path()).expect("a recording");
    scan(&root, &Options { depth: Depth::Whole, ..Options::default() })
}

/// Warnings below `path`.
fn warned<'a>(inventory: &'a Inventory, path: &str) -> Vec<&'a str> {
    let below = inventory.warnings.iter().filter(|warning| warning.path.contains(path));
    below.map(|warning| warning.reason.as_str()).collect()
}

fn line(path: &str, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("{path} = {hex}\n")
}

fn variable(name: &str, value: &[u8]) -> String {
    line(&format!("{EFIVARS}/{name}-{GLOBAL}"), &[&[7, 0, 0, 0], value].concat())
}

/// A load option called `label` for `\a.efi`.
fn option(label: &str, attributes: u32) -> Vec<u8> {
    let mut bytes = attributes.to_le_bytes().to_vec();
    let path: Vec<u8> = r"\a.efi".encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let node = [&[4, 4, 18, 0], path.as_slice(), &[0x7f, 0xff, 4, 0]].concat();
    bytes.extend([22, 0]);
    bytes.extend(label.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    bytes.extend(node);
    bytes
}

#[test]
fn a_boot_menu_is_told_in_its_order() {
    let listing = [
        variable("SecureBoot", &[1]),
        variable("SetupMode", &[0]),
        variable("BootOrder", &[3, 0, 1, 0, 9, 0, 3, 0]),
        variable("BootCurrent", &[1, 0]),
        variable("BootNext", &[0x2a, 0]),
        variable("Boot0001", &option("debian", 1)),
        variable("Boot0003", &option("PXE\u{7}", 0)),
        variable("Boot002A", &option("once", 1)),
        "sys/firmware/efi/fw_platform_size = 64\n".to_owned(),
    ]
    .concat();
    let boot = whole(&listing, "").boot;
    assert_eq!((boot.mode, boot.secure_boot, boot.setup_mode), (BootMode::Uefi, Some(true), Some(false)));
    assert_eq!((boot.current, boot.next, boot.firmware_bits), (Some(1), Some(0x2a), Some(64)));
    let entries: Vec<_> = boot
        .entries
        .iter()
        .map(|entry| (entry.number, entry.label.as_str(), entry.active, entry.order))
        .collect();
    // Entry 9 of the order is gone.
    assert_eq!(
        entries,
        [(3, "PXE?", false, Some(0)), (1, "debian", true, Some(1)), (0x2a, "once", true, None)]
    );
    assert_eq!(boot.entries[1].path.as_deref(), Some(r"File(\a.efi)"));
}

#[test]
fn variables_that_make_no_sense_are_named_and_not_believed() {
    let listing = [
        variable("SecureBoot", &[2]),
        line(&format!("{EFIVARS}/SetupMode-{GLOBAL}"), &[7, 0]),
        variable("BootOrder", &[0xff; 20_000]),
        variable("BootFFFF", &[1, 2, 3]),
        format!("{EFIVARS}/BootCurrent-{GLOBAL} ! 5\n"),
    ]
    .concat();
    let inventory = whole(&listing, "");
    let boot = &inventory.boot;
    assert_eq!((boot.secure_boot, boot.setup_mode, boot.current), (None, None, None));
    assert!(boot.entries.is_empty());
    assert_eq!(warned(&inventory, "SecureBoot"), ["is neither 0 nor 1"]);
    assert_eq!(warned(&inventory, "SetupMode"), ["is shorter than a variable"]);
    assert_eq!(warned(&inventory, "BootFFFF"), ["is no load option"]);
    assert_eq!(warned(&inventory, "BootCurrent").len(), 1, "EIO is told");
}

#[test]
fn a_firmware_without_variables_is_told_once() {
    let inventory = whole("sys/firmware/efi/fw_platform_size = 32\n", "");
    assert_eq!(inventory.boot.firmware_bits, Some(32));
    assert_eq!(warned(&inventory, EFIVARS).len(), 1);
    let bios = whole("sys/class/net/\n", "");
    assert!(warned(&bios, EFIVARS).is_empty());
}

const IPMI: &str = "kernel/ipmi/ipmi0";
const DEVICE: [u8; 12] = [0, 0x20, 0x81, 0x02, 0x85, 0x02, 0xdf, 0xa2, 0x02, 0x00, 0x00, 0x01];

/// An answer to Get LAN Configuration Parameters.
fn parameter(channel: u8, name: &str, value: &[u8]) -> String {
    line(&format!("{IPMI}/channel{channel}/{name}"), &[&[0, 0x11], value].concat())
}

fn controller(more: &[String]) -> Inventory {
    let device = line(&format!("{IPMI}/device"), &DEVICE);
    whole(&format!("sys/class/ipmi/ipmi0/\n{device}{}", more.concat()), "")
}

fn lan_channel(channel: u8) -> String {
    line(&format!("{IPMI}/channel{channel}/info"), &[0, channel, 4, 1, 0x80, 0xf2, 0x1b, 0, 0, 0])
}

fn ipv6_place(name: &str, source: u8, status: u8) -> String {
    let mut value = vec![0, source, 0xfd];
    value.resize(17, 0);
    value.extend([1, 64, status]);
    parameter(8, name, &value)
}

#[test]
fn the_first_channel_that_is_configured_counts() {
    let inventory = controller(&[
        lan_channel(1),
        parameter(1, "ip", &[0, 0, 0, 0]),
        parameter(1, "mac", &[2, 0, 0, 0, 0, 1]),
        line(&format!("{IPMI}/channel2/info"), &[0, 2, 5, 1, 0, 0, 0, 0, 0, 0]), // a serial line
        line(&format!("{IPMI}/channel3/info"), &[0xcc]),
        lan_channel(8),
        parameter(8, "ip", &[10, 0, 0, 10]),
        parameter(8, "ip_source", &[2]),
        parameter(8, "netmask", &[255, 255, 255, 0]),
        parameter(8, "gateway", &[10, 0, 0, 1]),
        parameter(8, "mac", &[2, 0, 0, 0, 0, 8]),
        parameter(8, "vlan", &[0x2c, 0x81]),
        parameter(8, "ipv6_enables", &[2]),
        parameter(8, "ipv6_status", &[2, 2, 3]),
        ipv6_place("ipv6_static0", 0x80, 0),
        ipv6_place("ipv6_static1", 0x00, 1),
        ipv6_place("ipv6_dynamic1", 0x02, 0),
        line(&format!("{IPMI}/watchdog"), &[0, 0x44, 1, 0, 0, 0x58, 2, 0x58, 2]),
    ]);
    let bmc = inventory.bmc.expect("it answers");
    assert_eq!(bmc.ipv4.map(|v4| v4.to_string()).as_deref(), Some("10.0.0.10"));
    assert_eq!((bmc.ipv4_source.as_deref(), bmc.channel, bmc.vlan), (Some("dhcp"), Some(8), Some(300)));
    assert_eq!(bmc.mac.map(|mac| mac.to_string()).as_deref(), Some("02:00:00:00:00:08"));
    assert_eq!((bmc.ipv6.map(|v6| v6.to_string()).as_deref(), bmc.ipv6_prefix), (Some("fd00::1"), Some(64)));
    assert_eq!((bmc.firmware.as_deref(), bmc.ipmi.as_deref()), (Some("2.85"), Some("2.0")));
    assert_eq!((bmc.manufacturer, bmc.product, bmc.watchdog_active), (Some(674), Some(256), Some(true)));
    let channels: Vec<_> = bmc.lan.iter().map(|lan| lan.channel).collect();
    assert_eq!(channels, [1, 8]);
    let sources: Vec<_> = bmc.lan[1].ipv6.iter().map(|v6| v6.source.as_str()).collect();
    assert_eq!(sources, ["dhcpv6", "static"], "what the network gave first, as Ironic's agent has it");
}

#[test]
fn a_controller_without_an_address_is_a_controller() {
    // As QEMU's: it knows no channels.
    let inventory = controller(&[line(&format!("{IPMI}/channel1/info"), &[0xc1])]);
    let bmc = inventory.bmc.as_ref().expect("it answers");
    assert_eq!((bmc.ipv4, bmc.ipv6, bmc.mac, bmc.channel), (None, None, None, None));
    assert_eq!(bmc.lan, []);
    assert!(warned(&inventory, "ipmi").is_empty());
}

#[test]
fn a_controller_that_answers_nonsense_is_none() {
    for (answer, warnings) in [
        (line(&format!("{IPMI}/device"), &DEVICE[..9]), 1),
        (line(&format!("{IPMI}/device"), &[0xff]), 1),
        (format!("{IPMI}/device =\n"), 1),
        (format!("{IPMI}/device ! 110\n"), 1),
        (String::new(), 0),
    ] {
        let inventory = whole(&format!("sys/class/ipmi/ipmi0/\n{answer}"), "");
        assert_eq!((&inventory.bmc, warned(&inventory, IPMI).len()), (&None, warnings), "{answer}");
    }
}

#[test]
fn a_controller_without_a_driver_is_told() {
    let inventory = whole("sys/firmware/dmi/entries/38-0/type = 38\n", "");
    assert_eq!(inventory.bmc, None);
    assert_eq!(warned(&inventory, "sys/class/ipmi").len(), 1);
}

#[test]
fn a_tpm_says_who_made_it() {
    let mut properties = vec![0x80, 1, 0, 0, 0, 0x23, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 2];
    properties.extend([[0, 0, 1, 5], *b"INTC", [0, 0, 1, 11], [2, 0x58, 0, 18]].concat());
    let digest = "ab".repeat(32);
    let listing = [
        "sys/class/tpm/tpm0/tpm_version_major = 2\nsys/class/tpm/tpm0/pcr-sha1/\nsys/class/tpm/tpm0/pcr-sha256/\n"
            .to_owned(),
        line("kernel/tpm/tpm0/properties", &properties),
        format!("kernel/tpm/tpm0/endorsement/rsa-2048 = {digest}\n"),
        "kernel/tpm/tpm0/endorsement/ecc-p256 = not a digest\n".to_owned(),
    ]
    .concat();
    let inventory = whole(&listing, "");
    let tpm = inventory.tpm.as_ref().expect("there");
    assert_eq!((tpm.version.as_deref(), tpm.manufacturer.as_deref()), (Some("2.0"), Some("INTC")));
    assert_eq!((tpm.firmware.as_deref(), tpm.model.as_deref()), (Some("600.18.0.0"), None));
    assert_eq!(tpm.pcr_banks, ["sha1", "sha256"]);
    let keys: Vec<_> = tpm.endorsement.iter().map(|key| (key.kind.as_str(), key.sha256.as_str())).collect();
    assert_eq!(keys, [("rsa-2048", digest.as_str())]);
    assert_eq!(warned(&inventory, "ecc-p256"), ["is no SHA-256"]);
}

#[test]
fn an_old_tpm_tells_through_the_kernel() {
    let listing = "sys/class/tpm/tpm0/tpm_version_major = 1\n\
        sys/class/tpm/tpm0/caps = Manufacturer: 0x49465800\\nTCG version: 1.2\\nFirmware version: 3.17\\n\n";
    let tpm = whole(listing, "").tpm.expect("there");
    assert_eq!((tpm.version.as_deref(), tpm.manufacturer.as_deref()), (Some("1.2"), Some("IFX")));
    assert_eq!((tpm.firmware.as_deref(), tpm.endorsement), (Some("3.17"), vec![]));
}

#[test]
fn the_kernel_and_its_clocks_are_told_and_no_secret() {
    let listing = "sys/devices/system/clocksource/clocksource0/current_clocksource = tsc\n\
        sys/devices/system/clocksource/clocksource0/available_clocksource = tsc kvm-clock acpi_pm \n\
        sys/class/watchdog/watchdog0/identity = iTCO_wdt\nsys/class/watchdog/watchdog0/timeout = 30\n\
        sys/class/watchdog/watchdog0/state = inactive\nsys/class/watchdog/watchdog0/nowayout = 0\n";
    let platform = whole(listing, "quiet ipa-agent-token=hunter2 console=ttyS0\n").platform;
    assert_eq!(platform.kernel.as_deref(), Some("6.1.0-56-amd64"));
    assert_eq!(platform.command_line.as_deref(), Some("quiet ipa-agent-token=****** console=ttyS0"));
    assert_eq!((platform.clocksource.as_deref(), platform.clocksources.len()), (Some("tsc"), 3));
    assert_eq!(platform.hypervisor.as_deref(), Some("kvm"));
    let dog = &platform.watchdogs[0];
    assert_eq!((dog.name.as_str(), dog.identity.as_deref()), ("watchdog0", Some("iTCO_wdt")));
    assert_eq!((dog.timeout, dog.active, dog.no_way_out), (Some(30), Some(false), Some(false)));
}

#[test]
fn a_rented_real_machine_is_not_virtual() {
    let cloud = "sys/class/dmi/id/sys_vendor = Amazon EC2\nkernel/architecture = x86_64\n";
    let on = |cpuinfo: &str| {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir(dir.path().join("proc")).expect("a directory");
        std::fs::write(dir.path().join("sysfs.txt"), cloud).expect("a file");
        std::fs::write(dir.path().join("proc/cpuinfo"), cpuinfo).expect("a file");
        scan(&Root::open(dir.path()).expect("a recording"), &Options::default()).platform.hypervisor
    };
    assert_eq!(on("processor\t: 0\nflags\t\t: fpu vme\n"), None);
    assert_eq!(on("processor\t: 0\nflags\t\t: fpu hypervisor\n").as_deref(), Some("amazon"));
}

/// A byte now and then makes sense: completion codes, channels, media, lengths.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), Just(1), Just(4), Just(0x30), Just(0x82), any::<u8>()];
    proptest::collection::vec(byte, 0..64)
}

proptest! {
    #[test]
    fn no_answer_stops_a_scan(answers in proptest::collection::vec(answer(), 16), line_bytes: Vec<u8>) {
        let paths = [
            format!("{IPMI}/channel1/info"), format!("{IPMI}/channel1/ip"), format!("{IPMI}/channel1/mac"),
            format!("{IPMI}/channel1/vlan"), format!("{IPMI}/channel1/ipv6_enables"),
            format!("{IPMI}/channel1/ipv6_status"), format!("{IPMI}/channel1/ipv6_static0"),
            format!("{IPMI}/watchdog"), "kernel/tpm/tpm0/properties".into(),
            "kernel/tpm/tpm0/endorsement/rsa-2048".into(), "sys/class/tpm/tpm0/caps".into(),
            format!("{EFIVARS}/BootOrder-{GLOBAL}"), format!("{EFIVARS}/Boot0000-{GLOBAL}"),
            format!("{EFIVARS}/Boot0001-{GLOBAL}"), format!("{EFIVARS}/SecureBoot-{GLOBAL}"),
            "sys/class/watchdog/watchdog0/state".into(),
        ];
        let told: String = paths.iter().zip(&answers).map(|(path, bytes)| line(path, bytes)).collect();
        let device = line(&format!("{IPMI}/device"), &DEVICE);
        let listing = format!("sys/class/ipmi/ipmi0/\n{device}sys/class/tpm/tpm0/tpm_version_major = 2\n{told}");
        let inventory = whole(&listing, &String::from_utf8_lossy(&line_bytes));
        prop_assert!(inventory.warnings.len() < 40, "{:?}", inventory.warnings);
    }
}
