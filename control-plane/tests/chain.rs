//! What billetd keeps of erasures: countersigned and chained, whatever came and
//! however often it was killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod world;

use evidence::{
    CertificatePem, Signed,
    chain::{Head, Link, Signers, check},
};
use serde_json::{Value, json};
use world::{Billetd, agent::Evidence, machine::Machine, until};

const MAC: &str = "52:54:00:aa:bb:07";

async fn inspected(billetd: &Billetd) -> (Machine, String) {
    let machine = Machine::start(&billetd.base, MAC).await;
    let node = billetd.enroll("bm7", &machine.bmc, MAC).await;
    billetd.target(&node, "manage").await;
    billetd.reaches(&node, "manageable").await;
    billetd.target(&node, "inspect").await;
    billetd.reaches(&node, "manageable").await;
    (machine, node)
}

/// The entries of a node, after every signature and the chain were checked.
async fn checked(billetd: &Billetd, node: &str) -> Vec<Value> {
    let keys = billetd.get("/v1/evidence/keys").await;
    let pinned: CertificatePem =
        keys["keys"].as_array().unwrap().last().unwrap()["certificate"].as_str().unwrap().parse().unwrap();
    let answer = billetd.get(&format!("/v1/nodes/{node}/erasures")).await;
    let signed = |value: &Value| serde_json::from_value::<Signed>(value.clone()).unwrap();
    let head = Head::of(&evidence::verify(&signed(&answer["head"]), Some(&pinned)).unwrap()).unwrap();
    let entries = answer["erasures"].as_array().unwrap().clone();
    let links = entries.iter().map(|entry| {
        let link = signed(&entry["link"]);
        evidence::verify(&link, Some(&pinned)).unwrap();
        assert_eq!(link.body["certificate"], entry["document"]);
        assert_eq!(link.body["node"], node);
        Link::of(&link).unwrap()
    });
    let links = check(links.collect(), Some(&head), Signers::One).unwrap();
    assert_eq!(links.len() as u64, head.length);
    entries
}

