//! A management controller and a TPM of other people's making (OpenIPMI's `ipmi_sim`,
//! `swtpm`), behind the kernel's drivers in a guest: the agent tells what they were told.

mod peer;

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use guest::{boot::Boot, machine::Machine};
use serde_json::Value;

use peer::{Controller, Tpm};

/// Memory of the guest.
const MEMORY_MIB: u32 = 768;
/// UEFI: without it QEMU 7.2 puts a large initramfs over the tables of a machine with a TPM.
const FIRMWARE: [&str; 4] = [
    "-drive",
    "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
    "-drive",
    "if=pflash,format=raw,unit=1,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.fd",
];

static BOOT: LazyLock<Boot> = LazyLock::new(|| {
    let agent = ("usr/bin/billet-agent".to_owned(), agent());
    Boot::full(Path::new(env!("CARGO_BIN_EXE_inventory-guest")), &[], &[agent])
});

/// The agent that `make dist` built; `BILLET_DIST` may name another folder.
fn agent() -> PathBuf {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist");
    let path = std::env::var_os("BILLET_DIST").map_or(dist, PathBuf::from).join("billet-agent");
    assert!(path.is_file(), "{} is missing: run `make dist` first", path.display());
    path
}

/// What the agent says in a guest with `arguments` for QEMU, and what it says of a recording
/// of it that anybody may have.
fn inventory(arguments: &[String]) -> (Value, String) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // OVMF starts kernels that are UEFI programs.
    let kernel = BOOT.packed_kernel.display().to_string();
    let machine = Machine::new().memory_mib(MEMORY_MIB).arguments(&FIRMWARE).arguments(&["-kernel", &kernel]);
    let machine = machine.arguments(&arguments);
    let rows = machine.run(&BOOT, &["inventory", "replay"]);
    let [inventory, replay] = [0, 1].map(|nth| rows[nth].found.clone());
    for part in ["bmc", "tpm", "boot"] {
        assert_eq!(inventory[part], replay["kept"][part], "a recording tells the same");
    }
    (inventory, replay["given"].to_string())
}

/// Warnings about `path`.
fn warnings<'a>(inventory: &'a Value, path: &str) -> Vec<&'a Value> {
    let all = inventory["warnings"].as_array().expect("a list");
    all.iter().filter(|warning| warning["path"].as_str().is_some_and(|found| found.contains(path))).collect()
}

#[test]
fn a_controller_and_a_tpm_tell_what_they_were_told() {
    let (Some(controller), Some(tpm)) = (Controller::start(), Tpm::start()) else { return };
    let (inventory, given) = inventory(&[controller.arguments(), tpm.arguments()].concat());
    let bmc = &inventory["bmc"];
    assert_eq!(bmc["ipv4"], controller.ipv4, "{bmc:#}");
    assert_eq!(bmc["ipv4_source"], "static");
    assert_eq!(bmc["mac"], controller.mac);
    assert_eq!((&bmc["manufacturer"], &bmc["product"]), (&0x1291.into(), &0x0f02.into()));
    assert_eq!((&bmc["firmware"], &bmc["ipmi"]), (&"9.08".into(), &"2.0".into()));
    let lan = &bmc["lan"][0];
    assert_eq!((&lan["channel"], &lan["netmask"]), (&1.into(), &controller.netmask.into()));
    assert_eq!(lan["gateway"], controller.gateway);
    let told = &inventory["tpm"];
    assert_eq!((&told["version"], &told["manufacturer"]), (&"2.0".into(), &"IBM".into()), "{told:#}");
    assert_eq!(told["endorsement"], tpm.endorsement(), "{told:#}");
    let boot = &inventory["boot"];
    assert_eq!((&boot["mode"], &boot["secure_boot"]), (&"uefi".into(), &false.into()), "{boot:#}");
    assert_eq!(boot["firmware_bits"], 64);
    let labels: Vec<_> =
        boot["entries"].as_array().expect("a list").iter().map(|entry| &entry["label"]).collect();
    assert!(labels.contains(&&"UiApp".into()), "the firmware's own entry: {boot:#}");
    for identifier in [controller.ipv4, controller.gateway, controller.mac, &tpm.sha256] {
        assert!(!given.contains(identifier), "{identifier} is given away");
    }
    assert!(given.contains("rsa-2048") && given.contains("\"manufacturer\":4753"), "but not everything");
    for path in ["ipmi", "tpm", "efi"] {
        assert_eq!(warnings(&inventory, path), Vec::<&Value>::new());
    }
}
