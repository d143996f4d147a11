//! What a ramdisk may be told, and what is refused: statuses and words as Ironic
//! has them, from `negative-api.txt` of the captured exchanges.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod world;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use world::{Billetd, machine::Machine};

const MAC: &str = "52:54:00:aa:bb:03";
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

async fn ask(
    billetd: &Billetd,
    method: Method,
    path: &str,
    version: Option<&str>,
    body: Option<&Value>,
) -> (StatusCode, Value) {
    let mut request = billetd.http.request(method, format!("{}{path}", billetd.base));
    if let Some(version) = version {
        request = request.header("X-OpenStack-Ironic-API-Version", version);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
}

/// The inner JSON of an error.
fn words(body: &Value) -> String {
    let inner: Value = serde_json::from_str(body["error_message"].as_str().unwrap()).unwrap();
    let text = inner.get("faultstring").or(inner.get("description")).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    text.as_str().unwrap().to_owned()
}

const HIDDEN: &str = "Resource could not be found.";

/// A node whose ramdisk was booted and never calls by itself.
async fn awaiting(billetd: &Billetd, verb: &str, waits: &str) -> (Machine, String) {
    let machine = Machine::start(&billetd.base, MAC).await;
    machine.script(|script| script.mute = true);
    let node = billetd.enroll("bm3", &machine.bmc, MAC).await;
    billetd.target(&node, "manage").await;
    billetd.reaches(&node, "manageable").await;
    if !verb.is_empty() {
        billetd.target(&node, verb).await;
        billetd.reaches(&node, waits).await;
    }
    (machine, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_are_refused_as_ironic_refuses_them() {
    let billetd = Billetd::start(&[]).await;
    let (_machine, node) = awaiting(&billetd, "", "").await;
    let range = "Version 1.999 was requested but the minor version is not supported by this service. The supported version range is: [1.1, 1.110].";
    let by_mac = format!("/v1/lookup?addresses={MAC}");
    let by_uuid = format!("/v1/lookup?node_uuid={node}");
    for (path, version, status, text) in [
        (by_mac.as_str(), Some("1.62"), 404, HIDDEN),
        (&by_uuid, Some("1.62"), 404, HIDDEN),
        ("/v1/lookup?addresses=52:54:00:00:00:99", Some("1.62"), 404, HIDDEN),
        (
            "/v1/lookup",
            Some("1.62"),
            400,
            "At least one of 'addresses' and 'node_uuid' parameters is required",
        ),
        (
            "/v1/lookup?addresses=garbage",
            Some("1.62"),
            400,
            "At least one of 'addresses' and 'node_uuid' parameters is required",
        ),
        (&by_mac, None, 404, HIDDEN),
        (&by_mac, Some("1.21"), 404, HIDDEN),
        (&by_mac, Some("1.999"), 406, range),
    ] {
        let (got, body) = ask(&billetd, Method::GET, path, version, None).await;
        assert_eq!((got.as_u16(), words(&body).as_str()), (status, text), "{path} {version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_told_once_whatever_version_asks_again() {
    let billetd = Billetd::start(&[]).await;
    let (_machine, node) = awaiting(&billetd, "provide", "clean wait").await;
    // Upper case and a stranger's address beside it do not confuse anybody.
    let path = format!("/v1/lookup?addresses={}%2Cgarbage%2C52%3A54%3A00%3A00%3A00%3A99", MAC.to_uppercase());
    let (status, first) = ask(&billetd, Method::GET, &path, Some("1.62"), None).await;
    assert_eq!(status, StatusCode::OK, "{first}");
    let token = first["config"]["agent_token"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 43);
    assert_eq!(first["node"]["uuid"], node.as_str());
    assert_eq!(first["config"]["tls_min_version"], "1.3");
    assert!(first["node"]["driver_internal_info"].is_object() && first["node"]["properties"].is_object());
    for version in ["1.22", "1.61", "1.62", "1.110"] {
        let (status, again) = ask(&billetd, Method::GET, &path, Some(version), None).await;
        assert_eq!(
            (status, &again["config"]["agent_token"]),
            (StatusCode::OK, &json!("******")),
            "{version}"
        );
        assert!(!again.to_string().contains(&token), "{version}");
    }
    // Nor is it at rest anywhere.
    for file in ["billet.sqlite", "billet.sqlite-wal"] {
        let stored = std::fs::read(billetd.path(file)).unwrap_or_default();
        assert!(!stored.windows(token.len()).any(|window| window == token.as_bytes()), "{file}");
    }
}

/// An agent that must end says why with its last heartbeat, and the node fails with these words.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_of_an_agent_are_the_nodes_last_error() {
    let billetd = Billetd::start(&[]).await;
    let (_machine, node) = awaiting(&billetd, "provide", "clean wait").await;
    let (_, found) =
        ask(&billetd, Method::GET, &format!("/v1/lookup?node_uuid={node}"), Some("1.62"), None).await;
    let beat = json!({"callback_url": "", "agent_token": found["config"]["agent_token"], "agent_version": "1",
        "agent_status": "error", "agent_status_message": "cannot listen on [::]:9999"});
    let path = format!("/v1/heartbeat/{node}");
    let (status, _) = ask(&billetd, Method::POST, &path, Some("1.72"), Some(&beat)).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let failed = billetd.reaches(&node, "clean failed").await;
    let error = failed["last_error"].as_str().unwrap();
    assert!(error.contains("cannot listen on [::]:9999") && error.contains("console"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_are_checked_as_ironic_checks_them() {
    let billetd = Billetd::start(&[]).await;
    let (_machine, node) = awaiting(&billetd, "inspect", "inspect wait").await;
    let (_, found) =
        ask(&billetd, Method::GET, &format!("/v1/lookup?node_uuid={node}"), Some("1.62"), None).await;
    let token = found["config"]["agent_token"].as_str().unwrap();
    let good = json!({"callback_url": "https://127.0.0.1:9", "agent_token": token, "agent_version": "13.0.0", "agent_verify_ca": PEM});
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        if value.is_null() {
            body.as_object_mut().unwrap().remove(key)
        } else {
            body.as_object_mut().unwrap().insert(key.to_owned(), value)
        };
        body
    };
    let path = format!("/v1/heartbeat/{node}");
    let no_version =
        "Agent did not transmit a version, and a version is required. Please update the agent being used.";
    let cases = [
        (
            "wrong token",
            path.as_str(),
            Some("1.68"),
            with("agent_token", json!("x".repeat(43))),
            400,
            "Invalid or missing agent token received.",
        ),
        (
            "no token",
            &path,
            Some("1.68"),
            with("agent_token", Value::Null),
            400,
            "Agent token is required for heartbeat processing.",
        ),
        ("no version header", &path, None, good.clone(), 404, HIDDEN),
        (
            "http callback",
            &path,
            Some("1.68"),
            with("callback_url", json!("http://127.0.0.1:9")),
            400,
            "TLS is required by configuration",
        ),
        (
            "file callback",
            &path,
            Some("1.68"),
            with("callback_url", json!("file:///x")),
            400,
            "An agent callback_url must be HTTP or HTTPS.",
        ),
        ("no agent_version", &path, Some("1.68"), with("agent_version", Value::Null), 400, no_version),
        (
            "a field of tomorrow",
            &path,
            Some("1.62"),
            good.clone(),
            400,
            "Field \"agent_verify_ca\" not recognised in this version",
        ),
        ("an unknown field", &path, Some("1.68"), with("foo", json!(1)), 400, "Unexpected arguments: foo"),
        (
            "an unknown node",
            "/v1/heartbeat/nobody",
            Some("1.68"),
            good.clone(),
            404,
            "Node nobody could not be found.",
        ),
        ("a good one", &path, Some("1.68"), good.clone(), 202, ""),
        ("a good one again", &path, Some("1.110"), good.clone(), 202, ""),
        ("by name, unversioned", "/heartbeat/bm3", Some("1.68"), good.clone(), 202, ""),
        (
            "another callback",
            &path,
            Some("1.68"),
            with("callback_url", json!("https://127.0.0.1:10")),
            400,
            "Detected change in ramdisk provided \"callback_url\"",
        ),
        (
            "another certificate",
            &path,
            Some("1.68"),
            with("agent_verify_ca", json!("other")),
            400,
            "Detected change in ramdisk provided \"agent_verify_ca\"",
        ),
    ];
    for (name, path, version, body, status, text) in cases {
        let (got, answer) = ask(&billetd, Method::POST, path, version, Some(&body)).await;
        let said = if answer.is_null() { String::new() } else { words(&answer) };
        assert_eq!((got.as_u16(), said.as_str()), (status, text), "{name}");
    }
    // An accepted heartbeat has no body and no type.
    let answer = billetd
        .http
        .post(format!("{}{path}", billetd.base))
        .header("X-OpenStack-Ironic-API-Version", "1.68")
        .json(&good)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
    assert!(answer.headers().get("content-type").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn inventories_are_taken_from_the_node_under_inspection_only() {
    let billetd = Billetd::start(&[]).await;
    let (machine, node) = awaiting(&billetd, "", "").await;
    let path = "/v1/continue_inspection";
    let good = world::agent::inventory(&machine, &world::agent::Script::default());
    let required = "Schema error for data: 'interfaces' is a required property";
    let mut stranger = good.clone();
    stranger["inventory"]["interfaces"][0]["mac_address"] = "52:54:00:00:00:99".into();
    for (name, body, status, text) in [
        ("no interfaces", json!({"inventory": {}}), 400, required),
        ("no inventory", json!({}), 400, "Schema error for data: 'inventory' is a required property"),
        ("a list", json!([]), 400, "The request body is not a JSON object."),
        ("unknown MAC", stranger, 404, HIDDEN),
        ("wrong state", good.clone(), 404, HIDDEN),
    ] {
        let (got, answer) = ask(&billetd, Method::POST, path, None, Some(&body)).await;
        assert_eq!((got.as_u16(), words(&answer).as_str()), (status, text), "{name}");
    }
    machine.script(|script| script.mute = true);
    billetd.target(&node, "inspect").await;
    billetd.reaches(&node, "inspect wait").await;
    let mut failing = good.clone();
    failing["error"] = "no disks here".into();
    let (status, _) = ask(&billetd, Method::POST, path, None, Some(&failing)).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let shown = billetd.reaches(&node, "inspect failed").await;
    assert!(shown["last_error"].as_str().unwrap().contains("no disks here"));
    billetd.target(&node, "inspect").await;
    billetd.reaches(&node, "inspect wait").await;
    let (status, answer) = ask(&billetd, Method::POST, path, None, Some(&good)).await;
    assert_eq!((status, &answer), (StatusCode::ACCEPTED, &json!({"uuid": node})));
    billetd.reaches(&node, "manageable").await;
}

/// Garbage, 20 MB bodies and depth bombs: 400 or 413, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_refused_and_nothing_is_lost() {
    let billetd = Billetd::start(&[]).await;
    let (_machine, node) = awaiting(&billetd, "provide", "clean wait").await;
    let bomb = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(100), "]".repeat(100));
    let heartbeat = format!("/v1/heartbeat/{node}");
    for (method, path) in [
        (Method::POST, "/v1/nodes"),
        (Method::POST, "/v1/ports"),
        (Method::POST, heartbeat.as_str()),
        (Method::POST, "/v1/continue_inspection"),
    ] {
        for (name, body, statuses) in [
            ("garbage", "{\"a\": ".to_owned(), &[400][..]),
            ("empty", String::new(), &[400]),
            ("not UTF-8 names", "\u{0}\u{1}".to_owned(), &[400]),
            ("20 MB", "x".repeat(20 << 20), &[413]),
            ("a depth bomb", bomb.clone(), &[400, 413]),
            ("deep", deep.clone(), &[400]),
        ] {
            let request = billetd.http.request(method.clone(), format!("{}{path}", billetd.base));
            let answer =
                request.header("X-OpenStack-Ironic-API-Version", "1.68").body(body).send().await.unwrap();
            let status = answer.status().as_u16();
            assert!(statuses.contains(&status), "{path} {name}: {status}");
            words(&answer.json::<Value>().await.unwrap());
        }
    }
    assert_eq!(billetd.get(&format!("/v1/nodes/{node}")).await["provision_state"], "clean wait");
}
