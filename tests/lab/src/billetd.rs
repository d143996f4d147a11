//! The control plane under test: a `billetd` process, and a client of its API that says what failed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode, tls};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{
    network::{API_PORT, HOST},
    redfish,
    spec::Spec,
};

/// Between two looks at a node.
const POLL: Duration = Duration::from_millis(250);
/// How long billetd may take to serve.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long the way to a state may take. Two servers under emulation on two busy cores are slow; a
/// hang is longer.
pub const STATE_LIMIT: Duration = Duration::from_secs(600);
/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// The microversion asked for.
const MICROVERSION: &str = "1.95";

/// What billetd is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program.
    pub program: PathBuf,
    /// A folder with `vmlinuz` and `initramfs`.
    pub ramdisk: PathBuf,
    /// The folder served as `/images`.
    pub images: PathBuf,
    /// Where its database and its log go; both are replaced.
    pub out: PathBuf,
    /// More arguments, such as `--clean-steps metadata`.
    pub extra: Vec<String>,
}

/// Where billetd is, as the servers reach it.
#[must_use]
pub fn base_url() -> String {
    format!("http://{HOST}:{API_PORT}")
}

/// Start billetd on the lab's bridge with a new database, and wait until it serves.
///
/// # Errors
/// When it does not start or does not answer; its log is named.
pub async fn start(settings: &Settings) -> Result<(Child, Api)> {
    let database = settings.out.join("billet.sqlite");
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", database.display()));
    }
    let log_path = settings.out.join("billetd.log");
    let log = fs::File::create(&log_path).with_context(|| format!("create {}", log_path.display()))?;
    let mut child = Command::new(&settings.program)
        .args(["--listen", &format!("{HOST}:{API_PORT}"), "--advertise", &base_url()])
        .args(["--kernel-params", "console=ttyS0"])
        .args([Path::new("--database"), &database, Path::new("--ramdisk"), &settings.ramdisk])
        .args([Path::new("--images"), &settings.images])
        .args(&settings.extra)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("share billetd's log")?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}; build it first", settings.program.display()))?;
    let api = Api::new(&base_url())?;
    let deadline = Instant::now() + START_LIMIT;
    while api.healthy().await.is_err() {
        if let Some(status) = child.try_wait().context("look at billetd")? {
            bail!("billetd ended at once ({status}); see {}", log_path.display());
        }
        if Instant::now() > deadline {
            bail!("billetd does not answer within {START_LIMIT:?}; see {}", log_path.display());
        }
        sleep(POLL).await;
    }
    Ok((child, api))
}

/// Ironic's API as far as the lab speaks it.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
}

/// A node as the API shows it.
#[derive(Clone, Debug)]
pub struct Node(pub Value);

impl Node {
    /// Its provision state.
    #[must_use]
    pub fn state(&self) -> &str {
        self.text("/provision_state").unwrap_or_default()
    }

    /// A text anywhere in it, by JSON pointer.
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Where it is since when: inspection ends in the state it began in.
    fn moment(&self) -> (&str, Option<&str>) {
        (self.state(), self.text("/provision_updated_at"))
    }

    /// A state that it does not leave by itself, and not for the better.
    fn is_stuck(&self) -> bool {
        let state = self.state();
        let failed = state.ends_with(" failed") || state == "error";
        failed || (state == "enroll" && self.text("/last_error").is_some())
    }
}

