//! The words of certificates, and that nothing but an erasure reads like one.

use std::{fmt::Write as _, io};

use model::Bytes;

use super::*;
use crate::{AttemptError, Method, Sanitize, SecureErase, SecurityErase, SelfErase, Unproven};

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
fn bad_blocks_are_listed_by_their_lba_in_disk_order() {
    let mut places = BadBlocks::default();
    for (at, length) in [(1 << 20, 512), (8192, 4096), (0, 1024)] {
        assert!(places.add(crate::zones::Piece { at, length }));
    }
    assert_eq!(lba_ranges(&places, 512), [[0, 1], [16, 23], [2048, 2048]]);
    assert_eq!(lba_ranges(&places, 4096), [[0, 0], [2, 2], [256, 256]]);
    assert_eq!(lba_ranges(&BadBlocks::default(), 512), Vec::<[u64; 2]>::new());
}

/// Each kind of failure has its own result; the reason and what was tried are in it.
#[test]
fn a_failure_leaves_its_kind_its_reason_and_its_blocks() {
    let subject = crate::plan::tests::subject("sda");
    let eio = || io::Error::from_raw_os_error(5);
    let mut blocks = BadBlocks::default();
    assert!(blocks.add(crate::zones::Piece { at: 8192, length: 4096 }));
    let block = subject.disk.logical_block.get();
    let lba = json!([[8192 / block, 12288_u64.div_ceil(block) - 1]]);
    let none = json!([]);
    let unwritten =
        AttemptError::Incomplete { unwritten: blocks.clone(), unreadable: blocks.clone(), err: eio() };
    for (last, result, unwritten, unreadable) in [
        (unwritten, "incomplete", &lba, &lba),
        (AttemptError::Unproven(Unproven::Unreadable { blocks, err: eio() }), "incomplete", &none, &lba),
        (
            AttemptError::Unproven(Unproven::Gone { at: Bytes(0), err: eio() }),
            "destroy_required",
            &none,
            &none,
        ),
        (AttemptError::Unproven(Unproven::StillThere { at: Bytes(0) }), "failed", &none, &none),
    ] {
        let error = EraseError::NotErased { disk: "/dev/sda".to_owned(), now: None, attempts: vec![], last };
        let body = subject.failed(&error, &Context::default());
        assert_eq!(body["result"], result);
        assert_eq!(
            (&body["unwritten"], &body["unreadable"], &body["level"]),
            (unwritten, unreadable, &"none".into())
        );
        let reason = body["reason"].as_str().expect("it says why");
        assert!(reason.contains(&error_of(&error)) && body["attempts"].is_array(), "{body}");
    }
}

/// The words of the last cause but one: they have to come through.
fn error_of(error: &EraseError) -> String {
    std::error::Error::source(error).expect("it has a cause").to_string()
}

#[test]
fn nothing_but_an_erasure_reads_like_one() {
    let subject = crate::plan::tests::subject("sda");
    let context = Context::default();
    let refusal = |disk: &str| Refusal::ReadOnly { disk: disk.to_owned() };
    let skip = Refusal::SkippedReadOnly { disk: "/dev/sda".to_owned() };
    let listed = Refusal::SkippedByHints { disk: "/dev/sda".to_owned(), hints: "serial s== S1".to_owned() };
    assert_eq!(subject.skipped(&listed, &context)["skipped_by"], "serial s== S1");
    assert_eq!(subject.skipped(&skip, &context)["skipped_by"], json!(null), "no list names it");
    for (body, want) in [
        (subject.skipped(&skip, &context), "skipped"),
        (subject.skipped(&listed, &context), "skipped"),
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
