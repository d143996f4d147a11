//! The collectors of Ironic's agent by name, and the body made of what they find.

use model::{hints, inventory::Inventory};
use wire::ipa::{
    self, Collection, Configuration, Dmi, Inspection, Manager, NumaTopology, extra_hardware, lldp_raw,
    pci_devices,
};

use crate::steps::MANAGER_VERSION;

/// The class of hubs on the USB bus.
const HUB: &str = "0x09";

/// What there is to collect from.
pub(super) struct Found<'a> {
    /// The machine.
    pub(super) inventory: &'a Inventory,
    /// base64 of a tar.gz, when somebody packed it.
    pub(super) logs: Option<String>,
}

/// Puts one key into the collection.
type Collect = fn(&Found<'_>, &mut Collection);

/// Name and key of each. `default` has none: the inventory is always posted,
/// since nobody takes an inspection without.
const COLLECTORS: [(&str, Collect); 8] = [
    ("default", |_, _| ()),
    ("logs", |found, to| to.logs.clone_from(&found.logs)),
    ("pci-devices", |found, to| to.pci_devices = Some(pci_devices(found.inventory))),
    ("numa-topology", |found, to| to.numa_topology = Some(NumaTopology::from(found.inventory))),
    ("lldp", |found, to| to.lldp_raw = Some(lldp_raw(found.inventory))),
    ("dmi-decode", |found, to| to.dmi = Some(Dmi::from(found.inventory))),
    ("usb-devices", |found, to| {
        let plugged = found.inventory.usb.iter().filter(|device| device.class.as_deref() != Some(HUB));
        to.usb_devices = Some(plugged.map(ipa::UsbDevice::from).collect());
    }),
    ("extra-hardware", |found, to| to.data = Some(extra_hardware(found.inventory))),
];

/// What would be posted with every collector there is, but for logs.
pub(crate) fn whole(inventory: &Inventory) -> Inspection {
    let names = COLLECTORS.map(|(name, _)| name.to_owned());
    let names: Vec<_> = names.into_iter().filter(|name| name != "logs").collect();
    report(&names, &Found { inventory, logs: None })
}

/// The body: flat, one key a collector of `names`. One that is not known is
/// listed, and the rest is posted all the same; Ironic's agent posts nothing then.
pub(super) fn report(names: &[String], found: &Found<'_>) -> Inspection {
    let mut collected = Collection::default();
    let (mut collectors, mut unknown_collectors) = (Vec::new(), Vec::new());
    for name in names {
        match COLLECTORS.iter().find(|(known, _)| known == name) {
            Some((_, collect)) => {
                collect(found, &mut collected);
                collectors.push(name.clone());
            }
            None => {
                tracing::warn!("collector {name} is not known to this agent; see ipa-inspection-collectors");
                unknown_collectors.push(name.clone());
            }
        }
    }
    let inventory = ipa::Inventory::from(found.inventory);
    let root = hints::choose(&found.inventory.disks, None).ok();
    Inspection {
        root_disk: root
            .and_then(|root| inventory.disks.iter().find(|disk| disk.name == root.path()).cloned()),
        inventory,
        boot_interface: found.inventory.boot.interface.clone(),
        configuration: Configuration {
            collectors,
            unknown_collectors,
            managers: vec![Manager {
                name: MANAGER_VERSION.0.to_owned(),
                version: MANAGER_VERSION.1.to_owned(),
            }],
        },
        error: None,
        collected,
    }
}

#[cfg(test)]
mod tests {
    use inventory::{Depth, Options, Root, scan};
    use serde_json::Value;

    use super::*;

    fn body(names: &[&str]) -> Value {
        let inventory = Inventory::default();
        let found = Found { inventory: &inventory, logs: Some("H4sI".to_owned()) };
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        serde_json::to_value(report(&names, &found)).expect("plain data")
    }

    #[test]
    fn every_collector_has_its_key_and_no_other() {
        let plain = ["inventory", "boot_interface", "configuration", "error"];
        let keys = [
            ("logs", "logs"),
            ("pci-devices", "pci_devices"),
            ("numa-topology", "numa_topology"),
            ("lldp", "lldp_raw"),
            ("dmi-decode", "dmi"),
            ("usb-devices", "usb_devices"),
            ("extra-hardware", "data"),
        ];
        assert_eq!(keys.len() + 1, COLLECTORS.len());
        for (name, key) in keys {
            let body = body(&["default", name]);
            let mut found: Vec<_> = body.as_object().expect("an object").keys().cloned().collect();
            found.retain(|found| !plain.contains(&found.as_str()));
            assert_eq!(found, [key], "{name}");
        }
    }

    #[test]
    fn an_unknown_collector_is_listed_and_harms_nobody() {
        let body = body(&["default", "gpu-dreams", "usb-devices"]);
        let configuration = &body["configuration"];
        assert_eq!(configuration["collectors"], serde_json::json!(["default", "usb-devices"]));
        assert_eq!(configuration["unknown_collectors"], serde_json::json!(["gpu-dreams"]));
        assert_eq!(body["error"], Value::Null, "Ironic fails what has an error");
        assert!(body["usb_devices"].is_array());
    }

    #[test]
    fn a_hub_is_nothing_that_somebody_plugged_in() {
        let device = |name: &str, class: &str| model::inventory::UsbDevice {
            name: name.to_owned(),
            class: Some(class.to_owned()),
            ..Default::default()
        };
        let usb = vec![device("1-1", "0x09"), device("1-1.4", "0x00")];
        let inventory = Inventory { usb, ..Inventory::default() };
        let found = Found { inventory: &inventory, logs: None };
        let body = report(&["usb-devices".to_owned()], &found);
        let handles: Vec<_> = body.collected.usb_devices.iter().flatten().map(|usb| &usb.handle).collect();
        assert_eq!(handles, ["USB:1-1.4"]);
    }

    /// What may differ from Ironic's agent on the same machine, and why: the table of
    /// `docs/ironic.md`. Place, theirs, ours.
    const ACCEPTED: [(&str, &str, &str); 5] = [
        // Its lsblk was too old to know the transport of virtio.
        ("/inventory/disks/0/tran", "null", "\"virtio\""),
        ("/inventory/disks/1/tran", "null", "\"virtio\""),
        ("/root_disk/tran", "null", "\"virtio\""),
        // udev makes two links for one disk there; it took whichever came first.
        (
            "/inventory/disks/1/by_path",
            "\"/dev/disk/by-path/virtio-pci-0000:05:00.0\"",
            "\"/dev/disk/by-path/pci-0000:05:00.0\"",
        ),
        // Other logs.
        ("/logs", "", ""),
    ];

    /// Every leaf with its place.
    fn leaves(place: String, value: &Value, all: &mut Vec<(String, String)>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                fields.iter().for_each(|(name, value)| leaves(format!("{place}/{name}"), value, all));
            }
            Value::Array(list) if !list.is_empty() => {
                list.iter().enumerate().for_each(|(at, value)| leaves(format!("{place}/{at}"), value, all));
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => all.push((place, value.to_string())),
        }
    }

    fn leaves_of(value: &Value) -> Vec<(String, String)> {
        let mut all = Vec::new();
        leaves(String::new(), value, &mut all);
        all
    }

    #[test]
    fn the_captured_machine_is_told_as_ironics_agent_told_it() {
        let machine = hardware_fixtures::machine("qemu-q35-bios");
        let root = Root::open(machine.dir()).unwrap();
        let inventory = scan(&root, &Options { depth: Depth::Whole, ..Options::default() });
        let names = ["default".to_owned(), "logs".to_owned()];
        let found = Found { inventory: &inventory, logs: Some("H4sI".to_owned()) };
        let ours = leaves_of(&serde_json::to_value(report(&names, &found)).unwrap());
        let theirs: Value =
            serde_json::from_str(include_str!("../../../crates/wire/tests/golden/continue-inspection.json"))
                .unwrap();
        let theirs = leaves_of(&theirs);
        let places =
            |all: &[(String, String)]| all.iter().map(|(place, _)| place.clone()).collect::<Vec<_>>();
        assert_eq!(places(&ours), places(&theirs), "the same fields of the same types");
        for ((place, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            let accepted = ACCEPTED.iter().any(|(known, from, to)| {
                known == place && (from.is_empty() || (from, to) == (&theirs.as_str(), &ours.as_str()))
            });
            assert!(ours == theirs || accepted, "{place}: {ours}, and theirs {theirs}");
        }
    }
}
