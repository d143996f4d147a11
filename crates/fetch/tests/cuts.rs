//! A connection that is cut anywhere: the image arrives, and little of it twice.

use bad_server::{Act, File, Server};

mod deployment;
use deployment::{Image, MIB, deploy, digest, images, request, stream};

/// The most that may be fetched twice because of one cut.
const CHUNK: u64 = MIB;

/// Cut `image` after each of `cuts` bytes (of one answer each), deploy it, and
/// check what was asked for again.
fn deploys_although_cut(image: &Image, acts: &[Act]) {
    let what =
        format!("{}, {:?}", image.name, acts.iter().map(|act| (act.body.cut, act.end)).collect::<Vec<_>>());
    let server = Server::of(File::new(image.file.clone()).acts(acts.to_vec()));
    let outcome = deploy(request(&[server.url("/image")]), digest(&image.file));
    outcome.check(&what, &image.raw, Ok(()));
    let seen = server.seen();
    let mut reached = 0;
    for seen in stream(&seen) {
        let (from, _) = seen.range().unwrap_or_default();
        assert!(from <= reached, "{what}: a gap before {from}: {seen:#?}");
        assert!(reached - from <= CHUNK, "{what}: {} bytes are fetched twice", reached - from);
        reached = from + seen.sent;
    }
    assert_eq!(reached, image.file.len() as u64, "{what}: the stream goes to the end");
}

/// A cheap, seeded generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn a_cut_at_every_chunk_boundary_fetches_at_most_a_chunk_again() {
    for image in images(5 * MIB + 777) {
        let length = image.file.len() as u64;
        for boundary in (0..length).step_by(usize::try_from(CHUNK).expect("fits")) {
            for at in [boundary.saturating_sub(1), boundary, boundary + 1] {
                if at < length {
                    deploys_although_cut(&image, &[Act::cut(at)]);
                }
            }
        }
        deploys_although_cut(&image, &[Act::cut(length - 1)]);
    }
}

#[test]
fn cuts_and_resets_at_random_bytes_fetch_at_most_a_chunk_again() {
    let mut random = Random(3);
    for image in images(3 * MIB + 513) {
        let length = image.file.len() as u64;
        for _ in 0..8 {
            let cut = |bytes, reset| if reset { Act::reset(bytes) } else { Act::cut(bytes) };
            let acts: Vec<Act> =
                (0..=random.below(3)).map(|_| cut(random.below(length / 3), random.below(2) == 0)).collect();
            deploys_although_cut(&image, &acts);
        }
    }
}

/// Each piece of an image from another mirror: what is cut here goes on there.
#[test]
fn mirrors_take_over_from_one_another_at_the_byte_reached() {
    for image in images(3 * MIB) {
        let third = image.file.len() as u64 / 3;
        let server = || Server::of(File::new(image.file.clone()).acts([Act::cut(third)]));
        let mirrors = [server(), server(), server()];
        let urls: Vec<String> = mirrors.iter().map(|mirror| mirror.url("/image")).collect();
        deploy(request(&urls), digest(&image.file)).check(image.name, &image.raw, Ok(()));
        let sent: u64 = mirrors.iter().flat_map(|mirror| mirror.seen()).map(|seen| seen.sent).sum();
        let length = image.file.len() as u64;
        assert!(sent <= length + 3 * CHUNK, "{}: {sent} bytes for {length}", image.name);
        assert!(mirrors.iter().all(|mirror| !mirror.seen().is_empty()), "{}: nobody is spared", image.name);
    }
}

/// Every try is cut at once: that is an end, not a loop.
#[test]
fn a_server_that_always_cuts_is_given_up() {
    for image in images(MIB + 512) {
        for act in [Act::cut(0), Act::reset(0)] {
            let server = Server::of(File::new(image.file.clone()).always(act));
            let outcome = deploy(request(&[server.url("/image")]), digest(&image.file));
            outcome.check(image.name, &image.raw, Err("/image"));
            assert!(server.seen().len() <= 16, "{}: {} requests", image.name, server.seen().len());
        }
    }
}
