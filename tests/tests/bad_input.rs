//! What the world gets wrong, with the real programs: every failure is said, no
//! failed disk boots, and the next try works.

use std::time::Duration;

use model::Hasher;
use tests::{
    can_use_loop_devices,
    disk::LoopDisk,
    images::{Mood, digest, gpt_image, serve},
    programs::{House, first_mac},
};

/// Each of these must fail the deployment, say these words, and leave a disk that
/// does not boot; afterwards the same node takes a good image.
#[tokio::test]
async fn a_bad_deployment_fails_says_why_and_does_not_boot_and_a_retry_works() {
    if !can_use_loop_devices() {
        return;
    }
    let house = House::open().await;
    let id = house.enroll().await;
    let disk = LoopDisk::used(64);
    house.make_available(&id, &disk.device).await;
    let image = gpt_image(24);
    let right = digest(&image).hex();
    let wrong = Hasher::new(model::Algorithm::Sha256).finish().hex();
    let small = LoopDisk::used(16);
    let failing = LoopDisk::failing_after(64, 8);
    for (mood, sha256, disk, words) in [
        (Mood::Good, &wrong, &disk, ["sha256", right.as_str()]),
        (Mood::Short, &right, &disk, ["image.raw", "12582912 bytes"]),
        (Mood::Dies, &right, &disk, ["image.raw", "12582912 bytes"]),
        (Mood::Good, &right, &small, ["larger", "16.0 MiB"]),
        (Mood::Good, &right, &failing, ["the disk failed at byte", "replace it"]),
    ] {
        house.image(&id, &serve(&image, mood), sha256, &disk.device).await;
        let node = house.deploy(&id, &disk.device, "deploy failed").await;
        let error = node.text("/last_error").unwrap_or_default().to_owned();
        for word in words {
            assert!(error.contains(word), "{mood:?}: {error:?} does not say {word:?}");
        }
        // What is refused before the first byte leaves the disk as it was.
        let refused = error.contains("larger");
        assert!(if refused { disk.is_untouched() } else { !disk.may_boot() }, "{error:?}: the disk may boot");
    }
    house.image(&id, &serve(&image, Mood::Good), &right, &disk.device).await;
    house.deploy(&id, &disk.device, "active").await;
    assert!(
        disk.may_boot() && disk.read(2 << 20, 4096) == image[2 << 20..][..4096],
        "the image is not there"
    );
}

/// Nobody knows this machine: it says who it is and keeps asking, until it is enrolled.
#[tokio::test]
async fn an_unknown_machine_says_who_it_is_and_keeps_asking() {
    if !can_use_loop_devices() {
        return;
    }
    let house = House::open().await;
    let disk = LoopDisk::used(32);
    let agent = house.agent("unknown", &disk.device);
    agent.wait_to_say(&first_mac());
    let id = house.enroll().await;
    house.provision(&id, "manage", "manageable").await;
    let before = house.provision(&id, "provide", "clean wait").await;
    house.wait_since(&before, &id, "available").await;
}

/// The control plane dies under a waiting agent and comes back: the work goes on.
#[tokio::test]
async fn an_agent_outlives_its_control_plane() {
    if !can_use_loop_devices() {
        return;
    }
    let mut house = House::open().await;
    let id = house.enroll().await;
    let disk = LoopDisk::used(32);
    house.provision(&id, "manage", "manageable").await;
    let before = house.provision(&id, "provide", "clean wait").await;
    house.billetd.kill();
    let agent = house.agent("orphan", &disk.device);
    agent.wait_to_say("lookup");
    house.reopen().await;
    house.wait_since(&before, &id, "available").await;
}

/// Two machines with one address: the second gets no token and says so.
#[tokio::test]
async fn a_second_agent_with_the_same_address_gets_no_token() {
    if !can_use_loop_devices() {
        return;
    }
    let house = House::open().await;
    let id = house.enroll().await;
    house.provision(&id, "manage", "manageable").await;
    house.provision(&id, "provide", "clean wait").await;
    let mac = first_mac();
    let lookup = format!("/v1/lookup?addresses={mac}");
    let first = house.api.get(&lookup).await.expect("the first lookup");
    assert!(first["config"]["agent_token"].as_str().expect("a token").len() >= 32);
    let disk = LoopDisk::used(32);
    let agent = house.agent("second", &disk.device);
    agent.wait_to_say("handed out before");
    assert!(disk.may_boot(), "an agent without a token touched the disk");
}

/// Garbage is refused by name, and what was there is there still.
#[tokio::test]
async fn garbage_is_refused_and_nothing_is_lost() {
    let house = House::open().await;
    let id = house.enroll().await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .tls_certs_only(Vec::<reqwest::tls::Certificate>::new())
        .build()
        .expect("a client");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let huge = format!("{{\"name\": \"{}\"}}", "x".repeat(20 << 20));
    for (path, body, want) in [
        ("/v1/nodes", "{garbage".to_owned(), 400),
        ("/v1/nodes", deep.clone(), 400),
        ("/v1/nodes", huge.clone(), 413),
        ("/v1/continue_inspection", "\u{0}".to_owned(), 400),
        ("/v1/continue_inspection", deep.clone(), 400),
        ("/v1/continue_inspection", huge, 413),
        ("/v1/heartbeat/nobody", deep, 400),
    ] {
        let answer = client
            .post(format!("{}{path}", house.url))
            .header("Content-Type", "application/json")
            .header("X-OpenStack-Ironic-API-Version", "1.95")
            .body(body)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), want, "{path}");
        let text = answer.text().await.expect("a body");
        assert!(text.contains("error_message"), "{path}: {text}");
    }
    assert_eq!(house.api.node(&id).await.expect("the node").text("/name"), Some("this-machine"));
}
