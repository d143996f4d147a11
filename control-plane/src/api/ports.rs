//! `/v1/ports`.

use std::collections::HashMap;

use axum::{
    Json as Answer,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use model::Mac;
use serde_json::{Map, Value, json};
use wire::ironic::{PORT_FIELDS, PORT_SUMMARY, check_fields};

use super::{Api, Failure, body, nodes, patch};
use crate::{clock::Time, record::Port, view};

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

pub(super) async fn of_node(
    State(api): State<Api>,
    Path(ident): Path<String>,
    Query(mut query): Query<HashMap<String, String>>,
) -> Result<Answer<Value>, Failure> {
    query.insert("node".to_owned(), ident);
    listed(&api, &query, false).await
}

async fn listed(api: &Api, query: &HashMap<String, String>, detail: bool) -> Result<Answer<Value>, Failure> {
    let owner = match query.get("node").or_else(|| query.get("node_uuid")) {
        Some(ident) => Some(nodes::find(api, ident).await?.uuid),
        None => None,
    };
    let address = match query.get("address") {
        Some(text) => Some(mac(text)?),
        None => None,
    };
    let ports = api.store().ports(owner).await?;
    let mut shown: Vec<Map<String, Value>> = ports
        .iter()
        .filter(|port| address.is_none_or(|address| port.address == address))
        .map(|port| view::port(port, api.base()))
        .collect();
    let next = nodes::page(&mut shown, query, &format!("{}/v1/ports", api.base()))?;
    let ports: Vec<Value> = shown
        .into_iter()
        .map(|port| Value::Object(nodes::selected(port, query, detail, PORT_SUMMARY)))
        .collect();
    let mut answer = json!({"ports": ports});
    if let Some(next) = next {
        answer["next"] = next.into();
    }
    Ok(Answer(answer))
}

fn mac(text: &str) -> Result<Mac, Failure> {
    text.parse().map_err(|_| Failure::bad_request(format!("Expected a MAC address but received {text}.")))
}

async fn find(api: &Api, ident: &str) -> Result<Port, Failure> {
    let missing = || Failure::client(StatusCode::NOT_FOUND, &format!("Port {ident} could not be found."));
    api.store().find_port(ident).await?.ok_or_else(missing)
}

pub(super) async fn show(
    State(api): State<Api>,
    Path(ident): Path<String>,
) -> Result<Answer<Value>, Failure> {
    let port = find(&api, &ident).await?;
    Ok(Answer(Value::Object(view::port(&port, api.base()))))
}

/// A node's ports say which ramdisk is its own, so they stay while one is at work.
async fn at_rest(api: &Api, node: uuid::Uuid) -> Result<(), Failure> {
    let busy = api.store().node(node).await?.is_some_and(|node| node.state.is_busy());
    if busy { Err(Failure::locked(&node.to_string())) } else { Ok(()) }
}

/// Split what a user says of a port into address, owner and the rest.
async fn declared(
    api: &Api,
    mut body: Map<String, Value>,
) -> Result<(Mac, uuid::Uuid, Map<String, Value>), Failure> {
    let address = body.remove("address");
    let address = address
        .as_ref()
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::bad_request("A port needs an address."))?;
    let owner = body.remove("node_uuid");
    let owner = owner
        .as_ref()
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::bad_request("A port needs a node_uuid."))?;
    let owner = api
        .store()
        .find_node(owner)
        .await?
        .ok_or_else(|| Failure::bad_request(format!("Node {owner} could not be found.")))?;
    check_fields(&body, PORT_FIELDS).map_err(|error| Failure::bad_request(format!("{error}.")))?;
    Ok((mac(address)?, owner.uuid, body))
}

pub(super) async fn create(
    State(api): State<Api>,
    body: body::Json<{ body::SMALL }>,
) -> Result<Response, Failure> {
    let mut body = body.object()?;
    let uuid = body.remove("uuid");
    let (address, owner, rest) = declared(&api, body).await?;
    let mut port = Port::new(owner, address, rest);
    if let Some(text) = uuid.as_ref().and_then(Value::as_str) {
        port.uuid = text.parse().map_err(|_| Failure::bad_request("uuid is not a UUID."))?;
    }
    api.store().insert_port(&port).await?;
    let location = format!("{}/v1/ports/{}", api.base(), port.uuid);
    let shown = Value::Object(view::port(&port, api.base()));
    Ok((StatusCode::CREATED, [("location", location)], Answer(shown)).into_response())
}

pub(super) async fn update(
    State(api): State<Api>,
    Path(ident): Path<String>,
    body: body::Json<{ body::SMALL }>,
) -> Result<Answer<Value>, Failure> {
    let mut port = find(&api, &ident).await?;
    let mut document = port.declared.clone();
    document.insert("address".to_owned(), port.address.to_string().into());
    document.insert("node_uuid".to_owned(), port.node_uuid.to_string().into());
    let (address, owner, rest) = declared(&api, patch::apply(&document, &body.0)?).await?;
    if (address, owner) != (port.address, port.node_uuid) {
        at_rest(&api, port.node_uuid).await?;
        at_rest(&api, owner).await?;
    }
    (port.address, port.node_uuid, port.declared, port.updated_at) =
        (address, owner, rest, Some(Time::now()));
    api.store().update_port(&port).await?;
    Ok(Answer(Value::Object(view::port(&port, api.base()))))
}

pub(super) async fn remove(State(api): State<Api>, Path(ident): Path<String>) -> Result<StatusCode, Failure> {
    let port = find(&api, &ident).await?;
    at_rest(&api, port.node_uuid).await?;
    api.store().delete_port(port.uuid).await?;
    Ok(StatusCode::NO_CONTENT)
}
