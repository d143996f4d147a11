//! Whole lives of a node with the real binary: enrolled, inspected, cleaned,
//! deployed, reclaimed; and what must never be available.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod world;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use world::{Billetd, agent::Evidence, machine::Machine, until};

const MAC: &str = "52:54:00:aa:bb:01";

async fn managed(more: &[&str]) -> (Billetd, Machine, String) {
    let billetd = Billetd::start(more).await;
    let machine = Machine::start(&billetd.base, MAC).await;
    let node = billetd.enroll("bm1", &machine.bmc, MAC).await;
    billetd.target(&node, "manage").await;
    billetd.reaches(&node, "manageable").await;
    (billetd, machine, node)
}

async fn inspected(more: &[&str]) -> (Billetd, Machine, String) {
    let (billetd, machine, node) = managed(more).await;
    billetd.target(&node, "inspect").await;
    billetd.reaches(&node, "manageable").await;
    (billetd, machine, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_lives_from_enrolment_to_available_again() {
    let (billetd, machine, node) = inspected(&[]).await;
    let shown = billetd.get(&format!("/v1/nodes/{node}")).await;
    assert_eq!(shown["properties"]["cpu_arch"], "x86_64");
    assert_eq!(shown["power_state"], "power off");
    assert_eq!(shown["driver_info"]["redfish_password"], "******");
    let found = billetd.get(&format!("/v1/nodes/{node}/inventory")).await;
    assert_eq!(found["inventory"]["disks"].as_array().unwrap().len(), 2);
    assert_eq!(found["plugin_data"]["all_interfaces"]["eth0"]["pxe_enabled"], true);
    assert_eq!(found["plugin_data"].get("logs"), None);

    billetd.target(&node, "provide").await;
    billetd.reaches(&node, "available").await;
    assert_eq!(
        machine.commands(),
        ["clean.get_clean_steps", "erase_devices_metadata", "erase_devices", "poll.get_hardware_info"]
    );
    let erasures = billetd.get(&format!("/v1/nodes/{node}/erasures")).await;
    let erasures = erasures["erasures"].as_array().unwrap().clone();
    assert_eq!(erasures.len(), 4, "two steps, two disks");
    assert!(erasures.iter().all(|erasure| erasure["verified"] == true), "{erasures:?}");

    billetd.set_image(&node).await;
    let drive = json!({"meta_data": {"local-hostname": "tenant"}, "user_data": "#cloud-config\n"});
    billetd.verb(&node, json!({"target": "active", "configdrive": drive})).await;
    billetd.reaches(&node, "active").await;
    let order = [
        "deploy.get_deploy_steps",
        "write_image",
        "standby.get_partition_uuids",
        "image.install_bootloader",
        "standby.power_off",
    ];
    assert_eq!(machine.commands()[4..], order);
    let write = machine.inside.lock().unwrap().commands[5].clone();
    let arguments = &write["params"]["step"]["args"];
    assert_eq!(arguments["image_info"]["urls"], json!(["http://images.example/os.raw"]));
    assert!(arguments["configdrive"].as_str().unwrap().starts_with("H4sI"), "gzip in base64");
    assert_eq!(write["params"]["node"]["driver_info"]["redfish_password"], "******");
    let seen = machine.seen();
    assert_eq!(seen[seen.len() - 3..], ["Hdd", "off", "on"], "{seen:?}");

    billetd.target(&node, "deleted").await;
    let shown = billetd.reaches(&node, "available").await;
    assert_eq!(shown["instance_info"], json!({}), "nothing of the tenant stays");
    assert_eq!(shown["last_error"], Value::Null);
    let history = billetd.get(&format!("/v1/nodes/{node}/history")).await;
    assert!(history["history"].as_array().unwrap().len() > 20);
    let metrics =
        billetd.http.get(format!("{}/metrics", billetd.base)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("billet_nodes{state=\"available\"} 1"), "{metrics}");
    assert!(metrics.contains("billet_erasures_total{method=\"overwrite\",verified=\"true\"} 8"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_proven_erasure_no_node_is_available() {
    let (billetd, machine, node) = inspected(&[]).await;
    for (evidence, words) in [
        (Evidence::Missing, "no evidence for disk /dev/sda (serial S1)"),
        (Evidence::FirstDiskOnly, "no evidence for disk /dev/sdb (serial S2)"),
        (Evidence::Forged, "not good: /dev/sda (serial S1): the document is signed with another"),
        (Evidence::Tampered, "/dev/sdb (serial S2): the signature does not fit"),
        (Evidence::Dirty, "says failed, not clean"),
        (Evidence::Replayed, "another operation"),
    ] {
        machine.script(|script| script.evidence = evidence);
        billetd.target(&node, "provide").await;
        let shown = billetd.reaches(&node, "clean failed").await;
        let error = shown["last_error"].as_str().unwrap();
        assert!(error.contains(words) && error.contains("bm1"), "{error}");
        billetd.target(&node, "manage").await;
    }
    machine.script(|script| {
        script.evidence = Evidence::Good;
        script.late_disk = Some("S3".to_owned());
    });
    billetd.target(&node, "provide").await;
    let shown = billetd.reaches(&node, "clean failed").await;
    let error = shown["last_error"].as_str().unwrap();
    assert!(error.contains("as the machine is now") && error.contains("serial S3"), "{error}");
    billetd.target(&node, "manage").await;
    machine.script(|script| script.late_disk = None);
    billetd.target(&node, "provide").await;
    billetd.reaches(&node, "available").await;
}

/// What runs on a machine before it is cleaned must not be taken for its agent.
#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_runs_already_gets_no_token_before_the_machine_was_off() {
    let (billetd, machine, node) = managed(&[]).await;
    machine.power(true);
    machine.script(|script| script.stuck_on = true);
    billetd.target(&node, "provide").await;
    let (status, answer) = billetd.call(Method::GET, &format!("/v1/lookup?node_uuid={node}"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
    assert_eq!(billetd.get(&format!("/v1/nodes/{node}")).await["provision_state"], "cleaning");
    machine.script(|script| script.stuck_on = false);
    machine.power(false);
    billetd.reaches(&node, "available").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_never_inspected_is_looked_at_before_it_is_cleaned() {
    let (billetd, machine, node) = managed(&["--clean-steps", "metadata"]).await;
    billetd.target(&node, "provide").await;
    billetd.reaches(&node, "available").await;
    assert_eq!(
        machine.commands(),
        [
            "poll.get_hardware_info",
            "clean.get_clean_steps",
            "erase_devices_metadata",
            "poll.get_hardware_info"
        ]
    );

    // Without disks nothing is proven.
    let (billetd, machine, node) = managed(&[]).await;
    machine.script(|script| script.disks.clear());
    billetd.target(&node, "provide").await;
    let shown = billetd.reaches(&node, "clean failed").await;
    assert!(shown["last_error"].as_str().unwrap().contains("no disks"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_says_what_on_what_and_what_to_do_and_a_retry_works() {
    let (billetd, machine, node) = inspected(&["--clean-steps", "metadata"]).await;
    billetd.target(&node, "provide").await;
    billetd.reaches(&node, "available").await;
    billetd.set_image(&node).await;
    machine.script(|script| script.fail = vec!["write_image".to_owned()]);
    billetd.target(&node, "active").await;
    let shown = billetd.reaches(&node, "deploy failed").await;
    let error = shown["last_error"].as_str().unwrap();
    assert!(
        error.contains("bm1")
            && error.contains("write_image")
            && error.contains("/dev/sda failed at 1.0 MiB; replace it"),
        "{error}"
    );
    until("power off", || !machine.inside.lock().unwrap().on).await;
    let logs = billetd.get(&format!("/v1/nodes/{node}/logs")).await;
    assert_eq!(logs["system_logs"], "H4sIAAAA");
    machine.script(|script| script.fail.clear());
    billetd.target(&node, "active").await;
    billetd.reaches(&node, "active").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_ramdisk_times_out_with_words() {
    let (billetd, machine, node) = managed(&["--callback-timeout", "1"]).await;
    machine.script(|script| script.mute = true);
    billetd.target(&node, "inspect").await;
    let shown = billetd.reaches(&node, "inspect failed").await;
    let error = shown["last_error"].as_str().unwrap();
    assert!(error.contains("did not call within 1 s") && error.contains("serial console"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_bmc_is_named_and_the_node_stays_enrolled() {
    let billetd = Billetd::start(&[]).await;
    let node = billetd.enroll("bm1", "http://127.0.0.1:9", MAC).await;
    billetd.target(&node, "manage").await;
    let shown = loop {
        let shown = billetd.get(&format!("/v1/nodes/{node}")).await;
        if !shown["last_error"].is_null() {
            break shown;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(shown["provision_state"], "enroll");
    let error = shown["last_error"].as_str().unwrap();
    assert!(
        error.contains("BMC") && error.contains("redfish_address") && !error.contains("hunter2"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_left_running_serves_the_next_operation_at_once() {
    let (billetd, machine, node) = inspected(&["--fast-track"]).await;
    // The agent looks up and calls while the node is manageable.
    let began = std::time::Instant::now();
    while billetd.get(&format!("/v1/nodes/{node}")).await["driver_internal_info"]["agent_url"].is_null() {
        assert!(began.elapsed() < world::PATIENCE);
        tokio::task::yield_now().await;
    }
    billetd.target(&node, "provide").await;
    billetd.reaches(&node, "available").await;
    billetd.set_image(&node).await;
    billetd.target(&node, "active").await;
    billetd.reaches(&node, "active").await;
    assert_eq!(machine.inside.lock().unwrap().boots, 1, "one boot served everything");
}
