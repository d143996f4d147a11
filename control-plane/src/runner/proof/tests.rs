//! Which evidence frees a node, and which does not.

use serde_json::json;

use super::*;

fn erasure(device: &str, serial: Option<&str>, verified: bool) -> Erasure {
    about(device, json!({"serial": serial}), verified)
}

fn about(device: &str, facts: Value, verified: bool) -> Erasure {
    Erasure {
        operation: uuid::Uuid::nil(),
        began_at: None,
        step: "erase_devices".to_owned(),
        device: Some(device.to_owned()),
        node_uuid: uuid::Uuid::nil(),
        verified,
        reason: (!verified).then(|| "forged".to_owned()),
        left_alone: None,
        received_at: String::new(),
        document: json!({"body": {"device": facts}}),
    }
}

#[test]
fn every_disk_needs_its_own_good_evidence() {
    let two = json!({"disks": [{"name": "/dev/sda", "serial": "A", "size": 1}, {"name": "/dev/sdb", "serial": "B"}]});
    let plain = json!({"disks": [{"name": "/dev/vda", "serial": null}]});
    let (a, b) =
        (about("/dev/sda", json!({"serial": "A", "bytes": 1}), true), erasure("/dev/sdb", Some("B"), true));
    let renamed = [erasure("/dev/sdb", Some("A"), true), erasure("/dev/sda", Some("B"), true)];
    // Two namespaces of one controller: one serial number, two disks.
    let namespaces = json!({"disks": [{"name": "/dev/nvme0n1", "serial": "N", "wwn": "eui.1", "size": 1},
        {"name": "/dev/nvme0n2", "serial": "N", "wwn": "eui.2", "size": 1}]});
    let of = |device: &str, wwn: &str| about(device, json!({"serial": "N", "wwn": wwn, "bytes": 1}), true);
    let (one, two_of_one) = (of("/dev/nvme0n1", "eui.1"), of("/dev/nvme0n2", "eui.2"));
    let larger = json!({"disks": [{"name": "/dev/sda", "serial": "A", "size": 2}]});
    // One disk handed in two documents, and another of the same name, say, has none.
    let twins = json!({"disks": [{"name": "/dev/sda", "serial": "A"}, {"name": "/dev/sdb", "serial": "A"}]});
    let later = about("/dev/sda", json!({"serial": "A", "fw": "2"}), true);
    let skipped =
        Erasure { left_alone: Some("serial B".to_owned()), ..erasure("/dev/sdb", Some("B"), false) };
    let only_b = json!({"disks": [{"name": "/dev/sdb", "serial": "B"}]});
    let cases: &[(&Value, &[Erasure], &[&str])] = &[
        (&two, &[a.clone(), skipped.clone()], &[]),
        (&two, std::slice::from_ref(&skipped), &["/dev/sda (serial A)"]),
        (&only_b, std::slice::from_ref(&skipped), &["leaves every disk alone"]),
        (&two, &[a.clone(), b.clone()], &[]),
        (&two, &renamed, &[]),
        (&two, &[], &["/dev/sda (serial A)", "/dev/sdb (serial B)"]),
        (&two, std::slice::from_ref(&a), &["/dev/sdb (serial B)"]),
        (&two, &[a.clone(), erasure("/dev/sdb", Some("A"), true)], &["serial B"]),
        (&two, &[a.clone(), erasure("/dev/sdb", None, true)], &["serial B"]),
        (
            &two,
            &[erasure("/dev/sda", Some("A"), false), erasure("/dev/sdb", Some("B"), false)],
            &["/dev/sda (serial A): forged", "/dev/sdb (serial B): forged"],
        ),
        // Good evidence after bad does not make the bad unsaid.
        (&two, &[erasure("/dev/sda", Some("A"), false), a.clone(), b.clone()], &["forged"]),
        (&twins, &[a.clone(), later], &["/dev/sdb (serial A)"]),
        (&plain, &[erasure("/dev/vda", None, true)], &[]),
        (&plain, &[erasure("/dev/vdb", None, true)], &["/dev/vda"]),
        (&plain, &[], &["/dev/vda"]),
        (&namespaces, &[one.clone(), two_of_one.clone()], &[]),
        (&namespaces, &[two_of_one, one.clone()], &[]),
        (&namespaces, std::slice::from_ref(&one), &["/dev/nvme0n2"]),
        (&larger, std::slice::from_ref(&a), &["serial A"]),
        (&json!({"disks": []}), &[], &["no disks"]),
        (&Value::Null, std::slice::from_ref(&b), &["no disks"]),
    ];
    for (inventory, erasures, refusal) in cases {
        match missing_proof(inventory, erasures, "erase_devices") {
            Ok(()) => assert!(refusal.is_empty(), "{inventory} {erasures:?}"),
            Err(error) => {
                assert!(!refusal.is_empty(), "{error}");
                refusal.iter().for_each(|words| assert!(error.contains(words), "{error}"));
            }
        }
    }
}

