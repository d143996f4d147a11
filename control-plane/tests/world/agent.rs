//! A scripted deploy agent: Ironic's protocol over real TLS, disks of paper.

use std::{net::TcpListener, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use axum_server::tls_rustls::RustlsConfig;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Mutex};

use super::machine::Machine;

/// What the next boots do.
#[derive(Clone)]
pub struct Script {
    /// Boots, and never calls.
    pub mute: bool,
    /// Boots, and calls when the test lets it.
    pub asleep: bool,
    /// Commands of these names (or steps) run until the test releases them.
    pub hold: Vec<String>,
    /// Steps of these names fail.
    pub fail: Vec<String>,
    /// How the evidence of erased disks is made.
    pub evidence: Evidence,
    /// A step that is held hands in the evidence of the first disk.
    pub early: bool,
    /// How far the machine's clock is off.
    pub clock_off_hours: i64,
    /// Serial numbers of the disks that are inspected and erased.
    pub disks: Vec<String>,
    /// Serial number of a disk that shows up after the erasure.
    pub late_disk: Option<String>,
    pub boot_mode: &'static str,
    /// The BMC says yes to a power off, and nothing happens.
    pub stuck_on: bool,
}

/// How evidence is made.
#[derive(Clone, Copy, PartialEq)]
pub enum Evidence {
    Good,
    /// None at all.
    Missing,
    /// Good, but for the first disk only.
    FirstDiskOnly,
    /// Signed by another key.
    Forged,
    /// Signed, then changed.
    Tampered,
    /// Good, and says the disk is not clean.
    Dirty,
    /// Good, and made for another operation.
    Replayed,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            mute: false,
            asleep: false,
            hold: vec![],
            fail: vec![],
            evidence: Evidence::Good,
            early: false,
            clock_off_hours: 0,
            disks: vec!["S1".to_owned(), "S2".to_owned()],
            late_disk: None,
            boot_mode: "uefi",
            stuck_on: false,
        }
    }
}

struct Identity {
    certificate: String,
    pkcs8: Vec<u8>,
}

fn identity() -> Identity {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "agent");
    let certificate = parameters.self_signed(&key).unwrap().pem();
    Identity { certificate, pkcs8: key.serialize_der() }
}

struct Agent {
    machine: Machine,
    token: String,
    identity: Identity,
    commands: Mutex<Vec<Value>>,
    beat: tokio::sync::Notify,
}

