//! Interfaces, and what is at the other end of their cables.

use model::inventory::Nic;

use super::{Rows, joined, more};

/// Interfaces shown.
const LINES: usize = 16;

/// Switches shown.
const SWITCHES: usize = 8;

pub(super) fn rows(nics: &[Nic]) -> Rows {
    let mut rows: Rows = nics.iter().take(LINES).map(row).collect();
    more(&mut rows, nics.len(), LINES);
    rows
}

/// Switches that say who they are.
pub(super) fn neighbours(nics: &[Nic]) -> Rows {
    let told = nics.iter().filter_map(|nic| Some((nic, nic.neighbour.as_ref()?)));
    let mut rows: Rows = told
        .map(|(nic, switch)| {
            let vlan = switch.untagged_vlan.map(|vlan| format!("VLAN {vlan}"));
            vec![
                nic.name.clone(),
                switch.system_name.clone().or_else(|| switch.chassis_id.clone()).unwrap_or_default(),
                switch.port_id.clone().unwrap_or_default(),
                joined([switch.port_description.clone(), vlan], ", "),
            ]
        })
        .collect();
    let all = rows.len();
    rows.truncate(SWITCHES);
    more(&mut rows, all, SWITCHES);
    rows
}

fn row(nic: &Nic) -> Vec<String> {
    let link = match nic.speed_mbps.or(nic.maximum_speed_mbps) {
        Some(speed) => format!("{} {}", if nic.has_carrier { "up" } else { "no carrier" }, bits(speed)),
        None => if nic.has_carrier { "up" } else { "no carrier" }.to_owned(),
    };
    let firmware = nic.firmware_version.as_ref().map(|version| format!("firmware {version}"));
    vec![
        nic.name.clone(),
        nic.mac.to_string(),
        link,
        nic.driver.clone().unwrap_or_default(),
        nic.pci_address.clone().unwrap_or_default(),
        joined([nic.ipv4.map(|v4| v4.to_string()), nic.ipv6.clone().filter(|v6| !v6.contains('%'))], " "),
        joined([role(nic), firmware], ", "),
    ]
}

fn bits(speed: u32) -> String {
    match speed {
        whole if whole >= 1000 && whole % 1000 == 0 => format!("{} Gbit/s", whole / 1000),
        odd => format!("{odd} Mbit/s"),
    }
}

/// What it is among the others.
fn role(nic: &Nic) -> Option<String> {
    let bond = nic.bond.as_ref().map(|bond| {
        let members =
            if bond.members.is_empty() { String::new() } else { format!(" of {}", bond.members.join(" ")) };
        joined([Some(format!("bond{members}")), bond.mode.clone()], ", ")
    });
    let vlan = nic
        .vlan
        .as_ref()
        .map(|vlan| format!("VLAN {} of {}", vlan.id, vlan.parent.as_deref().unwrap_or("unknown")));
    let member = nic.controller.as_ref().map(|controller| format!("in {controller}"));
    let functions = nic
        .sriov
        .as_ref()
        .map(|functions| format!("{}/{} virtual functions", functions.enabled, functions.total));
    let rdma = (!nic.rdma.is_empty()).then(|| nic.rdma.join(" "));
    Some(joined([bond, vlan, member, functions, rdma], ", ")).filter(|text| !text.is_empty())
}
