//! Chains that hold, and every way to tamper with one.

use evidence::{
    Key, Signed,
    chain::{self, ChainError, Head, Link, Signers, check},
    sign,
};
use serde_json::{Map, Value, json};

fn key() -> Key {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&pair).expect("a certificate");
    Key::new(&pair.serialize_der(), &certificate.pem()).expect("a matching pair")
}

fn about(what: u64) -> Map<String, Value> {
    json!({ "certificate": {"about": what} }).as_object().cloned().expect("an object")
}

/// A chain of `length` links.
fn chain_of(length: u64, key: &Key) -> Vec<Signed> {
    let mut documents: Vec<Signed> = Vec::new();
    for what in 0..length {
        let last = documents.last().map(|document| Link::of(document).expect("a link"));
        documents.push(sign(chain::link("n1", last.as_ref(), about(what)), key).expect("signed"));
    }
    documents
}

fn links(documents: &[Signed]) -> Vec<Link> {
    documents.iter().map(|document| Link::of(document).expect("a link")).collect()
}

fn head_of(documents: &[Signed]) -> Head {
    let last = documents.last().map(|document| Link::of(document).expect("a link"));
    Head::of(&chain::head("n1", last.as_ref(), "2026-01-01T00:00:00Z")).expect("a head")
}

#[test]
fn links_in_any_order_and_given_twice_are_one_chain() {
    let documents = chain_of(4, &key());
    let mut shuffled = links(&documents);
    shuffled.reverse();
    shuffled.push(shuffled[1].clone());
    assert_eq!(check(shuffled, Some(&head_of(&documents)), Signers::One), Ok(links(&documents)));
    assert_eq!(check(vec![], Some(&head_of(&[])), Signers::One), Ok(vec![]));
    // A piece of a chain is whole in itself; only a head says what lies around it.
    assert!(check(links(&documents[1..3]), None, Signers::One).is_ok());
    // Links made since the head was signed do not belie it.
    assert!(check(links(&documents), Some(&head_of(&documents[..2])), Signers::One).is_ok());
}

#[test]
fn what_is_taken_out_put_in_or_changed_is_named() {
    let key = key();
    let documents = chain_of(4, &key);
    let without = |at: usize| {
        let mut rest = documents.clone();
        rest.remove(at);
        links(&rest)
    };
    let replaced = sign(chain::link("n1", Some(&links(&documents)[0]), about(9)), &key).expect("signed");
    let in_its_place = [&documents[..1], std::slice::from_ref(&replaced), &documents[2..]].concat();
    let beside = [&documents[..], std::slice::from_ref(&replaced)].concat();
    let other = chain_of(4, &key);
    let longer = chain_of(5, &key);
    let head = head_of(&documents);
    let missing = |first, last| ChainError::Missing { node: "n1".to_owned(), first, last };
    let node = || "n1".to_owned();
    for (given, want) in [
        (without(0), missing(1, 1)),
        (without(1), missing(2, 2)),
        (without(3), missing(4, 4)),
        (vec![], missing(1, 4)),
        (links(&in_its_place), ChainError::Broken { node: node(), sequence: 3 }),
        (links(&beside), ChainError::Fork { node: node(), sequence: 2 }),
        (links(&other), ChainError::OtherHead { node: node(), length: 4 }),
        (links(&longer), ChainError::OtherHead { node: node(), length: 4 }),
    ] {
        assert_eq!(check(given, Some(&head), Signers::One), Err(want));
    }
    assert_eq!(check(without(1), None, Signers::One), Err(missing(2, 2)));
}

#[test]
fn another_key_goes_on_with_a_chain_only_where_it_is_pinned() {
    let (old, new) = (key(), key());
    let mut documents = chain_of(2, &old);
    let last = links(&documents).pop();
    documents.push(sign(chain::link("n1", last.as_ref(), about(2)), &new).expect("signed"));
    let refused = ChainError::OtherSigner { node: "n1".to_owned(), sequence: 3 };
    assert_eq!(check(links(&documents), None, Signers::One), Err(refused));
    assert!(check(links(&documents), None, Signers::Pinned).is_ok());
}

#[test]
fn what_is_no_link_or_head_is_refused() {
    let key = key();
    let good = chain::link("n1", None, about(1));
    for (field, value) in [
        ("v", json!(2)),
        ("kind", json!("head")),
        ("sequence", json!(0)),
        ("sequence", json!(2)),
        ("sequence", json!("1")),
        ("previous", json!("00")),
        ("node", Value::Null),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let document = sign(body, &key).expect("signed");
        assert!(matches!(Link::of(&document), Err(ChainError::Malformed { .. })), "{field}");
    }
    for body in
        [good, json!({"kind": "head", "v": 1, "node": "n1"}), json!({"kind": "head", "v": 1, "length": 1})]
    {
        assert!(Head::of(&body).is_err(), "{body}");
    }
}