/// One boot of the ramdisk: what the iPXE script says is done.
pub async fn boot(machine: Machine) {
    let script = machine.inside.lock().unwrap().script.clone();
    if script.mute {
        return;
    }
    while machine.inside.lock().unwrap().script.asleep {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let ipxe = retry(|| http.get(format!("{}/boot/{}.ipxe", machine.billetd, machine.mac))).await.1;
    let ipxe = ipxe.as_str().unwrap_or_default().to_owned();
    if ipxe.contains("ipa-inspection-callback-url=") {
        let body = inventory(&machine, &script);
        retry(|| http.post(format!("{}/v1/continue_inspection", machine.billetd)).json(&body)).await;
    }
    if ipxe.contains("ipa-api-url=") {
        serve(machine, http).await;
    }
}

/// Until billetd is there and answers with success.
async fn retry(request: impl Fn() -> reqwest::RequestBuilder) -> (StatusCode, Value) {
    loop {
        if let Ok(answer) = request().header("X-OpenStack-Ironic-API-Version", "1.68").send().await
            && answer.status().is_success()
        {
            let status = answer.status();
            let text = answer.text().await.unwrap();
            return (status, serde_json::from_str(&text).unwrap_or(Value::String(text)));
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

pub fn inventory(machine: &Machine, script: &Script) -> Value {
    let disks: Vec<Value> = (0_u8..)
        .zip(&script.disks)
        .map(|(at, serial)| json!({"name": format!("/dev/sd{}", char::from(b'a' + at)), "serial": serial, "size": 1 << 30}))
        .collect();
    json!({
        "inventory": {
            "interfaces": [{"name": "eth0", "mac_address": machine.mac, "has_carrier": true, "ipv4_address": "127.0.0.1"}],
            "cpu": {"count": 2, "architecture": "x86_64"}, "disks": disks, "memory": {"physical_mb": 2048},
            "boot": {"current_boot_mode": script.boot_mode, "pxe_interface": machine.mac}, "hostname": "glass",
        },
        "root_disk": null, "boot_interface": machine.mac, "error": null, "logs": "H4sI",
    })
}

async fn serve(machine: Machine, http: reqwest::Client) {
    let lookup = format!("{}/v1/lookup?addresses={}", machine.billetd, machine.mac);
    let (_, found) = retry(|| http.get(&lookup)).await;
    let token = found["config"]["agent_token"].as_str().unwrap().to_owned();
    assert_ne!(token, "******", "the token went to somebody else");
    let node = found["node"]["uuid"].as_str().unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let identity = identity();
    let key = pem(&identity.pkcs8);
    let tls =
        RustlsConfig::from_pem(identity.certificate.clone().into_bytes(), key.into_bytes()).await.unwrap();
    let heartbeat = json!({"callback_url": url, "agent_token": token, "agent_version": "test", "agent_verify_ca": identity.certificate});
    let agent = Arc::new(Agent {
        machine: machine.clone(),
        token,
        identity,
        commands: Mutex::default(),
        beat: tokio::sync::Notify::new(),
    });
    let app = Router::new().route("/v1/commands/", get(list).post(command)).with_state(Arc::clone(&agent));
    let api = axum_server::from_tcp_rustls(listener, tls).unwrap().serve(app.into_make_service());
    let beats = async {
        loop {
            let posted = http.post(format!("{}/v1/heartbeat/{node}", machine.billetd)).json(&heartbeat);
            let _ = posted.header("X-OpenStack-Ironic-API-Version", "1.68").send().await; // billetd may be down: that is the point
            let _ = tokio::time::timeout(Duration::from_millis(500), agent.beat.notified()).await;
        }
    };
    tokio::select! {
        ended = api => ended.unwrap(),
        () = beats => {}
    }
}

fn pem(pkcs8: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(pkcs8);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

type Answer = (StatusCode, Json<Value>);

fn refused() -> Answer {
    (
        StatusCode::UNAUTHORIZED,
        Json(json!({"faultcode": "Client", "faultstring": "401 Unauthorized: Token invalid."})),
    )
}

async fn list(State(agent): State<Arc<Agent>>, Query(query): Query<HashMap<String, String>>) -> Answer {
    if query.get("agent_token") != Some(&agent.token) {
        return refused();
    }
    let script = agent.machine.inside.lock().unwrap().script.clone();
    let mut commands = agent.commands.lock().unwrap();
    for command in commands.iter_mut() {
        let step = command["step"].as_str().unwrap_or_default().to_owned();
        if command["command_status"] == "RUNNING" && !script.hold.contains(&step) {
            finish(&agent, &script, command);
        }
    }
    for command in commands.iter_mut() {
        let step = command["step"].as_str().unwrap_or_default().to_owned();
        if command["command_status"] == "RUNNING"
            && script.early
            && command["command_result"]["clean_result"].is_null()
        {
            // The first disk is done, the other hangs.
            let some = Script { evidence: Evidence::FirstDiskOnly, ..script.clone() };
            let documents = evidence(&agent, &some, &step, &command["request"]["params"]["node"]);
            command["command_result"]["clean_result"] = documents;
        }
    }
    let shown: Vec<Value> = commands.iter().map(report).collect();
    (StatusCode::OK, Json(json!({"commands": shown})))
}

/// A command with exactly IPA's keys.
fn report(command: &Value) -> Value {
    let mut shown = command.clone();
    shown.as_object_mut().unwrap().retain(|key, _| key.starts_with("command_") || key == "id");
    shown
}

async fn command(
    State(agent): State<Arc<Agent>>,
    Query(query): Query<HashMap<String, String>>,
    Json(request): Json<Value>,
) -> Answer {
    if query.get("agent_token") != Some(&agent.token) {
        return refused();
    }
    let script = {
        let mut inside = agent.machine.inside.lock().unwrap();
        inside.commands.push(request.clone());
        inside.script.clone()
    };
    let name = request["name"].as_str().unwrap();
    let bare = name.rsplit('.').next().unwrap();
    let step = request["params"]["step"]["step"].as_str().unwrap_or(bare);
    let mut commands = agent.commands.lock().unwrap();
    if commands.iter().any(|command| command["command_status"] == "RUNNING") {
        return (
            StatusCode::CONFLICT,
            Json(json!({"faultcode": "Client", "faultstring": "Agent is busy: executing"})),
        );
    }
    let mut command = json!({
        "id": format!("command-{}", commands.len()), "command_name": bare, "command_status": "RUNNING", "command_error": null,
        "command_result": {"progress": {"step": step, "bytes": 1, "total": 2, "bytes_per_s": 1, "message": "working"}},
        "step": step, "request": request,
    });
    let runs_on =
        ["execute_clean_step", "execute_deploy_step", "install_bootloader", "power_off"].contains(&bare);
    if !runs_on {
        finish(&agent, &script, &mut command);
    }
    let shown = report(&command);
    commands.push(command);
    if bare == "power_off" {
        let machine = agent.machine.clone();
        tokio::spawn(async move { machine.power(false) });
    }
    agent.beat.notify_one();
    (StatusCode::OK, Json(shown))
}

fn finish(agent: &Agent, script: &Script, command: &mut Value) {
    let step = command["step"].as_str().unwrap().to_owned();
    let sent = command["request"]["params"]["step"].clone();
    if script.fail.contains(&step) {
        command["command_status"] = "FAILED".into();
        // A failed erasure hands in what it has of each disk.
        command["command_result"] = match command["command_name"].as_str().unwrap() {
            "execute_clean_step" => {
                let node = &command["request"]["params"]["node"];
                json!({"clean_result": evidence(agent, script, &step, node), "clean_step": sent})
            }
            _ => Value::Null,
        };
        command["command_error"] = json!({"type": "DeploymentError", "code": 500, "message": "Deploy step failed",
            "details": "the disk /dev/sda failed at 1.0 MiB; replace it"});
        return;
    }
    let step_of = |name: &str, priority: u8| json!({"step": name, "priority": priority, "interface": "deploy", "reboot_requested": false});
    let version = json!({"generic_hardware_manager": "1.2"});
    command["command_status"] = "SUCCEEDED".into();
    command["command_result"] = match command["command_name"].as_str().unwrap() {
        "get_clean_steps" => json!({"clean_steps": {"GenericHardwareManager": [step_of("erase_devices", 10),
            step_of("erase_devices_metadata", 99), step_of("erase_pstore", 0)]}, "hardware_manager_version": version}),
        "get_deploy_steps" => {
            json!({"deploy_steps": {"GenericHardwareManager": [step_of("write_image", 0)]}, "hardware_manager_version": version})
        }
        "execute_clean_step" => {
            let node = &command["request"]["params"]["node"];
            json!({"clean_result": evidence(agent, script, &step, node), "clean_step": sent})
        }
        "execute_deploy_step" => json!({"deploy_result": null, "deploy_step": sent}),
        "get_partition_uuids" => json!({"root uuid": "0x12345678"}),
        "get_hardware_info" => {
            let mut now = script.clone();
            now.disks.extend(script.late_disk.clone());
            inventory(&agent.machine, &now)["inventory"].clone()
        }
        "collect_system_logs" => json!({"system_logs": "H4sIAAAA"}),
        _ => Value::Null,
    };
    agent.beat.notify_one();
}

/// The entry of the node's list that names the disk with this serial number, in words.
fn skipped_by(node: &Value, serial: &str) -> Option<String> {
    let list = node["properties"]["skip_block_devices"].as_array()?;
    let entry = list.iter().find(|entry| entry["serial"] == serial)?;
    Some(serde_json::from_value::<model::hints::RootDeviceHints>(entry.clone()).unwrap().to_string())
}

fn evidence(agent: &Agent, script: &Script, step: &str, node: &Value) -> Value {
    let good = if step == "erase_devices" { "clean" } else { "metadata-clean" };
    let other = identity();
    let signer = if script.evidence == Evidence::Forged { &other } else { &agent.identity };
    let key = evidence::Key::new(&signer.pkcs8, &signer.certificate).unwrap();
    let mut documents = serde_json::Map::new();
    for (at, serial) in (0_u8..).zip(&script.disks) {
        let skipped_by = skipped_by(node, serial);
        let result = match (script.evidence, &skipped_by) {
            (Evidence::Dirty, _) => "failed",
            (_, Some(_)) => "skipped",
            (_, None) => good,
        };
        let path = format!("/dev/sd{}", char::from(b'a' + at));
        let operation = match script.evidence {
            Evidence::Replayed => &json!("11111111-2222-3333-4444-555555555555"),
            Evidence::Good
            | Evidence::Missing
            | Evidence::FirstDiskOnly
            | Evidence::Forged
            | Evidence::Tampered
            | Evidence::Dirty => &node["driver_internal_info"]["operation_uuid"],
        };
        let issued_at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(script.clock_off_hours);
        let body = json!({"v": 2, "result": result, "issued_at": issued_at.to_string(), "level": "clear", "node": node["uuid"], "operation": operation,
            "skipped_by": skipped_by, "device": {"path": path, "serial": serial, "bytes": 1 << 30},
            "attempts": [{"method": "overwrite", "result": "ok"}]});
        let mut document = serde_json::to_value(evidence::sign(body, &key).unwrap()).unwrap();
        if script.evidence == Evidence::Tampered {
            document["body"]["level"] = "purge".into();
        }
        let wanted = match script.evidence {
            Evidence::Missing => false,
            Evidence::FirstDiskOnly => at == 0,
            Evidence::Good | Evidence::Forged | Evidence::Tampered | Evidence::Dirty | Evidence::Replayed => {
                true
            }
        };
        if wanted {
            documents.insert(path, document);
        }
    }
    documents.into()
}
