//! The words of certificates, and that nothing but an erasure reads like one.

use std::{fmt::Write as _, io};

use model::Bytes;

use super::*;
use crate::{Method, Sanitize, SecureErase, SecurityErase, SelfErase};

const METHODS: [Method; 17] = [
    Method::ByDrive(SelfErase::NvmeSanitize(Sanitize::Crypto)),
    Method::ByDrive(SelfErase::NvmeSanitize(Sanitize::Block)),
    Method::ByDrive(SelfErase::NvmeSanitize(Sanitize::Overwrite)),
    Method::ByDrive(SelfErase::NvmeFormat(SecureErase::Cryptographic)),
    Method::ByDrive(SelfErase::NvmeFormat(SecureErase::UserData)),
    Method::ByDrive(SelfErase::AtaSanitize(Sanitize::Crypto)),
    Method::ByDrive(SelfErase::AtaSanitize(Sanitize::Block)),
    Method::ByDrive(SelfErase::AtaSanitize(Sanitize::Overwrite)),
    Method::ByDrive(SelfErase::AtaSecurity(SecurityErase::Enhanced)),
    Method::ByDrive(SelfErase::AtaSecurity(SecurityErase::Normal)),
    Method::ByDrive(SelfErase::ScsiSanitize(Sanitize::Crypto)),
    Method::ByDrive(SelfErase::ScsiSanitize(Sanitize::Block)),
    Method::ByDrive(SelfErase::ScsiSanitize(Sanitize::Overwrite)),
    Method::ByDrive(SelfErase::OpalRevert),
    Method::ZeroOut,
    Method::Overwrite,
    Method::Metadata,
];

/// The table an auditor reads: a changed word is a changed line. `BLESS=1` writes it anew.
#[test]
fn every_method_has_its_words_in_both_standards() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/words.txt");
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or("-").to_owned();
    let mut table = String::new();
    for method in METHODS {
        let (nist, ieee) = (words::nist(method), words::ieee(method));
        for (standard, words) in [("NIST SP 800-88r2", &nist), ("IEEE 2883-2022  ", &ieee)] {
            let (level, technique) = (text(words, "method"), text(words, "technique"));
            writeln!(
                table,
                "{:27} {standard} {level:5} {technique:19} {}",
                method.name(),
                text(words, "rule")
            )
            .expect("strings take text");
        }
        assert_eq!(nist["method"].is_null(), method.level().0 == Level::None);
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(golden, &table).expect("written");
    }
    assert_eq!(table, std::fs::read_to_string(golden).expect("the golden file; BLESS=1 writes it"));
}

#[test]
fn an_unreadable_disk_is_incomplete_and_names_the_blocks() {
    let err = io::Error::from_raw_os_error(5);
    let last = AttemptError::Unproven(Unproven::Unreadable { first: Bytes(8192), count: 3, err });
    let error = EraseError::NotErased { disk: "/dev/sda".to_owned(), attempts: vec![], last };
    assert_eq!(result_of(&error), "incomplete");
    assert_eq!(unreadable(&error, 512), [[16, 23]]);
    assert_eq!(unreadable(&error, 4096), [[2, 2]]);
    let last = AttemptError::Unproven(Unproven::StillThere { at: Bytes(0) });
    let error = EraseError::NotErased { disk: "/dev/sda".to_owned(), attempts: vec![], last };
    assert_eq!((result_of(&error), unreadable(&error, 512)), ("failed", vec![]));
}

#[test]
fn nothing_but_an_erasure_reads_like_one() {
    let subject = crate::plan::tests::subject("sda");
    let context = Context::default();
    let refusal = |disk: &str| Refusal::ReadOnly { disk: disk.to_owned() };
    let skip = Refusal::SkippedReadOnly { disk: "/dev/sda".to_owned() };
    for (body, want) in [
        (subject.skipped(&skip, &context), "skipped"),
        (subject.skipped(&refusal("/dev/sda"), &context), "refused"),
        (context.not_begun(&subject.disk, "it is busy"), "failed"),
    ] {
        assert_eq!((&body["result"], &body["level"]), (&want.into(), &"none".into()));
        assert!(
            body["reason"].is_string() && body["device"]["serial"] == json!(subject.disk.serial),
            "{body}"
        );
    }
}
