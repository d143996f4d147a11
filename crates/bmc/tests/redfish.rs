//! The Redfish driver against a Redfish service that can be good, slow, broken,
//! or not Redfish at all.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use bmc::{BmcError, BootDevice, BootMode, Persistence, PowerAction, PowerState, Redfish, Timings};
use serde_json::{Value, json};

const SYSTEM: &str = "/redfish/v1/Systems/1";
const RESET: &str = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// How the service misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Good,
    /// Basic authentication is refused; sessions work.
    SessionsOnly,
    /// Nobody is let in.
    Locked,
    /// 500 with an extended error, so many times, then good.
    Failing(u32),
    /// 200 and a login page.
    Html,
    /// Never answers.
    Silent,
    /// The entity tag given once is stale.
    StaleOnce,
    /// 20 MiB of answer.
    Huge,
    /// All is well until somebody resets.
    ResetFails,
    /// Resets are tasks.
    Tasks,
    /// Sends every request to another host.
    Elsewhere,
    /// Points its systems at another host.
    EvilLink,
}

struct Service {
    mood: Mood,
    system: Value,
    members: usize,
    /// `METHOD path body`, but GETs without body.
    seen: Vec<String>,
    if_match: Vec<Option<String>>,
}

type Shared = Arc<Mutex<Service>>;

fn system() -> Value {
    json!({
        "@odata.id": SYSTEM, "PowerState": "Off",
        "Boot": {
            "BootSourceOverrideTarget": "None", "BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideMode": "Legacy",
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd"],
        },
        "Actions": {"#ComputerSystem.Reset": {
            "target": RESET,
            "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "ForceRestart"],
        }},
    })
}

async fn start(mood: Mood, change: impl FnOnce(&mut Service)) -> (Redfish, Shared) {
    let mut service = Service { mood, system: system(), members: 1, seen: vec![], if_match: vec![] };
    change(&mut service);
    let shared = Arc::new(Mutex::new(service));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (connect(&format!("http://{address}")), shared)
}

fn connect(address: &str) -> Redfish {
    let info =
        json!({"redfish_address": address, "redfish_username": "admin", "redfish_password": "hunter2"});
    let timings = Timings {
        connect: Duration::from_millis(500),
        request: Duration::from_millis(500),
        backoff: Duration::from_millis(1),
        tries: 3,
    };
    Redfish::new(info.as_object().expect("an object"), timings).expect("good settings")
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mood = {
        let mut service = shared.lock().expect("lock");
        service
            .seen
            .push(format!("{method} {} {}", uri.path(), String::from_utf8_lossy(&body)).trim().into());
        service.mood
    };
    let session = headers.get("x-auth-token").is_some_and(|token| token == "t0ken");
    // base64("admin:hunter2")
    let basic = headers.get("authorization").is_some_and(|auth| auth == "Basic YWRtaW46aHVudGVyMg==");
    match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Html => "<html><title>Welcome to your BMC</title></html>".into_response(),
        Mood::Huge => vec![b' '; 20 << 20].into_response(),
        Mood::Elsewhere => {
            (StatusCode::FOUND, [("location", "http://127.0.0.2:1/redfish/v1/")]).into_response()
        }
        Mood::Failing(left) if left > 0 => {
            shared.lock().expect("lock").mood = Mood::Failing(left - 1);
            let message = "The password hunter2 made the service unhappy.";
            let error = json!({"error": {"code": "Base.1.0.GeneralError", "message": "general",
                "@Message.ExtendedInfo": [{"MessageId": "Base.1.0.InternalError", "Message": message}]}});
            (StatusCode::INTERNAL_SERVER_ERROR, axum::Json(error)).into_response()
        }
        Mood::SessionsOnly if uri.path() == SESSIONS && method == Method::POST => {
            let place = format!("{SESSIONS}/7");
            (StatusCode::CREATED, [("x-auth-token", "t0ken".to_owned()), ("location", place)]).into_response()
        }
        Mood::SessionsOnly if session => serve(&shared, &method, uri.path(), &headers, &body),
        Mood::SessionsOnly | Mood::Locked => StatusCode::UNAUTHORIZED.into_response(),
        Mood::Good | Mood::Failing(_) | Mood::StaleOnce | Mood::ResetFails | Mood::Tasks | Mood::EvilLink
            if !basic =>
        {
            StatusCode::UNAUTHORIZED.into_response()
        }
        Mood::Good | Mood::Failing(_) | Mood::StaleOnce | Mood::ResetFails | Mood::Tasks | Mood::EvilLink => {
            serve(&shared, &method, uri.path(), &headers, &body)
        }
    }
}

