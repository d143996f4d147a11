//! What Metal3's provisioner really asks, request by request, against the real
//! billetd with a server of glass. Recorded with the vendored provisioner of
//! baremetal-operator; the BMC's address is replaced by the glass server's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod world;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use reqwest::Method;
use serde_json::{Value, json};
use world::{Billetd, machine::Machine};

const MAC: &str = "52:54:00:00:00:01";

/// What Metal3 asks and this billetd does not serve yet. It says so with 4xx.
fn not_served(method: &str, path: &str, body: &Value) -> bool {
    let target = body["target"].as_str().unwrap_or_default();
    let live_iso = target == "active" && body["configdrive"] == json!({});
    let custom_deploy = body.get("deploy_steps").is_some();
    ["/vmedia", "/vendor_passthru", "/states/raid"].iter().any(|part| path.contains(part))
        || ["clean", "service", "soft power off"].contains(&target)
        || (method == "PUT" && (live_iso || custom_deploy))
}

/// The glass server's controller in place of the recorded one.
fn with_glass(body: &Value, bmc: &str) -> Value {
    let info = json!({"redfish_address": bmc, "redfish_system_id": "/redfish/v1/Systems/1", "redfish_username": "a", "redfish_password": "b"});
    let mut body = body.clone();
    if body.get("driver_info").is_some() {
        body["driver_info"] = info.clone();
        body["driver"] = "redfish".into();
    }
    for operation in body.as_array_mut().into_iter().flatten() {
        if operation["path"] == "/driver_info" {
            operation["value"] = info.clone();
        }
    }
    body
}

async fn rest(billetd: &Billetd, node: &str) -> String {
    loop {
        let (status, shown) = billetd.call(Method::GET, &format!("/v1/nodes/{node}"), None).await;
        let state = shown["provision_state"].as_str().unwrap_or_default().to_owned();
        if !status.is_success() || shown["target_provision_state"].is_null() || state.contains("failed") {
            return state;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn replay(name: &str) {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let corpus = std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from);
    let path = corpus.join("traces").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not on this machine; set BILLET_CORPUS", path.display());
        return;
    };
    let billetd = Billetd::start(&[]).await;
    let machine = Machine::start(&billetd.base, MAC).await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The recorded UUIDs, and ours.
    let mut uuids: BTreeMap<String, String> = BTreeMap::new();
    let (mut created, mut served, mut refused) = (None, 0, 0);
    for pair in lines.chunks(2) {
        let (request, want) = (pair[0]["req"].as_str().unwrap(), pair[1]["resp"].as_u64().unwrap());
        let mut whole = format!("{request} {}", pair[0]["body"]);
        // The first UUID after a node was made is that node's.
        if let (Some(ours), Some(theirs)) = (&created, recorded_uuid(&whole, &uuids)) {
            uuids.insert(theirs, String::clone(ours));
            created = None;
        }
        for (theirs, ours) in &uuids {
            whole = whole.replace(theirs, ours);
        }
        let mut parts = whole.splitn(3, ' ');
        let (method, path) = (parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned());
        let body: Value = serde_json::from_str(parts.next().unwrap()).unwrap();
        let body = with_glass(&body, &machine.bmc);
        let node = uuids.values().find(|uuid| path.contains(uuid.as_str())).cloned().unwrap_or_default();
        let before =
            if method == "GET" || node.is_empty() { String::new() } else { rest(&billetd, &node).await };
        let sent = Some(body.clone()).filter(|body| !body.is_null());
        let (status, answer) = billetd.call(method.parse().unwrap(), &path, sent).await;
        let from_registry = body["target"] == "active" && answer.to_string().contains("oci://");
        if not_served(&method, &path, &body) || from_registry {
            assert!(status.is_client_error(), "{method} {path}: {status} {answer}");
            refused += 1;
        } else if body["target"] == "deleted" && before == "available" {
            // Nothing was deployed, because what came before is not served.
            assert_eq!(status, 400, "{answer}");
        } else {
            assert_eq!(u64::from(status.as_u16()), want, "{method} {path} {body} in {before:?}: {answer}");
            served += 1;
        }
        if method == "POST" && path.ends_with("/nodes") {
            created = answer["uuid"].as_str().map(str::to_owned);
        }
        if path.ends_with("/states/provision") {
            let state = rest(&billetd, &node).await;
            assert!(
                !state.contains("failed") && state != "error",
                "{body}: {}",
                billetd.get(&format!("/v1/nodes/{node}")).await["last_error"]
            );
        }
    }
    eprintln!("{name}: {served} requests served as recorded, {refused} refused as not served yet");
    assert!(served > 100 && refused < 20, "{served} {refused}");
}

/// A UUID of the recording that is not known yet. Instances have UUIDs of ones and fives.
fn recorded_uuid(text: &str, known: &BTreeMap<String, String>) -> Option<String> {
    text.split(|c: char| !(c.is_ascii_hexdigit() || c == '-'))
        .find(|word| {
            wire::ironic::is_uuid(word) && !known.contains_key(*word) && !word.starts_with("11111111-")
        })
        .map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn metal3_over_ipxe_is_served() {
    replay("bmo-1.110-ipmi.jsonl").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metal3_over_unversioned_paths_is_served() {
    replay("bmo-1.89-redfish-vmedia-unversioned.jsonl").await;
}
