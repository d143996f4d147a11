//! The error table of Ironic's contract, over real TLS.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use model::Secret;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use wire::ipa::ErrorClass;

use super::{Served, TlsListener, router, serve};
use crate::{
    command::{self, Board, Command, Failure, Mode, Outcome, anything},
    tls::{Identity, MinimumTls},
};

const TOKEN: &str = "l6LQA2GOLd7ux6GZaeqx32iXERLroBattbiY1ecP96o";

/// What the test's commands act on: `slow` runs until it is let go.
struct Bench {
    let_go: mpsc::Receiver<()>,
}

const COMMANDS: &[Command<Bench>] = &[
    Command {
        extension: "clean",
        name: "slow",
        mode: Mode::Async,
        validate: anything,
        run: |bench, _, _| {
            bench.let_go.recv().map_err(|err| Failure::of(ErrorClass::Cleaning, &err))?;
            Ok(Outcome::Text("done".to_owned()))
        },
    },
    Command {
        extension: "clean",
        name: "fail",
        mode: Mode::Sync,
        validate: anything,
        run: |_, _, _| Err(Failure::new(ErrorClass::Cleaning, "disk sda: refused")),
    },
    Command {
        extension: "clean",
        name: "echo",
        mode: Mode::Sync,
        validate: anything,
        run: |_, params, _| Ok(Outcome::Data(Value::Object(params.clone()))),
    },
    Command {
        extension: "standby",
        name: "prepare_image",
        mode: Mode::Async,
        validate: |_| Err(Failure::new(ErrorClass::InvalidCommandParams, "Image is missing 'urls' field.")),
        run: |_, _, _| Ok(Outcome::Nothing),
    },
];

struct Agent {
    base: String,
    client: Client,
    let_go: mpsc::Sender<()>,
}

