//! `billet-agent evidence verify`, the real program: what proves something, and
//! every way it stops doing so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use evidence::{
    Key, Signed,
    chain::{self, Link},
    sign,
};
use serde_json::{Map, Value, json};

const NODE: &str = "6f5b6dc8-7d2c-4b1e-9f5c-0a4f6d1c7e11";
const DAY: &str = "2026-03-02";

struct Signer {
    key: Key,
    pem: String,
}

fn signer() -> Signer {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&pair).expect("a certificate");
    let pem = certificate.pem();
    Signer { key: Key::new(&pair.serialize_der(), &pem).expect("a matching pair"), pem }
}

/// What an agent says of the disk with this serial number.
fn certificate(serial: &str, result: &str, issued_at: &str) -> Value {
    json!({"v": 2, "node": NODE, "operation": "op", "result": result, "level": "purge", "method": "nvme.sanitize.crypto",
        "issued_at": issued_at, "device": {"path": format!("/dev/{serial}"), "serial": serial, "model": "<b>M&M</b>"},
        "attempts": [{"method": "nvme.sanitize.crypto", "start": format!("{DAY}T10:00:00Z"), "end": format!("{DAY}T10:05:00Z")}]})
}

/// What billetd adds.
fn about(verified: bool, device: Option<&str>, document: Value) -> Map<String, Value> {
    let content = json!({"operation": "op", "step": "erase_devices", "device": device, "began_at": format!("{DAY}T09:00:00Z"),
        "received_at": format!("{DAY}T10:06:00Z"), "verified": verified, "reason": (!verified).then_some("because"),
        "certificate": document});
    content.as_object().cloned().expect("an object")
}

/// An agent, billetd, a folder, and the links so far.
struct World {
    agent: Signer,
    billetd: Signer,
    folder: tempfile::TempDir,
    links: Vec<Signed>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { agent: signer(), billetd: signer(), folder, links: Vec::new() }
    }

    fn certified(&self, serial: &str, result: &str, issued_at: &str) -> Signed {
        sign(certificate(serial, result, issued_at), &self.agent.key).expect("signed")
    }

    fn last(&self) -> Option<Link> {
        self.links.last().map(|link| Link::of(link).expect("a link"))
    }

    fn add(&mut self, content: Map<String, Value>) {
        let body = chain::link(NODE, self.last().as_ref(), content);
        self.links.push(sign(body, &self.billetd.key).expect("signed"));
    }

    fn add_clean(&mut self, serial: &str) {
        let document = self.certified(serial, "clean", &format!("{DAY}T10:05:30Z")).to_value();
        self.add(about(true, Some(&format!("/dev/{serial}")), document));
    }

    /// A chain of three proven disks.
    fn three() -> Self {
        let mut world = Self::new();
        ["S1", "S2", "S3"].iter().for_each(|serial| world.add_clean(serial));
        world
    }

    /// billetd's answer as it is served.
    fn answer(&self) -> Value {
        let head = sign(chain::head(NODE, self.last().as_ref(), "now"), &self.billetd.key).expect("signed");
        let entries: Vec<Value> =
            self.links.iter().map(|link| json!({"link": link.to_value(), "verified": true})).collect();
        json!({"erasures": entries, "head": head.to_value()})
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("written");
        path
    }

    fn write_links(&self) -> Vec<PathBuf> {
        let write =
            |(at, link): (usize, &Signed)| self.write(&format!("{at}.json"), link.to_value().to_string());
        self.links.iter().enumerate().map(write).collect()
    }
}

fn verify(arguments: &[&str], files: &[impl AsRef<Path>]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_billet-agent"))
        .args(["evidence", "verify"])
        .args(arguments)
        .args(files.iter().map(AsRef::as_ref))
        .output()
        .expect("it runs")
}

#[track_caller]
fn holds(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn fails(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("NOT PROVEN") && said.contains(words), "want {words:?}: {said}");
}

