//! `kill -9` loses nothing: the real billetd, killed in every wait state and at
//! random moments, goes on with the same database.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod world;

use serde_json::json;
use world::{Billetd, machine::Machine, until};

const MAC: &str = "52:54:00:aa:bb:02";

/// Where the node waits when billetd is killed, and for what.
enum Hold {
    /// The ramdisk has not called yet.
    Boot,
    /// This step or command runs.
    Step(&'static str),
}

async fn killed_in(
    billetd: &mut Billetd,
    machine: &Machine,
    node: &str,
    body: serde_json::Value,
    waits: &str,
    hold: Hold,
    ends: &str,
) {
    match hold {
        Hold::Boot => machine.script(|script| script.asleep = true),
        Hold::Step(step) => machine.script(|script| script.hold = vec![step.to_owned()]),
    }
    let before = machine.commands().len();
    billetd.verb(node, body).await;
    if let Hold::Step(step) = hold {
        until(step, || machine.commands()[before..].iter().any(|name| name.ends_with(step))).await;
    }
    billetd.reaches(node, waits).await;
    billetd.kill();
    billetd.up().await;
    assert_eq!(
        billetd.get(&format!("/v1/nodes/{node}")).await["provision_state"],
        waits,
        "the state survives"
    );
    machine.script(|script| {
        script.asleep = false;
        script.hold.clear();
    });
    billetd.reaches(node, ends).await;
    if let Hold::Step(step) = hold {
        let count = machine.commands()[before..].iter().filter(|name| name.ends_with(step)).count();
        assert_eq!(count, 1, "{step} is not started twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_after_kill_9_in_every_wait_state() {
    let mut billetd = Billetd::start(&[]).await;
    let machine = Machine::start(&billetd.base, MAC).await;
    let node = billetd.enroll("bm2", &machine.bmc, MAC).await;
    billetd.target(&node, "manage").await;
    billetd.reaches(&node, "manageable").await;
    let verb = |target: &str| json!({"target": target});
    killed_in(&mut billetd, &machine, &node, verb("inspect"), "inspect wait", Hold::Boot, "manageable").await;
    killed_in(&mut billetd, &machine, &node, verb("provide"), "clean wait", Hold::Boot, "available").await;
    for step in ["erase_devices_metadata", "erase_devices"] {
        billetd.target(&node, "manage").await;
        killed_in(
            &mut billetd,
            &machine,
            &node,
            verb("provide"),
            "clean wait",
            Hold::Step(step),
            "available",
        )
        .await;
    }
    billetd.set_image(&node).await;
    killed_in(&mut billetd, &machine, &node, verb("active"), "wait call-back", Hold::Boot, "active").await;
    killed_in(
        &mut billetd,
        &machine,
        &node,
        verb("rebuild"),
        "wait call-back",
        Hold::Step("write_image"),
        "active",
    )
    .await;
    killed_in(
        &mut billetd,
        &machine,
        &node,
        verb("rebuild"),
        "deploying",
        Hold::Step("install_bootloader"),
        "active",
    )
    .await;
    billetd.target(&node, "deleted").await;
    billetd.reaches(&node, "available").await;
}

/// Killed again and again while a node is cleaned: it may take longer and may
/// fail with words, but it is never lost and never free without proof.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_survives_kills_at_random_moments() {
    const KILLS: u64 = 12;
    let mut billetd = Billetd::start(&["--callback-timeout", "4", "--silence-timeout", "4"]).await;
    let machine = Machine::start(&billetd.base, MAC).await;
    let node = billetd.enroll("bm3", &machine.bmc, MAC).await;
    billetd.target(&node, "manage").await;
    billetd.reaches(&node, "manageable").await;
    let mut moment = std::process::id().into();
    for _ in 0..KILLS {
        let state =
            billetd.get(&format!("/v1/nodes/{node}")).await["provision_state"].as_str().unwrap().to_owned();
        match state.as_str() {
            "manageable" => billetd.target(&node, "provide").await,
            "available" | "clean failed" => billetd.target(&node, "manage").await,
            _ => {}
        }
        // Any moment will do: a linear congruence spreads them over 0.3 s.
        moment = u64::wrapping_mul(moment, 6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(std::time::Duration::from_millis((moment >> 33) % 300)).await;
        billetd.kill();
        billetd.up().await;
    }
    let began = std::time::Instant::now();
    loop {
        assert!(began.elapsed() < world::PATIENCE, "the node is lost");
        let shown = billetd.get(&format!("/v1/nodes/{node}")).await;
        match shown["provision_state"].as_str().unwrap() {
            "available" => break,
            "manageable" => billetd.target(&node, "provide").await,
            "clean failed" => {
                assert!(!shown["last_error"].is_null(), "a failure has words");
                billetd.target(&node, "manage").await;
            }
            _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
    let erasures = billetd.get(&format!("/v1/nodes/{node}/erasures")).await;
    let last = erasures["erasures"].as_array().unwrap().last().unwrap().clone();
    let proof = |serial: &str| {
        erasures["erasures"].as_array().unwrap().iter().any(|erasure| {
            erasure["operation"] == last["operation"]
                && erasure["step"] == "erase_devices"
                && erasure["serial"] == serial
                && erasure["verified"] == true
        })
    };
    assert!(proof("S1") && proof("S2"), "{erasures}");
}
