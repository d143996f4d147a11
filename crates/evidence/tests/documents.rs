//! Documents that prove something, and every way they stop doing so.

use evidence::{CertificatePem, Key, KeyError, Signed, VerifyError, sign, verify};
use serde_json::{Value, json};

struct Signer {
    pkcs8: Vec<u8>,
    pem: String,
}

impl Signer {
    fn new(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let pair = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["192.0.2.1".to_owned()]).expect("a name");
        let certificate = parameters.self_signed(&pair).expect("a certificate");
        Self { pkcs8: pair.serialize_der(), pem: certificate.pem() }
    }

    fn p384() -> Self {
        Self::new(&rcgen::PKCS_ECDSA_P384_SHA384)
    }

    fn key(&self) -> Key {
        Key::new(&self.pkcs8, &self.pem).expect("a matching pair")
    }

    fn certificate(&self) -> CertificatePem {
        self.pem.parse().expect("a certificate")
    }
}

fn body() -> Value {
    json!({"v": 1, "result": "clean", "device": {"serial": "S1", "bytes": 1_000_204_886_016_u64}, "attempts": [1, 2]})
}

#[test]
fn a_signed_body_comes_back_from_any_spelling_of_the_document() {
    let signer = Signer::p384();
    let signed = sign(body(), &signer.key()).expect("signed");
    let pretty = serde_json::to_vec_pretty(&signed).expect("JSON");
    for bytes in [pretty, signed.to_text().expect("canonical").into_bytes()] {
        let document = Signed::parse(&bytes).expect("a document");
        assert_eq!(verify(&document, None).expect("good"), body());
        assert_eq!(verify(&document, Some(&signer.certificate())).expect("good"), body());
    }
}

#[test]
fn a_pinned_certificate_is_compared_by_its_bytes_not_its_line_breaks() {
    let signer = Signer::p384();
    let signed = sign(body(), &signer.key()).expect("signed");
    let same: CertificatePem =
        signer.pem.replace("\r\n", "\n").replace('\n', "\r\n").parse().expect("a certificate");
    verify(&signed, Some(&same)).expect("the same certificate");
    let error = verify(&signed, Some(&Signer::p384().certificate())).expect_err("another");
    assert!(matches!(error, VerifyError::NotPinned));
}

type Change = fn(&mut Signed);

#[test]
fn any_change_is_named() {
    let signer = Signer::p384();
    let good = sign(body(), &signer.key()).expect("signed");
    let cases: [(&str, Change, &str); 9] = [
        ("body", |d| d.body["result"] = "cleaner".into(), "does not fit"),
        ("added", |d| d.body["extra"] = Value::Null, "does not fit"),
        ("fraction", |d| d.body["v"] = json!(1.5), "cannot have been signed"),
        ("not an object", |d| d.body = json!([1]), "no evidence document"),
        ("algorithm", |d| d.signature.algorithm = "none".into(), "want ecdsa-p384-sha384"),
        ("no certificate", |d| d.signature.certificate = "hello".into(), "certificate cannot be used"),
        ("certificate", |d| d.signature.certificate = Signer::p384().pem, "does not fit"),
        ("not base64", |d| d.signature.value = "%%%".into(), "does not fit"),
        ("empty", |d| d.signature.value.clear(), "does not fit"),
    ];
    for (name, change, text) in cases {
        let mut document = good.clone();
        change(&mut document);
        let error = verify(&document, None).expect_err(name);
        assert!(error.to_string().contains(text), "{name}: {error}");
    }
}

#[test]
fn two_certificates_in_one_document_are_refused() {
    let signer = Signer::p384();
    let mut document = sign(body(), &signer.key()).expect("signed");
    document.signature.certificate.push_str(&Signer::p384().pem);
    assert!(matches!(verify(&document, None), Err(VerifyError::Certificate(_))));
}

#[test]
fn hostile_bytes_are_refused_before_they_cost_anything() {
    let deep = [b"{\"body\":".to_vec(), b"[".repeat(100_000)].concat();
    for (bytes, want) in [
        (vec![b' '; 20 << 20], "larger than evidence may be"),
        (deep, "no evidence document"),
        (b"<html>".to_vec(), "no evidence document"),
        (
            br#"{"body":{},"signature":{"algorithm":"a","certificate":"b","value":"c"},"more":1}"#.to_vec(),
            "unknown field",
        ),
        (Vec::new(), "no evidence document"),
    ] {
        let error = Signed::parse(&bytes).expect_err(want);
        assert!(error.to_string().contains(want), "{error}");
    }
}

#[test]
fn a_key_that_cannot_prove_anything_is_refused_when_it_is_made() {
    let (one, other) = (Signer::p384(), Signer::p384());
    assert!(matches!(Key::new(&one.pkcs8, &other.pem), Err(KeyError::Mismatch)));
    let small = Signer::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    assert!(matches!(Key::new(&small.pkcs8, &small.pem), Err(KeyError::NotP384 { .. })));
    assert!(!format!("{:?}", one.key()).contains("BEGIN"));
}

/// Whatever byte of a document changes: it is refused, or says the same in another spelling.
#[test]
fn no_byte_of_a_document_changes_unseen() {
    let signer = Signer::p384();
    let good = sign(body(), &signer.key()).expect("signed");
    let text = good.to_text().expect("canonical").into_bytes();
    let certificate = signer.certificate();
    let mut same = 0;
    for at in 0..text.len() {
        let mut bytes = text.clone();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let Ok(document) = Signed::parse(&bytes) else { continue };
        if verify(&document, None).is_ok() {
            same += 1;
            let shown: CertificatePem = document.signature.certificate.parse().expect("verified");
            assert_eq!((&document.body, &shown), (&good.body, &certificate), "byte {at}");
            assert_eq!(document.signature.value, good.signature.value, "byte {at}");
        }
    }
    // Nothing but what PEM ignores around its lines.
    assert!(same < 10, "{same} of {} bytes", text.len());
}