impl Api {
    /// A client of the API at `base`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(base: &str) -> Result<Self> {
        // Refused only when a provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(REQUEST_LIMIT)
            .no_proxy()
            .tls_certs_only(Vec::<tls::Certificate>::new())
            .build()
            .context("make an HTTP client")?;
        Ok(Api { http, base: base.to_owned() })
    }

    async fn healthy(&self) -> Result<()> {
        self.http.get(format!("{}/healthz", self.base)).send().await?.error_for_status()?;
        Ok(())
    }

    /// One request; the answer's JSON, or null when it has none.
    ///
    /// # Errors
    /// When the connection fails or the status is not 2xx; the answer is quoted.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let what = format!("{method} {path}");
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .header("X-OpenStack-Ironic-API-Version", MICROVERSION);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| what.clone())?;
        let status = response.status();
        let text = response.text().await.with_context(|| format!("read the answer to {what}"))?;
        if !status.is_success() {
            bail!("{what}: {status}: {}", fault(&text));
        }
        if status == StatusCode::NO_CONTENT || text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{what}: the answer is not JSON: {text}"))
    }

    /// Read `path`.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// Enroll a server: its node with its BMC, and a port for its first NIC, which boots.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn enroll(&self, spec: &Spec) -> Result<String> {
        let body = json!({
            "name": spec.name,
            "driver": "redfish",
            "driver_info": {
                "redfish_address": format!("http://{}", redfish::address(spec.place)),
                "redfish_system_id": format!("/redfish/v1/Systems/{}", spec.uuid()),
                "redfish_username": redfish::USER,
                "redfish_password": redfish::PASSWORD,
            },
            "properties": {"capabilities": format!("boot_mode:{}", spec.firmware.name()), "cpu_arch": "x86_64"},
        });
        let node = self.call(Method::POST, "/v1/nodes", Some(&body)).await?;
        let id =
            node.get("uuid").and_then(Value::as_str).context("POST /v1/nodes: the answer has no uuid")?;
        let port = json!({"node_uuid": id, "address": spec.macs()[0].to_string(), "pxe_enabled": true});
        self.call(Method::POST, "/v1/ports", Some(&port)).await?;
        Ok(id.to_owned())
    }

    /// Ask for a provision verb; `extra` holds a config drive or steps.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn provision(&self, id: &str, target: &str, extra: Value) -> Result<()> {
        let mut body = extra;
        body["target"] = target.into();
        self.call(Method::PUT, &format!("/v1/nodes/{id}/states/provision"), Some(&body)).await.map(drop)
    }

    /// The node.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn node(&self, id: &str) -> Result<Node> {
        self.get(&format!("/v1/nodes/{id}")).await.map(Node)
    }

    /// What the node's agent does just now; an empty object when nothing.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn progress(&self, id: &str) -> Result<Value> {
        self.get(&format!("/v1/nodes/{id}/progress")).await
    }

    /// Wait until the node has come to `state` since it was as `before`; `look` sees the node and its
    /// progress at every poll.
    ///
    /// # Errors
    /// When it gets stuck in a failed state, or [`STATE_LIMIT`] passes: with its `last_error`.
    pub async fn wait_for(
        &self,
        id: &str,
        before: &Node,
        state: &str,
        mut look: impl FnMut(&Node, &Value),
    ) -> Result<Node> {
        let deadline = Instant::now() + STATE_LIMIT;
        loop {
            let node = self.node(id).await?;
            // Progress is for people and for the report; a node is not failed for want of it.
            let progress = self.progress(id).await.unwrap_or(Value::Null);
            look(&node, &progress);
            if node.state() == state && node.moment() != before.moment() {
                return Ok(node);
            }
            let error = node.text("/last_error").unwrap_or("no last_error");
            if node.is_stuck() && node.moment() != before.moment() {
                bail!("the node is in \"{}\" instead of \"{state}\": {error}", node.state());
            }
            if Instant::now() > deadline {
                bail!(
                    "the node is still in \"{}\" instead of \"{state}\" after {STATE_LIMIT:?}: {error}",
                    node.state()
                );
            }
            sleep(POLL).await;
        }
    }
}

/// Ironic's error bodies hold JSON in a JSON string; anything else is quoted as it is.
fn fault(body: &str) -> String {
    let outer: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let message = outer.get("error_message");
    let inner = message.and_then(Value::as_str).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let said = inner.as_ref().or(message).and_then(|error| error.get("faultstring")).and_then(Value::as_str);
    said.map_or_else(|| body.chars().take(500).collect(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_quoted_without_its_wrapping() {
        let table = [
            (
                r#"{"error_message": "{\"faultstring\": \"Node n is locked\", \"code\": 409}"}"#,
                "Node n is locked",
            ),
            (r#"{"error_message": {"faultstring": "no such node"}}"#, "no such node"),
            ("<html>", "<html>"),
        ];
        for (body, want) in table {
            assert_eq!(fault(body), want);
        }
    }

    #[test]
    fn a_failed_verification_is_not_waited_for() {
        let stuck = |state: &str, error: Value| {
            Node(json!({"provision_state": state, "last_error": error})).is_stuck()
        };
        assert!(stuck("clean failed", Value::Null) && stuck("enroll", json!("no BMC")));
        assert!(!stuck("enroll", Value::Null) && !stuck("wait call-back", json!("old")));
    }
}
