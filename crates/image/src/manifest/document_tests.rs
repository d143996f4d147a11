#![expect(clippy::cast_possible_truncation, reason = "test disks fit in memory")]

use model::Hasher;
use serde_json::{Value, json};

use super::*;
use crate::manifest::{Draft, TrustError, accept};

const CHUNK: u64 = 64 << 10;

fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// The manifest of a raw `disk`.
fn manifest(disk: &[u8]) -> Manifest {
    let mut draft = Draft::new(Bytes(CHUNK)).expect("a chunk size");
    let mut at = 0;
    for chunk in disk.chunks(CHUNK as usize) {
        draft.add(chunk, &(at..at + chunk.len() as u64)).expect("a chunk");
        at += chunk.len() as u64;
    }
    let file = ImageFile {
        name: "a.raw".to_owned(),
        length: Bytes(disk.len() as u64),
        encoding: Encoding::Raw,
        sha256: digest_of(Algorithm::Sha256, disk),
        sha512: digest_of(Algorithm::Sha512, disk),
    };
    draft.finish(file).expect("a manifest")
}

/// Chunks: zero, data, data, zero, and a short one of data.
fn disk() -> Vec<u8> {
    let chunk = CHUNK as usize;
    [vec![0; chunk], vec![1; chunk], vec![2; chunk], vec![0; chunk], vec![3; 1024]].concat()
}

fn document() -> Value {
    serde_json::from_slice(&manifest(&disk()).to_json().expect("JSON")).expect("JSON")
}

#[test]
fn a_manifest_is_read_as_it_was_made_whatever_the_disk() {
    let chunk = CHUNK as usize;
    let mut zeros_at_the_end = disk();
    zeros_at_the_end.extend(vec![0; 2 * chunk - 1024]);
    for disk in [disk(), vec![0; chunk * 3], vec![9; chunk * 3], vec![7; 512], vec![0; 513], zeros_at_the_end]
    {
        let manifest = manifest(&disk);
        let document = manifest.to_json().expect("JSON");
        assert_eq!(Manifest::parse(&document).expect("parses"), manifest);
        let covered: u64 = manifest.zeros.iter().map(|zeros| zeros.end - zeros.start).sum();
        let data: u64 = manifest.chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
        assert_eq!(covered + data, disk.len() as u64);
        for chunk in &manifest.chunks {
            assert!(chunk.is(&disk[chunk.at as usize..][..chunk.length as usize]));
        }
    }
}

#[test]
fn a_document_is_canonical_so_its_digest_and_a_signature_hold() {
    let document = manifest(&disk()).to_json().expect("JSON");
    let sorted: Value = serde_json::from_slice(&document).expect("JSON");
    assert_eq!(String::from_utf8(document).expect("UTF-8"), sorted.to_string());
    assert_eq!(sorted["chunks"]["runs"], json!([1, 2, 1, 1]));
    assert_eq!(sorted["billet_manifest"], 1);
}

#[test]
fn a_manifest_that_lies_is_refused_by_what_it_lies_about() {
    let lies: &[(&str, Value, &str)] = &[
        ("/chunks/size", json!(4096), "chunks' size"),
        ("/chunks/size", json!(100_000), "chunks' size"),
        ("/chunks/size", json!(2 << 20), "chunks' size"),
        ("/chunks/size", json!(0), "chunks' size"),
        ("/chunks/runs", json!([]), "shorter than the disk"),
        ("/chunks/runs", json!([1, 2, 1]), "shorter than the disk"),
        ("/chunks/runs", json!([1, 2, 1, 2]), "longer than the disk"),
        ("/chunks/runs", json!([u64::MAX, 1]), "longer than the disk"),
        ("/chunks/runs", json!([1, 1, 0, 1, 1, 1]), "an empty run"),
        ("/chunks/runs", json!([1, 4]), "not as long as the runs say"),
        ("/chunks/lengths", json!([65536, 65536]), "not as long as the runs say"),
        ("/chunks/lengths", json!([65536, 65537, 1024]), "length in the file"),
        ("/chunks/lengths", json!([65536, 0, 1024]), "length in the file"),
        ("/chunks/offsets", json!([65536, 131_071, 262_144]), "overlap"),
        ("/chunks/offsets", json!([131_072, 65536, 262_144]), "overlap"),
        ("/chunks/offsets", json!([65536, 131_072, 262_145]), "outside the file"),
        ("/chunks/offsets", json!([65536, 131_072, u64::MAX]), "outside the file"),
        ("/chunks/blake3", json!("AAAA"), "one for each chunk"),
        ("/chunks/blake3", json!("*".repeat(128)), "not base64"),
        ("/chunks/encoding", json!("xz"), "encoding"),
        ("/chunks/encoding", json!("zstd"), "does not go with"),
        ("/disk/size", json!(0), "disk's size"),
        ("/disk/size", json!(511), "disk's size"),
        ("/disk/size", json!(u64::MAX), "disk's size"),
        ("/disk/sha256", json!("12"), "hex"),
        ("/file/length", json!(0), "file's length"),
        ("/file/length", json!(100_000), "outside the file"),
        ("/file/name", json!(""), "name"),
        ("/file/name", json!("../a"), "name"),
        ("/file/name", json!(".."), "name"),
        ("/file/name", json!("a\nb"), "name"),
        ("/file/sha512", json!("é".repeat(64)), "hex"),
    ];
    for (place, value, told) in lies {
        let mut document = document();
        *document.pointer_mut(place).expect("a field") = value.clone();
        let err = Manifest::parse(document.to_string().as_bytes()).expect_err(place);
        assert!(err.to_string().contains(told), "{place} = {value}: {err}");
    }
}

