//! The commands as a conductor sees them: goldens, captured requests, and a
//! disk that is really written and really erased.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use wire::ipa::{CommandRequest, CommandResult, CommandStatus, NodeView};

use super::{COMMANDS, Ending, Machine, Settings};
use crate::{
    command::{self, Board},
    logs::RingLog,
    tls::Identity,
};
use fetch::Trust;

/// An agent without an API: commands go straight to the board.
pub(super) struct Bench {
    board: Arc<Board<Machine>>,
    ending: mpsc::UnboundedReceiver<Ending>,
    pub(super) certificate: String,
}

impl Bench {
    pub(super) fn new(only_disks: &[std::path::PathBuf]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let identity = Identity::make("bench", &["127.0.0.1".parse().unwrap()]).unwrap();
        let (board, jobs) = Board::new(COMMANDS);
        let board = Arc::new(board);
        let (end, ending) = mpsc::unbounded_channel();
        // Never the disks of the machine the test runs on.
        let nothing = vec!["/dev/billet-no-such-disk".into()];
        let only_disks = if only_disks.is_empty() { nothing } else { only_disks.to_vec() };
        let machine = Machine {
            root: inventory::Root::live(),
            options: inventory::Options { only_disks, ..Default::default() },
            node: NodeView::default(),
            settings: Settings::default(),
            trust: Trust::system(),
            downloads: fetch::Pace::default(),
            key: Arc::new(evidence::Key::new(identity.key_der(), &identity.certificate_pem).unwrap()),
            logs: RingLog::default(),
            board: Arc::clone(&board),
            end,
            clock_source: "rtc",
            efivars: "/nonexistent".into(),
            prepared: None,
        };
        command::start(machine, jobs, Arc::clone(&board)).unwrap();
        Self { board, ending, certificate: identity.certificate_pem }
    }

    pub(super) async fn run(&self, name: &str, params: Value) -> CommandResult {
        let params = params.as_object().unwrap().clone();
        let (id, _) = self.board.submit(CommandRequest { name: name.to_owned(), params }).unwrap();
        self.board.ended(&id).await.unwrap()
    }
}

pub(super) fn captured(name: &str) -> Value {
    let path = format!("{}/../crates/wire/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Every step we list is one that Ironic's own agent lists, word for word.
#[tokio::test]
async fn listed_steps_are_rows_of_ironics_own_list() {
    let bench = Bench::new(&[]);
    for (phase, ours) in [
        ("clean", &["erase_devices", "erase_devices_metadata"][..]),
        ("deploy", &["erase_devices_metadata", "write_image"][..]),
    ] {
        let request = captured(&format!("get-{phase}-steps.request"));
        let answer = bench.run(request["name"].as_str().unwrap(), request["params"].clone()).await;
        let golden = captured(&format!("get-{phase}-steps.result"));
        assert_eq!(answer.command_name, golden["command_name"].as_str().unwrap());
        let (answer, golden) = (answer.command_result.unwrap(), &golden["command_result"]);
        assert_eq!(answer["hardware_manager_version"], golden["hardware_manager_version"]);
        let key = format!("{phase}_steps");
        let list = |steps: &Value| steps[&key]["GenericHardwareManager"].as_array().unwrap().clone();
        let (listed, known) = (list(&answer), list(golden));
        assert!(listed.iter().all(|step| known.contains(step)), "{listed:#?}");
        let names: Vec<&str> = listed.iter().map(|step| step["step"].as_str().unwrap()).collect();
        assert_eq!(names, ours);
    }
}

#[tokio::test]
async fn a_stale_step_list_is_told_apart_from_a_failure() {
    let bench = Bench::new(&[]);
    let mut params = captured("execute-clean-step.request")["params"].clone();
    params["clean_version"] = json!({"other": "1"});
    let answer = bench.run("clean.execute_clean_step", params).await;
    assert_eq!(answer.command_status, CommandStatus::VersionMismatch);
}

#[tokio::test]
async fn steps_that_are_none_fail_with_their_class() {
    let bench = Bench::new(&[]);
    for (step, class) in [
        (json!({"step": "burnin_cpu", "interface": "deploy"}), "HardwareManagerMethodNotFound"),
        (json!({"step": "erase_devices", "interface": "raid"}), "HardwareManagerMethodNotFound"),
        (json!({"interface": "deploy"}), "InvalidCommandParamsError"),
        (json!(null), "InvalidCommandParamsError"),
    ] {
        let answer =
            bench.run("clean.execute_clean_step", json!({"step": step, "node": {}, "ports": []})).await;
        assert_eq!(answer.command_status, CommandStatus::Failed);
        assert_eq!(answer.command_error.unwrap().class, class, "{step}");
    }
}

#[tokio::test]
async fn a_machine_whose_disks_are_not_seen_is_not_clean() {
    let bench = Bench::new(&[]);
    let request = captured("execute-clean-step.request");
    for step in ["erase_devices", "erase_devices_metadata"] {
        let mut params = request["params"].clone();
        params["step"]["step"] = json!(step);
        let answer = bench.run("clean.execute_clean_step", params).await;
        assert_eq!(answer.command_status, CommandStatus::Failed, "{:?}", answer.command_result);
        let details = answer.command_error.unwrap().details;
        assert!(details.contains("/dev/billet-no-such-disk does not say what it is"), "{details}");
    }
}

#[tokio::test]
async fn leaving_is_asked_for_and_answered_first() {
    let mut bench = Bench::new(&[]);
    for (name, want) in [("standby.power_off", Ending::PowerOff), ("standby.run_image", Ending::Reboot)] {
        let answer = bench.run(name, json!({})).await;
        assert_eq!((answer.command_status, answer.command_result), (CommandStatus::Succeeded, None));
        assert_eq!(bench.ending.recv().await, Some(want));
    }
}

#[tokio::test]
async fn nothing_was_written_so_there_are_no_uuids() {
    let bench = Bench::new(&[]);
    let answer = bench.run("standby.get_partition_uuids", json!({})).await;
    assert_eq!(answer.command_result, Some(json!({})));
}

#[tokio::test]
async fn logs_are_packed_without_what_steps_echoed() {
    let bench = Bench::new(&[]);
    bench.run("standby.sync", json!({})).await;
    let answer = bench.run("log.collect_system_logs", json!({})).await;
    let packed = answer.command_result.unwrap()["system_logs"].as_str().unwrap().to_owned();
    assert!(packed.starts_with("H4sI"), "gzip in base64");
    assert!(!bench.certificate.is_empty());
}

#[tokio::test]
async fn hardware_info_has_ironics_keys() {
    let bench = Bench::new(&[]);
    let answer = bench.run("poll.get_hardware_info", json!({})).await.command_result.unwrap();
    let golden = captured("continue-inspection");
    for key in golden["inventory"].as_object().unwrap().keys() {
        assert!(answer.get(key).is_some(), "{key}");
    }
}
