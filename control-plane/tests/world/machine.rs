//! A server of glass: a Redfish service whose power button runs a scripted agent.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::agent::{self, Script};

/// What is inside.
pub struct Inside {
    pub on: bool,
    pub pxe: bool,
    /// Each power on and off, and boot device, in order.
    pub seen: Vec<String>,
    /// What the ramdisk does when it boots.
    pub script: Script,
    /// Commands the agents of all boots received.
    pub commands: Vec<Value>,
    pub boots: usize,
    agent: Option<JoinHandle<()>>,
}

#[derive(Clone)]
pub struct Machine {
    pub mac: String,
    pub billetd: String,
    pub bmc: String,
    pub inside: Arc<Mutex<Inside>>,
}

impl Machine {
    pub async fn start(billetd: &str, mac: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inside = Inside {
            on: false,
            pxe: false,
            seen: vec![],
            script: Script::default(),
            commands: vec![],
            boots: 0,
            agent: None,
        };
        let machine = Self {
            mac: mac.to_owned(),
            billetd: billetd.to_owned(),
            bmc: format!("http://{}", listener.local_addr().unwrap()),
            inside: Arc::new(Mutex::new(inside)),
        };
        let app = Router::new()
            .route("/redfish/v1/Systems/1", get(system).patch(boot))
            .route("/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", post(reset))
            .with_state(machine.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        machine
    }

    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.inside.lock().unwrap().script);
    }

    pub fn power(&self, on: bool) {
        let mut inside = self.inside.lock().unwrap();
        inside.on = on;
        inside.seen.push(if on { "on" } else { "off" }.to_owned());
        if let Some(agent) = inside.agent.take() {
            agent.abort();
        }
        if on && std::mem::take(&mut inside.pxe) {
            inside.boots += 1;
            inside.agent = Some(tokio::spawn(agent::boot(self.clone())));
        }
    }

    pub fn seen(&self) -> Vec<String> {
        self.inside.lock().unwrap().seen.clone()
    }

    /// Names of the commands received, steps by their names.
    pub fn commands(&self) -> Vec<String> {
        let name = |command: &Value| {
            let step = command["params"]["step"]["step"].as_str();
            step.map_or_else(|| command["name"].as_str().unwrap().to_owned(), str::to_owned)
        };
        self.inside.lock().unwrap().commands.iter().map(name).collect()
    }
}

async fn system(State(machine): State<Machine>) -> Json<Value> {
    let inside = machine.inside.lock().unwrap();
    Json(json!({
        "@odata.id": "/redfish/v1/Systems/1", "PowerState": if inside.on { "On" } else { "Off" },
        "Boot": {"BootSourceOverrideTarget": "None", "BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideMode": "Legacy",
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd"]},
        "Actions": {"#ComputerSystem.Reset": {"target": "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset",
            "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "ForceRestart"]}},
    }))
}

async fn boot(State(machine): State<Machine>, Json(body): Json<Value>) -> StatusCode {
    let mut inside = machine.inside.lock().unwrap();
    let target = body["Boot"]["BootSourceOverrideTarget"].as_str().unwrap_or_default().to_owned();
    inside.pxe = target == "Pxe";
    inside.seen.push(target);
    StatusCode::NO_CONTENT
}

async fn reset(State(machine): State<Machine>, Json(body): Json<Value>) -> StatusCode {
    if !machine.inside.lock().unwrap().script.stuck_on {
        machine.power(body["ResetType"] != "ForceOff");
    }
    StatusCode::NO_CONTENT
}
