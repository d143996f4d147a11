//! Verbs: provision, power, maintenance; and what stands in their way.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bmc::PowerAction;
use serde_json::{Map, Value, json};

use super::{Api, Failure, body, nodes};
use crate::{
    config_drive,
    node::{Event, next},
    record::Node,
    runner::{HandleError, PowerError, image_info},
    store::Along,
    view::{self, only},
};

const STATES: &[&str] = &[
    "boot_mode",
    "console_enabled",
    "last_error",
    "power_state",
    "provision_state",
    "provision_updated_at",
    "raid_config",
    "secure_boot",
    "target_power_state",
    "target_provision_state",
    "target_raid_config",
];

/// Ironic's verbs that this control plane does not serve yet.
const NOT_SERVED: &[&str] = &["clean", "rescue", "unrescue", "service", "unhold"];

pub(super) async fn show(
    State(api): State<Api>,
    Path(ident): Path<String>,
) -> Result<Answer<Value>, Failure> {
    let node = nodes::find(&api, &ident).await?;
    Ok(Answer(Value::Object(only(view::node(&node, api.base()), STATES))))
}

fn accepted(api: &Api, node: &Node) -> Response {
    let location = format!("{}/v1/nodes/{}/states", api.base(), node.uuid);
    (StatusCode::ACCEPTED, [("location", location)]).into_response()
}

pub(super) async fn provision(
    State(api): State<Api>,
    Path(ident): Path<String>,
    body: body::Json<{ body::CONFIG_DRIVE }>,
) -> Result<Response, Failure> {
    let body = body.object()?;
    let verb = body
        .get("target")
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::bad_request("Mandatory field missing: target"))?;
    let node = nodes::find(&api, &ident).await?;
    let Some(event) = Event::of_verb(verb) else {
        let words = if NOT_SERVED.contains(&verb) { "is not served by this billetd" } else { "is not known" };
        return Err(Failure::bad_request(format!("The requested action \"{verb}\" {words}.")));
    };
    if next(node.state, event).is_err() {
        return Err(denied(&node, verb));
    }
    let deploys = matches!(event, Event::Deploy | Event::Rebuild);
    let drive = if deploys { deployable(&node, &body).await? } else { None };
    let _turn = if deploys { Some(api.conductor.deploying().await) } else { None };
    if deploys {
        // Somebody else's deployment may have begun: its config drive stays.
        let node = nodes::find(&api, &ident).await?;
        if next(node.state, event).is_err() {
            return Err(denied(&node, verb));
        }
        api.store().put_config_drive(node.uuid, drive.as_deref()).await?;
    }
    match api.conductor.tell(node.uuid, event, None).await {
        Ok(_) => Ok(accepted(&api, &node)),
        Err(HandleError::Denied(_)) => Err(denied(&nodes::find(&api, &ident).await?, verb)),
        Err(error @ (HandleError::NoSuchNode { .. } | HandleError::Store(_) | HandleError::Stopping)) => {
            Err(error.into())
        }
    }
}

/// 409 while a lock is held in Ironic, 400 otherwise, in Ironic's words.
fn denied(node: &Node, verb: &str) -> Failure {
    let state = node.state.provision_state();
    if node.state.is_busy() && !state.contains("wait") {
        return Failure::locked(&node.uuid.to_string());
    }
    Failure::bad_request(format!(
        "The requested action \"{verb}\" can not be performed on node \"{}\" while it is in state \"{state}\".",
        node.uuid
    ))
}

/// The config drive to write, if everything that a deployment needs is there.
async fn deployable(node: &Node, body: &Map<String, Value>) -> Result<Option<String>, Failure> {
    if node.in_maintenance() {
        return Err(Failure::bad_request(format!(
            "The provisioning operation can't be performed on node {} because it's in maintenance mode.",
            node.uuid
        )));
    }
    image_info(node).map_err(|reason| {
        Failure::bad_request(format!(
            "Failed to validate deploy or power info for node {}: {reason}",
            node.uuid
        ))
    })?;
    let Some(given) = body.get("configdrive").cloned() else { return Ok(None) };
    let (uuid, name) = (node.uuid.to_string(), node.title());
    let built = tokio::task::spawn_blocking(move || config_drive::from_request(&given, (&uuid, &name))).await;
    let built = built.map_err(|_| Failure::server("The config drive could not be built."))?;
    built.map_err(|error| {
        Failure::bad_request(format!("Invalid configdrive: {}.", crate::runner::chain(&error)))
    })
}

pub(super) async fn power(
    State(api): State<Api>,
    Path(ident): Path<String>,
    body: body::Json<{ body::SMALL }>,
) -> Result<Response, Failure> {
    let body = body.object()?;
    let node = nodes::find(&api, &ident).await?;
    let target = body.get("target").and_then(Value::as_str).unwrap_or_default();
    let action = match target {
        "power on" => PowerAction::On,
        "power off" => PowerAction::ForceOff,
        "rebooting" => PowerAction::ForceRestart,
        "soft power off" => PowerAction::GracefulShutdown,
        _ => {
            return Err(Failure::bad_request(format!(
                "The requested power state {target:?} is not supported."
            )));
        }
    };
    if node.state.is_busy() {
        return Err(Failure::locked(&node.uuid.to_string()));
    }
    match api.conductor.request_power(node.uuid, action).await {
        Ok(()) => Ok(accepted(&api, &node)),
        Err(PowerError::Busy) => Err(Failure::locked(&node.uuid.to_string())),
        Err(PowerError::Refused { words }) => {
            Err(Failure::bad_request(format!("Failed to set node power state: {words}")))
        }
    }
}

pub(super) async fn validate(
    State(api): State<Api>,
    Path(ident): Path<String>,
) -> Result<Answer<Value>, Failure> {
    let node = nodes::find(&api, &ident).await?;
    let driver = node.text("driver").unwrap_or_default();
    let controller = bmc::Bmc::for_node(&node.uuid.to_string(), driver, &node.object("driver_info"));
    let verdict = |reason: Option<String>| json!({"result": reason.is_none(), "reason": reason});
    let power = verdict(controller.err().map(|error| crate::runner::chain(&error)));
    let deploy = verdict(image_info(&node).err());
    let absent = json!({"result": null, "reason": "not supported"});
    Ok(Answer(json!({
        "boot": power, "management": power, "power": power, "deploy": deploy, "inspect": verdict(None), "network": verdict(None),
        "storage": verdict(None), "bios": absent, "console": absent, "firmware": absent, "raid": absent, "rescue": absent,
    })))
}

async fn maintain(api: &Api, ident: &str, on: bool, reason: Option<String>) -> Result<Response, Failure> {
    let node = nodes::find(api, ident).await?;
    let changed = api.store().change(node.uuid, |node| {
        node.declared.insert("maintenance".to_owned(), on.into());
        node.declared.insert("maintenance_reason".to_owned(), reason.clone().into());
        Ok::<_, Failure>(((), Along::default()))
    });
    changed.await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

pub(super) async fn set_maintenance(
    State(api): State<Api>,
    Path(ident): Path<String>,
    body: Result<body::Json<{ body::SMALL }>, Failure>,
) -> Result<Response, Failure> {
    // The reason is optional, and so is the whole body.
    let reason = body.ok().and_then(|body| body.0.get("reason").and_then(Value::as_str).map(str::to_owned));
    maintain(&api, &ident, true, reason).await
}

pub(super) async fn unset_maintenance(
    State(api): State<Api>,
    Path(ident): Path<String>,
) -> Result<Response, Failure> {
    maintain(&api, &ident, false, None).await
}
