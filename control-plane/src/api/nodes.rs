//! `/v1/nodes`.

use std::collections::HashMap;

use axum::{
    Json as Answer,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use wire::ironic::{MASKED, NODE_FIELDS, NODE_SUMMARY, check_fields};

use super::{Api, Failure, body, drivers, patch};
use crate::{
    node::State as Life,
    record::Node,
    store::Along,
    view::{self, only},
};

/// The most links in one answer: some 30 MB.
const ERASURES_LIMIT: u32 = 4096;

/// The node of a path, by UUID or name.
pub(super) async fn find(api: &Api, ident: &str) -> Result<Node, Failure> {
    api.store().find_node(ident).await?.ok_or_else(|| Failure::no_node(ident))
}

pub(super) async fn list(
    State(api): State<Api>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Answer<Value>, Failure> {
    let detail = query.get("detail").is_some_and(|detail| detail.eq_ignore_ascii_case("true"));
    listed(&api, &query, detail).await
}

pub(super) async fn list_detail(
    State(api): State<Api>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Answer<Value>, Failure> {
    listed(&api, &query, true).await
}

/// One page with everything, as gophercloud reads no second one; `limit` and
/// `marker` for those who ask.
async fn listed(api: &Api, query: &HashMap<String, String>, detail: bool) -> Result<Answer<Value>, Failure> {
    let mut shown: Vec<Map<String, Value>> = api
        .store()
        .nodes()
        .await?
        .iter()
        .map(|node| view::node(node, api.base()))
        .filter(|node| matches(node, query))
        .collect();
    let next = page(&mut shown, query, &format!("{}/v1/nodes", api.base()))?;
    let nodes: Vec<Value> =
        shown.into_iter().map(|node| Value::Object(selected(node, query, detail, NODE_SUMMARY))).collect();
    let mut answer = json!({"nodes": nodes});
    if let Some(next) = next {
        answer["next"] = next.into();
    }
    Ok(Answer(answer))
}

/// Cut `items` (sorted by UUID) to the page asked for; the URL of the next one.
pub(super) fn page(
    items: &mut Vec<Map<String, Value>>,
    query: &HashMap<String, String>,
    url: &str,
) -> Result<Option<String>, Failure> {
    let id =
        |item: &Map<String, Value>| item.get("uuid").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(marker) = query.get("marker") {
        let at = items.iter().position(|item| id(item) == *marker);
        let at =
            at.ok_or_else(|| Failure::bad_request(format!("The marker {marker:?} is not in the list.")))?;
        items.drain(..=at);
    }
    let Some(limit) = query.get("limit") else { return Ok(None) };
    let limit: usize = limit.parse().map_err(|_| Failure::bad_request("limit is not a number."))?;
    if limit == 0 || items.len() <= limit {
        return Ok(None);
    }
    items.truncate(limit);
    Ok(items.last().map(|last| format!("{url}?limit={limit}&marker={}", id(last))))
}

fn matches(node: &Map<String, Value>, query: &HashMap<String, String>) -> bool {
    const BY_TEXT: &[&str] = &[
        "provision_state",
        "driver",
        "resource_class",
        "owner",
        "lessee",
        "instance_uuid",
        "shard",
        "conductor_group",
        "fault",
    ];
    let text = |key: &str| node.get(key).and_then(Value::as_str);
    let truth = |text: &String| text.eq_ignore_ascii_case("true");
    BY_TEXT.iter().all(|key| query.get(*key).is_none_or(|wanted| text(key) == Some(wanted)))
        && query
            .get("maintenance")
            .is_none_or(|wanted| node.get("maintenance") == Some(&Value::Bool(truth(wanted))))
        && query.get("associated").is_none_or(|wanted| text("instance_uuid").is_some() == truth(wanted))
}

/// The fields asked for; the summary when none are.
pub(super) fn selected(
    item: Map<String, Value>,
    query: &HashMap<String, String>,
    detail: bool,
    summary: &[&str],
) -> Map<String, Value> {
    match query.get("fields") {
        Some(fields) => only(item, &fields.split(',').chain(["links"]).collect::<Vec<_>>()),
        None if detail => item,
        None => only(item, summary),
    }
}

pub(super) async fn show(
    State(api): State<Api>,
    Path(ident): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Answer<Value>, Failure> {
    let node = find(&api, &ident).await?;
    Ok(Answer(Value::Object(selected(view::node(&node, api.base()), &query, true, &[]))))
}

fn check(declared: &Map<String, Value>) -> Result<(), Failure> {
    check_fields(declared, NODE_FIELDS).map_err(|error| Failure::bad_request(format!("{error}.")))?;
    let driver = declared.get("driver").and_then(Value::as_str);
    let driver = driver.ok_or_else(|| Failure::bad_request("A node needs a driver."))?;
    let address = declared.get("driver_info").and_then(|info| info.get("redfish_address"));
    if address.and_then(Value::as_str).is_some_and(|address| address.contains('@')) {
        // Not repeated: it would be shown to whoever reads the node, or this answer.
        return Err(Failure::bad_request(
            "driver_info redfish_address holds credentials; use redfish_username and redfish_password.",
        ));
    }
    if drivers::is_known(driver) {
        return Ok(());
    }
    Err(Failure::bad_request(format!(
        "No valid host was found. Reason: No conductor service registered which supports driver {driver}."
    )))
}

pub(super) async fn create(
    State(api): State<Api>,
    body: body::Json<{ body::SMALL }>,
) -> Result<Response, Failure> {
    let mut declared = body.object()?;
    let uuid = match declared.remove("uuid") {
        None | Some(Value::Null) => Uuid::new_v4(),
        Some(Value::String(text)) => text.parse().map_err(|_| Failure::bad_request("uuid is not a UUID."))?,
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(Failure::bad_request("uuid is not a UUID."));
        }
    };
    check(&declared)?;
    let node = Node::new(uuid, declared);
    api.store().insert_node(&node).await?;
    let shown = Value::Object(view::node(&node, api.base()));
    let location = format!("{}/v1/nodes/{uuid}", api.base());
    Ok((StatusCode::CREATED, [("location", location)], Answer(shown)).into_response())
}

pub(super) async fn update(
    State(api): State<Api>,
    Path(ident): Path<String>,
    body: body::Json<{ body::SMALL }>,
) -> Result<Answer<Value>, Failure> {
    let uuid = find(&api, &ident).await?.uuid;
    let changed = api.store().change(uuid, |node| {
        if node.state.is_busy() && !node.state.provision_state().contains("wait") {
            return Err(Failure::locked(&node.uuid.to_string()));
        }
        let mut declared = patch::apply(&node.declared, &body.0)?;
        keep_masked(&node.declared, &mut declared);
        check(&declared)?;
        if node.state.is_busy() && machine_of(&declared) != machine_of(&node.declared) {
            return Err(Failure::locked(&node.uuid.to_string()));
        }
        node.declared = declared;
        Ok((Value::Object(view::node(node, api.base())), Along::default()))
    });
    Ok(Answer(changed.await?))
}

/// Which machine a node means. In the middle of an operation this stands: the
/// power off that ends it must reach the machine that it began with.
fn machine_of(declared: &Map<String, Value>) -> [Option<&Value>; 3] {
    let info = declared.get("driver_info");
    let of = |key: &str| info.and_then(|info| info.get(key));
    [declared.get("driver"), of("redfish_address"), of("redfish_system_id")]
}

/// A password that comes back masked is the one that was not shown.
fn keep_masked(old: &Map<String, Value>, new: &mut Map<String, Value>) {
    let old = old.get("driver_info").and_then(Value::as_object);
    for (key, value) in new.get_mut("driver_info").and_then(Value::as_object_mut).into_iter().flatten() {
        if value == MASKED
            && let Some(kept) = old.and_then(|old| old.get(key))
        {
            value.clone_from(kept);
        }
    }
}

pub(super) async fn remove(State(api): State<Api>, Path(ident): Path<String>) -> Result<StatusCode, Failure> {
    let node = find(&api, &ident).await?;
    let at_rest = matches!(
        node.state,
        Life::Enroll | Life::Manageable | Life::Available | Life::AdoptFailed | Life::InspectFailed
    );
    if node.declared.get("protected") == Some(&Value::Bool(true)) {
        return Err(Failure::client(
            StatusCode::FORBIDDEN,
            &format!("Node {} is protected and cannot be deleted.", node.uuid),
        ));
    }
    if !at_rest && !node.in_maintenance() {
        return Err(Failure::conflict(format!(
            "Can not delete node \"{}\" while it is in provision state \"{}\". Set its maintenance to delete it anyway.",
            node.uuid,
            node.state.provision_state()
        )));
    }
    if node.text("instance_uuid").is_some() && !node.in_maintenance() {
        return Err(Failure::conflict(format!(
            "Node {} is associated with instance; remove its instance_uuid first.",
            node.uuid
        )));
    }
    if !api.store().delete_node(node.uuid, node.state).await? {
        return Err(Failure::locked(&node.uuid.to_string()));
    }
    api.conductor.forget(node.uuid);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn inventory(
    State(api): State<Api>,
    Path(ident): Path<String>,
) -> Result<Answer<Value>, Failure> {
    let node = find(&api, &ident).await?;
    let found = api.store().inventory(node.uuid).await?;
    let found = found.ok_or_else(|| {
        Failure::client(
            StatusCode::NOT_FOUND,
            &format!("Introspection data not found for node {}.", node.uuid),
        )
    })?;
    Ok(Answer(json!({"inventory": found.inventory, "plugin_data": found.plugin_data})))
}

pub(super) async fn history(
    State(api): State<Api>,
    Path(ident): Path<String>,
) -> Result<Answer<Value>, Failure> {
    let node = find(&api, &ident).await?;
    Ok(Answer(json!({"history": api.store().history(node.uuid).await?})))
}

pub(super) async fn progress(
    State(api): State<Api>,
    Path(ident): Path<String>,
) -> Result<Answer<Value>, Failure> {
    let node = find(&api, &ident).await?;
    Ok(Answer(api.conductor.progress(node.uuid).unwrap_or_else(|| json!({}))))
}

/// Evidence outlives its node, so a deleted node's UUID still answers. `marker`
/// is the number of the last link that is known.
pub(super) async fn erasures(
    State(api): State<Api>,
    Path(ident): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Answer<Value>, Failure> {
    let uuid = match (api.store().find_node(&ident).await?, ident.parse()) {
        (Some(node), _) => node.uuid,
        (None, Ok(uuid)) => uuid,
        (None, Err(_)) => return Err(Failure::no_node(&ident)),
    };
    let number = |key: &str| query.get(key).map(|text| text.parse::<u32>()).transpose();
    let asked = number("marker").and_then(|marker| Ok((marker, number("limit")?)));
    let (marker, limit) = asked.map_err(|_| Failure::bad_request("marker and limit are numbers."))?;
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(ERASURES_LIMIT).min(ERASURES_LIMIT);
    let (recorded, head) = api.store().erasures(uuid, marker.unwrap_or(0).into(), limit).await?;
    let shown: Vec<Value> = recorded.iter().map(view::erasure).collect();
    let mut answer = json!({"erasures": shown, "head": head.to_value()});
    if let Some(last) = recorded.last().filter(|_| recorded.len() == limit as usize) {
        let base = api.base();
        answer["next"] =
            format!("{base}/v1/nodes/{uuid}/erasures?limit={limit}&marker={}", last.sequence).into();
    }
    Ok(Answer(answer))
}

/// The certificates that evidence is countersigned with, the present one last.
pub(super) async fn evidence_keys(State(api): State<Api>) -> Result<Answer<Value>, Failure> {
    let keys = api.store().evidence_keys().await?;
    let shown: Vec<Value> =
        keys.iter().map(|(certificate, since)| json!({"certificate": certificate, "since": since})).collect();
    Ok(Answer(json!({"keys": shown})))
}

/// The last logs an agent left when its work failed: base64 of a tar.gz.
pub(super) async fn logs(
    State(api): State<Api>,
    Path(ident): Path<String>,
) -> Result<Answer<Value>, Failure> {
    let node = find(&api, &ident).await?;
    let logs = api.store().agent_logs(node.uuid).await?.ok_or_else(Failure::not_found)?;
    Ok(Answer(json!({"system_logs": logs})))
}

pub(super) async fn no_bios(
    State(api): State<Api>,
    Path(ident): Path<String>,
) -> Result<Answer<Value>, Failure> {
    find(&api, &ident).await.map(|_| Answer(json!({"bios": []})))
}

pub(super) async fn no_firmware(
    State(api): State<Api>,
    Path(ident): Path<String>,
) -> Result<Answer<Value>, Failure> {
    find(&api, &ident).await.map(|_| Answer(json!({"firmware": []})))
}

pub(super) async fn no_traits(
    State(api): State<Api>,
    Path(ident): Path<String>,
) -> Result<Answer<Value>, Failure> {
    find(&api, &ident).await.map(|_| Answer(json!({"traits": []})))
}
