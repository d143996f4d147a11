//! A node and a port as the API shows them, and as an agent gets them.

use serde_json::{Map, Value, json};
use wire::ironic::{MASKED, NODE_FIELDS, PORT_FIELDS, masked, with_defaults};

use crate::{
    clock::Time,
    record::{Node, Port},
    store::Recorded,
};

/// Interfaces that nobody set, as the driver would choose them.
const DEFAULT_INTERFACES: &[(&str, &str)] = &[
    ("bios_interface", "no-bios"),
    ("boot_interface", "ipxe"),
    ("console_interface", "no-console"),
    ("deploy_interface", "direct"),
    ("firmware_interface", "no-firmware"),
    ("inspect_interface", "agent"),
    ("management_interface", "redfish"),
    ("network_interface", "noop"),
    ("power_interface", "redfish"),
    ("raid_interface", "no-raid"),
    ("rescue_interface", "no-rescue"),
    ("storage_interface", "noop"),
    ("vendor_interface", "no-vendor"),
];

/// The two links of everything.
#[must_use]
pub fn links(base: &str, collection: &str, id: &str) -> Value {
    json!([
        {"href": format!("{base}/v1/{collection}/{id}"), "rel": "self"},
        {"href": format!("{base}/{collection}/{id}"), "rel": "bookmark"},
    ])
}

fn time(time: Option<Time>) -> Value {
    time.map_or(Value::Null, |time| Value::from(time.to_string()))
}

/// What Ironic's conductor tells an agent about the policy, and a user about the agent.
#[must_use]
pub fn driver_internal_info(node: &Node) -> Map<String, Value> {
    let mut info = json!({
        "agent_erase_devices_iterations": 1,
        "agent_erase_devices_zeroize": true,
        "agent_continue_if_secure_erase_failed": false,
        "agent_continue_if_ata_erase_failed": false,
        "agent_enable_nvme_secure_erase": true,
        "agent_enable_ata_secure_erase": true,
        "disk_erasure_concurrency": 32,
        "agent_erase_skip_read_only": false,
        // Ours: the agent writes it into the evidence it signs.
        "operation_uuid": node.operation.id.to_string(),
    });
    let agent = &node.agent;
    if agent.token_sha256.is_some() {
        info["agent_secret_token"] = MASKED.into();
    }
    if let Some(version) = &agent.version {
        info["agent_version"] = version.as_str().into();
        info["agent_url"] = agent.url.clone().into();
        info["agent_last_heartbeat"] = time(agent.last_heartbeat);
        info["hardware_manager_version"] = node.operation.version.clone();
    }
    if !node.operation.steps.is_empty() {
        info["clean_steps"] = node.operation.steps.clone().into();
        info["clean_step_index"] = node.operation.ended.into();
    }
    info.as_object().cloned().unwrap_or_default()
}

/// A node, whole, secrets masked.
#[must_use]
pub fn node(node: &Node, base: &str) -> Map<String, Value> {
    let id = node.uuid.to_string();
    let mut shown = with_defaults(&node.declared, NODE_FIELDS);
    for (field, default) in DEFAULT_INTERFACES {
        if shown.get(*field).is_some_and(Value::is_null) {
            shown.insert((*field).to_owned(), Value::from(*default));
        }
    }
    let known = &node.known;
    let state = node.state.provision_state();
    let step = |of: &str| {
        let busy = node.state.is_busy() && state.contains(of);
        if busy { node.operation.step().cloned().unwrap_or_else(|| json!({})) } else { json!({}) }
    };
    let runtime = json!({
        "uuid": id,
        "links": links(base, "nodes", &id),
        "provision_state": state,
        "target_provision_state": node.state.target(),
        "provision_updated_at": time(known.provision_updated_at),
        "power_state": known.power_state,
        "target_power_state": known.target_power_state,
        "last_error": known.last_error,
        "reservation": null,
        "fault": null,
        "health": null,
        "created_at": time(Some(known.created_at)),
        "updated_at": time(known.updated_at),
        "inspection_started_at": time(known.inspection_started_at),
        "inspection_finished_at": time(known.inspection_finished_at),
        "driver_internal_info": driver_internal_info(node),
        "clean_step": step("clean"),
        "deploy_step": {},
        "service_step": {},
        "boot_mode": known.boot_mode,
        "secure_boot": null,
        "console_enabled": false,
        "raid_config": {},
        "target_raid_config": {},
        "allocation_uuid": null,
        "conductor": "billetd",
        "traits": [],
        "ports": links(base, "nodes", &format!("{id}/ports")),
        "states": links(base, "nodes", &format!("{id}/states")),
        "portgroups": links(base, "nodes", &format!("{id}/portgroups")),
        "volume": links(base, "nodes", &format!("{id}/volume")),
    });
    shown.extend(runtime.as_object().cloned().unwrap_or_default());
    masked(&Value::Object(shown)).as_object().cloned().unwrap_or_default()
}

/// A port, whole.
#[must_use]
pub fn port(port: &Port, base: &str) -> Map<String, Value> {
    let id = port.uuid.to_string();
    let mut shown = with_defaults(&port.declared, PORT_FIELDS);
    if !port.declared.contains_key("pxe_enabled") {
        shown.insert("pxe_enabled".to_owned(), true.into());
    }
    let runtime = json!({
        "uuid": id,
        "node_uuid": port.node_uuid.to_string(),
        "address": port.address.to_string(),
        "internal_info": {},
        "created_at": time(Some(port.created_at)),
        "updated_at": time(port.updated_at),
        "links": links(base, "ports", &id),
    });
    shown.extend(runtime.as_object().cloned().unwrap_or_default());
    shown
}

/// `item` with only the keys in `fields`.
#[must_use]
pub fn only(item: Map<String, Value>, fields: &[&str]) -> Map<String, Value> {
    item.into_iter().filter(|(key, _)| fields.contains(&key.as_str())).collect()
}

/// An erasure with its link, whose certificate is shown as `document` as well.
#[must_use]
pub fn erasure(recorded: &Recorded) -> Value {
    let Recorded { sequence, erasure, link } = recorded;
    json!({
        "sequence": sequence,
        "device": erasure.device,
        "verified": erasure.verified,
        "reason": erasure.reason,
        "result": erasure.said("/result"),
        "method": erasure.method(),
        "level": erasure.said("/level"),
        "serial": erasure.said("/device/serial"),
        "step": erasure.step,
        "operation": erasure.operation.to_string(),
        "received_at": erasure.received_at,
        "document": erasure.document,
        "link": link.to_value(),
    })
}
