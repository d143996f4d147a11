//! Lookup, heartbeat and inspection against a control plane of every mood.

use std::{sync::Arc, time::Duration};

use model::{Mac, Secret};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wire::ironic::{Heartbeat, Microversion};

use crate::{
    command::{self, Board, Command, Mode, Outcome, anything},
    config::{Config, Pace},
    fake_ironic::FakeIronic,
    heartbeat::{self, Heart},
    inspection,
    ironic::Ironic,
    lookup::{Identity, LookupError, lookup},
};

const TOKEN: &str = "2y35H6csxgPvrOa7OGtC-mn4Z33DfxunSpx6LhCuYU0";
const NODE: &str = "cceb03e5-111b-4a06-a54b-5b00f4843c17";
const NOT_FOUND: &str = r#"{"error_message": "{\"faultcode\": \"Client\", \"faultstring\": \"Resource could not be found.\", \"debuginfo\": null}"}"#;

/// Fast enough for tests; nothing below waits for a time, only for requests.
fn quick() -> Pace {
    let short = Duration::from_millis(2);
    Pace {
        retry_min: short,
        retry_max: short,
        heartbeat_retry: short,
        forced_gap: short,
        request: Duration::from_secs(5),
    }
}

fn config(urls: &[String]) -> Config {
    let text = format!("ipa-api-url={} ipa-global-request-id=req-1", urls.join(","));
    let mut config = Config::from_params(&init::Params::parse(&text)).unwrap();
    config.pace = quick();
    config
}

fn ironic(urls: &[String]) -> Ironic {
    Ironic::new(&config(urls)).unwrap()
}

fn identity() -> Identity {
    let macs = vec![Mac([0x52, 0x54, 0, 0xaa, 0xbb, 1]), Mac([0x52, 0x54, 0, 0xaa, 0xbb, 2])];
    Identity { macs, serial: Some("SN-1".to_owned()), node: None }
}

fn answer(token: Value) -> String {
    json!({"node": {"uuid": NODE}, "config": {"heartbeat_timeout": 300, "agent_token": token}}).to_string()
}

