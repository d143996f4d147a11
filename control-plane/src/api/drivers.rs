//! Drivers and conductors: there are few, and one.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{Api, Failure};
use crate::{clock::Time, view::links};

/// What `driver_info` may hold, by driver.
const DRIVERS: &[(&str, &[(&str, &str)])] = &[
    ("fake-hardware", &[]),
    (
        "redfish",
        &[
            ("redfish_address", "URL of the Redfish service. Required."),
            ("redfish_system_id", "Path of the system; the only one if not given."),
            ("redfish_username", "User name."),
            ("redfish_password", "Password."),
            ("redfish_verify_ca", "true, false, or the path of a PEM file."),
            ("redfish_auth_type", "auto, basic or session."),
        ],
    ),
];

/// Whether nodes may name this driver.
pub(super) fn is_known(driver: &str) -> bool {
    DRIVERS.iter().any(|(name, _)| *name == driver)
}

fn driver(api: &Api, name: &str) -> Value {
    json!({"name": name, "type": "dynamic", "hosts": ["billetd"], "links": links(api.base(), "drivers", name)})
}

pub(super) async fn list(State(api): State<Api>) -> Json<Value> {
    let drivers: Vec<Value> = DRIVERS.iter().map(|(name, _)| driver(&api, name)).collect();
    Json(json!({"drivers": drivers}))
}

pub(super) async fn show(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Value>, Failure> {
    if is_known(&name) { Ok(Json(driver(&api, &name))) } else { Err(Failure::not_found()) }
}

pub(super) async fn properties(Path(name): Path<String>) -> Result<Json<Value>, Failure> {
    let (_, properties) = DRIVERS.iter().find(|(known, _)| *known == name).ok_or_else(Failure::not_found)?;
    Ok(Json(
        properties
            .iter()
            .map(|(key, help)| ((*key).to_owned(), Value::from(*help)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    ))
}

pub(super) async fn conductors(State(api): State<Api>) -> Json<Value> {
    let conductor = json!({
        "hostname": "billetd", "alive": true, "conductor_group": "", "drivers": DRIVERS.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "created_at": null, "updated_at": Time::now().to_string(), "links": links(api.base(), "conductors", "billetd"),
    });
    Json(json!({"conductors": [conductor]}))
}