#[test]
fn one_certificate_several_links_and_billetds_answer_are_proof() {
    let world = World::three();
    let keys = [world.write("billetd.pem", &world.billetd.pem), world.write("agent.pem", &world.agent.pem)];
    let [billetd, agent] = [0, 1].map(|at| keys[at].to_str().expect("UTF-8"));
    let single = world.write(
        "one.json",
        world.certified("S1", "clean", &format!("{DAY}T10:05:30Z")).to_text().expect("text"),
    );
    holds(&verify(&[], &[&single]));
    assert!(holds(&verify(&["--key", agent], &[&single])).contains("signed by the pinned key"));
    let mut files = world.write_links();
    files.reverse();
    let said = holds(&verify(&["--key", billetd], &files));
    assert!(said.contains("Links 1 to 3") && said.contains("without its signed head"), "{said}");
    let answer = world.write("answer.json", world.answer().to_string());
    let said = holds(&verify(&["--key", billetd], &[&answer]));
    assert!(said.contains("the whole chain") && said.contains("S3"), "{said}");
    // Both at once, each by its own key.
    holds(&verify(&["--key", billetd, "--key", agent], &[&answer, &single]));
    // A piece of a chain proves its own disks.
    holds(&verify(&[], &files[..2]));
}

#[test]
fn a_wrong_key_proves_nothing() {
    let world = World::three();
    let single = world.write(
        "one.json",
        world.certified("S1", "clean", &format!("{DAY}T10:05:30Z")).to_value().to_string(),
    );
    let answer = world.write("answer.json", world.answer().to_string());
    let other = world.write("other.pem", signer().pem);
    let agent = world.write("agent.pem", &world.agent.pem);
    for (key, file) in [(&other, &single), (&other, &answer), (&agent, &answer)] {
        fails(
            &verify(&["--key", key.to_str().expect("UTF-8")], &[file]),
            "another certificate than the pinned one",
        );
    }
    let none = world.write("none.pem", "hello");
    assert!(!verify(&["--key", none.to_str().expect("UTF-8")], &[&single]).status.success());
}

/// The answer, one byte changed in every part of it that is signed.
#[test]
fn one_byte_changed_is_noticed() {
    let world = World::three();
    let text = world.answer().to_string();
    for (what, with, words) in [
        ("\"clean\"", "\"cleam\"", "the signature does not fit"),
        ("\"purge\"", "\"clear\"", "the signature does not fit"),
        ("\"S2\"", "\"S9\"", "the signature does not fit"),
        ("\"sequence\":2", "\"sequence\":4", "the signature does not fit"),
        ("\"length\":3", "\"length\":2", "the signature does not fit"),
        ("\"kind\":\"head\"", "\"kind\":\"haad\"", "the signature does not fit"),
        ("ecdsa-p384", "ecdsa-p385", "the signature does not fit"),
        ("BEGIN CERT", "BEGIN CART", "the signature does not fit"),
    ] {
        let changed = text.replacen(what, with, 1);
        assert_ne!(changed, text, "{what}");
        fails(&verify(&[], &[world.write("changed.json", changed)]), words);
    }
}

#[test]
fn a_missing_replaced_or_cut_off_link_is_noticed() {
    let world = World::three();
    let files = world.write_links();
    fails(&verify(&[], &[&files[0], &files[2]]), "links 2 to 2 are missing");
    let mut answer = world.answer();
    for (remove, words) in [(2, "links 3 to 3 are missing"), (0, "links 1 to 1 are missing")] {
        answer["erasures"].as_array_mut().expect("a list").remove(remove);
        fails(&verify(&[], &[world.write("answer.json", answer.to_string())]), words);
        answer = world.answer();
    }
    answer["erasures"] = json!([]);
    fails(&verify(&[], &[world.write("answer.json", answer.to_string())]), "links 1 to 3 are missing");
    // The same key, another history.
    let mut other = World { links: world.links[..1].to_vec(), ..World::three() };
    other.billetd = world.billetd;
    other.add_clean("S9");
    let forked = other.write("forked.json", other.links[1].to_value().to_string());
    fails(&verify(&[], &[&files[0], &forked, &files[2]]), "link 3 does not follow link 2");
    fails(&verify(&[], &[&files[0], &files[1], &forked]), "two different links 2");
}