#[tokio::test]
async fn a_machine_that_nobody_expects_asks_until_somebody_does() {
    let fake = FakeIronic::start().await;
    let good = answer(json!(TOKEN));
    fake.script(
        "/v1/lookup",
        &[
            (404, NOT_FOUND),
            (409, NOT_FOUND),
            (500, "<html>oops</html>"),
            (200, "<html>a proxy's login page</html>"),
            (200, r#"{"node": {}}"#),
            (200, &good),
        ],
    );
    let found = lookup(&ironic(&[fake.url()]), &identity(), None, None, &quick()).await.unwrap();
    assert_eq!(found.token, Some(Secret::new(TOKEN)));
    assert_eq!(found.version, Microversion::v1(115));
    let asked = fake.asked("/v1/lookup", 6).await;
    assert_eq!(
        asked[0].target,
        "/v1/lookup?addresses=52%3A54%3A00%3Aaa%3Abb%3A01%2C52%3A54%3A00%3Aaa%3Abb%3A02"
    );
    assert_eq!(asked[0].headers[Microversion::HEADER], "1.62");
    assert_eq!(asked[0].headers["x-openstack-request-id"], "req-1");
}

#[tokio::test]
async fn an_inspected_node_is_looked_up_by_name() {
    let fake = FakeIronic::start().await;
    fake.script("/v1/lookup", &[(200, &answer(json!(null)))]);
    let named = Identity { node: Some(NODE.to_owned()), ..identity() };
    let fixed = Some(Microversion::v1(50));
    let found = lookup(&ironic(&[fake.url()]), &named, None, fixed, &quick()).await.unwrap();
    assert_eq!(found.token, None);
    let asked = fake.asked("/v1/lookup", 1).await;
    assert!(asked[0].target.ends_with(&format!("&node_uuid={NODE}")), "{}", asked[0].target);
    assert_eq!(
        asked[0].headers[Microversion::HEADER],
        "1.50",
        "an older control plane is spoken to in its version"
    );
}

#[tokio::test]
async fn a_second_agent_with_the_same_address_gets_no_token_and_stops() {
    let fake = FakeIronic::start().await;
    fake.script("/v1/lookup", &[(200, &answer(json!("******")))]);
    let control = ironic(&[fake.url()]);
    let taken = lookup(&control, &identity(), None, None, &quick()).await;
    let Err(LookupError::TokenTaken { node, macs }) = taken else { panic!("must stop") };
    assert_eq!((node.as_str(), macs.as_str()), (NODE, "52:54:00:aa:bb:01, 52:54:00:aa:bb:02"));
    let own = Secret::new(TOKEN);
    let found = lookup(&control, &identity(), Some(&own), None, &quick()).await.unwrap();
    assert_eq!(found.token, Some(own), "with a token of its own it goes on");
}

#[tokio::test]
async fn a_token_too_short_to_be_one_is_ignored() {
    let fake = FakeIronic::start().await;
    fake.script("/v1/lookup", &[(200, &answer(json!("short")))]);
    let found = lookup(&ironic(&[fake.url()]), &identity(), None, None, &quick()).await.unwrap();
    assert_eq!(found.token, None);
}

#[tokio::test]
async fn the_url_that_answers_is_asked_first_from_then_on() {
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", dead.local_addr().unwrap());
    drop(dead);
    let fake = FakeIronic::start().await;
    fake.script("/v1/lookup", &[(200, &answer(json!(TOKEN)))]);
    let control = ironic(&[nobody, fake.url()]);
    lookup(&control, &identity(), None, None, &quick()).await.unwrap();
    assert_eq!(control.peer(), Some(fake.address.to_string()));
}

/// Runs until it is let go.
struct Bench(std::sync::mpsc::Receiver<()>);

const COMMANDS: &[Command<Bench>] = &[Command {
    extension: "clean",
    name: "slow",
    mode: Mode::Async,
    validate: anything,
    run: |bench, _, _| {
        let _ = bench.0.recv();
        Ok(Outcome::Nothing)
    },
}];

fn beat(control: Ironic, timeout: Duration, pace: Pace) -> (Arc<Board<Bench>>, std::sync::mpsc::Sender<()>) {
    let (let_go, gone) = std::sync::mpsc::channel();
    let (board, jobs) = Board::new(COMMANDS);
    let board = Arc::new(board);
    command::start(Bench(gone), jobs, Arc::clone(&board)).unwrap();
    let heart = Heart {
        ironic: Arc::new(control),
        version: Microversion::v1(115),
        node: NODE.to_owned(),
        beat: wire::ironic::Heartbeat {
            callback_url: Some("https://127.0.0.1:9999".to_owned()),
            agent_token: Some(Secret::new(TOKEN)),
            agent_version: Some("0.1.0".to_owned()),
            agent_verify_ca: Some("PEM".to_owned()),
            ..Default::default()
        },
        timeout,
        pace,
    };
    tokio::spawn(heartbeat::run(heart, Arc::clone(&board)));
    (board, let_go)
}

/// Ending for good is told once, at the first version that can carry it.
#[tokio::test]
async fn an_agent_that_must_end_says_why() {
    let fake = FakeIronic::start().await;
    fake.script("/v1/heartbeat", &[(202, "")]);
    let beat = Heartbeat { agent_token: Some(Secret::new(TOKEN)), ..Heartbeat::default() };
    heartbeat::last(&ironic(&[fake.url()]), Microversion::v1(115), NODE, beat, "no port is free").await;
    let asked = fake.asked("/v1/heartbeat", 1).await;
    assert_eq!(asked[0].headers["X-OpenStack-Ironic-API-Version"], "1.72");
    assert_eq!(asked[0].body["agent_status"], "error");
    assert_eq!(asked[0].body["agent_status_message"], "no port is free");
}

#[tokio::test]
async fn no_answer_is_the_last_heartbeat() {
    let fake = FakeIronic::start().await;
    fake.script(
        "/v1/heartbeat",
        &[(409, NOT_FOUND), (400, NOT_FOUND), (500, "<html>oops</html>"), (200, "not 202"), (202, "")],
    );
    let _beating = beat(ironic(&[fake.url()]), Duration::from_millis(2), quick());
    let asked = fake.asked("/v1/heartbeat", 8).await;
    assert_eq!(asked[0].target, format!("/v1/heartbeat/{NODE}?"));
    assert_eq!(asked[0].headers[Microversion::HEADER], "1.68");
    assert_eq!(
        asked[0].body,
        json!({"callback_url": "https://127.0.0.1:9999", "agent_token": TOKEN, "agent_version": "0.1.0", "agent_verify_ca": "PEM"})
    );
}

#[tokio::test]
async fn heartbeats_come_back_when_the_control_plane_does() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let _beating = beat(ironic(&[format!("http://{address}")]), Duration::from_millis(2), quick());
    // Nobody listens while the first beats fail; then somebody does, at the same place.
    let listener = TcpListener::bind(address).await.unwrap();
    let fake = FakeIronic::listening(listener);
    fake.script("/v1/heartbeat", &[(202, "")]);
    fake.asked("/v1/heartbeat", 3).await;
}

