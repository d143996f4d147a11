use std::{sync::OnceLock, time::Duration};

use bad_server::{Act, Body, File, Length, Ranges, Server};
use image::manifest::{Accepted, CHUNK_SIZES, Draft, Encoding, ImageFile, accept, install_chunks};
use image::{Options, Report, WriteError};
use model::{Algorithm, Digest, Hasher, Secret};

use super::*;
use crate::{Pace, Trust};

const CHUNK: usize = 64 << 10;
const SIZE: usize = 6 << 20;
const URL: &str = "/image.raw";

fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

fn content() -> Vec<u8> {
    made().0.clone()
}

/// A raw image and its manifest, which is believed.
fn image() -> (&'static [u8], Accepted) {
    let (content, document) = made();
    let accepted = accept(document, &[digest_of(Algorithm::Sha256, document)], &[]);
    (content, accepted.expect("its digest is given"))
}

/// A raw image and the document of its manifest, made once.
fn made() -> &'static (Vec<u8>, Vec<u8>) {
    static MADE: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    MADE.get_or_init(|| {
        let word = |at: usize| (at as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let content: Vec<u8> = (0..SIZE / 16).flat_map(|at| word(at).to_le_bytes()).collect();
        let mut draft = Draft::new(Bytes(CHUNK_SIZES[0])).expect("a chunk size");
        for (number, chunk) in content.chunks(CHUNK).enumerate() {
            let at = (number * CHUNK) as u64;
            draft.add(chunk, &(at..at + chunk.len() as u64)).expect("a chunk");
        }
        let manifest = draft.finish(ImageFile {
            name: "image.raw".to_owned(),
            length: Bytes(SIZE as u64),
            encoding: Encoding::Raw,
            sha256: digest_of(Algorithm::Sha256, &content),
            sha512: digest_of(Algorithm::Sha512, &content),
        });
        let document = manifest.and_then(|manifest| manifest.to_json()).expect("a manifest");
        (content, document)
    })
}

/// A mirror that does `acts` first and is good then.
fn mirror(acts: impl IntoIterator<Item = Act>) -> Server {
    Server::start([(URL, File::new(content()).parts(acts))])
}

/// A mirror that does the same for ever.
fn always(act: Act) -> Server {
    Server::start([(URL, File::new(content()).version(other()).always(act))])
}

/// Another image of the same length.
fn other() -> Vec<u8> {
    content().iter().map(|byte| byte ^ 1).collect()
}

fn request(mirrors: &[&Server]) -> Request {
    let mut request = Request::new(mirrors.iter().map(|mirror| mirror.url(URL)).collect(), Trust::Anybody);
    let short = Duration::from_millis(1);
    request.pace = Pace { retries: 2, delay: short, stall: Duration::from_secs(20), ..Pace::default() };
    request
}

/// What becomes of a dirty disk that gets the image from `mirrors`.
fn install(mirrors: &[&Server]) -> (Result<Report, WriteError>, bool) {
    let (content, accepted) = image();
    let mut disk = disk::FakeDisk::filled(0xaa, Bytes(SIZE as u64), 512.try_into().expect("a block"));
    let length = accepted.manifest().file().length;
    let chunks = HttpChunks::open(request(mirrors), length).expect("a client");
    let outcome = install_chunks(accepted, &chunks, &mut disk, Options::default(), |_| {});
    let right = *disk.bytes() == content;
    (outcome, right)
}

/// Bytes of bodies that `server` sent.
fn sent(server: &Server) -> u64 {
    server.seen().iter().map(|seen| seen.sent).sum()
}

#[test]
fn equal_mirrors_share_the_work_and_everything_is_fetched_once() {
    let mirrors = [mirror([]), mirror([]), mirror([])];
    let (report, right) = install(&mirrors.each_ref());
    assert_eq!((report.expect("written").read, right), (Bytes(SIZE as u64), true));
    let each = mirrors.each_ref().map(sent);
    assert_eq!(each.iter().sum::<u64>(), SIZE as u64);
    assert!(each.iter().all(|&sent| sent > 0), "{each:?}");
}