#[test]
fn a_clock_a_year_off_is_noticed() {
    let world = World::new();
    let future = world.certified("S1", "clean", "2999-01-01T00:00:00Z");
    fails(
        &verify(&[], &[world.write("f.json", future.to_value().to_string())]),
        "in the future by this machine's clock",
    );
    for (issued_at, words) in [
        ("2025-03-02T10:05:30Z", "long before its operation began"),
        ("2026-08-02T10:05:30Z", "in the future by billetd's clock when it came"),
        ("yesterday", "does not say when"),
    ] {
        let mut world = World::new();
        world.add(about(true, Some("/dev/S1"), world.certified("S1", "clean", issued_at).to_value()));
        fails(&verify(&[], &[world.write("answer.json", world.answer().to_string())]), words);
    }
    let mut body = certificate("S1", "clean", "2025-03-02T10:05:30Z");
    body["attempts"][0]["end"] = "2026-03-02T10:05:30Z".into();
    let signed = sign(body, &world.agent.key).expect("signed");
    fails(
        &verify(&[], &[world.write("set.json", signed.to_value().to_string())]),
        "the clock was set in between",
    );
}

#[test]
fn a_certificate_of_an_unknown_version_proves_nothing() {
    let world = World::new();
    for (version, words) in [(json!(3), "it is of version 3"), (Value::Null, "it has no version")] {
        let mut body = certificate("S1", "clean", &format!("{DAY}T10:05:30Z"));
        body["v"] = version;
        let signed = sign(body, &world.agent.key).expect("signed");
        fails(&verify(&[], &[world.write("one.json", signed.to_value().to_string())]), words);
    }
}

/// billetd's word is not enough: its key may be stolen, its code wrong.
#[test]
fn what_billetd_accepted_is_judged_again() {
    let good = |world: &World| world.certified("S1", "clean", &format!("{DAY}T10:05:30Z"));
    for (case, words) in [
        (0, "the signature does not fit"),
        (1, "another device"),
        (2, "does not say that the disk was erased"),
        (3, "it does not hold"),
    ] {
        let mut world = World::new();
        let mut document = good(&world).to_value();
        match case {
            0 => document["body"]["level"] = "clear".into(),
            2 => document = world.certified("S1", "failed", &format!("{DAY}T10:05:30Z")).to_value(),
            3 => document = Value::Null,
            _ => {}
        }
        let device = if case == 1 { "/dev/S2" } else { "/dev/S1" };
        world.add(about(true, Some(device), document));
        fails(&verify(&[], &[world.write("answer.json", world.answer().to_string())]), words);
    }
}

/// The last word on every disk counts: a failure that was made good is history.
#[test]
fn a_failed_erasure_is_in_the_chain_and_counts_until_it_is_made_good() {
    let mut world = World::new();
    let failed = world.certified("S1", "incomplete", &format!("{DAY}T10:05:30Z")).to_value();
    world.add(about(false, Some("/dev/S1"), failed));
    let mut nothing = about(false, None, Value::Null);
    nothing.insert("operation".to_owned(), "earlier".into());
    world.add(nothing);
    let answer = || world.write("answer.json", world.answer().to_string());
    let said = verify(&[], &[answer()]);
    fails(&said, "S1 is not proven erased: it says incomplete (because)");
    fails(&said, "the cleaning ended without proof: because");
    world.add_clean("S2");
    fails(&verify(&[], &[world.write("answer.json", world.answer().to_string())]), "S1 is not proven erased");
    world.add_clean("S1");
    holds(&verify(&[], &[world.write("answer.json", world.answer().to_string())]));
    let skipped = world.certified("S1", "skipped", &format!("{DAY}T10:05:30Z"));
    fails(&verify(&[], &[world.write("skipped.json", skipped.to_value().to_string())]), "it says skipped");
}

/// What is not signed says nothing of any disk, and is made good as a cleaning is.
#[test]
fn a_forged_document_counts_until_another_operation_proves_its_disk() {
    let mut world = World::new();
    let mut forged = world.certified("S1", "clean", &format!("{DAY}T10:05:30Z")).to_value();
    forged["body"]["level"] = "none".into();
    let mut content = about(false, Some("/dev/sda"), forged);
    content.insert("operation".to_owned(), "earlier".into());
    world.add(content);
    let verified = |world: &World| verify(&[], &[world.write("answer.json", world.answer().to_string())]);
    fails(&verified(&world), "/dev/sda");
    world.add_clean("S1");
    holds(&verified(&world));
}

