use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use model::{Algorithm, Secret};
use serde_json::json;

use super::*;
use crate::{HttpSource, Pace, Trust};

type Answer = dyn Fn(&str) -> Vec<u8> + Send + Sync;

/// A server that answers each request's head with whole answers. Returns its
/// address and what it was asked.
fn server(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (heads, answer): (_, Arc<Answer>) = (Arc::clone(&seen), Arc::new(answer));
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            one(connection, &heads, &answer).ok();
        }
    });
    (address, seen)
}

fn one(mut to: TcpStream, seen: &Mutex<Vec<String>>, answer: &Arc<Answer>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        to.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    seen.lock().expect("not poisoned").push(head.clone());
    to.write_all(&answer(&head))
}

fn says(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

fn blob() -> Vec<u8> {
    (0..200_000_u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect()
}

fn manifest_of(blob: &[u8]) -> Vec<u8> {
    let layer = json!({
        "mediaType": "application/octet-stream", "digest": digest(blob).to_string(), "size": blob.len(),
        "annotations": {"org.opencontainers.image.title": "disk.raw"},
    });
    serde_json::to_vec(&json!({"schemaVersion": 2, "layers": [layer]})).expect("JSON")
}

fn request(url: String) -> Request {
    let second = Duration::from_secs(5);
    let pace = Pace {
        connect: second,
        stall: second,
        retries: 2,
        delay: Duration::from_millis(1),
        ..Pace::default()
    };
    Request { pace, ..Request::new(vec![url], Trust::Bundle("/nonexistent".into())) }
}

/// A registry for those with the password, whose blobs are elsewhere and come
/// in two parts, and whose tokens are good for one blob.
fn registry(store: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let tokens = Mutex::new(0);
    server(move |head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let mut tokens = tokens.lock().expect("not poisoned");
        if head.starts_with("GET /token?") {
            if !head.contains("authorization: Basic dTpw")
                || !head.contains("scope=repository%3Aa%2Fb%3Apull")
            {
                return says("403 Forbidden", "", b"");
            }
            *tokens += 1;
            return says("200 OK", "", format!(r#"{{"token": "token{tokens}"}}"#).as_bytes());
        }
        if !head.contains(&format!("authorization: Bearer token{tokens}")) {
            let challenge = format!(
                "www-authenticate: Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"repository:a/b:pull\"\r\n"
            );
            return says("401 Unauthorized", &challenge, b"{}");
        }
        let pinned = digest(&manifest_of(&blob()));
        if head.starts_with("GET /v2/a/b/manifests/tag ") {
            let platform = json!({"architecture": manifest::architecture(), "os": "linux"});
            let entry = json!({"digest": pinned.to_string(), "size": 1, "platform": platform});
            return says("200 OK", "", &serde_json::to_vec(&json!({"manifests": [entry]})).expect("JSON"));
        }
        if head.starts_with(&format!("GET /v2/a/b/manifests/{pinned} ")) {
            return says("200 OK", "", &manifest_of(&blob()));
        }
        // This token has done its work.
        *tokens += 1000;
        says("307 Temporary Redirect", &format!("location: http://{store}/signed?secret=1\r\n"), b"")
    })
}

#[test]
fn an_image_comes_out_of_a_registry_with_tokens_and_a_store() {
    let (store, stored) = server(|head| {
        let (blob, total) = (blob(), 200_000);
        match head.lines().find_map(|line| line.strip_prefix("range: bytes=")) {
            Some(range) => {
                let first: usize = range.trim_end_matches('-').parse().expect("a range");
                let part = format!("etag: \"1\"\r\ncontent-range: bytes {first}-{}/{total}\r\n", total - 1);
                says("206 Partial Content", &part, &blob[first..])
            }
            None => says("200 OK", "etag: \"1\"\r\n", &blob)[..100_000].to_vec(),
        }
    });
    let (registry, asked) = registry(store);
    let password = Request {
        authorization: Some(Secret::new("Basic dTpw")),
        ..request(format!("oci+http://{registry}/a/b:tag"))
    };
    let resolved = resolve(&password).expect("resolved");
    assert_eq!((resolved.size, resolved.title.as_deref()), (Bytes(200_000), Some("disk.raw")));
    assert_eq!(resolved.digest, digest(&blob()));
    let mut source = HttpSource::open(resolved.request).expect("opened");
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).expect("arrives");
    assert_eq!(digest(&bytes), resolved.digest);
    let stored = stored.lock().expect("not poisoned");
    assert_eq!(stored.len(), 2, "a cut, and the rest");
    assert!(stored.iter().all(|head| !head.to_lowercase().contains("authorization")), "{stored:?}");
    let asked = asked.lock().expect("not poisoned");
    let first = |head: &&String| head.contains("/v2/") && head.contains("authorization: Basic");
    assert_eq!(asked.iter().find(first), None, "passwords are for the token service: {asked:?}");
}

#[test]
fn what_is_pinned_is_what_comes() {
    let (address, _) = server(|_| says("200 OK", "", &manifest_of(&blob())));
    let right = digest(&manifest_of(&blob()));
    let at = |pin: &Digest| resolve(&request(format!("oci+http://{address}/a@{pin}")));
    assert_eq!(at(&right).expect("resolved").digest, digest(&blob()));
    let wrong = at(&digest(b"")).expect_err("another manifest");
    assert!(matches!(wrong, ResolveError::Wrong { .. }), "{wrong}");
}

#[test]
fn registries_that_make_no_sense_are_refused() {
    for (answer, want) in [
        (says("404 Not Found", "", b""), "404"),
        (says("401 Unauthorized", "", b""), "where tokens are made"),
        (says("401 Unauthorized", "www-authenticate: Basic realm=\"x\"\r\n", b""), "none are given"),
        (says("401 Unauthorized", "www-authenticate: Bearer realm=\"file:///x\"\r\n", b""), "not as safe"),
        (says("200 OK", "", &[b' '; 5 << 20]), "longer than 4194304 bytes"),
        (says("200 OK", "", b"<html>"), "no manifest"),
        (says("200 OK", "content-type: text/html\r\n", b"<!doctype html><body>login</body>"), "web page"),
    ] {
        let (address, _) = server(move |_| answer.clone());
        let error = resolve(&request(format!("oci+http://{address}/a"))).expect_err("refused");
        let error = format!("{:#}", anyhow::Error::from(error));
        assert!(error.contains(want), "{error}");
    }
    let mixed = Request { urls: vec!["oci://r/a".into(), "https://h/a".into()], ..request(String::new()) };
    assert!(matches!(resolve(&mixed), Err(ResolveError::Mixed)));
}

#[test]
fn a_blob_of_another_length_is_not_taken() {
    let (address, _) = server(|head| {
        if head.contains("/manifests/") {
            says("200 OK", "", &manifest_of(&blob()))
        } else {
            says("200 OK", "", b"short")
        }
    });
    let resolved = resolve(&request(format!("oci+http://{address}/a"))).expect("resolved");
    let error = HttpSource::open(resolved.request).err().expect("refused");
    assert!(format!("{:#}", anyhow::Error::from(error)).contains("length"));
}

#[test]
fn only_a_digest_of_the_manifest_pins_a_reference() {
    let hex = "a".repeat(64);
    for (text, want) in [
        (format!("oci://r/a@sha256:{hex}"), true),
        (format!("oci://r/a:t@sha256:{hex}#x.raw"), true),
        (format!("oci://r/a:t#x@sha256:{hex}"), false),
        ("oci://r/a:t#x@sha.raw".to_owned(), false),
        ("oci://r/a@sha256:00".to_owned(), false),
        ("oci://r/a:t".to_owned(), false),
        (format!("https://r/a@sha256:{hex}"), false),
    ] {
        assert_eq!(is_pinned(&text), want, "{text}");
    }
}