#[test]
fn whatever_one_mirror_does_the_other_gives_the_image() {
    let flip = |at| Act { body: Body { flip: Some(at), ..Body::default() }, ..Act::good() };
    for (bad, most) in [
        // At once for good: not a request more than were in flight.
        (Act::status(404), AT_ONCE),
        (Act::version(1), AT_ONCE),
        (flip(100), AT_ONCE),
        (Act::ranges(Ranges::Ignored), AT_ONCE),
        (Act::ranges(Ranges::Other(512)), AT_ONCE),
        (Act::ranges(Ranges::Mislabelled(512)), AT_ONCE),
        (Act::ranges(Ranges::WrongTotal(512)), AT_ONCE),
        (Act::ranges(Ranges::Unlabelled), AT_ONCE),
        (Act::ranges(Ranges::Multipart), AT_ONCE),
        (Act::ranges(Ranges::Unsatisfiable), AT_ONCE),
        (Act::good().with("Content-Encoding", "gzip"), AT_ONCE),
        // After some tries.
        (Act::status(503), 2 * AT_ONCE),
        (Act::cut(100), 2 * AT_ONCE),
        (Act::reset(0), 2 * AT_ONCE),
        (Act::length(Length::ChunkedGarbage(1000)), 2 * AT_ONCE),
    ] {
        let (bad_one, good) = (always(bad.clone()), mirror([]));
        let (report, right) = install(&[&bad_one, &good]);
        assert!(report.is_ok() && right, "{bad:?}: {report:?}");
        let seen = bad_one.seen().len();
        assert!((1..=most).contains(&seen), "{bad:?}: asked {seen} times");
    }
}

#[test]
fn what_passes_is_waited_for_and_no_chunk_that_came_is_fetched_again() {
    let chunk = CHUNK as u64;
    for bad in [Act::status(503), Act::cut(0), Act::cut(3 * chunk + 100), Act::reset(chunk - 1)] {
        let only = mirror([bad.clone(), Act::good(), bad.clone()]);
        let (report, right) = install(&[&only]);
        assert!(report.is_ok() && right, "{bad:?}: {report:?}");
        let again = sent(&only) - SIZE as u64;
        assert!(again < 2 * chunk, "{bad:?}: {again} bytes again");
    }
}

#[test]
fn mirrors_that_all_lie_or_are_gone_are_an_error_that_says_so() {
    for (bad, told) in [
        (Act::version(1), "gives other bytes than the manifest says"),
        (Act::status(404), "answers 404"),
        (Act::status(503), "answers 503"),
        (Act::ranges(Ranges::Ignored), "gives no parts of a file"),
        (Act::cut(0), "no answer, or it broke off"),
    ] {
        let mirrors = [always(bad.clone()), always(bad.clone())];
        let (outcome, right) = install(&mirrors.each_ref());
        let Err(WriteError::Source { err, .. }) = outcome else { panic!("{bad:?}: {outcome:?}") };
        let mut text = err.to_string();
        let mut next = std::error::Error::source(&err);
        while let Some(err) = next {
            text += &format!(": {err}");
            next = err.source();
        }
        assert!(text.contains(told) && !right, "{bad:?}: {text}");
    }
}

#[test]
fn a_mirror_that_stalls_is_left_and_dropping_the_source_ends_what_waits() {
    let (stalls, good) = (always(Act::stall(1000)), mirror([]));
    let mut patient = request(&[&stalls]);
    let mut request = request(&[&stalls, &good]);
    request.pace.stall = Duration::from_millis(300);
    let length = Bytes(SIZE as u64);
    let chunks = HttpChunks::open(request, length).expect("a client");
    let (content, accepted) = image();
    let mut disk = disk::FakeDisk::filled(0, length, 4096.try_into().expect("a block"));
    install_chunks(accepted, &chunks, &mut disk, Options::default(), |_| {}).expect("by the other");
    assert!(*disk.bytes() == content && chunks.retries() > 0);

    patient.pace.stall = Duration::from_secs(3600);
    let waits = HttpChunks::open(patient, length).expect("a client");
    let fetching = Arc::clone(&waits.fetching);
    waits.runtime.spawn(async move { drop(fetching.fetch(0..5000).await) });
    stalls
        .wait_until(|seen| seen.iter().any(|seen| seen.range() == Some((0, Some(4999))) && seen.stalls > 0));
    drop(waits);
}

#[test]
fn a_disk_that_fails_is_told_at_once_whatever_the_mirrors_do() {
    let file = File::new(content()).parts((0..3).map(|_| Act::good())).parts_then(Act::stall(1));
    let stalls = Server::start([(URL, file)]);
    let mut patient = request(&[&stalls]);
    patient.pace.stall = Duration::from_secs(3600);
    let (_, accepted) = image();
    let length = Bytes(SIZE as u64);
    let mut disk = disk::FakeDisk::filled(0, length, 512.try_into().expect("a block"));
    disk.broken = 0x10_0000..SIZE as u64 - 0x10_0000;
    let chunks = HttpChunks::open(patient, length).expect("a client");
    let outcome = install_chunks(accepted, &chunks, &mut disk, Options::default(), |_| {});
    assert!(matches!(outcome, Err(WriteError::Disk { .. })), "{outcome:?}");
}

#[test]
fn credentials_that_cannot_be_sent_are_not_left_out() {
    let mut request = Request::new(vec!["http://127.0.0.1:1/x".to_owned()], Trust::Anybody);
    request.authorization = Some(Secret::new("Bearer a\nb"));
    let opened = HttpChunks::open(request, Bytes(1));
    assert!(matches!(opened.map(|_| ()), Err(OpenImageError::Credentials)));
}
