//! A BMC for each server: the part of DMTF's Redfish that provisioning drives, over HTTP with basic
//! authentication. It answers as a standard service does, so that the control plane cannot tell.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    machine::{Enabled, Machine, Override},
    network::HOST,
    spec::{BootFirst, Firmware},
};

/// The user every BMC of the lab knows.
pub const USER: &str = "admin";
/// That user's password. No secret: the lab's network ends at its namespace.
pub const PASSWORD: &str = "billet-lab";
/// The first server's BMC listens here, the next one port higher.
const FIRST_PORT: u16 = 8001;

/// Where the BMC of the server at `place` listens.
#[must_use]
pub fn address(place: u8) -> SocketAddr {
    SocketAddr::from((HOST, FIRST_PORT + u16::from(place)))
}

/// Serve `machine`'s BMC until the lab ends.
///
/// # Errors
/// When the address is taken.
pub async fn serve(machine: Arc<Machine>) -> Result<()> {
    let address = address(machine.spec.place);
    let listener = TcpListener::bind(address).await.with_context(|| format!("bind the BMC's {address}"))?;
    tokio::spawn(async move { axum::serve(listener, router(machine)).await });
    Ok(())
}

/// The service of one machine.
pub fn router(machine: Arc<Machine>) -> Router {
    let guarded = Router::new()
        .route("/redfish/v1/Systems", get(systems))
        .route("/redfish/v1/Systems/{id}", get(system).patch(patch_system))
        .route("/redfish/v1/Systems/{id}/Actions/ComputerSystem.Reset", post(reset))
        .layer(middleware::from_fn(authenticate));
    // The service root is public, as the standard demands.
    Router::new()
        .route("/redfish", get(versions))
        .route("/redfish/v1", get(root))
        .route("/redfish/v1/", get(root))
        .merge(guarded)
        .fallback(missing)
        .with_state(machine)
}

async fn authenticate(headers: HeaderMap, request: Request, next: Next) -> Response {
    let want = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    if headers.get(header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == want.as_bytes()) {
        return next.run(request).await;
    }
    let mut response =
        refusal(StatusCode::UNAUTHORIZED, "Base.1.8.NoValidSession", "authentication required");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"lab\""));
    response
}

async fn versions() -> Json<Value> {
    Json(json!({"v1": "/redfish/v1/"}))
}

async fn root(State(machine): State<Arc<Machine>>) -> Json<Value> {
    Json(json!({
        "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
        "@odata.id": "/redfish/v1/",
        "Id": "RootService",
        "Name": "Billet lab BMC",
        "RedfishVersion": "1.6.0",
        "UUID": machine.spec.uuid(),
        "Systems": {"@odata.id": "/redfish/v1/Systems"},
    }))
}

async fn systems(State(machine): State<Arc<Machine>>) -> Json<Value> {
    Json(json!({
        "@odata.type": "#ComputerSystemCollection.ComputerSystemCollection",
        "@odata.id": "/redfish/v1/Systems",
        "Name": "Computer System Collection",
        "Members@odata.count": 1,
        "Members": [{"@odata.id": path(&machine)}],
    }))
}

fn path(machine: &Machine) -> String {
    format!("/redfish/v1/Systems/{}", machine.spec.uuid())
}

async fn system(State(machine): State<Arc<Machine>>, Path(id): Path<String>) -> Response {
    if id != machine.spec.uuid() {
        return missing().await;
    }
    Json(describe(&machine).await).into_response()
}

async fn describe(machine: &Machine) -> Value {
    let boot_override = machine.boot_override().await;
    let power = if machine.is_on().await { "On" } else { "Off" };
    let path = path(machine);
    json!({
        "@odata.type": "#ComputerSystem.v1_10_0.ComputerSystem",
        "@odata.id": path,
        "Id": machine.spec.uuid(),
        "Name": machine.spec.name,
        "UUID": machine.spec.uuid(),
        "SystemType": "Physical",
        "Manufacturer": "Dell Inc.",
        "Model": "PowerEdge R630",
        "SerialNumber": machine.spec.serial(),
        "PowerState": power,
        "Status": {"State": "Enabled", "Health": "OK"},
        "Boot": {
            "BootSourceOverrideEnabled": enabled_name(boot_override.enabled),
            "BootSourceOverrideTarget": target_name(boot_override),
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd"],
            "BootSourceOverrideMode": mode_name(machine.spec.firmware),
            "BootSourceOverrideMode@Redfish.AllowableValues": [mode_name(machine.spec.firmware)],
        },
        "MemorySummary": {"TotalSystemMemoryGiB": f64::from(machine.spec.memory_mib) / 1024.0},
        "Actions": {"#ComputerSystem.Reset": {
            "target": format!("{path}/Actions/ComputerSystem.Reset"),
            "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown", "ForceRestart", "PushPowerButton"],
        }},
    })
}

fn enabled_name(enabled: Enabled) -> &'static str {
    match enabled {
        Enabled::Disabled => "Disabled",
        Enabled::Once => "Once",
        Enabled::Continuous => "Continuous",
    }
}

fn target_name(boot_override: Override) -> &'static str {
    match (boot_override.enabled, boot_override.first) {
        (Enabled::Disabled, _) => "None",
        (Enabled::Once | Enabled::Continuous, BootFirst::Network) => "Pxe",
        (Enabled::Once | Enabled::Continuous, BootFirst::Disk) => "Hdd",
    }
}

fn mode_name(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Bios => "Legacy",
        Firmware::Uefi => "UEFI",
    }
}

#[derive(Deserialize)]
struct SystemPatch {
    #[serde(rename = "Boot")]
    boot: Option<BootPatch>,
}

