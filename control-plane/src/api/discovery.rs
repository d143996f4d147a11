//! `GET /` and `GET /v1`: what is served here.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{
    Api,
    microversion::{MAXIMUM, MINIMUM},
};

fn version(api: &Api) -> Value {
    json!({
        "id": "v1",
        "links": [{"href": format!("{}/v1/", api.base()), "rel": "self"}],
        "status": "CURRENT",
        "min_version": MINIMUM,
        "version": MAXIMUM,
    })
}

/// Exactly one version: Metal3 counts them.
pub(super) async fn root(State(api): State<Api>) -> Json<Value> {
    let version = version(&api);
    Json(json!({
        "name": "OpenStack Ironic API",
        "description": "Billet: bare metal into running machines, by Ironic's API.",
        "default_version": version,
        "versions": [version],
    }))
}

pub(super) async fn v1(State(api): State<Api>) -> Json<Value> {
    let mut document = json!({
        "id": "v1",
        "links": [{"href": format!("{}/v1/", api.base()), "rel": "self"}],
        "media_types": [{"base": "application/json", "type": "application/vnd.openstack.ironic.v1+json"}],
        "version": version(&api),
    });
    for collection in
        ["nodes", "ports", "drivers", "conductors", "lookup", "heartbeat", "continue_inspection"]
    {
        let base = api.base();
        document[collection] = json!([
            {"href": format!("{base}/v1/{collection}/"), "rel": "self"},
            {"href": format!("{base}/{collection}/"), "rel": "bookmark"},
        ]);
    }
    Json(document)
}