#[test]
fn a_thousand_bad_disks_are_counted_and_some_of_them_listed() {
    let erasures: Vec<Erasure> =
        (0..1000).map(|at| erasure(&format!("/dev/sd{at}"), Some("A"), false)).collect();
    let inventory = json!({"disks": [{"name": "/dev/sda", "serial": "A"}]});
    let error = missing_proof(&inventory, &erasures, "erase_devices").expect_err("none is good");
    assert!(error.contains("and 960 more") && error.len() < 4000, "{error}");
}

#[test]
fn evidence_proves_this_node_this_operation_and_this_disk_only() {
    let mut node = Node::new(uuid::Uuid::from_u128(7), Map::new());
    node.operation = crate::record::Operation::begin();
    let now = Time::now();
    let good = json!({"result": "clean", "node": node.uuid.to_string(), "issued_at": now.to_string(),
        "operation": node.operation.id.to_string(), "device": {"path": "/dev/sda"}});
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).expect("it is there") = value;
        body
    };
    let hours = |hours: i64| {
        let moment = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        with("/issued_at", moment.to_string().into())
    };
    let other = uuid::Uuid::from_u128(1).to_string();
    for (body, step, objects) in [
        (good.clone(), "erase_devices", None),
        (with("/result", "metadata-clean".into()), "erase_devices", Some("says metadata-clean")),
        (with("/result", "metadata-clean".into()), "erase_devices_express", Some("says metadata-clean")),
        (with("/result", "metadata-clean".into()), "erase_devices_metadata", None),
        (with("/result", "skipped".into()), "erase_devices", Some("says skipped")),
        (with("/result", "incomplete".into()), "erase_devices", Some("says incomplete")),
        (with("/result", "destroy_required".into()), "erase_devices", Some("says destroy_required")),
        (with("/node", other.as_str().into()), "erase_devices", Some("another node")),
        (with("/node", Value::Null), "erase_devices", Some("another node")),
        (with("/operation", other.into()), "erase_devices", Some("another operation")),
        (with("/operation", Value::Null), "erase_devices", Some("another operation")),
        (with("/device/path", "/dev/sdb".into()), "erase_devices", Some("another device")),
        (hours(12), "erase_devices", None),
        (hours(-12), "erase_devices", None),
        (hours(24 * 365), "erase_devices", Some("set the clock")),
        (hours(-24 * 365), "erase_devices", Some("set the clock")),
        (with("/issued_at", Value::Null), "erase_devices", Some("when it was issued")),
        (with("/issued_at", "yesterday".into()), "erase_devices", Some("when it was issued")),
        (json!({}), "erase_devices", Some("says nothing")),
    ] {
        let objection = objection(&body, &node, step, "/dev/sda", now);
        match objects {
            None => assert_eq!(objection, None, "{body} {step}"),
            Some(words) => assert!(objection.is_some_and(|text| text.contains(words)), "{body} {step}"),
        }
    }
}

