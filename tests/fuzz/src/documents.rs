//! Documents beside an image: its manifest and its checksum file.

use fetch::checksum::{ChecksumError, Md5, expected, find};
use image::manifest::{Manifest, accept};
use model::{Algorithm, Digest};

/// A manifest that is read covers its disk once, and is written as it was meant.
pub(crate) fn manifest(data: &[u8]) -> String {
    let _ = accept(data, &[], &[]);
    let manifest = match Manifest::parse(data) {
        Ok(manifest) => manifest,
        Err(err) => return err.to_string(),
    };
    let chunks = manifest.chunks().iter().map(|chunk| chunk.at..chunk.at + u64::from(chunk.length));
    let mut parts: Vec<_> = chunks.chain(manifest.zeros().iter().cloned()).collect();
    parts.sort_by_key(|part| part.start);
    let end = parts.iter().fold(0, |at, part| {
        assert!(at == part.start && part.start < part.end, "a gap or an overlap at {at}");
        part.end
    });
    assert_eq!(end, manifest.size().0, "the parts are the disk");
    let file = manifest.file().length.0;
    let inside = |offset: u64, stored: u32| offset + u64::from(stored) <= file;
    assert!(manifest.chunks().iter().all(|chunk| inside(chunk.offset, chunk.stored)), "in the file");
    let again = manifest.to_json().expect("every value has a JSON form");
    assert_eq!(Manifest::parse(&again).expect("it was written by us"), manifest);
    format!("{} chunks", parts.len())
}

/// A checksum file, and what people give instead of one.
pub(crate) fn checksum(data: &[u8]) -> String {
    let found = find(data, "http://h/SUMS", "image.raw", None, Md5::Accepted);
    let strict = find(data, "http://h/SUMS", "image.raw", Some(Algorithm::Sha256), Md5::Refused);
    if let Ok(digest) = &strict {
        assert_eq!(digest.algorithm(), Algorithm::Sha256, "the algorithm that was told");
    }
    let given = std::str::from_utf8(data).map(|text| expected(text, None, Md5::Refused).is_ok());
    // The words of an error quote the file; its name is enough.
    let name = |err: &ChecksumError| {
        let text = format!("{err:?}");
        text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
    };
    let tell = |outcome: Result<Digest, ChecksumError>| {
        outcome.map_or_else(|err| name(&err), |digest| digest.algorithm().name().to_owned())
    };
    format!("{} | {} | {:?}", tell(found), tell(strict), given.ok())
}
