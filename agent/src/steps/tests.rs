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
    /// Where `efivars` and `pstore` may be.
    pub(super) firmware: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new(only_disks: &[std::path::PathBuf]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let identity = Identity::make("bench", &["127.0.0.1".parse().unwrap()]).unwrap();
        let (board, jobs) = Board::new(COMMANDS);
        let board = Arc::new(board);
        let (end, ending) = mpsc::unbounded_channel();
        let firmware = tempfile::tempdir().unwrap();
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
            efivars: firmware.path().join("efivars"),
            pstore: firmware.path().join("pstore"),
            prepared: None,
        };
        command::start(machine, jobs, Arc::clone(&board)).unwrap();
        Self { board, ending, certificate: identity.certificate_pem, firmware }
    }

    pub(super) async fn run(&self, name: &str, params: Value) -> CommandResult {
        let id = self.start(name, params);
        self.board.ended(&id).await.unwrap()
    }

    pub(super) fn start(&self, name: &str, params: Value) -> String {
        let params = params.as_object().unwrap().clone();
        self.board.submit(CommandRequest { name: name.to_owned(), params }).unwrap().0
    }

    /// As a conductor sees it now.
    pub(super) fn shown(&self, id: &str) -> CommandResult {
        self.board.find(id).unwrap()
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
        (
            "clean",
            &[
                "erase_devices",
                "erase_devices_metadata",
                "erase_devices_express",
                "erase_devices_with_policy",
                "erase_pstore",
                "clean_uefi_nvram",
            ][..],
        ),
        ("deploy", &["erase_devices_metadata", "clean_uefi_nvram", "write_image"][..]),
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
        let ours_alone = |step: &Value| step["step"] == "erase_devices_with_policy";
        assert!(listed.iter().all(|step| known.contains(step) || ours_alone(step)), "{listed:#?}");
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

fn step(name: &str, args: Value) -> Value {
    json!({"step": {"step": name, "interface": "deploy", "args": args}, "node": {}, "ports": []})
}

/// Ironic's defaults take out what boots from disks, and leave network boot.
#[tokio::test]
async fn boot_entries_of_tenants_go_and_network_boot_stays() {
    let bench = Bench::new(&[]);
    let without = bench.run("clean.execute_clean_step", step("clean_uefi_nvram", json!({}))).await;
    let note = &without.command_result.unwrap()["clean_result"]["note"];
    assert_eq!(note, "this machine did not boot by UEFI", "said, not passed over");
    let efivars = bench.firmware.path().join("efivars");
    std::fs::create_dir(&efivars).unwrap();
    let drive = efi::HardDrive { partition: 1, start_blocks: 2048, length_blocks: 4096, id: [7; 16] };
    efi::add_boot_entry(&efivars, "debian", &drive, r"\EFI\debian\shimx64.efi").unwrap();
    // Boot0001, active, "n": MAC(525400aabb01,1), end.
    let mut pxe =
        vec![7, 0, 0, 0, 1, 0, 0, 0, 41, 0, b'n', 0, 0, 0, 3, 11, 37, 0, 0x52, 0x54, 0, 0xaa, 0xbb, 1];
    pxe.extend([0; 26]);
    pxe.extend([1, 0x7f, 0xff, 4, 0]);
    std::fs::write(efivars.join("Boot0001-8be4df61-93ca-11d2-aa0d-00e098032b8c"), pxe).unwrap();
    let refused = bench
        .run("clean.execute_clean_step", step("clean_uefi_nvram", json!({"match_patterns": ["(?i)x"]})))
        .await;
    assert_eq!(refused.command_error.unwrap().class, "InvalidCommandParamsError");
    let kept = bench
        .run("deploy.execute_deploy_step", step("clean_uefi_nvram", json!({"match_patterns": ["ubuntu"]})))
        .await;
    assert_eq!(kept.command_result.unwrap()["deploy_result"]["removed"], json!([]));
    let cleaned = bench.run("clean.execute_clean_step", step("clean_uefi_nvram", json!({}))).await;
    let result = &cleaned.command_result.unwrap()["clean_result"];
    let gone = "Boot0000 debian HD(1,GPT,07070707-0707-0707-0707-070707070707,0x800,0x1000)/File(\\EFI\\debian\\shimx64.efi)";
    assert_eq!(result["removed"], json!([gone]));
    assert_eq!(result["kept"], json!(["Boot0001 n MAC(525400aabb01,0x1)"]));
}

#[tokio::test]
async fn crash_records_of_tenants_go_from_the_kernels_store_and_from_the_firmware() {
    let bench = Bench::new(&[]);
    let (pstore, efivars) = (bench.firmware.path().join("pstore"), bench.firmware.path().join("efivars"));
    let dump = efivars.join("dump-type0-1-1-17-C-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0");
    for dir in [&pstore, &efivars] {
        std::fs::create_dir(dir).unwrap();
    }
    std::fs::write(pstore.join("dmesg-erst-1"), "secret").unwrap();
    std::fs::write(&dump, "....secret").unwrap();
    let answer = bench.run("clean.execute_clean_step", step("erase_pstore", json!({}))).await;
    let result = &answer.command_result.unwrap()["clean_result"];
    assert_eq!((&result["records"], &result["uefi_variables"]), (&json!(1), &json!(1)));
    assert!(!dump.exists() && !pstore.join("dmesg-erst-1").exists());
}