impl Agent {
    async fn start(token: Option<&str>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (let_go, gone) = mpsc::channel();
        let (board, jobs) = Board::new(COMMANDS);
        let board = Arc::new(board);
        command::start(Bench { let_go: gone }, jobs, Arc::clone(&board)).unwrap();
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let identity = Identity::make("test", &[localhost]).unwrap();
        let listener = TcpListener::bind(SocketAddr::new(localhost, 0)).unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        let served = Served { board, token: token.map(Secret::new), started_at: 1.5, base: base.clone() };
        let listener = TlsListener::new(listener, identity.server(MinimumTls::V1_3).unwrap()).unwrap();
        tokio::spawn(serve(listener, router(Arc::new(served))));
        // As a conductor does it: the certificate itself is the root, TLS 1.3 at least.
        let root = reqwest::Certificate::from_pem(identity.certificate_pem.as_bytes()).unwrap();
        let client = Client::builder()
            .tls_certs_only([root])
            .tls_version_min(reqwest::tls::Version::TLS_1_3)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self { base, client, let_go }
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn post(&self, query: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let url = format!("{}/v1/commands/?{query}agent_token={TOKEN}", self.base);
        let answer = self.client.post(url).body(body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn command(&self, query: &str, name: &str) -> (StatusCode, Value) {
        self.post(query, json!({"name": name, "params": {}}).to_string()).await
    }
}

#[tokio::test]
async fn errors_are_worded_as_ironics_agent_words_them() {
    let agent = Agent::start(Some(TOKEN)).await;
    for (body, status, text) in [
        (r#"{"name":"nope.x","params":{}}"#, 404, "Not found: Extension with id nope not found."),
        (r#"{"name":"clean.nope","params":{}}"#, 400, "Invalid command: Unknown command: nope"),
        (
            r#"{"name":"nope","params":{}}"#,
            400,
            "Invalid command: Command name must be of the form <extension>.<name>",
        ),
        (r#"{"name":"clean.echo"}"#, 400, "400 Bad Request: Missing or invalid name or params"),
        (r#"{"params":{}}"#, 400, "400 Bad Request: Missing or invalid name or params"),
        (r#"{"name":"clean.echo","params":[]}"#, 400, "400 Bad Request: Missing or invalid name or params"),
        ("[1,2]", 400, "400 Bad Request: Missing or invalid name or params"),
        ("{nonsense", 400, "400 Bad Request: Failed to decode JSON object: "),
        ("", 400, "400 Bad Request: Failed to decode JSON object: "),
        (
            r#"{"name":"standby.prepare_image","params":{}}"#,
            400,
            "Invalid command parameters: Image is missing 'urls' field.",
        ),
    ] {
        let (code, fault) = agent.post("", body).await;
        assert_eq!(code, status, "{body}");
        assert_eq!(fault["faultcode"], "Client");
        assert!(fault["faultstring"].as_str().unwrap().starts_with(text), "{body}: {fault}");
    }
    let (code, fault) = agent.get(&format!("/v1/commands/1234?agent_token={TOKEN}")).await;
    assert_eq!(code, 404);
    assert_eq!(fault["faultstring"], "Not found: Command Result with id 1234 not found.");
    let (code, fault) = agent.get("/v1/nope").await;
    assert_eq!(code, 404);
    assert!(fault["faultstring"].as_str().unwrap().starts_with("404 Not Found: "));
    let answer = agent.client.put(format!("{}/v1/status", agent.base)).send().await.unwrap();
    assert_eq!(answer.status(), 405);
    assert!(answer.text().await.unwrap().contains("405 Method Not Allowed: "));
    let (_, list) = agent.get(&format!("/v1/commands/?agent_token={TOKEN}")).await;
    assert_eq!(list, json!({"commands": []}), "no refusal leaves a trace");
}

#[tokio::test]
async fn nobody_commands_without_the_token() {
    let agent = Agent::start(Some(TOKEN)).await;
    for path in [
        "/v1/commands/",
        "/v1/commands/?agent_token=",
        "/v1/commands/?agent_token=wrong",
        "/commands/",
        "/v1/commands/1234?agent_token=wrong",
    ] {
        let (code, fault) = agent.get(path).await;
        assert_eq!(code, 401, "{path}");
        assert_eq!(fault, json!({"faultcode": "Client", "faultstring": "401 Unauthorized: Token invalid."}));
    }
    let open = Agent::start(None).await;
    let (code, _) = open.get(&format!("/v1/commands/?agent_token={TOKEN}")).await;
    assert_eq!(code, 401, "an agent without a token obeys nobody");
    let (code, _) = open.get("/v1/commands/?agent_token=").await;
    assert_eq!(code, 401);
}

#[tokio::test]
async fn a_second_command_is_told_what_runs() {
    let agent = Agent::start(Some(TOKEN)).await;
    let (code, running) = agent.command("wait=false&", "clean.slow").await;
    assert_eq!((code, &running["command_status"]), (StatusCode::OK, &json!("RUNNING")));
    assert_eq!(running["command_name"], "slow");
    for name in ["clean.slow", "clean.echo"] {
        let (code, fault) = agent.command("wait=true&", name).await;
        assert_eq!(code, 409);
        assert_eq!(fault["faultstring"], "Agent is busy: executing command slow");
    }
    let id = running["id"].as_str().unwrap();
    let path = format!("/v1/commands/{id}?wait=true&agent_token={TOKEN}");
    let waited = agent.get(&path);
    agent.let_go.send(()).unwrap();
    let (_, ended) = waited.await;
    assert_eq!(ended["command_status"], "SUCCEEDED");
    assert_eq!(ended["command_result"], json!({"result": "slow: done"}));
}

#[tokio::test]
async fn commands_end_and_are_remembered_in_order() {
    let agent = Agent::start(Some(TOKEN)).await;
    agent.let_go.send(()).unwrap();
    let (_, slow) = agent.command("wait=true&", "clean.slow").await;
    assert_eq!(slow["command_status"], "SUCCEEDED");
    let (code, failed) = agent.command("wait=false&", "clean.fail").await;
    assert_eq!(code, 200, "a failed command is an answer, not an HTTP error");
    assert_eq!(
        failed["command_error"],
        json!({"type": "CleaningError", "code": 500, "message": "Clean step failed", "details": "disk sda: refused"})
    );
    let (code, list) = agent.get(&format!("/v1/commands/?agent_token={TOKEN}")).await;
    let names: Vec<_> = list["commands"].as_array().unwrap().iter().map(|c| &c["command_name"]).collect();
    assert_eq!((code, names), (StatusCode::OK, vec![&json!("slow"), &json!("fail")]));
}

#[tokio::test]
async fn what_everybody_may_see() {
    let agent = Agent::start(Some(TOKEN)).await;
    let (_, root) = agent.get("/").await;
    assert_eq!(root["name"], "OpenStack Ironic Python Agent API");
    assert_eq!(root["default_version"]["id"], "v1");
    assert_eq!(root["versions"][0]["links"][0]["href"], format!("{}/v1/", agent.base));
    let (_, v1) = agent.get("/v1/").await;
    assert_eq!(v1["media_types"][0]["base"], "application/json");
    for path in ["/v1/status", "/status"] {
        let (_, status) = agent.get(path).await;
        assert_eq!(status, json!({"started_at": 1.5, "version": env!("CARGO_PKG_VERSION")}));
    }
    for path in ["/v1", "/v1/commands?wait=true", "/commands"] {
        let answer = agent.client.get(format!("{}{path}", agent.base)).send().await.unwrap();
        let to = answer.headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(answer.status(), 308);
        assert!(to.split('?').next().unwrap().ends_with('/'), "{path} -> {to}");
        assert_eq!(to.contains("wait=true"), path.contains("wait=true"));
    }
}

#[tokio::test]
async fn hostile_bodies_are_refused_and_nothing_is_lost() {
    let agent = Agent::start(Some(TOKEN)).await;
    let deep = format!(r#"{{"name":"clean.echo","params":{}"#, r#"{"a":"#.repeat(100_000));
    let (code, fault) = agent.post("", deep).await;
    assert_eq!(code, 400);
    assert!(fault["faultstring"].as_str().unwrap().contains("nested deeper"));
    let (code, _) = agent.post("", vec![b' '; 20 << 20]).await;
    assert_eq!(code, 413);
    let unicode = json!({"name": "clean.echo", "params": {"text": "снег ☃ \u{0}"}}).to_string();
    let (code, echo) = agent.post("", unicode).await;
    assert_eq!((code, &echo["command_result"]["text"]), (StatusCode::OK, &json!("снег ☃ \u{0}")));
}

#[tokio::test]
async fn the_token_is_never_logged() {
    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let agent = Agent::start(Some(TOKEN)).await;
    agent.command("", "clean.echo").await;
    agent.command("", "nope.nope").await;
    agent.get(&format!("/v1/commands/?agent_token={TOKEN}")).await;
    let log = captured.0.lock().unwrap_or_else(PoisonError::into_inner);
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("clean.echo"), "the capture works: {log}");
    let ours: Vec<_> = log.lines().filter(|line| line.contains("billet_agent")).collect();
    assert!(!ours.is_empty());
    assert!(ours.iter().all(|line| !line.contains(TOKEN)), "{ours:?}");
}
