//! Network interfaces: those of hardware, bonds and VLANs, by Ironic's rule.

mod address;
mod ethtool;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use model::inventory::{Bond, Duplex, Infiniband, Medium, Nic, Onboard, Sriov, Vlan};

use crate::{Depth, kernel, limits, pci, reader::Reader};

use address::Address;

const NICS: &str = "sys/class/net";

/// `ARPHRD_ETHER` and `ARPHRD_INFINIBAND` of `<linux/if_arp.h>`.
const ETHERNET: &str = "1";
const INFINIBAND: &str = "32";

/// Interfaces by name. `Whole` asks their drivers too.
pub(crate) fn read(reader: &Reader<'_>, depth: Depth) -> Vec<Nic> {
    let all = reader.list(NICS);
    let mut names: Vec<_> = all.iter().filter(|name| counts(reader, name)).collect();
    if names.len() > limits::NICS {
        reader.warn(NICS, format_args!("has more than {} interfaces", limits::NICS));
        names.truncate(limits::NICS);
    }
    let mut nics: Vec<_> = names.into_iter().filter_map(|name| nic(reader, name)).collect();
    let may_be_vlan = |nic: &Nic| nic.device.is_none() && nic.bond.is_none();
    let all = if nics.iter().any(may_be_vlan) { by_index(reader, &all) } else { BTreeMap::new() };
    for nic in &mut nics {
        if may_be_vlan(nic) {
            nic.vlan = vlan(reader, &nic.name, &all);
        }
        if depth == Depth::Whole && nic.device.is_some() {
            ask_driver(reader, nic);
        }
    }
    nics
}

/// True for what has hardware below it, and for bonds and VLANs.
fn counts(reader: &Reader<'_>, name: &str) -> bool {
    let is_vlan = || name.rsplit_once('.').is_some_and(|(_, id)| id.parse::<u16>().is_ok());
    reader.exists(format!("{NICS}/{name}/device"))
        || reader.exists(format!("{NICS}/{name}/bonding"))
        || is_vlan()
}

/// What files say of the interface `name`.
fn nic(reader: &Reader<'_>, name: &str) -> Option<Nic> {
    let place = Path::new(NICS).join(name);
    let of = |attribute: &str| place.join(attribute);
    let medium = medium(reader, &place);
    let address = Address::read(reader, name, medium == Medium::Infiniband)?;
    let addresses = kernel::addresses(reader, name);
    let mut nic = Nic {
        mac: address.mac,
        present_mac: address.present,
        client_id: address.client_id(),
        infiniband: address.guid.map(|guid| infiniband(reader, &place, guid)),
        medium,
        ipv4: address::ipv4(&addresses),
        ipv6: address::ipv6(&addresses, name),
        addresses: addresses.into_iter().map(|(_, with_prefix)| with_prefix).collect(),
        has_carrier: reader.text(of("carrier")).as_deref() == Some("1"),
        speed_mbps: speed(reader, of("speed")),
        duplex: duplex(reader, of("duplex")),
        mtu: reader.number(of("mtu")),
        port: reader.text(of("phys_port_name")).or_else(|| reader.text(of("phys_port_id"))),
        switch: reader.text(of("phys_switch_id")),
        controller: reader.link_name(of("master")),
        bond: bond(reader, &of("bonding")),
        name: name.to_owned(),
        ..Nic::default()
    };
    if reader.exists(of("device")) {
        describe_device(reader, &of("device"), &mut nic);
    }
    Some(nic)
}

/// What the device below the interface says.
fn describe_device(reader: &Reader<'_>, device: &Path, nic: &mut Nic) {
    nic.device = reader.link_name(device);
    nic.bus = reader.link_name(device.join("subsystem"));
    nic.driver = reader.link_name(device.join("driver"));
    if nic.bus.as_deref() != Some("usb") {
        nic.ids = pci::ids(reader, device, "vendor", "device");
    }
    nic.rdma = reader.list(device.join("infiniband"));
    let Some(function) = reader.real(device).and_then(|place| pci::function(&place)) else { return };
    nic.pci_address = pci::address_in(&function);
    nic.numa_node = pci::numa_node(reader, &function);
    if nic.bus.as_deref() == Some("usb") {
        return; // what else the function says, it says of the USB controller
    }
    nic.subsystem = pci::subsystem(reader, &function);
    nic.physical_function = reader.link_name(function.join("physfn"));
    nic.sriov = reader
        .number(function.join("sriov_totalvfs"))
        .map(|total| Sriov { total, enabled: reader.number(function.join("sriov_numvfs")).unwrap_or(0) });
    nic.onboard = onboard(reader, &function);
}

