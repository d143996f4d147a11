//! The API as clients meet it: discovery, passwords, TLS, boot files, rules of nodes and ports.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod world;

use base64::Engine as _;
use reqwest::{Method, StatusCode};
use serde_json::json;
use world::Billetd;

#[tokio::test(flavor = "multi_thread")]
async fn passwords_guard_everything_but_the_ramdisks_paths() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, format!("admin:{}\n", bcrypt::hash("sesame", 4).unwrap())).unwrap();
    let billetd = Billetd::start(&["--htpasswd", file.to_str().unwrap()]).await;
    for (path, status) in [
        ("/", 200),
        ("/v1", 200),
        ("/v1/", 200),
        ("/healthz", 200),
        ("/boot.ipxe", 200),
        ("/v1/lookup", 404),
        ("/v1/nodes", 401),
        ("/nodes", 401),
        ("/metrics", 401),
        ("/v1/nodes/x/states/provision", 401),
    ] {
        let answer = billetd.http.get(format!("{}{path}", billetd.base)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }
    let ask = |password: &str| {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("admin:{password}"));
        billetd
            .http
            .get(format!("{}/v1/nodes", billetd.base))
            .header("Authorization", format!("Basic {basic}"))
            .send()
    };
    assert_eq!(ask("sesame").await.unwrap().status(), 200);
    assert_eq!(ask("Sesame").await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn boot_files_are_served_by_mac_and_images_by_range() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("vmlinuz"), "kernel").unwrap();
    std::fs::write(folder.path().join("os.raw"), "0123456789").unwrap();
    let path = folder.path().to_str().unwrap();
    let billetd =
        Billetd::start(&["--ramdisk", path, "--images", path, "--kernel-params", "console=ttyS0"]).await;
    let node = billetd.enroll("bm4", "http://127.0.0.1:9", "52:54:00:aa:bb:04").await;
    let text = async |path: &str| {
        billetd.http.get(format!("{}{path}", billetd.base)).send().await.unwrap().text().await.unwrap()
    };
    let bootstrap = text("/boot.ipxe").await;
    assert!(bootstrap.starts_with("#!ipxe\n") && bootstrap.contains("/boot/${netX/mac}.ipxe"), "{bootstrap}");
    let known = text("/boot/52-54-00-AA-BB-04.ipxe").await;
    assert!(
        known.contains("bm4") && known.contains("\nexit\n") && !known.contains("vmlinuz"),
        "{node}: {known}"
    );
    let unknown = text("/boot/52:54:00:aa:bb:99.ipxe").await;
    assert!(
        unknown.contains("/ramdisk/vmlinuz")
            && unknown.contains("ipa-api-url=")
            && unknown.contains("console=ttyS0"),
        "{unknown}"
    );
    assert_eq!(text("/ramdisk/vmlinuz").await, "kernel");
    let part = billetd
        .http
        .get(format!("{}/images/os.raw", billetd.base))
        .header("Range", "bytes=2-4")
        .send()
        .await
        .unwrap();
    assert_eq!((part.status(), part.text().await.unwrap().as_str()), (StatusCode::PARTIAL_CONTENT, "234"));
    for path in ["/images/../billet.sqlite", "/images/%2e%2e/etc/passwd", "/boot/nonsense.ipxe", "/nothing"] {
        assert_eq!(
            billetd.http.get(format!("{}{path}", billetd.base)).send().await.unwrap().status(),
            404,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_served_with_the_operators_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = reqwest::Certificate::from_pem(pair.cert.pem().as_bytes()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_billetd"))
        .args([
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--tls-cert",
            certificate.to_str().unwrap(),
            "--tls-key",
            key.to_str().unwrap(),
        ])
        .arg("--database")
        .arg(folder.path().join("billet.sqlite"))
        .spawn()
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap();
    let began = std::time::Instant::now();
    let answer = loop {
        if let Ok(answer) = client.get(format!("https://127.0.0.1:{port}/")).send().await {
            break answer.json::<serde_json::Value>().await.unwrap();
        }
        assert!(began.elapsed() < world::PATIENCE, "no TLS");
        tokio::task::yield_now().await;
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answer["versions"].as_array().unwrap().len(), 1);
    assert!(answer["default_version"]["links"][0]["href"].as_str().unwrap().starts_with("https://"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_and_ports_follow_ironics_rules() {
    let billetd = Billetd::start(&[]).await;
    let node = billetd.enroll("a", "http://127.0.0.1:9", "52:54:00:aa:bb:05").await;
    let path = format!("/v1/nodes/{node}");
    let uuid = "11111111-2222-3333-4444-555555555555";
    for (method, path, body, status) in [
        (Method::POST, "/v1/nodes".to_owned(), json!({"driver": "redfish", "name": "a"}), 409),
        (Method::POST, "/v1/nodes".to_owned(), json!({"driver": "punchcards"}), 400),
        (Method::POST, "/v1/nodes".to_owned(), json!({"name": "b"}), 400),
        (
            Method::POST,
            "/v1/nodes".to_owned(),
            json!({"driver": "redfish", "driver_info": {"redfish_address": "https://admin:hunter2@bmc"}}),
            400,
        ),
        (
            Method::POST,
            "/v1/nodes".to_owned(),
            json!({"driver": "redfish", "provision_state": "available"}),
            400,
        ),
        (
            Method::POST,
            "/v1/ports".to_owned(),
            json!({"node_uuid": node, "address": "52:54:00:AA:BB:05"}),
            409,
        ),
        (
            Method::POST,
            "/v1/ports".to_owned(),
            json!({"node_uuid": uuid, "address": "52:54:00:aa:bb:06"}),
            400,
        ),
        (Method::POST, "/v1/ports".to_owned(), json!({"node_uuid": node, "address": "nonsense"}), 400),
        (
            Method::PATCH,
            path.clone(),
            json!([{"op": "add", "path": "/provision_state", "value": "available"}]),
            400,
        ),
        (Method::PATCH, path.clone(), json!([{"op": "add", "path": "/instance_uuid", "value": uuid}]), 200),
        (Method::DELETE, path.clone(), json!(null), 409),
        (Method::PUT, format!("{path}/states/provision"), json!({"target": "provide"}), 400),
        (Method::PUT, format!("{path}/states/provision"), json!({"target": "dance"}), 400),
        (Method::PUT, format!("{path}/states/provision"), json!({}), 400),
        (Method::PUT, format!("{path}/states/power"), json!({"target": "sideways"}), 400),
        (Method::GET, format!("{path}/inventory"), json!(null), 404),
        (Method::GET, "/v1/nodes/nobody".to_owned(), json!(null), 404),
        (Method::PUT, path.clone(), json!(null), 405),
        (Method::PATCH, path.clone(), json!([{"op": "remove", "path": "/instance_uuid"}]), 200),
        (Method::DELETE, path.clone(), json!(null), 204),
        (Method::GET, path.clone(), json!(null), 404),
    ] {
        let sent = Some(body.clone()).filter(|body| !body.is_null());
        let (got, answer) = billetd.call(method.clone(), &path, sent).await;
        assert_eq!(got.as_u16(), status, "{method} {path} {body}: {answer}");
        assert!(status < 400 || answer["error_message"].is_string(), "{answer}");
        assert!(!answer.to_string().contains("hunter2"), "{answer}");
    }
    assert_eq!(billetd.get("/v1/ports").await, json!({"ports": []}), "ports go with their node");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_comes_back_masked_is_kept() {
    let billetd = Billetd::start(&[]).await;
    let machine = world::machine::Machine::start(&billetd.base, "52:54:00:aa:bb:07").await;
    let node = billetd.enroll("a", &machine.bmc, "52:54:00:aa:bb:07").await;
    let shown = billetd.get(&format!("/v1/nodes/{node}")).await;
    let patch = json!([{"op": "replace", "path": "/driver_info", "value": shown["driver_info"]}]);
    let (status, _) = billetd.call(Method::PATCH, &format!("/v1/nodes/{node}"), Some(patch)).await;
    assert_eq!(status, 200);
    let stored: Vec<u8> = ["billet.sqlite", "billet.sqlite-wal"]
        .iter()
        .flat_map(|file| std::fs::read(billetd.path(file)).unwrap_or_default())
        .collect();
    assert!(!stored.windows(8).any(|window| window == b"\"******\""), "the mask was stored");
    billetd.target(&node, "manage").await;
    billetd.reaches(&node, "manageable").await;
}

/// Which machine a node is stays the same while something is done with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_node_keeps_its_controller_and_its_ports() {
    const MAC: &str = "52:54:00:aa:bb:08";
    let billetd = Billetd::start(&[]).await;
    let machine = world::machine::Machine::start(&billetd.base, MAC).await;
    machine.script(|script| script.mute = true);
    let node = billetd.enroll("a", &machine.bmc, MAC).await;
    let other = billetd.enroll("b", "http://127.0.0.1:9", "52:54:00:aa:bb:09").await;
    billetd.target(&node, "manage").await;
    billetd.reaches(&node, "manageable").await;
    billetd.target(&node, "provide").await;
    billetd.reaches(&node, "clean wait").await;
    let (of_node, of_port) = (format!("/v1/nodes/{node}"), format!("/v1/ports/{MAC}"));
    let replace = |path: &str, value: &str| json!([{"op": "replace", "path": path, "value": value}]);
    for (method, path, body, status) in [
        (Method::PATCH, &of_node, replace("/driver", "fake-hardware"), 409),
        (Method::PATCH, &of_node, replace("/driver_info/redfish_address", "http://127.0.0.1:9"), 409),
        (Method::PATCH, &of_node, replace("/driver_info/redfish_system_id", "/redfish/v1/Systems/2"), 409),
        (Method::PATCH, &of_node, replace("/driver_info/redfish_password", "hunter3"), 200),
        (Method::PATCH, &of_port, replace("/node_uuid", &other), 409),
        (Method::PATCH, &of_port, replace("/address", "52:54:00:aa:bb:10"), 409),
        (Method::DELETE, &of_port, json!(null), 409),
        (Method::PATCH, &"/v1/ports/52:54:00:aa:bb:09".to_owned(), replace("/node_uuid", &node), 409),
    ] {
        let sent = Some(body.clone()).filter(|body| !body.is_null());
        let (got, answer) = billetd.call(method.clone(), path, sent).await;
        assert_eq!(got.as_u16(), status, "{method} {path} {body}: {answer}");
    }
}

/// A power off ends what was known of the agent; a second request waits for the first.
#[tokio::test(flavor = "multi_thread")]
async fn power_is_changed_by_one_request_at_a_time() {
    const MAC: &str = "52:54:00:aa:bb:0a";
    let billetd = Billetd::start(&[]).await;
    let machine = world::machine::Machine::start(&billetd.base, MAC).await;
    let node = billetd.enroll("a", &machine.bmc, MAC).await;
    machine.power(true);
    machine.script(|script| script.stuck_on = true);
    let path = format!("/v1/nodes/{node}/states/power");
    let off = async || billetd.call(Method::PUT, &path, Some(json!({"target": "power off"}))).await.0;
    assert_eq!(off().await, 202);
    assert_eq!(off().await, 409, "the first one is not confirmed");
    machine.power(false);
    let began = std::time::Instant::now();
    while off().await != 202 {
        assert!(began.elapsed() < world::PATIENCE, "the turn was never given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_reads_the_database() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut billetd = Billetd::start(&[]).await;
    billetd.enroll("a", "http://127.0.0.1:9", "52:54:00:aa:bb:0b").await;
    let mode = |name: &str| std::fs::metadata(billetd.path(name)).unwrap().permissions().mode() & 0o777;
    for file in ["billet.sqlite", "billet.sqlite-wal", "billet.sqlite-shm"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    billetd.kill();
    std::fs::set_permissions(billetd.path("billet.sqlite"), std::fs::Permissions::from_mode(0o644)).unwrap();
    billetd.up().await;
    assert_eq!(std::fs::metadata(billetd.path("billet.sqlite")).unwrap().permissions().mode() & 0o777, 0o600);
}