#[test]
fn a_document_of_another_shape_is_not_guessed_at() {
    let text = document().to_string();
    let twice = text.replacen("\"size\":65536", "\"size\":65536,\"size\":65536", 1);
    let unknown = text.replacen("{\"billet_manifest\"", "{\"also\":1,\"billet_manifest\"", 1);
    let fraction = text.replacen("\"size\":65536", "\"size\":65536.5", 1);
    let negative = text.replacen("\"size\":65536", "\"size\":-65536", 1);
    for bad in [&twice, &unknown, &fraction, &negative, "", "[]", "{", "{\"billet_manifest\":1}", &text[..99]]
    {
        assert!(matches!(Manifest::parse(bad.as_bytes()), Err(ManifestError::Json(_))), "{bad}");
    }
    let later = "{\"billet_manifest\":2,\"and\":[\"more\"]}";
    let found = Manifest::parse(later.as_bytes());
    assert!(matches!(found, Err(ManifestError::Version { found: 2 })), "{found:?}");
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read_or_kept() {
    let long = vec![b' '; LONGEST_DOCUMENT + 1];
    assert!(matches!(Manifest::parse(&long), Err(ManifestError::TooLong)));
    let many = "1,".repeat(MOST_ENTRIES + 1) + "1";
    let text = document().to_string().replacen("\"runs\":[1,2,1,1]", &format!("\"runs\":[{many}]"), 1);
    let err = Manifest::parse(text.as_bytes()).expect_err("too long a list");
    assert!(matches!(&err, ManifestError::Json(err) if err.to_string().contains("too long")), "{err:?}");
}

#[test]
fn the_manifest_of_four_gibibytes_stays_below_two_mebibytes() {
    let size = 256 << 10;
    let chunks = (0..(4 << 30) / size)
        .map(|number| Chunk {
            at: number * size,
            length: size as u32,
            offset: number * size,
            stored: 262_000,
            digest: [0xa5; 32],
        })
        .collect();
    let made = Manifest {
        file: ImageFile { encoding: Encoding::Zstd, length: Bytes(4 << 30), ..manifest(&disk()).file },
        size: Bytes(4 << 30),
        content: digest_of(Algorithm::Sha256, b""),
        chunk_size: size,
        chunks,
        zeros: Vec::new(),
    };
    let document = made.to_json().expect("JSON");
    assert!(document.len() < 2 << 20, "{} bytes", document.len());
    assert_eq!(Manifest::parse(&document).expect("parses"), made);
}

#[test]
fn only_what_was_given_beforehand_vouches_for_a_manifest() {
    let disk = disk();
    let raw = manifest(&disk).to_json().expect("JSON");
    let mut packed = document();
    packed["chunks"]["encoding"] = json!("zstd");
    packed["file"]["format"] = json!("raw.zst");
    let packed = packed.to_string().into_bytes();
    let own = |algorithm, document: &[u8]| vec![digest_of(algorithm, document)];
    let image = |algorithm| vec![digest_of(algorithm, &disk)];
    let none = Vec::new;
    let other = || vec![digest_of(Algorithm::Sha256, b"another")];
    use Algorithm::{Md5, Sha256, Sha512};
    type Row<'a> = (&'a [u8], Vec<Digest>, Vec<Digest>, &'a str);
    let rows: &[Row<'_>] = &[
        (&raw, own(Sha256, &raw), none(), "ok"),
        (&raw, own(Sha512, &raw), image(Sha256), "ok"),
        (&packed, own(Sha256, &packed), none(), "ok"),
        (&raw, none(), image(Sha256), "ok"),
        (&raw, none(), image(Md5), "ok"),
        (&raw, none(), none(), "nothing vouches"),
        (&packed, none(), image(Sha256), "nothing vouches"),
        (&raw, own(Md5, &raw), none(), "can be forged"),
        (&raw, other(), none(), "the manifest is sha256:"),
        (&raw, [own(Sha256, &raw), other()].concat(), none(), "the manifest is sha256:"),
        (&raw, own(Sha256, &raw), other(), "of the image"),
        (&raw, none(), other(), "of the image"),
        (&raw, own(Sha256, &raw), image(Md5), "has no md5"),
        (b"<html>", none(), image(Sha256), "not a document"),
    ];
    for (document, expected, image, want) in rows {
        let outcome = accept(document, expected, image);
        let told = outcome.as_ref().map_or_else(TrustError::to_string, |_| "ok".to_owned());
        assert!(told.contains(want), "{want}: {told}");
    }
}
