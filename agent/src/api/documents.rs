//! What the agent tells everybody: discovery and status.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};
use wire::ipa::{Discovery, Link, MediaType, Status, Version};

use super::Served;

fn link(href: String, rel: &str) -> Link {
    Link { href, rel: rel.to_owned(), media_type: None }
}

fn version(base: &str) -> Version {
    let described = Link {
        href: "https://docs.openstack.org/ironic-python-agent/".to_owned(),
        rel: "describedby".to_owned(),
        media_type: Some("text/html".to_owned()),
    };
    Version { id: "v1".to_owned(), links: vec![link(format!("{base}/v1/"), "self"), described] }
}

pub(super) async fn root<M: Send>(State(served): State<Arc<Served<M>>>) -> Json<Discovery> {
    let version = version(&served.base);
    Json(Discovery {
        name: "OpenStack Ironic Python Agent API".to_owned(),
        description: "Billet's agent, speaking the API of Ironic's".to_owned(),
        versions: vec![version.clone()],
        default_version: version,
    })
}

pub(super) async fn v1<M: Send>(State(served): State<Arc<Served<M>>>) -> Json<Value> {
    let base = &served.base;
    let links = |name: &str| {
        vec![link(format!("{base}/v1/{name}/"), "self"), link(format!("{base}/{name}/"), "bookmark")]
    };
    let media = MediaType {
        base: "application/json".to_owned(),
        media_type: "application/vnd.openstack.ironic-python-agent.v1+json".to_owned(),
    };
    Json(json!({
        "commands": links("commands"),
        "status": links("status"),
        "media_types": [media],
        "id": "v1",
        "links": version(base).links,
    }))
}

pub(super) async fn status<M: Send>(State(served): State<Arc<Served<M>>>) -> Json<Status> {
    Json(Status { started_at: served.started_at, version: env!("CARGO_PKG_VERSION").to_owned() })
}
