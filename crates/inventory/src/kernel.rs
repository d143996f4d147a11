//! What only a system call tells. On the running machine it is asked here, once,
//! and laid beside the files as `kernel/…`; in a recorded tree it is a file.

use std::net::IpAddr;

use crate::{limits, reader::Reader};

/// The addresses of one interface, one per line: `192.0.2.7/24`.
pub(crate) fn addresses_path(nic: &str) -> String {
    format!("kernel/net/{nic}/addresses")
}

/// The MAC burnt into one interface.
pub(crate) fn permanent_mac_path(nic: &str) -> String {
    format!("kernel/net/{nic}/permanent_mac")
}

/// The number of the VLAN that one interface is.
pub(crate) fn vlan_path(nic: &str) -> String {
    format!("kernel/net/{nic}/vlan")
}

/// `uname -m`, for kernels before 6.1, which have no `/proc/sys/kernel/arch`.
pub(crate) const ARCHITECTURE: &str = "kernel/architecture";

/// Ask the running kernel; a recorded tree has its answers already.
pub(crate) fn ask(reader: &Reader<'_>) {
    if !reader.is_live() {
        return;
    }
    reader.answer(ARCHITECTURE, std::env::consts::ARCH);
    let addresses = sys::net::addresses().unwrap_or_else(|err| {
        reader.warn("kernel/net", err);
        Vec::new()
    });
    // `bonding_masters` is a file among the interfaces.
    for nic in reader.list("sys/class/net").into_iter().filter(|name| name != "bonding_masters") {
        let own = addresses.iter().filter(|found| found.interface == nic);
        let lines: Vec<_> = own.map(|found| format!("{}/{}", found.address, found.prefix)).collect();
        reader.answer(&addresses_path(&nic), lines.join("\n"));
        // No ethtool, no permanent address: the present one is used then.
        if let Ok(Some(mac)) = sys::ethtool::permanent_mac(&nic) {
            reader.answer(&permanent_mac_path(&nic), model::Mac(mac).to_string());
        }
    }
}

/// The addresses of `nic`, bare and as they stand; a line that is none is a warning. Older
/// recordings have no lengths of networks.
pub(crate) fn addresses(reader: &Reader<'_>, nic: &str) -> Vec<(IpAddr, String)> {
    let path = addresses_path(nic);
    let text = reader.text(&path).unwrap_or_default();
    let mut addresses = Vec::new();
    for line in text.lines().map(str::trim).take(limits::NIC_ADDRESSES) {
        match line.split('/').next().unwrap_or(line).parse() {
            Ok(address) => addresses.push((address, line.to_owned())),
            Err(err) => reader.warn(&path, err),
        }
    }
    addresses
}
