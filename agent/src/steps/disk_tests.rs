//! Captured requests of a real conductor against a loop device: written over
//! HTTP, read back, erased, with evidence that verifies. Needs root.

use std::{
    fs,
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use model::{Algorithm, Hasher};
use serde_json::{Value, json};
use wire::ipa::{CommandResult, CommandStatus};

use super::tests::{Bench, captured};

const MIB: usize = 1 << 20;

/// Ironic's agent takes no root disk below 4 GiB; the file behind it is sparse.
const DISK: u64 = 4 << 30;

/// A loop device over a sparse file, gone when dropped.
struct Loop {
    device: PathBuf,
    file: tempfile::NamedTempFile,
}

impl Loop {
    /// None, loudly, when this user may make none.
    fn new() -> Option<Self> {
        Self::with(&[])
    }

    fn with(options: &[&str]) -> Option<Self> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(DISK).unwrap();
        let made = Command::new("losetup").args(["--find", "--show"]).args(options).arg(file.path()).output();
        match made {
            Ok(made) if made.status.success() => {
                let device = String::from_utf8(made.stdout).unwrap().trim().into();
                Some(Self { device, file })
            }
            refused => {
                eprintln!("SKIPPED: no loop device (needs root and losetup): {refused:?}");
                None
            }
        }
    }

    fn read(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.file.as_file().read_exact_at(&mut bytes, at).unwrap();
        bytes
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}

/// A disk image with an MBR, one partition and nothing regular in it.
fn image() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..8 * MIB).map(|at| u8::try_from(at / 4096 % 251).unwrap() | 1).collect();
    bytes[..512].fill(0);
    bytes[440..444].copy_from_slice(&[0xef, 0xbe, 0xad, 0xde]);
    // One Linux partition from 1 MiB, 6 MiB long.
    bytes[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x30, 0, 0]);
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

/// What Ironic sends: base64 of gzip of something like an ISO.
fn config_drive() -> String {
    let mut iso = vec![0_u8; 64 << 10];
    iso[0x8001..0x8006].copy_from_slice(b"CD001");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&iso).unwrap();
    STANDARD.encode(gzip.finish().unwrap())
}

fn sha256(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish().hex()
}