#[derive(Deserialize)]
struct BootPatch {
    #[serde(rename = "BootSourceOverrideEnabled")]
    enabled: Option<String>,
    #[serde(rename = "BootSourceOverrideTarget")]
    target: Option<String>,
    #[serde(rename = "BootSourceOverrideMode")]
    mode: Option<String>,
}

async fn patch_system(
    State(machine): State<Arc<Machine>>,
    Path(id): Path<String>,
    Json(patch): Json<SystemPatch>,
) -> Response {
    if id != machine.spec.uuid() {
        return missing().await;
    }
    let Some(boot) = patch.boot else {
        return refusal(StatusCode::BAD_REQUEST, "Base.1.8.PropertyNotWritable", "only Boot can be written");
    };
    match boot.apply(machine.boot_override().await, machine.spec.firmware) {
        Ok(boot_override) => {
            machine.set_override(boot_override).await;
            Json(describe(&machine).await).into_response()
        }
        Err(said) => refusal(StatusCode::BAD_REQUEST, "Base.1.8.PropertyValueNotInList", &said),
    }
}

impl BootPatch {
    /// The override after this patch. A virtual server's firmware is soldered: another mode is refused.
    fn apply(&self, before: Override, firmware: Firmware) -> Result<Override, String> {
        if let Some(mode) = self.mode.as_deref().filter(|mode| *mode != mode_name(firmware)) {
            return Err(format!("BootSourceOverrideMode {mode} is not supported by this system"));
        }
        let enabled = match self.enabled.as_deref() {
            None => before.enabled,
            Some("Disabled") => Enabled::Disabled,
            Some("Once") => Enabled::Once,
            Some("Continuous") => Enabled::Continuous,
            Some(other) => return Err(format!("BootSourceOverrideEnabled {other} is unknown")),
        };
        match self.target.as_deref() {
            None => Ok(Override { enabled, ..before }),
            Some("None") => Ok(Override::NONE),
            Some("Pxe") => Ok(Override { enabled, first: BootFirst::Network }),
            Some("Hdd") => Ok(Override { enabled, first: BootFirst::Disk }),
            Some(other) => Err(format!("BootSourceOverrideTarget {other} is not supported by this system")),
        }
    }
}

#[derive(Deserialize)]
struct ResetRequest {
    #[serde(rename = "ResetType")]
    reset_type: String,
}

async fn reset(
    State(machine): State<Arc<Machine>>,
    Path(id): Path<String>,
    Json(request): Json<ResetRequest>,
) -> Response {
    if id != machine.spec.uuid() {
        return missing().await;
    }
    let action = match (request.reset_type.as_str(), machine.is_on().await) {
        ("On" | "PushPowerButton", false) => Action::On,
        ("ForceOff", true) => Action::ForceOff,
        ("ForceRestart", true) => Action::ForceRestart,
        ("GracefulShutdown" | "PushPowerButton", true) => Action::PowerButton,
        ("On" | "ForceOff" | "ForceRestart" | "GracefulShutdown", _) => {
            return refusal(
                StatusCode::CONFLICT,
                "Base.1.8.ResourceInUse",
                "the system is in that power state",
            );
        }
        (other, _) => {
            let said = format!("ResetType {other} is not supported by this system");
            return refusal(StatusCode::BAD_REQUEST, "Base.1.8.ActionParameterNotSupported", &said);
        }
    };
    // A task of its own: a client that hangs up must not leave a power action half done.
    match tokio::spawn(act(machine, action)).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => internal(&format!("{error:#}")),
        Err(error) => internal(&error.to_string()),
    }
}

#[derive(Clone, Copy)]
enum Action {
    On,
    ForceOff,
    ForceRestart,
    PowerButton,
}

async fn act(machine: Arc<Machine>, action: Action) -> Result<()> {
    match action {
        Action::On => machine.power_on().await,
        Action::ForceOff => {
            machine.force_off().await;
            Ok(())
        }
        Action::ForceRestart => machine.force_restart().await,
        Action::PowerButton => machine.press_power_button().await,
    }
}

fn internal(said: &str) -> Response {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "Base.1.8.InternalError", said)
}

async fn missing() -> Response {
    refusal(StatusCode::NOT_FOUND, "Base.1.8.ResourceMissingAtURI", "no such resource")
}

fn refusal(status: StatusCode, id: &str, message: &str) -> Response {
    let body = json!({"error": {
        "code": "Base.1.8.GeneralError",
        "message": message,
        "@Message.ExtendedInfo": [{"MessageId": id, "Message": message, "Severity": "Warning"}],
    }});
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(enabled: Option<&str>, target: Option<&str>, mode: Option<&str>) -> BootPatch {
        let own = |text: Option<&str>| text.map(str::to_owned);
        BootPatch { enabled: own(enabled), target: own(target), mode: own(mode) }
    }

    #[test]
    fn a_boot_patch_is_obeyed_or_refused() {
        let once = Override { enabled: Enabled::Once, first: BootFirst::Network };
        let always = Override { enabled: Enabled::Continuous, first: BootFirst::Disk };
        let table = [
            (patch(Some("Once"), Some("Pxe"), None), Some(once)),
            (patch(Some("Once"), Some("Pxe"), Some("UEFI")), Some(once)),
            (patch(Some("Continuous"), Some("Hdd"), None), Some(always)),
            (patch(Some("Disabled"), None, None), Some(Override::NONE)),
            (patch(None, Some("None"), None), Some(Override::NONE)),
            (patch(Some("Once"), Some("Pxe"), Some("Legacy")), None),
            (patch(Some("Once"), Some("Cd"), None), None),
            (patch(Some("Twice"), Some("Pxe"), None), None),
        ];
        for (patch, want) in table {
            assert_eq!(patch.apply(Override::NONE, Firmware::Uefi).ok(), want);
        }
    }
}
