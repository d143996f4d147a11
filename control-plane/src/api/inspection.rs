//! `POST /v1/continue_inspection`: an inventory comes in.

use axum::{Json as Answer, extract::State as Extract, http::StatusCode};
use model::Mac;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Api, Failure, body};
use crate::{
    node::{Event, Ramdisk, State},
    record::{Node, Port},
    store::{Along, Inventory},
};

/// More interfaces than this are no server.
const INTERFACES_LIMIT: usize = 512;

/// A network interface that can be a port.
struct Interface {
    name: String,
    mac: Mac,
    pxe: bool,
    raw: Value,
}

pub(super) async fn receive(
    Extract(api): Extract<Api>,
    body: body::Json<{ body::INVENTORY }>,
) -> Result<(StatusCode, Answer<Value>), Failure> {
    let mut data = body.object()?;
    let interfaces = interfaces(&data)?;
    let node = owner(&api, &data, &interfaces).await?;
    let error = data.get("error").and_then(Value::as_str).filter(|error| !error.is_empty());
    if let Some(error) = error {
        let words = format!("the ramdisk of node {} could not inspect it: {error}", node.title());
        api.conductor.tell(node.uuid, Event::Failed, Some(words)).await?;
        return Ok(found(&node));
    }
    let inventory = data.remove("inventory").unwrap_or(Value::Null);
    keep(&api, &node, inventory, data, &interfaces).await?;
    api.conductor.tell(node.uuid, Event::Inspected, None).await?;
    Ok(found(&node))
}

fn found(node: &Node) -> (StatusCode, Answer<Value>) {
    (StatusCode::ACCEPTED, Answer(json!({"uuid": node.uuid.to_string()})))
}

/// Ironic's schema: an inventory with at least one interface, each with a MAC.
fn interfaces(data: &Map<String, Value>) -> Result<Vec<Interface>, Failure> {
    let schema = |words: &str| Failure::bad_request(format!("Schema error for data: {words}"));
    let inventory = data.get("inventory").ok_or_else(|| schema("'inventory' is a required property"))?;
    let inventory = inventory.as_object().ok_or_else(|| schema("inventory is not of type 'object'"))?;
    let list = inventory.get("interfaces").ok_or_else(|| schema("'interfaces' is a required property"))?;
    let list = list.as_array().ok_or_else(|| schema("interfaces is not of type 'array'"))?;
    if list.is_empty() || list.len() > INTERFACES_LIMIT {
        return Err(schema("interfaces should be non-empty"));
    }
    let booted = inventory.get("boot").and_then(|boot| boot.get("pxe_interface")).and_then(Value::as_str);
    let booted: Option<Mac> = booted.and_then(|text| text.parse().ok());
    let mut interfaces = Vec::new();
    for raw in list {
        let mac = raw
            .get("mac_address")
            .and_then(Value::as_str)
            .ok_or_else(|| schema("'mac_address' is a required property"))?;
        // InfiniBand's longer addresses are shown and make no port.
        let Ok(mac) = mac.parse::<Mac>() else { continue };
        let name = raw.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        interfaces.push(Interface {
            name,
            mac,
            pxe: booted.is_none_or(|booted| booted == mac),
            raw: raw.clone(),
        });
    }
    Ok(interfaces)
}

/// The node being inspected: by port, else by the address of its BMC.
async fn owner(api: &Api, data: &Map<String, Value>, interfaces: &[Interface]) -> Result<Node, Failure> {
    let waits = |node: &Node| node.state.ramdisk() == Some(Ramdisk::Inspect);
    let macs: Vec<Mac> = interfaces.iter().map(|interface| interface.mac).collect();
    let by_port = match api.store().owner_of(&macs).await? {
        Some(uuid) => api.store().node(uuid).await?,
        None => None,
    };
    if let Some(node) = by_port {
        return if waits(&node) { Ok(node) } else { Err(Failure::not_found()) };
    }
    let address = |key: &str| data.get("inventory")?.get(key)?.as_str();
    let addresses: Vec<&str> =
        ["bmc_address", "bmc_v6address"].iter().filter_map(|key| address(key)).collect();
    let named = |node: &Node| {
        let url = node.object("driver_info").get("redfish_address").and_then(Value::as_str).map(host);
        url.flatten().is_some_and(|host| addresses.contains(&host.as_str()))
    };
    let mut nodes = api.store().nodes().await?.into_iter().filter(|node| waits(node) && named(node));
    match (nodes.next(), nodes.next()) {
        (Some(node), None) => Ok(node),
        (None, _) | (Some(_), Some(_)) => Err(Failure::not_found()),
    }
}

fn host(address: &str) -> Option<String> {
    let full = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    let host = reqwest::Url::parse(&full).ok()?.host_str()?.to_owned();
    Some(host.trim_matches(['[', ']']).to_owned())
}

/// Ironic's default hooks: valid interfaces, ports, architecture. Doing it twice changes nothing.
async fn keep(
    api: &Api,
    node: &Node,
    inventory: Value,
    mut rest: Map<String, Value>,
    interfaces: &[Interface],
) -> Result<(), Failure> {
    rest.remove("logs");
    let shown: Map<String, Value> = interfaces
        .iter()
        .map(|interface| {
            let mut raw = interface.raw.clone();
            raw["pxe_enabled"] = interface.pxe.into();
            (interface.name.clone(), raw)
        })
        .collect();
    rest.insert("macs".to_owned(), interfaces.iter().map(|interface| interface.mac.to_string()).collect());
    rest.insert("valid_interfaces".to_owned(), shown.clone().into());
    rest.insert("all_interfaces".to_owned(), shown.into());
    let text = |pointer: &str| inventory.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let (architecture, mode) = (text("/cpu/architecture"), text("/boot/current_boot_mode"));
    let found = Inventory { inventory, plugin_data: Value::Object(rest) };
    let welcome = |state: State| state.ramdisk() == Some(Ramdisk::Inspect);
    if !api.store().put_inventory(node.uuid, &found, welcome).await? {
        return Err(Failure::not_found());
    }
    for interface in interfaces {
        add_port(api, node.uuid, interface).await?;
    }
    let changed = api.store().change(node.uuid, |node| {
        node.known.boot_mode.clone_from(&mode);
        let properties = node.declared.entry("properties").or_insert_with(|| json!({}));
        if let (Some(properties), Some(architecture)) = (properties.as_object_mut(), &architecture) {
            properties.insert("cpu_arch".to_owned(), architecture.as_str().into());
        }
        Ok::<_, Failure>(((), Along::default()))
    });
    Ok(changed.await?)
}

async fn add_port(api: &Api, node: Uuid, interface: &Interface) -> Result<(), Failure> {
    if let Some(port) = api.store().find_port(&interface.mac.to_string()).await? {
        if port.node_uuid != node {
            tracing::warn!(%node, mac = %interface.mac, other = %port.node_uuid, "the port belongs to another node");
        }
        return Ok(());
    }
    let declared =
        json!({"pxe_enabled": interface.pxe, "name": null}).as_object().cloned().unwrap_or_default();
    Ok(api.store().insert_port(&Port::new(node, interface.mac, declared)).await?)
}