#[tokio::test]
async fn a_heartbeat_follows_when_a_command_ends_and_again_until_the_result_is_read() {
    let fake = FakeIronic::start().await;
    fake.script("/v1/heartbeat", &[(202, "")]);
    let (board, let_go) = beat(ironic(&[fake.url()]), Duration::from_secs(3600), quick());
    fake.asked("/v1/heartbeat", 1).await;
    let request = wire::ipa::CommandRequest { name: "clean.slow".to_owned(), params: Default::default() };
    let (id, _) = board.submit(request).unwrap();
    let_go.send(()).unwrap();
    fake.asked("/v1/heartbeat", 4).await;
    assert!(board.unread());
    board.find(&id).unwrap();
    assert!(!board.unread());
}

#[tokio::test]
async fn heartbeats_say_how_far_the_running_command_is() {
    let fake = FakeIronic::start().await;
    fake.script("/v1/heartbeat", &[(202, "")]);
    let (board, let_go) = beat(ironic(&[fake.url()]), Duration::from_millis(2), quick());
    let request = wire::ipa::CommandRequest { name: "clean.slow".to_owned(), params: Default::default() };
    let (id, _) = board.submit(request).unwrap();
    board.report(
        &id,
        &wire::ipa::Progress {
            step: "erase_devices".to_owned(),
            message: "2 disks, 37 %".to_owned(),
            ..Default::default()
        },
    );
    let before = fake.asked("/v1/heartbeat", 1).await.len();
    let asked = fake.asked("/v1/heartbeat", before + 2).await;
    let said = &asked[before + 1];
    assert_eq!(said.body["agent_status_message"], "erase_devices: 2 disks, 37 %");
    assert_eq!(said.body.get("agent_status"), None, "that word is Anaconda's");
    assert_eq!(said.headers[Microversion::HEADER], "1.72");
    let_go.send(()).unwrap();
    board.ended(&id).await.unwrap();
    let silent = fake.asked("/v1/heartbeat", 1).await.len() + 2;
    let asked = fake.asked("/v1/heartbeat", silent).await;
    assert_eq!(asked[silent - 1].body.get("agent_status_message"), None);
}

#[tokio::test]
async fn an_inspection_is_posted_as_ironics_agent_posts_it() {
    let fake = FakeIronic::start().await;
    fake.script(
        "/v1/continue_inspection",
        &[(409, NOT_FOUND), (503, "busy"), (202, &json!({"uuid": NODE}).to_string())],
    );
    let text = format!("ipa-inspection-callback-url={}/v1/continue_inspection", fake.url());
    let mut config = Config::from_params(&init::Params::parse(&text)).unwrap();
    config.pace = quick();
    let inventory = inventory::scan(&inventory::Root::at("/nonexistent"), &inventory::Options::default());
    let control = Ironic::new(&config).unwrap();
    let wanted = config.inspection.clone().unwrap();
    let logs = Some("H4sI".to_owned());
    let node = inspection::inspect(&control, &wanted, &inventory, logs, &config.pace).await.unwrap();
    assert_eq!(node, NODE);
    let asked = fake.asked("/v1/continue_inspection", 3).await;
    assert!(asked[0].headers.get(Microversion::HEADER).is_none(), "Ironic knows this call by that");
    let golden: Value =
        serde_json::from_str(include_str!("../../crates/wire/tests/golden/continue-inspection.json"))
            .unwrap();
    let keys = |value: &Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.retain(|key| key != "root_disk"); // absent, since nowhere has no disk
        keys
    };
    assert_eq!(keys(&asked[0].body), keys(&golden));
    assert_eq!(keys(&asked[0].body["inventory"]), keys(&golden["inventory"]));
    assert_eq!(asked[0].body["configuration"], golden["configuration"]);
}

#[tokio::test]
async fn an_inspection_that_nobody_expects_is_not_repeated() {
    let fake = FakeIronic::start().await;
    fake.script("/v1/continue_inspection", &[(404, NOT_FOUND)]);
    let wanted = crate::config::Inspection {
        urls: vec![format!("{}/v1/continue_inspection", fake.url())],
        collectors: vec!["default".to_owned()],
        ..crate::config::Inspection::default()
    };
    let inventory = inventory::scan(&inventory::Root::at("/nonexistent"), &inventory::Options::default());
    let control = ironic(&[fake.url()]);
    let err = inspection::inspect(&control, &wanted, &inventory, None, &quick()).await.unwrap_err();
    assert!(command::chain(&err).contains("Resource could not be found."), "{err}");
    assert_eq!(fake.asked("/v1/continue_inspection", 1).await.len(), 1);
}