fn serve(shared: &Shared, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    let mut service = shared.lock().expect("lock");
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    match (method.as_str(), path) {
        ("GET", "/redfish/v1/") => {
            let to =
                if service.mood == Mood::EvilLink { "http://127.0.0.2:1/x" } else { "/redfish/v1/Systems" };
            axum::Json(json!({"Systems": {"@odata.id": to}})).into_response()
        }
        ("GET", "/redfish/v1/Systems") => {
            let members: Vec<_> = (1..=service.members)
                .map(|n| json!({"@odata.id": format!("/redfish/v1/Systems/{n}")}))
                .collect();
            axum::Json(json!({"Members": members})).into_response()
        }
        ("GET", SYSTEM) => ([("etag", "\"v1\"")], axum::Json(service.system.clone())).into_response(),
        ("GET", "/redfish/v1/info") => axum::Json(json!({"Parameters": [
            {"Name": "ResetType", "AllowableValues": ["On", "ForceOff", "PowerCycle"]}]}))
        .into_response(),
        ("PATCH", SYSTEM) => {
            let tag = headers.get("if-match").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
            service.if_match.push(tag);
            if service.mood == Mood::StaleOnce {
                service.mood = Mood::Good;
                return StatusCode::PRECONDITION_FAILED.into_response();
            }
            for (key, value) in body["Boot"].as_object().expect("a Boot") {
                service.system["Boot"][key] = value.clone();
            }
            StatusCode::NO_CONTENT.into_response()
        }
        ("POST", RESET) if service.mood == Mood::ResetFails => {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        ("POST", RESET) => {
            let off = body["ResetType"] == "ForceOff";
            service.system["PowerState"] = if off { "Off" } else { "On" }.into();
            if service.mood == Mood::Tasks {
                let task = json!({"@odata.id": "/redfish/v1/TaskService/Tasks/1", "TaskState": "New"});
                return (StatusCode::ACCEPTED, axum::Json(task)).into_response();
            }
            StatusCode::NO_CONTENT.into_response()
        }
        ("DELETE", _) => StatusCode::NO_CONTENT.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn changes(shared: &Shared) -> Vec<String> {
    let service = shared.lock().expect("lock");
    service.seen.iter().filter(|line| !line.starts_with("GET")).cloned().collect()
}

#[tokio::test]
async fn power_goes_on_and_off_and_asking_twice_does_nothing() {
    for mood in [Mood::Good, Mood::Tasks] {
        let (bmc, shared) = start(mood, |_| ()).await;
        assert_eq!(bmc.power_state().await.expect("good"), PowerState::Off);
        for (action, then) in [
            (PowerAction::ForceOff, PowerState::Off),
            (PowerAction::On, PowerState::On),
            (PowerAction::On, PowerState::On),
            (PowerAction::ForceRestart, PowerState::On),
            (PowerAction::ForceOff, PowerState::Off),
            (PowerAction::ForceRestart, PowerState::On),
        ] {
            bmc.set_power(action).await.expect("good");
            assert_eq!(bmc.power_state().await.expect("good"), then, "{action:?}");
        }
        let resets = ["On", "ForceRestart", "ForceOff", "On"];
        assert_eq!(
            changes(&shared),
            resets.map(|kind| format!("POST {RESET} {{\"ResetType\":\"{kind}\"}}")),
            "{mood:?}"
        );
    }
}

#[tokio::test]
async fn a_shutdown_the_machine_does_not_offer_is_unsupported_and_nothing_is_forced() {
    let (bmc, shared) = start(Mood::Good, |service| service.system["PowerState"] = "On".into()).await;
    let error = bmc.set_power(PowerAction::GracefulShutdown).await.expect_err("not offered");
    assert!(matches!(error, BmcError::Unsupported { .. }), "{error}");
    assert!(!error.is_transient());
    assert_eq!(changes(&shared), [""; 0]);
}

#[tokio::test]
async fn reset_types_are_read_from_action_info_too() {
    let (bmc, shared) = start(Mood::Good, |service| {
        service.system["PowerState"] = "On".into();
        service.system["Actions"]["#ComputerSystem.Reset"] =
            json!({"target": RESET, "@Redfish.ActionInfo": "/redfish/v1/info"});
    })
    .await;
    bmc.set_power(PowerAction::ForceRestart).await.expect("as a power cycle");
    assert_eq!(changes(&shared), [format!("POST {RESET} {{\"ResetType\":\"PowerCycle\"}}")]);
}

#[tokio::test]
async fn the_boot_override_carries_the_tag_and_the_mode_only_when_it_changes() {
    let (bmc, shared) = start(Mood::Good, |_| ()).await;
    assert_eq!(bmc.boot_mode().await.expect("good"), Some(BootMode::Bios));
    for mode in [Some(BootMode::Bios), None, Some(BootMode::Uefi)] {
        bmc.set_boot(BootDevice::Pxe, Persistence::Once, mode).await.expect("good");
    }
    bmc.set_boot(BootDevice::Disk, Persistence::Continuous, None).await.expect("good");
    assert_eq!(bmc.boot_mode().await.expect("good"), Some(BootMode::Uefi));
    let once = r#""BootSourceOverrideEnabled":"Once""#;
    let pxe = r#""BootSourceOverrideTarget":"Pxe""#;
    let patch = |boot: &str| format!(r#"PATCH {SYSTEM} {{"Boot":{{{boot}}}}}"#);
    assert_eq!(
        changes(&shared),
        [
            patch(&format!("{once},{pxe}")),
            patch(&format!("{once},{pxe}")),
            patch(&format!(r#"{once},"BootSourceOverrideMode":"UEFI",{pxe}"#)),
            patch(r#""BootSourceOverrideEnabled":"Continuous","BootSourceOverrideTarget":"Hdd""#),
        ]
    );
    assert!(shared.lock().expect("lock").if_match.iter().all(|tag| tag.as_deref() == Some("\"v1\"")));
}

#[tokio::test]
async fn a_boot_device_that_is_not_offered_is_unsupported() {
    let (bmc, _) = start(Mood::Good, |service| {
        service.system["Boot"]["BootSourceOverrideTarget@Redfish.AllowableValues"] = json!(["Hdd"]);
    })
    .await;
    let error = bmc.set_boot(BootDevice::Pxe, Persistence::Once, None).await.expect_err("no PXE");
    assert_eq!(error.to_string(), r#"the BMC cannot set BootSourceOverrideTarget to Pxe; it offers ["Hdd"]"#);
}

#[tokio::test]
async fn a_stale_tag_is_read_again_once() {
    let (bmc, shared) = start(Mood::StaleOnce, |_| ()).await;
    bmc.set_boot(BootDevice::Pxe, Persistence::Once, None).await.expect("second try");
    assert_eq!(changes(&shared).len(), 2);
}

#[tokio::test]
async fn a_service_that_wants_sessions_gets_one_and_gets_it_back() {
    let (bmc, shared) = start(Mood::SessionsOnly, |_| ()).await;
    assert_eq!(bmc.power_state().await.expect("by session"), PowerState::Off);
    let seen = changes(&shared);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].starts_with(&format!("POST {SESSIONS}")), "{seen:?}");
    assert_eq!(seen[1], format!("DELETE {SESSIONS}/7"));
}

#[tokio::test]
async fn a_short_illness_is_waited_out_and_a_long_one_is_told_in_the_services_words() {
    let (bmc, _) = start(Mood::Failing(2), |_| ()).await;
    bmc.power_state().await.expect("the third try");
    let (bmc, shared) = start(Mood::Failing(3), |_| ()).await;
    let error = bmc.power_state().await.expect_err("ill");
    assert_eq!(
        error.to_string(),
        "the BMC answered 500 to GET /redfish/v1/: The password ****** made the service unhappy."
    );
    assert!(error.is_transient());
    assert_eq!(shared.lock().expect("lock").seen.len(), 3);
}

#[tokio::test]
async fn a_reset_whose_fate_is_unknown_is_not_sent_twice() {
    let (bmc, shared) = start(Mood::ResetFails, |_| ()).await;
    let error = bmc.set_power(PowerAction::On).await.expect_err("500");
    assert!(error.is_transient(), "{error}");
    assert_eq!(changes(&shared).len(), 1);
}

#[tokio::test]
async fn what_is_not_a_redfish_service_is_said_so() {
    for (mood, text) in [
        (Mood::Html, "got no Redfish answer but <html><title>Welcome to your BMC"),
        (Mood::Huge, "is larger than 1048576 bytes"),
        (Mood::Elsewhere, "a redirect (302) to another place"),
        (Mood::EvilLink, "a resource without a Systems link on this service"),
        (Mood::Locked, "refuses the credentials"),
        (Mood::Silent, "did not finish GET /redfish/v1/ within 500ms"),
    ] {
        let (bmc, _) = start(mood, |_| ()).await;
        let error = bmc.power_state().await.expect_err("not good");
        assert!(error.to_string().contains(text), "{mood:?}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn no_service_at_all_is_unreachable_and_worth_another_try() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let error = connect(&format!("http://{address}")).power_state().await.expect_err("nobody there");
    assert!(matches!(error, BmcError::Unreachable { .. }) && error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn one_system_is_taken_and_several_are_a_question() {
    for members in [0, 2] {
        let (bmc, _) = start(Mood::Good, |service| service.members = members).await;
        let error = bmc.power_state().await.expect_err("which?");
        assert!(
            matches!(&error, BmcError::WhichSystem { members: seen } if seen.len() == members),
            "{error}"
        );
    }
}

#[test]
fn trusted_certificates_come_from_a_file_with_an_end() {
    let mut info = serde_json::Map::new();
    info.insert("redfish_address".to_owned(), "https://bmc.example".into());
    for path in ["/dev/zero", "/proc", "/nowhere.pem"] {
        info.insert("redfish_verify_ca".to_owned(), path.into());
        let error = Redfish::new(&info, Timings::default()).expect_err(path);
        assert!(error.to_string().contains(path), "{error}");
    }
}