#[test]
fn only_the_nodes_own_list_accounts_for_a_disk_that_was_left_alone() {
    let mut node = Node::new(uuid::Uuid::from_u128(7), Map::new());
    node.operation = crate::record::Operation::begin();
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let pem = rcgen::CertificateParams::default().self_signed(&pair).expect("a certificate").pem();
    let key = evidence::Key::new(&pair.serialize_der(), &pem).expect("a matching pair");
    let body = |result: &str, by: Value| {
        json!({"result": result, "node": node.uuid.to_string(),
        "issued_at": Time::now().to_string(), "operation": node.operation.id.to_string(), "reason": "as the policy says",
        "device": {"path": "/dev/sda"}, "skipped_by": by})
    };
    let by_serial = json!([{"size": ">= 1"}, {"serial": "S1", "name": "/dev/sda"}]);
    let words = |entry: Value| serde_json::from_value::<RootDeviceHints>(entry).expect("hints").to_string();
    let hints = words(json!({"serial": "S1", "name": "/dev/sda"}));
    let other = |pointer: &str| {
        let mut body = body("skipped", hints.as_str().into());
        body[pointer] = "another".into();
        body
    };
    for (list, body, counts) in [
        (by_serial.clone(), body("skipped", hints.as_str().into()), true),
        // By another list, or none: of the step's arguments, or of an agent that lies.
        (json!([]), body("skipped", hints.as_str().into()), false),
        (Value::Null, body("skipped", hints.as_str().into()), false),
        (by_serial.clone(), body("skipped", words(json!({"serial": "S2"})).into()), false),
        // Virtual media and read-only disks, which no list names.
        (by_serial.clone(), body("skipped", Value::Null), false),
        (by_serial.clone(), body("refused", hints.as_str().into()), false),
        (by_serial.clone(), body("failed", hints.as_str().into()), false),
        (by_serial.clone(), other("operation"), false),
        (by_serial.clone(), other("node"), false),
        // What a tenant can change, or the next boot.
        (by_serial, body("skipped", words(json!({"size": ">= 1"})).into()), false),
        (json!([{"name": "/dev/sda"}]), body("skipped", words(json!({"name": "/dev/sda"})).into()), false),
    ] {
        node.declared.insert("properties".to_owned(), json!({"skip_block_devices": list}));
        let document = evidence::sign(body, &key).expect("signed").to_value();
        let erasure = judged(&node, "erase_devices", "/dev/sda", &document, &pem);
        assert!(!erasure.verified, "a skip is no success");
        assert_eq!(erasure.left_alone.is_some(), counts, "{list} {document}");
        let kept = if counts { "its data is still there" } else { "the evidence" };
        assert!(erasure.reason.is_some_and(|reason| reason.contains(kept)), "{document}");
    }
}

#[test]
fn what_is_not_signed_is_not_evidence() {
    let node = Node::new(uuid::Uuid::nil(), Map::new());
    for document in [Value::Null, json!({}), json!({"body": {"result": "clean"}})] {
        let erasure = judged(&node, "erase_devices", "/dev/sda", &document, "");
        assert!(!erasure.verified && erasure.reason.is_some(), "{document}");
    }
}

/// An erasure that began and ended without a word of the agent is in the chain;
/// a node that was never touched has nothing to say.
#[test]
fn only_an_operation_that_may_have_erased_something_comes_to_nothing() {
    let node = Node::new(uuid::Uuid::nil(), Map::new());
    for from in State::ALL {
        for event in Event::ALL {
            let erasing = matches!(from, State::CleanStart | State::CleanWaitStep | State::CleanProof);
            let ended = matches!(event, Event::Failed | Event::TimedOut | Event::Abort);
            let kept = came_to_nothing(&node, from, event, "why");
            assert_eq!(kept.is_some(), erasing && ended, "{from:?} {event:?}");
            assert!(kept.is_none_or(|erasure| !erasure.verified && erasure.device.is_none()));
        }
    }
}
