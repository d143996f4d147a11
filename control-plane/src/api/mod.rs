//! The HTTP side: Ironic's REST API, the ramdisk's endpoints, boot files.
//!
//! Every resource is served below `/v1` and, for Metal3's shorter endpoint,
//! without it; with and without a trailing slash.

mod auth;
mod body;
mod boot;
mod discovery;
mod drivers;
mod failure;
mod inspection;
mod microversion;
mod nodes;
mod patch;
mod ports;
mod ramdisk;
mod states;

use std::{path::PathBuf, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post, put},
};
use tower_http::services::ServeDir;

pub use auth::{AuthError, Passwords};
pub use failure::Failure;

use crate::{runner::Conductor, store::Store};

/// What the handlers work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    /// Conducts the nodes.
    pub conductor: Conductor,
    /// Who may use the API; everybody when `None`.
    pub passwords: Option<Arc<Passwords>>,
    /// Folder with `vmlinuz` and `initramfs`.
    pub ramdisk: Option<PathBuf>,
    /// Folder with images.
    pub images: Option<PathBuf>,
}

impl Api {
    fn store(&self) -> &Store {
        self.conductor.store()
    }

    /// Base of the links in answers.
    fn base(&self) -> &str {
        &self.conductor.settings().advertise
    }
}

/// Every route.
pub fn router(api: Api) -> Router {
    let resources = resources();
    let mut app = Router::new()
        .route("/", get(discovery::root))
        .route("/v1", get(discovery::v1))
        .route("/v1/", get(discovery::v1))
        .nest("/v1", resources.clone())
        .merge(resources)
        .route("/boot.ipxe", get(boot::bootstrap))
        .route("/boot/{file}", get(boot::script))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics));
    if let Some(folder) = &api.ramdisk {
        app = app.nest_service("/ramdisk", ServeDir::new(folder));
    }
    if let Some(folder) = &api.images {
        app = app.nest_service("/images", ServeDir::new(folder));
    }
    app.fallback(|| async { Failure::not_found() })
        .method_not_allowed_fallback(|| async { Failure::method_not_allowed() })
        .layer(middleware::from_fn_with_state(api.clone(), auth::guard))
        .layer(middleware::from_fn_with_state(api.clone(), microversion::negotiate))
        .with_state(api)
}

fn resources() -> Router<Api> {
    let routes: Vec<(&str, MethodRouter<Api>)> = vec![
        ("/nodes", get(nodes::list).post(nodes::create)),
        ("/nodes/detail", get(nodes::list_detail)),
        ("/nodes/{node}", get(nodes::show).patch(nodes::update).delete(nodes::remove)),
        ("/nodes/{node}/states", get(states::show)),
        ("/nodes/{node}/states/provision", put(states::provision)),
        ("/nodes/{node}/states/power", put(states::power)),
        ("/nodes/{node}/validate", get(states::validate)),
        ("/nodes/{node}/maintenance", put(states::set_maintenance).delete(states::unset_maintenance)),
        ("/nodes/{node}/inventory", get(nodes::inventory)),
        ("/nodes/{node}/history", get(nodes::history)),
        ("/nodes/{node}/ports", get(ports::of_node)),
        ("/nodes/{node}/bios", get(nodes::no_bios)),
        ("/nodes/{node}/firmware", get(nodes::no_firmware)),
        ("/nodes/{node}/traits", get(nodes::no_traits)),
        ("/nodes/{node}/progress", get(nodes::progress)),
        ("/nodes/{node}/erasures", get(nodes::erasures)),
        ("/nodes/{node}/logs", get(nodes::logs)),
        ("/evidence/keys", get(nodes::evidence_keys)),
        ("/ports", get(ports::list).post(ports::create)),
        ("/ports/detail", get(ports::list_detail)),
        ("/ports/{port}", get(ports::show).patch(ports::update).merge(delete(ports::remove))),
        ("/drivers", get(drivers::list)),
        ("/drivers/{driver}", get(drivers::show)),
        ("/drivers/{driver}/properties", get(drivers::properties)),
        ("/conductors", get(drivers::conductors)),
        ("/lookup", get(ramdisk::lookup)),
        ("/heartbeat/{node}", post(ramdisk::heartbeat)),
        ("/continue_inspection", post(inspection::receive)),
    ];
    routes.into_iter().fold(Router::new(), |router, (path, methods)| {
        router.route(path, methods.clone()).route(&format!("{path}/"), methods)
    })
}

async fn healthz(State(api): State<Api>) -> Response {
    match api.store().ping().await {
        Ok(()) => "ok\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

async fn metrics(State(api): State<Api>) -> Result<Response, Failure> {
    let states = api.store().count_by_state().await?;
    let page = api.conductor.metrics().render(&states);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page).into_response())
}