/// Files over HTTP.
async fn serve(files: Vec<(&'static str, Vec<u8>)>) -> String {
    let mut app = axum::Router::new();
    for (path, bytes) in files {
        app = app.route(path, axum::routing::get(move || async move { bytes }));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// The captured request, for our image.
fn deploy(url: &str, checksum: &str) -> Value {
    let mut params = captured("execute-deploy-step-qcow2-configdrive.request")["params"].clone();
    let args = &mut params["step"]["args"];
    args["image_info"]["urls"] = json!([url]);
    args["image_info"]["checksum"] = json!(checksum);
    args["image_info"]["disk_format"] = json!(null);
    args["image_info"].as_object_mut().unwrap().remove("configdrive");
    args["configdrive"] = json!(config_drive());
    params
}

fn keys(value: &Value) -> Vec<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

async fn failed(bench: &Bench, params: Value) -> (String, String) {
    let answer = bench.run("deploy.execute_deploy_step", params).await;
    assert_eq!(answer.command_status, CommandStatus::Failed);
    let error = answer.command_error.unwrap();
    (error.class, error.details)
}

#[tokio::test]
async fn a_captured_deployment_and_a_captured_cleaning_of_a_real_disk() {
    let Some(disk) = Loop::new() else { return };
    let bench = Bench::new(std::slice::from_ref(&disk.device));
    let bytes = image();
    let sums = format!("{}  tinyos.raw\n{}  other\n", sha256(&bytes), "0".repeat(64));
    let base = serve(vec![("/tinyos.raw", bytes.clone()), ("/SUMS", sums.into_bytes())]).await;
    let url = format!("{base}/tinyos.raw");

    a_wrong_image_is_refused(&bench, &disk, &url).await;
    let answer = bench.run("deploy.execute_deploy_step", deploy(&url, &format!("{base}/SUMS"))).await;
    was_deployed(&disk, &answer, &bytes);
    let uuids = bench.run("standby.get_partition_uuids", json!({})).await.command_result.unwrap();
    assert_eq!(uuids, json!({"root uuid": "0xdeadbeef"}));
    let nothing = json!({"root_uuid": null, "efi_system_part_uuid": null, "prep_boot_part_uuid": null, "target_boot_mode": "bios"});
    let bios = bench.run("image.install_bootloader", nothing).await;
    assert_eq!((bios.command_status, bios.command_result), (CommandStatus::Succeeded, None));
    was_cleaned(&bench, &disk).await;
}

async fn a_wrong_image_is_refused(bench: &Bench, disk: &Loop, url: &str) {
    let (class, details) = failed(bench, deploy(url, &"0".repeat(64))).await;
    assert_eq!(class, "ImageChecksumError");
    assert!(details.contains(&disk.device.display().to_string()), "on what: {details}");
    assert!(details.contains("check image_source"), "what to do: {details}");
    assert_eq!(disk.read(0, MIB), vec![0; MIB], "it does not boot");
    let (class, details) = failed(bench, deploy(&format!("{url}.gone"), &"0".repeat(64))).await;
    assert_eq!(class, "ImageDownloadError");
    assert!(details.contains("404"), "{details}");
}

fn was_deployed(disk: &Loop, answer: &CommandResult, bytes: &[u8]) {
    assert_eq!(answer.command_status, CommandStatus::Succeeded, "{:?}", answer.command_error);
    let golden = &captured("commands-deploy-raw")["commands"][1];
    assert_eq!(answer.command_name, golden["command_name"].as_str().unwrap());
    let result = answer.command_result.as_ref().unwrap();
    assert_eq!(keys(result), keys(&golden["command_result"]));
    assert_eq!(keys(&result["deploy_step"]), keys(&golden["command_result"]["deploy_step"]));
    let device = disk.device.display();
    let text = format!("prepare_image: image (tinyos.qcow2) written to device {device} root_uuid=0xdeadbeef");
    assert_eq!(result["deploy_result"], json!({"result": text}));
    assert_eq!(disk.read(512, bytes.len() - 512), bytes[512..], "all but the partition table is the image");
    let table = disk.read(446, 64);
    assert_eq!(table[..16], bytes[446..462]);
    assert_ne!(table[16..32], [0; 16], "the config drive has a partition");
}

async fn was_cleaned(bench: &Bench, disk: &Loop) {
    let request = captured("execute-clean-step.request");
    let device = disk.device.display().to_string();
    for (step, result) in [("erase_devices_metadata", "metadata-clean"), ("erase_devices", "clean")] {
        let mut params = request["params"].clone();
        params["step"]["step"] = json!(step);
        let params_step = params["step"].clone();
        let answer = bench.run("clean.execute_clean_step", params).await;
        assert_eq!(answer.command_status, CommandStatus::Succeeded, "{:?}", answer.command_error);
        let answer = answer.command_result.unwrap();
        assert_eq!(answer["clean_step"], params_step, "echoed as it came");
        let signed: evidence::Signed =
            serde_json::from_value(answer["clean_result"][&device].clone()).unwrap();
        let pinned = bench.certificate.parse().unwrap();
        let body = evidence::verify(&signed, Some(&pinned)).unwrap();
        assert_eq!((&body["result"], &body["device"]["path"]), (&json!(result), &json!(device)));
        assert_eq!(body["node"], "cceb03e5-111b-4a06-a54b-5b00f4843c17");
        assert_eq!(disk.read(0, MIB), vec![0; MIB]);
    }
    assert_eq!(disk.read(4 * MIB as u64, MIB), vec![0; MIB], "a full erase reaches everywhere");
    assert!(fs::metadata(Path::new(&device)).is_ok());
}

#[test]
fn a_name_that_passed_to_another_disk_is_not_opened() {
    let Some(disk) = Loop::new() else { return };
    let root = inventory::Root::live();
    let only = inventory::Options { only_disks: vec![disk.device.clone()], ..Default::default() };
    let mut chosen = inventory::scan(&root, &only).disks.remove(0);
    assert!(crate::chosen::open(&root, &chosen).is_ok());
    chosen.serial = Some("of the disk that was here".to_owned());
    let error = crate::chosen::open(&root, &chosen).unwrap_err().to_string();
    assert!(error.contains("serial of the disk that was here was chosen"), "{error}");
}

/// A clean step of a captured request.
fn clean(step: &str) -> Value {
    let mut params = captured("execute-clean-step.request")["params"].clone();
    params["step"]["step"] = json!(step);
    params
}

fn body(bench: &Bench, answer: &CommandResult, device: &Path) -> Value {
    let document = &answer.command_result.as_ref().unwrap()["clean_result"][device.display().to_string()];
    let signed: evidence::Signed = serde_json::from_value(document.clone()).unwrap();
    evidence::verify(&signed, Some(&bench.certificate.parse().unwrap())).unwrap()
}

/// Ironic's agent keeps nothing of what went well when one disk fails.
#[tokio::test]
async fn evidence_of_the_disks_that_are_clean_outlives_the_failure_of_another() {
    let (Some(good), Some(bad)) = (Loop::new(), Loop::new()) else { return };
    let bench = Bench::new(&[good.device.clone(), bad.device.clone()]);
    good.file.as_file().write_all_at(b"secret", 3 << 30).unwrap();
    let _held = disk::Device::open(&bad.device).unwrap();
    let answer = bench.run("clean.execute_clean_step", clean("erase_devices")).await;
    assert_eq!(answer.command_status, CommandStatus::Failed);
    let details = &answer.command_error.as_ref().unwrap().details;
    assert!(details.contains(&bad.device.display().to_string()), "{details}");
    assert!(!details.contains(&good.device.display().to_string()), "{details}");
    assert_eq!(body(&bench, &answer, &good.device)["result"], "clean");
    assert_eq!(good.read(3 << 30, 6), [0; 6]);
    // The other leaves signed evidence too: that it was not even begun, and why.
    let other = body(&bench, &answer, &bad.device);
    assert_eq!((&other["result"], &other["level"]), (&"failed".into(), &"none".into()));
    assert!(details.contains(other["reason"].as_str().unwrap()), "{other}");
    assert_eq!(other["agent"]["sha256"].as_str().map(str::len), Some(64));
    let step = &answer.command_result.as_ref().unwrap()["clean_step"]["step"];
    assert_eq!(step, "erase_devices", "a failed step is echoed too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_there_as_soon_as_its_disk_ends_while_another_takes_its_time() {
    let Some(quick) = Loop::with(&["--sizelimit", "16777216"]) else { return };
    let Some(slow) = Loop::with(&["--sizelimit", "1073741824"]) else { return };
    let bench = Bench::new(&[quick.device.clone(), slow.device.clone()]);
    // One limit for both: the slow one takes some four seconds.
    let id = bench.start("clean.execute_clean_step", by_policy(json!({"rate_limit_bytes_s": 256 << 20})));
    let (quick, slow) = (quick.device.display().to_string(), slow.device.display().to_string());
    let (mut early, mut further) = (false, false);
    let ended = loop {
        let shown = bench.shown(&id);
        if shown.command_status != CommandStatus::Running {
            break shown;
        }
        if let Some(result) = shown.command_result {
            let documents = &result["clean_result"];
            early |= documents[&quick]["body"]["result"] == "clean" && documents[&slow].is_null();
            let devices = result["progress"]["devices"].as_array().cloned().unwrap_or_default();
            further |= devices.iter().any(|device| {
                let far = |key: &str| device[key].as_u64().is_some_and(|number| number > 0);
                device["device"] == slow && far("percent") && far("bytes_per_s") && far("remaining_s")
            });
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert_eq!(ended.command_status, CommandStatus::Succeeded, "{:?}", ended.command_error);
    assert_eq!(ended.command_result.unwrap()["clean_result"][&slow]["body"]["result"], "clean");
    assert!(early, "the certificate of the quick disk waited for the slow one");
    assert!(further, "nobody saw how far the slow disk was");
}

/// Ironic's agent skips a member of an array, or any disk that lsblk fails on,
/// and reports success.
#[tokio::test]
async fn a_member_of_an_array_is_erased_and_not_skipped_as_a_success() {
    let Some(disk) = Loop::new() else { return };
    // md 1.2: its superblock is 4 KiB from the start.
    disk.file.as_file().write_all_at(&0xa92b_4efc_u32.to_le_bytes(), 4096).unwrap();
    disk.file.as_file().write_all_at(b"secret", 1 << 30).unwrap();
    let bench = Bench::new(std::slice::from_ref(&disk.device));
    let answer = bench.run("clean.execute_clean_step", clean("erase_devices")).await;
    assert_eq!(body(&bench, &answer, &disk.device)["result"], "clean", "{:?}", answer.command_error);
    assert_eq!((disk.read(4096, 4), disk.read(1 << 30, 6)), (vec![0; 4], vec![0; 6]));
}

/// Ironic's agent calls a disk erased by the express step whose tables alone are gone.
#[tokio::test]
async fn express_says_of_a_disk_without_a_quick_erase_that_its_data_is_still_there() {
    let Some(disk) = Loop::new() else { return };
    for at in [0, 1 << 30] {
        disk.file.as_file().write_all_at(b"secret", at).unwrap();
    }
    let bench = Bench::new(std::slice::from_ref(&disk.device));
    let answer = bench.run("clean.execute_clean_step", clean("erase_devices_express")).await;
    let body = body(&bench, &answer, &disk.device);
    assert_eq!((&body["result"], &body["level"]), (&json!("metadata-clean"), &json!("none")));
    assert_eq!((disk.read(0, 6), disk.read(1 << 30, 6)), (vec![0; 6], b"secret".to_vec()));
}

fn by_policy(args: Value) -> Value {
    let mut params = clean("erase_devices_with_policy");
    params["step"]["args"] = args;
    params
}

#[tokio::test]
async fn a_manual_clean_asks_for_a_policy_and_gets_the_certificate_back() {
    let Some(disk) = Loop::with(&["--sizelimit", "16777216"]) else { return };
    disk.file.as_file().write_all_at(b"secret", 9 << 20).unwrap();
    let bench = Bench::new(std::slice::from_ref(&disk.device));
    for (args, class, says) in [
        (json!({"min_levle": "purge"}), "InvalidCommandParamsError", "min_levle"),
        (json!({"min_level": "purge"}), "BlockDeviceEraseError", "the policy wants"),
    ] {
        let refused = bench.run("clean.execute_clean_step", by_policy(args)).await.command_error.unwrap();
        assert_eq!(refused.class, class, "{}", refused.details);
        assert!(refused.details.contains(says), "{}", refused.details);
    }
    assert_eq!(disk.read(9 << 20, 6), b"secret", "what is refused is not written");
    let model_skip = json!({"skip": [{"size": "<= 1"}], "verify": "full"});
    let answer = bench.run("clean.execute_clean_step", by_policy(model_skip)).await;
    let skipped = body(&bench, &answer, &disk.device);
    assert_eq!((&skipped["result"], &skipped["level"]), (&json!("skipped"), &json!("none")));
    let full = json!({"verify": "full", "passes": 2, "rate_limit_bytes_s": 1_u64 << 40});
    let answer = bench.run("clean.execute_clean_step", by_policy(full)).await;
    let certificate = body(&bench, &answer, &disk.device);
    assert_eq!(certificate["result"], "clean", "{:?}", answer.command_error);
    assert_eq!(
        (&certificate["verify"]["kind"], &certificate["policy"]["passes"]),
        (&json!("full"), &json!(2))
    );
    assert_eq!(disk.read(9 << 20, 6), [0; 6]);
}

/// The conductor keeps the answer, and shows it.
#[tokio::test]
async fn what_opens_a_drive_is_in_no_answer() {
    let Some(disk) = Loop::with(&["--sizelimit", "16777216"]) else { return };
    let bench = Bench::new(std::slice::from_ref(&disk.device));
    let keys = json!({"opal_msid": "HUSH-MSID", "opal_psids": {"S1": "HUSH-PSID"}, "mode": "metadata"});
    let held = disk::Device::open(&disk.device).unwrap();
    let failed = bench.run("clean.execute_clean_step", by_policy(keys.clone())).await;
    drop(held);
    let done = bench.run("clean.execute_clean_step", by_policy(keys)).await;
    assert_eq!(
        (failed.command_status, done.command_status),
        (CommandStatus::Failed, CommandStatus::Succeeded)
    );
    for answer in [failed, done] {
        let text = serde_json::to_string(&answer).unwrap();
        assert!(!text.contains("HUSH"), "{text}");
        let step = &answer.command_result.as_ref().unwrap()["clean_step"];
        assert_eq!(
            (&step["step"], &step["args"]["mode"]),
            (&json!("erase_devices_with_policy"), &json!("metadata"))
        );
    }
}

/// Ironic's agent passes over it in silence.
#[tokio::test]
async fn a_read_only_disk_is_an_error_or_a_recorded_skip() {
    let Some(disk) = Loop::with(&["--read-only"]) else { return };
    let bench = Bench::new(std::slice::from_ref(&disk.device));
    let answer = bench.run("clean.execute_clean_step", clean("erase_devices")).await;
    let details = &answer.command_error.as_ref().unwrap().details;
    assert!(details.contains("is read-only: lift its write protection"), "{details}");
    let mut skipping = clean("erase_devices");
    skipping["node"]["driver_internal_info"]["agent_erase_skip_read_only"] = json!(true);
    for params in [skipping, clean("erase_devices_metadata")] {
        let answer = bench.run("clean.execute_clean_step", params).await;
        assert_eq!(answer.command_status, CommandStatus::Succeeded, "{:?}", answer.command_error);
        let body = body(&bench, &answer, &disk.device);
        assert_eq!((&body["result"], &body["level"]), (&json!("skipped"), &json!("none")));
        assert!(body["reason"].as_str().unwrap().contains("its data is still there"), "{body}");
    }
}

/// Ironic's agent looks at the whole disk only, never asks for what it compares,
/// and takes `wipe_special_filesystems` upside down: false, its documented safe
/// value, switches the guard off.
#[tokio::test]
async fn a_cluster_file_system_is_seen_on_a_partition_and_the_node_must_say_that_it_goes() {
    let Some(disk) = Loop::with(&["--sizelimit", "67108864"]) else { return };
    let vmfs = [0, 0, 0, 0, 0xfb, 0, 0, 0, 0, 8, 0, 0, 0, 0x80, 0, 0];
    for (at, bytes) in [(446, &vmfs[..]), (510, &[0x55, 0xaa]), (9 << 20, b"secret")] {
        disk.file.as_file().write_all_at(bytes, at).unwrap();
    }
    let bench = Bench::new(std::slice::from_ref(&disk.device));
    let node = |says: Value| {
        let mut params = clean("erase_devices");
        params["node"]["driver_internal_info"]["wipe_special_filesystems"] = says;
        params
    };
    for says in [Value::Null, json!(false)] {
        let answer = bench.run("clean.execute_clean_step", node(says)).await;
        let details = &answer.command_error.as_ref().unwrap().details;
        assert!(details.contains("VMFS"), "{details}");
        assert_eq!(body(&bench, &answer, &disk.device)["level"], "none");
        assert_eq!(disk.read(9 << 20, 6), b"secret");
    }
    let answer = bench.run("clean.execute_clean_step", node(json!(true))).await;
    assert_eq!(body(&bench, &answer, &disk.device)["result"], "clean", "{:?}", answer.command_error);
    assert_eq!(disk.read(9 << 20, 6), [0; 6]);
}

#[tokio::test]
async fn a_disk_in_use_is_not_erased_and_the_failure_names_it() {
    let Some(disk) = Loop::new() else { return };
    let bench = Bench::new(std::slice::from_ref(&disk.device));
    let _held = disk::Device::open(&disk.device).unwrap();
    let answer =
        bench.run("clean.execute_clean_step", captured("execute-clean-step.request")["params"].clone()).await;
    let error = answer.command_error.unwrap();
    assert_eq!(error.class, "BlockDeviceEraseError");
    assert!(error.details.contains(&disk.device.display().to_string()), "{}", error.details);
}