/// What only the driver knows; a present speed as sysfs has it stays.
fn ask_driver(reader: &Reader<'_>, nic: &mut Nic) {
    let driver = ethtool::driver(reader, &nic.name);
    nic.driver_version = driver.version;
    nic.firmware_version = driver.firmware;
    let link = ethtool::link(reader, &nic.name);
    nic.speed_mbps = nic.speed_mbps.or(link.speed_mbps);
    nic.duplex = nic.duplex.or(link.duplex);
    nic.maximum_speed_mbps = link.maximum_speed_mbps;
    nic.autonegotiation = link.autonegotiation;
}

fn medium(reader: &Reader<'_>, place: &Path) -> Medium {
    match reader.text(place.join("type")).as_deref() {
        Some(INFINIBAND) => Medium::Infiniband,
        Some(ETHERNET) if reader.exists(place.join("phy80211")) => Medium::Wireless,
        Some(ETHERNET) | None => Medium::Ethernet,
        Some(_) => Medium::Other,
    }
}

/// A NIC that is down says -1 or `EINVAL`; both mean that it does not know.
fn speed(reader: &Reader<'_>, path: PathBuf) -> Option<u32> {
    let speed: i64 = reader.number(path)?;
    u32::try_from(speed).ok().filter(|speed| *speed > 0 && *speed != u32::MAX)
}

fn duplex(reader: &Reader<'_>, path: PathBuf) -> Option<Duplex> {
    match reader.text(path)?.as_str() {
        "half" => Some(Duplex::Half),
        "full" => Some(Duplex::Full),
        _ => None, // "unknown"
    }
}

/// The port of an InfiniBand adapter that has `guid`.
fn infiniband(reader: &Reader<'_>, place: &Path, guid: String) -> Infiniband {
    // Counted from 0 here and from 1 by the adapter.
    let port = reader.number(place.join("dev_port")).and_then(|port: u32| port.checked_add(1));
    let adapters = place.join("device/infiniband");
    let adapter = reader.list(&adapters).first().cloned();
    let state = adapter
        .zip(port)
        .and_then(|(adapter, port)| reader.text(adapters.join(adapter).join(format!("ports/{port}/state"))));
    // `4: ACTIVE`
    let state = state.and_then(|state| Some(state.split_once(": ")?.1.to_owned()));
    Infiniband { guid, port, state }
}

fn bond(reader: &Reader<'_>, place: &Path) -> Option<Bond> {
    if !reader.exists(place) {
        return None;
    }
    // `802.3ad 4`: a name and its number.
    let first = |text: String| text.split_whitespace().next().map(str::to_owned);
    Some(Bond {
        mode: reader.text(place.join("mode")).and_then(first),
        members: reader
            .text(place.join("slaves"))
            .map(|names| names.split_whitespace().take(limits::NICS).map(str::to_owned).collect())
            .unwrap_or_default(),
        active: reader.text(place.join("active_slave")),
        primary: reader.text(place.join("primary")).and_then(first),
        up: reader.text(place.join("mii_status")).map(|status| status == "up"),
    })
}

/// Names of interfaces by the kernel's number.
fn by_index(reader: &Reader<'_>, names: &[String]) -> BTreeMap<u32, String> {
    let index = |name: &String| Some((reader.number(format!("{NICS}/{name}/ifindex"))?, name.clone()));
    model::order::map(names.iter().take(limits::NICS).filter_map(index))
}

/// Of an interface that has a VLAN's name: its number, if it is one, and what is below it.
fn vlan(reader: &Reader<'_>, name: &str, all: &BTreeMap<u32, String>) -> Option<Vlan> {
    let path = kernel::vlan_path(name);
    let answer = reader.ask(&path, &|| Ok(sys::net::vlan_id(name)?.to_string().into_bytes()))?;
    let Some(id) = std::str::from_utf8(&answer).ok().and_then(|text| text.trim().parse().ok()) else {
        reader.warn(path, "is not the number of a VLAN");
        return None;
    };
    // Of an interface that has nothing below it, its own number.
    let below = reader.number(format!("{NICS}/{name}/iflink"));
    let parent = below.and_then(|below| all.get(&below)).filter(|parent| *parent != name);
    Some(Vlan { id, parent: parent.cloned() })
}

/// ACPI's number before that of SMBIOS, as the kernel and udev have it.
fn onboard(reader: &Reader<'_>, function: &Path) -> Option<Onboard> {
    let number = |attribute: &str| reader.number(function.join(attribute));
    let index = number("acpi_index").or_else(|| number("index"));
    let label = reader.text(function.join("label"));
    (index.is_some() || label.is_some()).then_some(Onboard { index, label })
}