/// Bridges give all their disks one serial number: a clean one says nothing of the other.
#[test]
fn two_disks_of_one_serial_number_do_not_stand_for_each_other() {
    let mut world = World::new();
    let say = |world: &mut World, operation: &str, path: &str, result: &str| {
        let mut body = certificate("S1", result, &format!("{DAY}T10:05:30Z"));
        (body["device"]["path"], body["operation"]) = (path.into(), operation.into());
        let document = sign(body, &world.agent.key).expect("signed").to_value();
        let mut content = about(result == "clean", Some(path), document);
        content.insert("operation".to_owned(), operation.into());
        world.add(content);
        verify(&[], &[world.write("answer.json", world.answer().to_string())])
    };
    fails(&say(&mut world, "one", "/dev/sda", "incomplete"), "S1 is not proven erased");
    fails(&say(&mut world, "one", "/dev/sdb", "clean"), "S1 is not proven erased: it says incomplete");
    fails(&say(&mut world, "two", "/dev/sdb", "clean"), "S1 is not proven erased: it says incomplete");
    holds(&say(&mut world, "two", "/dev/sda", "clean"));
    // One disk alone may come back under another name.
    let mut world = World::new();
    fails(&say(&mut world, "one", "/dev/sda", "incomplete"), "S1 is not proven erased");
    holds(&say(&mut world, "two", "/dev/sdb", "clean"));
}

/// Pages of an answer have a head each, of different moments.
#[test]
fn of_several_heads_the_longest_counts() {
    let mut world = World::three();
    let old = world.write("old.json", world.answer().to_string());
    world.add_clean("S4");
    let mut new = world.answer();
    new["erasures"] = json!([]);
    let new = world.write("new.json", new.to_string());
    for files in [[&old, &new], [&new, &old]] {
        fails(&verify(&[], &files), "links 4 to 4 are missing");
    }
}

#[test]
fn files_that_are_no_evidence_are_named_and_take_nothing_from_the_others() {
    let world = World::three();
    let good = world.write_links();
    for content in ["", "{}", "[]", "[1]", "{\"erasures\": []}", "{\"erasures\": [{}]}", "<html>"] {
        let bad = world.write("bad.json", content);
        let output = verify(&["--format", "json"], &[&good[0], &bad]);
        fails(&output, "bad.json");
        let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(shown["ok"], false);
        assert_eq!(shown["documents"].as_array().expect("a list").len(), 1, "{content}");
    }
    fails(&verify(&[], &["/nonexistent"]), "/nonexistent");
    // An empty chain proves that nothing was recorded, and no disk.
    let empty = World::new();
    assert_eq!(verify(&[], &[empty.write("answer.json", empty.answer().to_string())]).status.code(), Some(1));
}

/// One page, nothing from elsewhere, nothing of a document taken for markup.
#[test]
fn the_page_is_self_contained_and_escaped() {
    let mut world = World::three();
    world.add(about(false, Some("/dev/<script>alert(1)</script>\u{202e}"), Value::Null));
    let answer = world.write("answer.json", world.answer().to_string());
    let output = verify(&["--format", "html"], &[&answer]);
    assert_eq!(output.status.code(), Some(1));
    let page = String::from_utf8(output.stdout).expect("UTF-8");
    for (has, text) in [
        (true, "&lt;b&gt;M&amp;M&lt;/b&gt;"),
        (true, "nvme.sanitize.crypto"),
        (true, "NOT PROVEN"),
        (true, "&lt;script&gt;"),
        (true, "</html>"),
        (false, "<script"),
        (false, "<b>"),
        (false, "\u{202e}"),
        (false, "http://"),
        (false, "https://"),
        (false, "src="),
        (false, "url("),
    ] {
        assert_eq!(page.contains(text), has, "{text}");
    }
    for tag in ["table", "tr", "td", "th", "section", "ul", "li"] {
        let count = |text: String| page.matches(&text).count();
        let opened = count(format!("<{tag}>")) + count(format!("<{tag} "));
        assert_eq!(opened, count(format!("</{tag}>")), "{tag}");
    }
}
