//! Every field, every way to get one wrong, and what Ironic's fields mean.

use serde_json::json;

use super::*;
use crate::plan::tests::subject;

fn parse(value: &Value) -> Result<Request, PolicyError> {
    Request::parse(value.to_string().as_bytes())
}

fn words(error: &PolicyError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

#[test]
fn every_field_is_read_and_null_is_the_default() {
    let all = json!({
        "mode": "full", "min_level": "purge", "device_erase": false, "nvme_erase": false, "ata_erase": false,
        "allow_fallback": true, "passes": 3, "verify": "full", "skip_read_only": true, "force_shared": true,
        "force_cluster_file_systems": true, "max_time_s": 3600, "rate_limit_bytes_s": 1000, "skip": [{"serial": "S9"}],
        "opal_msid": "factory", "opal_psids": {" S1 ": "label"},
    });
    let request = parse(&all).expect("a policy");
    let want = Policy {
        mode: Mode::Full,
        min_level: Level::Purge,
        device_erase: false,
        nvme_erase: false,
        ata_erase: false,
        allow_fallback: true,
        passes: 3,
        verify: Verify::Full,
        read_only: ReadOnly::Skip,
        force_shared: true,
        force_cluster: true,
        max_time: Some(Duration::from_secs(3600)),
        rate_limit: Some(Bytes(1000)),
    };
    assert_eq!(request.policy, want);
    assert_eq!(request.skip.len(), 1);
    assert_eq!(request.opal.msid.as_ref().map(Secret::expose), Some("factory"));
    assert_eq!(request.opal.psids.get("S1").map(Secret::expose), Some("label"));
    assert!(!format!("{request:?}").contains("label"), "{request:?}");
    // The table of names has neither more nor fewer than what is read.
    let object = all.as_object().expect("an object");
    assert_eq!(object.len(), FIELDS.len());
    assert!(FIELDS.iter().all(|(name, text)| object.contains_key(*name) && text.ends_with('.')));
    let nulls: Map<String, Value> =
        FIELDS.iter().map(|(name, _)| ((*name).to_owned(), Value::Null)).collect();
    assert_eq!(parse(&nulls.into()).expect("a policy"), Request::from(Policy::FULL));
    assert_eq!(parse(&json!({"mode": "metadata"})).expect("a policy").policy, Policy::METADATA);
}

#[test]
fn what_is_wrong_is_named() {
    for (value, want) in [
        (json!([]), "the policy is not a JSON object; write {\"min_level\": \"purge\"} or the like"),
        (
            json!({"min-level": "purge"}),
            "a policy has no \"min-level\"; use one of mode, min_level, device_erase,",
        ),
        (json!({"mode": "wipe"}), "mode of the policy cannot be \"wipe\"; want 'full' or 'metadata'"),
        (json!({"min_level": "none"}), "min_level of the policy cannot be \"none\"; want 'clear' or 'purge'"),
        (json!({"passes": 0}), "passes of the policy cannot be 0; want a number from 1 to 255"),
        (json!({"passes": 256}), "passes of the policy cannot be 256; want"),
        (json!({"passes": "3"}), "passes of the policy cannot be \"3\"; want"),
        (json!({"verify": "none"}), "verify of the policy cannot be \"none\"; want 'sample' or 'full'"),
        (
            json!({"allow_fallback": "yes"}),
            "allow_fallback of the policy cannot be \"yes\"; want true or false",
        ),
        (json!({"max_time_s": 0}), "max_time_s of the policy cannot be 0; want seconds"),
        (json!({"max_time_s": -1}), "max_time_s of the policy cannot be -1; want seconds"),
        (json!({"rate_limit_bytes_s": 0}), "rate_limit_bytes_s of the policy cannot be 0; want"),
        (json!({"skip": {"serial": "S1"}}), "skip of the policy cannot be {\"serial\":\"S1\"}; want a list"),
        (
            json!({"skip": [{"serial": "S1"}, {}]}),
            "skip of the policy cannot be {}; want a list of root device hints",
        ),
        (
            json!({"skip": [{"wwid": "x"}]}),
            "skip of the policy, entry 1: there is no root device hint \"wwid\"",
        ),
        (json!({"opal_msid": 5}), "opal_msid of the policy is not a text"),
        (json!({"opal_psids": "hunter2"}), "opal_psids of the policy is not an object of texts"),
    ] {
        let error = words(&parse(&value).expect_err("refused"));
        assert!(error.starts_with(want), "{value}: {error}");
        assert!(!error.contains("hunter2"));
    }
    assert!(words(&Request::parse(b"{").expect_err("cut off")).starts_with("the policy is not JSON: "));
}

#[test]
fn a_skipped_disk_is_recorded_as_skipped_and_never_planned() {
    let request =
        parse(&json!({"skip": [{"serial": "S9"}, {"serial": "S1", "rotational": false}]})).expect("a policy");
    let refusal = request.plan(subject("sda"), &Abilities::default());
    assert_eq!(refusal.as_ref().map_err(Refusal::is_skip).map(drop), Err(true));
    let text =
        "/dev/sda was skipped as the policy says (rotational false, serial s== s1); its data is still there";
    assert_eq!(refusal.expect_err("skipped").to_string().to_lowercase(), text);
    let other = parse(&json!({"skip": [{"serial": "S9"}]})).expect("a policy");
    assert!(other.plan(subject("sda"), &Abilities::default()).is_ok());
}

#[test]
fn ironic_s_fields_have_ironic_s_meaning_and_defaults() {
    let of = |internal: Value, properties: Value| {
        let map = |value: Value| value.as_object().cloned().expect("an object");
        Request::of_node(Policy::FULL, &map(internal), &map(properties)).expect("fields")
    };
    let plain = of(json!({}), json!({"skip_block_devices": null, "cpu_arch": "x86_64"}));
    assert_eq!(plain, Request::from(Policy::FULL));
    let full = Policy::FULL;
    for (internal, want) in [
        (json!({"agent_erase_devices_iterations": 3}), Policy { passes: 3, ..full }),
        // Ironic's agent writes nothing at all then, and succeeds.
        (json!({"agent_erase_devices_iterations": 0, "agent_erase_devices_zeroize": false}), full),
        (json!({"agent_erase_devices_iterations": 1000}), Policy { passes: 255, ..full }),
        (json!({"agent_continue_if_secure_erase_failed": true}), Policy { allow_fallback: true, ..full }),
        (json!({"agent_continue_if_ata_erase_failed": true}), Policy { allow_fallback: true, ..full }),
        (
            json!({"agent_continue_if_secure_erase_failed": null, "agent_continue_if_ata_erase_failed": true}),
            Policy { allow_fallback: true, ..full },
        ),
        (
            json!({"agent_continue_if_secure_erase_failed": false, "agent_continue_if_ata_erase_failed": true}),
            full,
        ),
        (json!({"agent_enable_nvme_secure_erase": false}), Policy { nvme_erase: false, ..full }),
        (json!({"agent_enable_ata_secure_erase": false}), Policy { ata_erase: false, ..full }),
        (json!({"agent_erase_skip_read_only": true}), Policy { read_only: ReadOnly::Skip, ..full }),
        // Discarding is never an erase here, so there is nothing to switch on.
        (json!({"agent_enable_discard_erase": true}), full),
    ] {
        assert_eq!(of(internal.clone(), json!({})).policy, want, "{internal}");
    }
    let skipping = of(json!({}), json!({"skip_block_devices": [{"name": "/dev/sda"}]}));
    assert_eq!(skipping.skip.len(), 1);
    let malformed = json!({"skip_block_devices": [{"volume_name": "root"}]});
    let error = Request::of_node(full, &Map::new(), malformed.as_object().expect("an object"));
    let error = words(&error.expect_err("not understood, so nothing is erased"));
    assert!(
        error.starts_with("skip_block_devices of the policy, entry 1: there is no root device hint"),
        "{error}"
    );
}

/// In Ironic's agent `False` switches the guard off and `True` leaves it on,
/// against its own documentation.
#[test]
fn wipe_special_filesystems_is_the_right_way_round() {
    for (value, forced) in [(json!(true), true), (json!(false), false), (Value::Null, false)] {
        let internal = json!({"wipe_special_filesystems": value});
        let request = Request::of_node(Policy::FULL, internal.as_object().expect("an object"), &Map::new())
            .expect("fields");
        let mut subject = subject("sda");
        subject.cluster = vec!["VMFS (/dev/sda1, the type of partition 1)".into()];
        assert_eq!(request.plan(subject, &Abilities::default()).is_ok(), forced, "{value}");
    }
}

#[test]
fn the_documentation_has_every_field() {
    let page = include_str!("../../../../../docs/erase.md");
    let policy =
        page.split("## The policy").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a chapter");
    for (name, _) in FIELDS {
        assert!(policy.contains(&format!("`{name}`")), "{name}");
    }
}
