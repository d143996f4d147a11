//! A world for billetd's tests: the real binary, a Redfish server and scripted agents.

#![allow(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]

pub mod agent;
pub mod machine;

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// No step of a test takes longer, even on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// The real billetd on a database of its own.
pub struct Billetd {
    pub base: String,
    pub http: reqwest::Client,
    folder: tempfile::TempDir,
    more: Vec<String>,
    child: Option<Child>,
}

impl Billetd {
    pub async fn start(more: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut billetd = Self {
            base: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap(),
            folder: tempfile::tempdir().unwrap(),
            more: more.iter().map(|text| (*text).to_owned()).collect(),
            child: None,
        };
        billetd.up().await;
        billetd
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Another argument for the next start.
    pub fn add(&mut self, argument: &str) {
        self.more.push(argument.to_owned());
    }

    /// Start the process (again) on the same database and wait until it answers.
    pub async fn up(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_billetd"))
            .arg("--listen")
            .arg(self.base.trim_start_matches("http://"))
            .arg("--database")
            .arg(self.path("billet.sqlite"))
            .args(&self.more)
            .env("RUST_LOG", "warn,control_plane=info")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let began = Instant::now();
        while self.http.get(format!("{}/healthz", self.base)).send().await.is_err() {
            assert!(began.elapsed() < PATIENCE, "billetd does not answer");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .header("X-OpenStack-Ironic-API-Version", "1.110");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub async fn verb(&self, node: &str, body: Value) {
        let (status, answer) =
            self.call(Method::PUT, &format!("/v1/nodes/{node}/states/provision"), Some(body.clone())).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}: {answer}");
    }

    pub async fn target(&self, node: &str, target: &str) {
        self.verb(node, json!({"target": target})).await;
    }

    /// Wait for a state; a failed state that was not waited for ends the test with its reason.
    pub async fn reaches(&self, node: &str, state: &str) -> Value {
        let began = Instant::now();
        loop {
            let shown = self.get(&format!("/v1/nodes/{node}")).await;
            if shown["provision_state"] == state {
                return shown;
            }
            let now = shown["provision_state"].as_str().unwrap_or_default();
            assert!(!now.contains("failed") || state.contains("failed"), "{now}: {}", shown["last_error"]);
            assert!(began.elapsed() < PATIENCE, "{node} is {now}, not {state}: {}", shown["last_error"]);
            tokio::time::sleep(LOOK).await;
        }
    }

    pub async fn enroll(&self, name: &str, bmc: &str, mac: &str) -> String {
        let body = json!({"name": name, "driver": "redfish", "driver_info": {
            "redfish_address": bmc, "redfish_system_id": "/redfish/v1/Systems/1",
            "redfish_username": "admin", "redfish_password": "hunter2"}});
        let (status, node) = self.call(Method::POST, "/v1/nodes", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{node}");
        let uuid = node["uuid"].as_str().unwrap().to_owned();
        let (status, port) =
            self.call(Method::POST, "/v1/ports", Some(json!({"node_uuid": uuid, "address": mac}))).await;
        assert_eq!(status, StatusCode::CREATED, "{port}");
        uuid
    }

    pub async fn set_image(&self, node: &str) {
        let patch = json!([{"op": "add", "path": "/instance_info/image_source", "value": "http://images.example/os.raw"},
            {"op": "add", "path": "/instance_info/image_checksum", "value": "f5bbc4354fbf7567e91727a1324a8c4b2189aa03610b03e50e4a1d63e74146a6"}]);
        let (status, answer) = self.call(Method::PATCH, &format!("/v1/nodes/{node}"), Some(patch)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
}

impl Drop for Billetd {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Wait until `done` says so.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what} never happened");
        tokio::time::sleep(LOOK).await;
    }
}
