//! Looking at the machine for an inspection: addresses are waited for first,
//! since Ironic keeps what it is told of them; then devices are asked.

use std::{
    thread,
    time::{Duration, Instant},
};

use inventory::{Depth, Options, Root, lldp::Patience, scan};
use model::inventory::{Inventory, Nic};

use crate::config;

/// Between two looks at addresses; Ironic's agent's.
const PAUSE: Duration = Duration::from_secs(2);

/// Everything about this machine, as `wanted`. Blocks: devices may take seconds.
pub(crate) fn look(wanted: &config::Inspection, options: &Options) -> Inventory {
    let missing = wait_for_addresses(wanted, options);
    if !missing.is_empty() {
        let seconds = wanted.address_wait.as_secs();
        tracing::warn!(seconds, "no address after this long: {}; inspecting without", missing.join(", "));
    }
    let lldp = wanted.lldp.map(|idle| Patience { idle, ..Patience::default() });
    scan(&Root::live(), &Options { depth: Depth::Whole, lldp, ..options.clone() })
}

/// The interfaces that have no address when waiting ends.
fn wait_for_addresses(wanted: &config::Inspection, options: &Options) -> Vec<String> {
    let start = Instant::now();
    let quick = Options { depth: Depth::Quick, ..options.clone() };
    loop {
        if wanted.address_wait.is_zero() {
            return Vec::new();
        }
        let inventory = scan(&Root::live(), &quick);
        let missing: Vec<_> =
            without_address(&inventory, wanted.all_addresses).map(|nic| nic.name.clone()).collect();
        if missing.is_empty() || start.elapsed() >= wanted.address_wait {
            return missing;
        }
        thread::sleep(PAUSE);
    }
}

/// Of the NIC the machine was booted from, or of all that have a cable: those
/// that can be reached by nobody yet. A link-local address does not count.
fn without_address(inventory: &Inventory, all: bool) -> impl Iterator<Item = &Nic> {
    let boot = inventory.boot_nic().map(|nic| nic.mac);
    let expected = move |nic: &&Nic| if all { nic.has_carrier } else { Some(nic.mac) == boot };
    let reached = |nic: &Nic| nic.ipv4.is_some() || nic.ipv6.as_ref().is_some_and(|v6| !v6.contains('%'));
    inventory.nics.iter().filter(expected).filter(move |nic| !reached(nic))
}

#[cfg(test)]
mod tests {
    use model::{Mac, inventory::Boot};

    use super::*;

    fn nic(number: u8, carrier: bool, ipv4: bool, ipv6: Option<&str>) -> Nic {
        Nic {
            name: format!("eth{number}"),
            mac: Mac([2, 0, 0, 0, 0, number]),
            has_carrier: carrier,
            ipv4: ipv4.then_some([10, 0, 0, number].into()),
            ipv6: ipv6.map(str::to_owned),
            ..Nic::default()
        }
    }

    #[test]
    fn the_boot_interface_is_waited_for_or_all_that_have_a_cable() {
        let nics = vec![
            nic(0, true, true, None),
            nic(1, true, false, Some("fe80::1%eth1")),
            nic(2, true, false, Some("2001:db8::1")),
            nic(3, false, false, None),
        ];
        for (boot, all, want) in [
            (Some("01-02-00-00-00-00-01"), false, vec!["eth1"]),
            (Some("02:00:00:00:00:02"), false, vec![]),
            (Some("02:00:00:00:00:99"), false, vec![]),
            (None, false, vec![]),
            (None, true, vec!["eth1"]),
            (Some("02:00:00:00:00:03"), false, vec!["eth3"]),
        ] {
            let inventory = Inventory {
                nics: nics.clone(),
                boot: Boot { interface: boot.map(str::to_owned), ..Boot::default() },
                ..Inventory::default()
            };
            let found: Vec<_> = without_address(&inventory, all).map(|nic| nic.name.as_str()).collect();
            assert_eq!(found, want, "{boot:?} {all}");
        }
    }
}
