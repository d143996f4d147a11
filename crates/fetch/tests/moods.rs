//! Servers of every mood: each deployment ends with the right disk, or with a
//! clear error and a disk that does not boot.

use std::time::Duration;

use bad_server::{Act, Body, End, File, Head, Length, Ranges, Server, Validator};

mod deployment;
use deployment::{Image, MIB, Outcome, content, deploy, digest, hasty, images, request};
use fetch::Request;
use model::Secret;

/// The image of most rows.
fn image() -> Vec<u8> {
    content(2 * MIB + 777)
}

/// Another of the same length.
fn another() -> Vec<u8> {
    let mut bytes = image();
    bytes[1_500_000] ^= 1;
    bytes
}

fn deploys(what: &str, file: File, expected: Result<(), &str>) -> Server {
    deploys_with(what, file, expected, |request| request)
}

fn deploys_with(
    what: &str,
    file: File,
    expected: Result<(), &str>,
    told: impl FnOnce(Request) -> Request,
) -> Server {
    let server = Server::of(file);
    let outcome: Outcome = deploy(told(request(&[server.url("/image")])), digest(&image()));
    outcome.check(what, &image(), expected);
    assert!(server.seen().len() <= 40, "{what}: {} requests", server.seen().len());
    server
}

/// An answer that is cut, and what follows whenever the rest is asked for.
fn cut_then(act: Act) -> File {
    File::new(image()).version(another()).acts([Act::cut(700_000)]).then(act)
}

#[test]
fn an_answer_that_is_no_image_is_told() {
    let odd = |head: Head| File::new(image()).always(Act::head(head));
    for (what, file, words) in [
        ("404", File::new(image()).always(Act::status(404)), "404"),
        ("403", File::new(image()).always(Act::status(403)), "403"),
        ("410", File::new(image()).always(Act::status(410)), "410"),
        ("416 at once", File::new(image()).always(Act::status(416)), "416"),
        ("204", File::new(image()).always(Act::status(204)), "204"),
        ("500 for ever", File::new(image()).always(Act::status(500)), "500"),
        ("503 for ever", File::new(image()).always(Act::status(503)), "503"),
        ("silence for ever", odd(Head::Silence), "no answer"),
        ("no HTTP", odd(Head::Garbage), "/image"),
        ("endless headers", odd(Head::Endless), "/image"),
        ("a redirect to itself", File::new(image()).always(Act::redirect("/image")), "/image"),
        ("a redirect to a file", File::new(image()).always(Act::redirect("file:///etc/passwd")), "/image"),
        ("a redirect to nowhere", File::new(image()).always(Act::redirect("")), "/image"),
        (
            "gzip on the way",
            File::new(image()).always(Act::good().with("Content-Encoding", "gzip")),
            "encode",
        ),
    ] {
        deploys(what, file, Err(words));
    }
}