/// Device, verdict and reason of the entries after the first `skip`.
fn brief(entries: &[Value], skip: usize) -> Vec<(String, bool, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let one = |entry: &Value| (text(&entry["device"]), entry["verified"] == true, text(&entry["reason"]));
    entries[skip..].iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_erasure_good_or_bad_is_countersigned_and_in_the_chain() {
    let billetd = Billetd::start(&[]).await;
    let (machine, node) = inspected(&billetd).await;
    assert!(checked(&billetd, &node).await.is_empty(), "an empty chain has a signed head too");
    let mut before = 0;
    for (evidence, hours, fails, words) in [
        (Evidence::Good, 0, None, None),
        (Evidence::Dirty, 0, None, Some("says failed, not clean")),
        (Evidence::Forged, 0, None, Some("another certificate than the pinned one")),
        (Evidence::Good, 24 * 365, None, Some("set the clock")),
        (Evidence::Good, -24 * 365, None, Some("set the clock")),
        (Evidence::Missing, 0, None, Some("no evidence for disk /dev/sda (serial S1)")),
        (Evidence::Dirty, 0, Some("erase_devices"), Some("/dev/sda failed at 1.0 MiB; replace it")),
    ] {
        machine.script(|script| {
            script.evidence = evidence;
            script.clock_off_hours = hours;
            script.fail = fails.map(str::to_owned).into_iter().collect();
        });
        billetd.target(&node, "provide").await;
        let state = if words.is_some() { "clean failed" } else { "available" };
        let shown = billetd.reaches(&node, state).await;
        let entries = checked(&billetd, &node).await;
        let new = brief(&entries, before);
        if let Some(words) = words {
            let error = shown["last_error"].as_str().unwrap();
            assert!(error.contains(words), "{error}");
            let (device, verified, reason) = new.last().unwrap();
            assert!(device == "-" && !verified && reason == error, "the failure itself is recorded: {new:?}");
        }
        let documents = if evidence == Evidence::Missing { 0 } else { 4 };
        assert_eq!(new.len(), documents + usize::from(words.is_some()), "{new:?}");
        let proven = |(_, verified, _): &(String, bool, String)| *verified;
        assert_eq!(
            new[..documents].iter().filter(|new| proven(new)).count(),
            if words.is_some() { 0 } else { 4 }
        );
        before = entries.len();
        billetd.target(&node, "manage").await;
    }
}

/// Ironic frees such a node without a word about the disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_the_node_names_to_be_left_alone_is_recorded_and_never_a_success() {
    let billetd = Billetd::start(&[]).await;
    let (_machine, node) = inspected(&billetd).await;
    let skip = async |serials: &[&str]| {
        let list: Vec<Value> = serials.iter().map(|serial| json!({"serial": serial})).collect();
        let patch = json!([{"op": "add", "path": "/properties/skip_block_devices", "value": list}]);
        let (status, answer) =
            billetd.call(reqwest::Method::PATCH, &format!("/v1/nodes/{node}"), Some(patch)).await;
        assert!(status.is_success(), "{answer}");
        billetd.target(&node, "provide").await;
    };
    skip(&["S2"]).await;
    billetd.reaches(&node, "available").await;
    let entries = checked(&billetd, &node).await;
    let entries: Vec<&Value> = entries.iter().filter(|entry| entry["step"] == "erase_devices").collect();
    assert_eq!((&entries[0]["result"], &entries[0]["verified"]), (&json!("clean"), &json!(true)));
    assert_eq!((&entries[1]["result"], &entries[1]["verified"]), (&json!("skipped"), &json!(false)));
    assert!(entries[1]["reason"].as_str().unwrap().contains("its data is still there"), "{}", entries[1]);
    assert_eq!(entries[1]["link"]["body"]["left_alone"], "serial s== s2");
    billetd.target(&node, "manage").await;
    skip(&["S1", "S2"]).await;
    let shown = billetd.reaches(&node, "clean failed").await;
    let error = shown["last_error"].as_str().unwrap();
    assert!(error.contains("leaves every disk alone"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_does_not_delay_the_certificate_of_another() {
    let mut billetd = Billetd::start(&[]).await;
    let (machine, node) = inspected(&billetd).await;
    machine.script(|script| {
        script.early = true;
        script.hold = vec!["erase_devices".to_owned()];
    });
    billetd.target(&node, "provide").await;
    let early = |entries: &[Value]| {
        entries.iter().filter(|entry| entry["step"] == "erase_devices").cloned().collect::<Vec<_>>()
    };
    let began = std::time::Instant::now();
    while early(&checked(&billetd, &node).await).is_empty() {
        assert!(began.elapsed() < world::PATIENCE, "the certificate never came");
        tokio::task::yield_now().await;
    }
    // Killed here, it is not recorded twice.
    billetd.kill();
    billetd.up().await;
    while billetd.get(&format!("/v1/nodes/{node}/progress")).await["step"].is_null() {
        assert!(began.elapsed() < world::PATIENCE, "billetd never looked again");
        tokio::task::yield_now().await;
    }
    assert_eq!(early(&checked(&billetd, &node).await).len(), 1);
    machine.script(|script| {
        script.hold.clear();
        script.early = false;
        script.fail = vec!["erase_devices".to_owned()];
    });
    billetd.reaches(&node, "clean failed").await;
    let entries = early(&checked(&billetd, &node).await);
    assert_eq!(entries[0]["device"], "/dev/sda");
    assert_eq!(entries[0]["verified"], true);
    assert_eq!(entries.last().unwrap()["device"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_outlives_its_node_and_goes_on_after_kill_9() {
    let mut billetd = Billetd::start(&["--clean-steps", "metadata"]).await;
    let (machine, node) = inspected(&billetd).await;
    for round in 1..=3_usize {
        machine.script(|script| script.hold = vec!["erase_devices_metadata".to_owned()]);
        let before = machine.commands().len();
        billetd.target(&node, "provide").await;
        until("the step", || machine.commands()[before..].iter().any(|name| name.ends_with("metadata")))
            .await;
        billetd.kill();
        billetd.up().await;
        machine.script(|script| script.hold.clear());
        billetd.reaches(&node, "available").await;
        assert_eq!(checked(&billetd, &node).await.len(), 2 * round);
        billetd.target(&node, "manage").await;
    }
    // In pages, the links are the same ones.
    let mut links = Vec::new();
    let mut page = format!("/v1/nodes/{node}/erasures?limit=4");
    loop {
        let answer = billetd.get(&page).await;
        links.extend(answer["erasures"].as_array().unwrap().clone());
        let Some(next) = answer["next"].as_str() else { break };
        page = next.trim_start_matches(&billetd.base).to_owned();
    }
    assert_eq!(links, checked(&billetd, &node).await);
    let (status, _) =
        billetd.call(reqwest::Method::GET, &format!("/v1/nodes/{node}/erasures?limit=x"), None).await;
    assert_eq!(status, reqwest::StatusCode::BAD_REQUEST);
    billetd.call(reqwest::Method::DELETE, &format!("/v1/nodes/{node}"), None).await;
    assert_eq!(checked(&billetd, &node).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_is_noticed_and_replaced_only_on_demand() {
    let mut billetd = Billetd::start(&["--clean-steps", "metadata"]).await;
    let (_machine, node) = inspected(&billetd).await;
    billetd.target(&node, "provide").await;
    billetd.reaches(&node, "available").await;
    billetd.target(&node, "manage").await;
    billetd.kill();
    std::fs::remove_file(billetd.path("billet.sqlite.evidence.pem")).unwrap();
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_billetd"))
        .args(["--listen", "127.0.0.1:0", "--database"])
        .arg(billetd.path("billet.sqlite"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("--new-evidence-key"), "{said}");

    billetd.add("--new-evidence-key");
    billetd.up().await;
    billetd.target(&node, "provide").await;
    billetd.reaches(&node, "available").await;
    let answer = billetd.get(&format!("/v1/nodes/{node}/erasures")).await;
    let entries = answer["erasures"].as_array().unwrap();
    let keys = billetd.get("/v1/evidence/keys").await;
    let keys: Vec<CertificatePem> = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["certificate"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!((entries.len(), keys.len()), (4, 2));
    let links = entries.iter().zip([0, 0, 1, 1]).map(|(entry, key)| {
        let link: Signed = serde_json::from_value(entry["link"].clone()).unwrap();
        evidence::verify(&link, Some(&keys[key])).unwrap();
        Link::of(&link).unwrap()
    });
    let links: Vec<Link> = links.collect();
    assert!(check(links.clone(), None, Signers::One).is_err());
    assert!(check(links, None, Signers::Pinned).is_ok());
}

/// What a billetd without chains left behind is countersigned at the next start.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_before_there_were_chains_is_chained_up() {
    let mut billetd = Billetd::start(&[]).await;
    billetd.kill();
    let pool =
        sqlx::sqlite::SqlitePool::connect(&format!("sqlite:{}", billetd.path("billet.sqlite").display()))
            .await
            .unwrap();
    let node = "6f5b6dc8-7d2c-4b1e-9f5c-0a4f6d1c7e11";
    for (at, verified) in [("2026-01-02T00:00:00Z", 1_i64), ("2026-01-01T00:00:00Z", 0)] {
        sqlx::query(
            "INSERT INTO erasures (operation, step, device, node_uuid, verified, reason, received_at, document)
             VALUES ($1, 'erase_devices', '/dev/sda', $2, $3, 'why', $4, $5)",
        )
        .bind(uuid::Uuid::new_v4().to_string())
        .bind(node)
        .bind(verified)
        .bind(at)
        .bind(json!({"body": {"level": "clear", "share": 0.5}}).to_string())
        .execute(&pool)
        .await
        .unwrap();
    }
    pool.close().await;
    billetd.up().await;
    let entries = checked(&billetd, node).await;
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["received_at"], "2026-01-01T00:00:00Z");
    // A document that no link can hold is named by its digest, and proves nothing.
    assert_eq!(entries[1]["document"], Value::Null);
    assert!(entries[1]["reason"].as_str().unwrap().contains("SHA-256") && entries[1]["verified"] == false);
    billetd.kill();
    billetd.up().await;
    assert_eq!(checked(&billetd, node).await.len(), 2, "once");
}

/// The key of the marks that let an overwrite go on: the same for a cleaning that
/// is begun again, another one as soon as anybody else may have been on the machine.
#[tokio::test(flavor = "multi_thread")]
async fn an_erase_goes_on_only_as_long_as_nobody_else_was_on_the_machine() {
    let mut billetd = Billetd::start(&[]).await;
    let (machine, node) = inspected(&billetd).await;
    let journal = || {
        let commands = machine.inside.lock().unwrap().commands.clone();
        let erased =
            commands.iter().rev().find(|command| command["params"]["step"]["step"] == "erase_devices");
        let journal = erased.unwrap()["params"]["node"]["driver_internal_info"]["erase_journal"].clone();
        assert!(journal["key"].as_str().is_some_and(|key| key.len() >= 32), "{journal}");
        journal
    };
    let mut before = Value::Null;
    // What happens after each cleaning, and whether this one went on with the one before.
    for (fails, between, goes_on) in [
        (true, "nothing", false),
        (true, "kill -9 and an inspection", true),
        (true, "power on", true),
        (true, "nothing", false),
        (false, "nothing", true),
        (true, "nothing", false),
    ] {
        machine
            .script(|script| script.fail = fails.then(|| "erase_devices".to_owned()).into_iter().collect());
        billetd.target(&node, "provide").await;
        billetd.reaches(&node, if fails { "clean failed" } else { "available" }).await;
        let now = journal();
        assert_eq!(now == before, goes_on, "{between}");
        let shown = billetd.get(&format!("/v1/nodes/{node}")).await.to_string();
        assert!(!shown.contains(now["key"].as_str().unwrap()) && !shown.contains("erase_journal"));
        before = now;
        until("power off", || !machine.inside.lock().unwrap().on).await;
        billetd.target(&node, "manage").await;
        match between {
            "power on" => {
                let on = json!({"target": "power on"});
                let path = format!("/v1/nodes/{node}/states/power");
                billetd.call(reqwest::Method::PUT, &path, Some(on)).await;
                until("power on", || machine.inside.lock().unwrap().on).await;
                let off = json!({"target": "power off"});
                while billetd.call(reqwest::Method::PUT, &path, Some(off.clone())).await.0
                    != reqwest::StatusCode::ACCEPTED
                {
                    tokio::task::yield_now().await;
                }
            }
            "nothing" => {}
            _ => {
                billetd.kill();
                billetd.up().await;
                billetd.target(&node, "inspect").await;
                billetd.reaches(&node, "manageable").await;
            }
        }
    }
}
