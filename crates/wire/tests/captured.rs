//! What was captured between Ironic 39 and its own agent parses into our types
//! and comes out again the same.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{fs, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use wire::{ipa, ironic};

fn golden(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"));
    fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

fn round_trip<T: DeserializeOwned + Serialize>(name: &str) -> T {
    let text = golden(name);
    let typed: T = serde_json::from_str(&text).unwrap_or_else(|err| panic!("{name}: {err}"));
    let before: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&typed).unwrap(), before, "{name}");
    typed
}

#[test]
fn discovery_lookup_and_heartbeat_come_out_as_they_went_in() {
    let root = round_trip::<ironic::Root>("ironic-root");
    assert_eq!(root.default_version.version, ironic::Microversion::v1(115));
    let first = round_trip::<ironic::LookupResponse>("lookup-first");
    assert_eq!(first.config.agent_token.map(|token| token.expose().len()), Some(43));
    let second = round_trip::<ironic::LookupResponse>("lookup-masked-token");
    assert_eq!(second.config.agent_token.as_ref().map(|token| token.expose()), Some(ironic::MASKED));
    round_trip::<ironic::Heartbeat>("heartbeat-tls");
    round_trip::<ironic::Heartbeat>("heartbeat-plain");
}

#[test]
fn key_order_is_the_captured_one() {
    for (name, text) in [
        ("heartbeat-tls", pretty::<ironic::Heartbeat>("heartbeat-tls")),
        ("ironic-root", pretty::<ironic::Root>("ironic-root")),
        ("power-off.result", pretty::<ipa::CommandResult>("power-off.result")),
        ("install-bootloader.result", pretty::<ipa::CommandResult>("install-bootloader.result")),
    ] {
        assert_eq!(text, golden(name).trim_end(), "{name}");
    }
}

fn pretty<T: DeserializeOwned + Serialize>(name: &str) -> String {
    serde_json::to_string_pretty(&serde_json::from_str::<T>(&golden(name)).unwrap()).unwrap()
}

#[test]
fn every_captured_command_comes_out_as_it_went_in() {
    for name in [
        "get-clean-steps",
        "execute-clean-step",
        "get-deploy-steps",
        "execute-deploy-step-raw",
        "execute-deploy-step-qcow2-configdrive",
        "get-partition-uuids",
        "install-bootloader",
        "power-off",
    ] {
        round_trip::<ipa::CommandRequest>(&format!("{name}.request"));
        round_trip::<ipa::CommandResult>(&format!("{name}.result"));
    }
    round_trip::<ipa::Commands>("commands-clean");
    round_trip::<ipa::Commands>("commands-deploy-raw");
}

#[test]
fn steps_and_images_inside_commands_come_out_as_they_went_in() {
    fn inner<T: DeserializeOwned + Serialize>(value: &Value) -> T {
        let typed: T = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&typed).unwrap(), *value);
        typed
    }
    let clean = round_trip::<ipa::CommandResult>("get-clean-steps.result").command_result.unwrap();
    let steps = inner::<ipa::CleanSteps>(&clean).clean_steps;
    assert!(steps["GenericHardwareManager"].iter().all(|step| step.abortable == Some(true)));
    let deploy = round_trip::<ipa::CommandResult>("get-deploy-steps.result").command_result.unwrap();
    inner::<ipa::DeploySteps>(&deploy);
    for name in ["execute-deploy-step-raw.request", "execute-deploy-step-qcow2-configdrive.request"] {
        let request = round_trip::<ipa::CommandRequest>(name);
        let step = inner::<ipa::StepCall>(&request.params["step"]);
        assert_eq!((step.interface.as_str(), step.step.as_str()), ("deploy", "write_image"));
        let args = step.args.unwrap();
        inner::<ipa::ImageInfo>(&args["image_info"]);
        let node: ipa::NodeView = serde_json::from_value(request.params["node"].clone()).unwrap();
        assert!(!node.uuid.is_empty());
    }
}

#[test]
fn errors_are_worded_byte_for_byte_as_ironic_words_them() {
    let cases: Vec<Value> = serde_json::from_str(&golden("api-errors")).unwrap();
    assert!(cases.len() >= 14);
    for case in cases {
        let captured: ironic::ApiError = serde_json::from_value(case["body"].clone()).unwrap();
        let inner: Value = serde_json::from_str(&captured.error_message).unwrap();
        let ours = match inner.get("code").and_then(Value::as_u64) {
            Some(code) => ironic::ApiError::http(
                u16::try_from(code).unwrap(),
                inner["title"].as_str().unwrap(),
                inner["description"].as_str().unwrap(),
            ),
            None => ironic::ApiError::client(inner["faultstring"].as_str().unwrap()),
        };
        assert_eq!(ours, captured, "{}", case["case"]);
    }
}

#[test]
fn both_spellings_of_a_version_mismatch_are_read() {
    for text in ["\"CLEAN_VERSION_MISMATCH\"", "\"VERSION_MISMATCH\""] {
        assert_eq!(
            serde_json::from_str::<ipa::CommandStatus>(text).unwrap(),
            ipa::CommandStatus::VersionMismatch
        );
    }
}