#[test]
fn what_is_said_no_to_is_not_asked_for_again() {
    for status in [400, 401, 403, 404, 410] {
        let server = deploys("no", File::new(image()).always(Act::status(status)), Err(&status.to_string()));
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[test]
fn trouble_that_passes_is_waited_out() {
    let soon = |status| Act::status(status).with("Retry-After", "0");
    for (what, acts) in [
        ("503", vec![Act::status(503)]),
        ("503 with a date", vec![soon(503)]),
        ("429", vec![soon(429)]),
        ("408", vec![soon(408)]),
        ("absurd Retry-After", vec![Act::status(500).with("Retry-After", "-5")]),
        ("several", vec![Act::status(502), Act::head(Head::Silence), Act::reset(0)]),
        ("garbage once", vec![Act::cut(4096), Act::status(500), Act::cut(4096)]),
    ] {
        deploys(what, File::new(image()).acts(acts), Ok(()));
    }
}

/// A server that gives no rest is asked for everything; one that lies is caught.
#[test]
fn a_rest_that_is_not_the_rest_is_noticed() {
    let changed = |act: Act| Act { version: 1, ..act };
    let same = |act: Act| Act { validator: Validator::Same, ..act };
    for (what, act, expected) in [
        ("the rest", Act::good(), Ok(())),
        ("everything again", Act::ranges(Ranges::Forgotten), Ok(())),
        ("no ranges", Act::ranges(Ranges::Ignored), Ok(())),
        ("another range", Act::ranges(Ranges::Other(512)), Ok(())),
        ("206 without a range", Act::ranges(Ranges::Unlabelled), Ok(())),
        ("multipart", Act::ranges(Ranges::Multipart), Ok(())),
        ("416", Act::ranges(Ranges::Unsatisfiable), Ok(())),
        ("a range that lies", Act::ranges(Ranges::Mislabelled(512)), Err("")),
        ("another total", Act::ranges(Ranges::WrongTotal(1)), Err("changed")),
        ("another version in silence", same(changed(Act::good())), Err("sha256")),
        ("another version, If-Range ignored", changed(Act::ranges(Ranges::IfRangeIgnored)), Err("changed")),
        ("another version, said", changed(Act::good()), Err("changed")),
    ] {
        deploys(what, cut_then(act), expected);
    }
}

#[test]
fn without_a_strong_validator_nothing_wrong_is_pieced_together() {
    for validator in [Validator::Weak, Validator::Nothing, Validator::Date] {
        let act = |act: Act| Act { validator, ..act };
        let same = File::new(image()).always(act(Act::good())).acts([act(Act::cut(700_000))]);
        deploys(&format!("{validator:?}, the same file"), same, Ok(()));
        let changes = File::new(another())
            .version(image())
            .parts_then(act(Act::good()))
            .acts([act(Act::cut(700_000))])
            .then(act(Act { version: 1, ..Act::good() }));
        // Another file: never a mixture of the two.
        let server = Server::of(changes);
        let outcome = deploy(request(&[server.url("/image")]), digest(&image()));
        if let Err(said) = &outcome.result {
            outcome.check(&format!("{validator:?}: {said}"), &image(), Err(""));
        } else {
            outcome.check(&format!("{validator:?}"), &image(), Ok(()));
        }
    }
}

#[test]
fn lies_about_the_length_are_noticed() {
    let always = |length| File::new(image()).always(Act::length(length));
    let garbage = |after| always(Length::ChunkedGarbage(after));
    for (what, file, expected) in [
        ("chunked", always(Length::Chunked), Ok(())),
        ("unsaid", always(Length::Unsaid), Ok(())),
        ("longer than it is", always(Length::Longer(5000)), Err("/image")),
        ("shorter than it is", always(Length::Shorter(5000)), Err("")),
        ("two lengths", always(Length::Twice), Err("/image")),
        ("no number", always(Length::NoNumber), Err("/image")),
        ("chunked without an end", always(Length::ChunkedOpen), Err("/image")),
        ("chunked garbage from the start", garbage(0), Err("/image")),
        ("chunked garbage, and another try", garbage(64 << 10), Ok(())),
        (
            "unsaid and cut",
            File::new(image()).always(Act { length: Length::Unsaid, ..Act::cut(700_000) }),
            Err(""),
        ),
    ] {
        deploys(what, file, expected);
    }
}

#[test]
fn a_page_with_200_is_not_an_image() {
    let page = b"<!DOCTYPE html><html><body>Please log in</body></html>".repeat(4000);
    for length in [Length::True, Length::Unsaid, Length::Chunked] {
        deploys("a captive portal", File::new(page.clone()).always(Act::length(length)), Err(""));
    }
}

#[test]
fn one_wrong_bit_anywhere_is_noticed() {
    let flip = |at| Act { body: Body { flip: Some(at), ..Body::default() }, ..Act::good() };
    for image in images(MIB + 512) {
        let length = image.file.len() as u64;
        for at in (0..length).step_by(usize::try_from(length / 12).expect("fits")).chain([length - 1]) {
            let server = Server::of(File::new(image.file.clone()).always(flip(at)));
            let outcome = deploy(request(&[server.url("/image")]), digest(&image.file));
            outcome.check(&format!("{} with byte {at} wrong", image.name), &image.raw, Err(""));
        }
    }
}

/// The tables that are fetched first lie, and the stream does not, or the other way round.
#[test]
fn tables_that_are_not_those_of_the_stream_are_noticed() {
    let qcow2 = |image: &Image| image.name.contains("qcow2");
    for image in images(2 * MIB).into_iter().filter(qcow2) {
        let mut wrong = image.file.clone();
        // Cluster 1 and on: wherever qemu-img puts refcounts, L1 and L2.
        for byte in &mut wrong[64 << 10..] {
            *byte = byte.wrapping_add(64);
        }
        let lie = |act: Act| Act { version: 1, validator: Validator::Same, ..act };
        for (what, file) in [
            (
                "other tables",
                File::new(image.file.clone()).version(wrong.clone()).parts_then(lie(Act::good())),
            ),
            ("another stream", File::new(image.file.clone()).version(wrong.clone()).then(lie(Act::good()))),
        ] {
            let server = Server::of(file);
            let outcome = deploy(request(&[server.url("/image")]), digest(&image.file));
            // Whoever needs no tables beforehand may end well, and with the right disk.
            let expected = if outcome.result.is_ok() { Ok(()) } else { Err("") };
            outcome.check(&format!("{}, {what}", image.name), &image.raw, expected);
            assert!(what == "other tables" || outcome.result.is_err(), "{}: {what}", image.name);
        }
    }
}

/// Whatever a server makes of ranges, a qcow2 arrives as it is or not at all.
#[test]
fn tables_from_a_server_that_lies_about_ranges_do_no_harm() {
    let lies = [
        Ranges::Ignored,
        Ranges::Forgotten,
        Ranges::Other(512),
        Ranges::Mislabelled(512),
        Ranges::WrongTotal(1),
        Ranges::Unlabelled,
        Ranges::Multipart,
        Ranges::Unsatisfiable,
    ];
    for image in images(2 * MIB) {
        for ranges in lies {
            let server = Server::of(File::new(image.file.clone()).always(Act::ranges(ranges)));
            let outcome = deploy(request(&[server.url("/image")]), digest(&image.file));
            let expected = if outcome.result.is_ok() { Ok(()) } else { Err("") };
            outcome.check(&format!("{}, {ranges:?}", image.name), &image.raw, expected);
            assert!(
                !matches!(ranges, Ranges::Ignored) || outcome.result.is_ok(),
                "{}: {:?}",
                image.name,
                outcome.result
            );
        }
    }
}

#[test]
fn a_server_that_stalls_is_left() {
    let open = |act: Act| Act { end: End::Open, ..act };
    let minute = Duration::from_secs(60);
    let drip = |after| Body { drip: Some((after, minute)), ..Body::default() };
    let rows = [
        ("in the head", Act::head(Head::Drip(minute)), Err("/image")),
        ("before the body", Act::stall(0), Err("/image")),
        ("in the body", Act::stall(700_000), Ok(())),
        ("at the end", Act::stall(2 * MIB), Ok(())),
        ("dripping", Act { body: drip(MIB), ..Act::good() }, Ok(())),
        ("never closing", open(Act::cut(1_000_000)), Ok(())),
    ];
    // Each waits for a second or three: together.
    std::thread::scope(|scope| {
        for (what, act, alone) in &rows {
            scope.spawn(move || stalls(what, act, *alone));
        }
    });
}

/// Every try that brings something is a good one: such a server is asked again and again.
fn stalls(what: &str, act: &Act, alone: Result<(), &str>) {
    let bad = Server::of(File::new(image()).always(act.clone()));
    let hasty = |urls: &[String]| Request { pace: hasty(), ..request(urls) };
    let outcome = deploy(hasty(&[bad.url("/image")]), digest(&image()));
    outcome.check(&format!("{what}, alone"), &image(), alone);
    let good = Server::of(File::new(image()));
    let urls = [bad.url("/image"), good.url("/image")];
    deploy(hasty(&urls), digest(&image())).check(&format!("{what}, with a mirror"), &image(), Ok(()));
}

/// A byte every while is progress to a stall limit, and none to a floor.
#[test]
fn a_server_that_drips_below_the_floor_is_left() {
    let drip = Body { drip: Some((2 * MIB - 500, Duration::from_millis(50))), ..Body::default() };
    let bad = Server::of(File::new(image()).always(Act { body: drip, ..Act::good() }));
    let good = Server::of(File::new(image()));
    let urls = [bad.url("/image"), good.url("/image")];
    let outcome = deploy(Request { pace: hasty(), ..request(&urls) }, digest(&image()));
    outcome.check("a drip", &image(), Ok(()));
    assert!(good.seen().iter().any(|seen| seen.sent > 0), "the mirror was asked");
}

#[test]
fn credentials_do_not_follow_to_another_host() {
    let there = Server::start([("/there", File::new(image()))]);
    for (url, follows) in [(there.url_of_another_host("/there"), false), (there.url("/there"), false)] {
        let here = Server::of(File::new(image()).always(Act::redirect(&url)));
        let authorized = |request| Request { authorization: Some(Secret::new("Bearer hunter2")), ..request };
        let outcome = deploy(authorized(request(&[here.url("/image")])), digest(&image()));
        outcome.check(&url, &image(), Ok(()));
        assert!(
            here.seen().iter().all(|seen| seen.header("authorization") == Some("Bearer hunter2")),
            "{url}"
        );
        let given = there.seen().iter().any(|seen| seen.header("authorization").is_some());
        assert_eq!(given, follows, "{url}: {:#?}", there.seen());
    }
}

#[test]
fn a_redirect_within_its_limit_is_followed_and_one_without_end_is_not() {
    let hops = |count: usize| {
        let paths: Vec<String> = (0..=count).map(|hop| format!("/{hop}")).collect();
        let files = (0..count).map(|hop| File::new(image()).always(Act::redirect(&paths[hop + 1])));
        let files: Vec<File> = files.chain([File::new(image())]).collect();
        Server::start(paths.iter().map(String::as_str).zip(files))
    };
    let server = hops(3);
    deploy(request(&[server.url("/0")]), digest(&image())).check("three hops", &image(), Ok(()));
    let server = hops(12);
    deploy(request(&[server.url("/0")]), digest(&image())).check("twelve hops", &image(), Err("redirect"));
    assert!(server.seen().len() <= 12 * 4, "{} requests", server.seen().len());
}

#[test]
fn nobody_is_told_the_secrets_of_a_url() {
    let server = Server::of(File::new(image()).always(Act::status(404)));
    let url = server.url("/image?signature=hunter2").replace("http://", "http://user:hunter3@");
    let outcome = deploy(request(&[url]), digest(&image()));
    outcome.check("404", &image(), Err("404"));
    let said = outcome.result.expect_err("404");
    assert!(!said.contains("hunter"), "{said}");
}

#[test]
fn one_good_mirror_among_bad_ones_is_enough() {
    let bad = [
        Act::status(404),
        Act::status(500),
        Act::head(Head::Silence),
        Act::reset(300_000),
        Act::cut(300_000),
        Act::ranges(Ranges::Other(1)),
        Act::good().with("Content-Encoding", "gzip"),
    ];
    for image in images(MIB) {
        let bad: Vec<Server> =
            bad.iter().map(|act| Server::of(File::new(image.file.clone()).always(act.clone()))).collect();
        let good = Server::of(File::new(image.file.clone()));
        let urls: Vec<String> = bad.iter().chain([&good]).map(|server| server.url("/image")).collect();
        let mut wanted = request(&urls);
        wanted.pace.retries = 10;
        deploy(wanted, digest(&image.file)).check(image.name, &image.raw, Ok(()));
    }
}
