use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    sync::Mutex,
    time::Duration,
};

use model::Secret;

use super::*;
use crate::{request::Pace, trust::Trust};

/// What one connection to the server does, in order.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Answer as asked, ranges included, but close after so many bytes of body.
    Cut(usize),
    /// Answer everything, whatever range was asked.
    Ignore,
    /// Stop after so many bytes of body, and keep the connection.
    Stall(usize),
    /// Answer this status with no body.
    Status(&'static str),
    /// Say nothing and close.
    Hang,
    /// Answer as asked.
    Serve,
}

/// A server that misbehaves as told, once a connection, and then serves well.
/// Returns its URL and the requests it will have seen.
fn server(body: Vec<u8>, script: Vec<Does>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/image.raw", listener.local_addr().expect("bound"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    thread::spawn(move || {
        let mut script = script.into_iter();
        let mut kept = Vec::new();
        for connection in listener.incoming().flatten() {
            let does = script.next().unwrap_or(Does::Serve);
            kept.extend(connection.try_clone().ok().filter(|_| matches!(does, Does::Stall(_))));
            answer(connection, &body, does, &requests).ok();
        }
    });
    (url, seen)
}

fn answer(mut to: TcpStream, body: &[u8], does: Does, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        to.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).to_lowercase();
    seen.lock().expect("not poisoned").push(request.clone());
    let range = request.lines().find_map(|line| line.strip_prefix("range: bytes="));
    let range = range.filter(|_| !matches!(does, Does::Ignore)).and_then(|range| range.split_once('-'));
    let (head, part) = match range {
        Some((first, last)) => {
            let first: usize = first.parse().map_err(io::Error::other)?;
            let last = last.parse().unwrap_or(body.len() - 1);
            let total = body.len();
            (
                format!("206 Partial Content\r\ncontent-range: bytes {first}-{last}/{total}"),
                &body[first..=last],
            )
        }
        None => ("200 OK".to_owned(), body),
    };
    let sent = match does {
        Does::Hang => return Ok(()),
        Does::Status(status) => {
            return write!(to, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
        Does::Cut(length) | Does::Stall(length) => &part[..length.min(part.len())],
        Does::Ignore | Does::Serve => part,
    };
    let length = part.len();
    write!(
        to,
        "HTTP/1.1 {head}\r\ncontent-length: {length}\r\naccept-ranges: bytes\r\netag: \"1\"\r\nconnection: close\r\n\r\n"
    )?;
    to.write_all(sent)
}

fn request(urls: &[&str]) -> Request {
    let pace = Pace {
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(5),
        retries: 3,
        delay: Duration::from_millis(1),
        ..Pace::default()
    };
    // Nobody's certificates are needed for plain HTTP.
    let trust = Trust::Bundle("/nonexistent".into());
    Request { pace, ..Request::new(urls.iter().map(ToString::to_string).collect(), trust) }
}

fn all(request: Request) -> Result<Vec<u8>, String> {
    let mut source = HttpSource::open(request).map_err(|err| format!("{:#}", anyhow::Error::from(err)))?;
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).map_err(|err| err.to_string())?;
    Ok(bytes)
}

fn body() -> Vec<u8> {
    (0..300_000_u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect()
}

#[test]
fn an_image_arrives_whole_whatever_the_server_does() {
    let scripts: [&[Does]; 7] = [
        &[],
        &[Does::Cut(1000)],
        &[Does::Cut(100_000), Does::Cut(1), Does::Cut(100_000)],
        &[Does::Cut(5000), Does::Ignore],
        &[Does::Status("503 Busy"), Does::Hang, Does::Cut(0)],
        &[Does::Cut(5000), Does::Status("502 Bad"), Does::Status("500 Bad")],
        &[Does::Hang, Does::Hang, Does::Hang],
    ];
    for script in scripts {
        let (url, _) = server(body(), script.to_vec());
        assert!(all(request(&[&url])).as_ref() == Ok(&body()), "{script:?}");
    }
}

#[test]
fn a_cut_resumes_at_the_byte_reached() {
    let (url, seen) = server(body(), vec![Does::Cut(100_000)]);
    all(request(&[&url])).expect("arrives");
    let seen = seen.lock().expect("not poisoned");
    let resumed = seen.last().expect("two requests");
    assert!(resumed.contains("range: bytes=100000-\r\n") && resumed.contains("if-range: \"1\""), "{resumed}");
}

#[test]
fn no_is_no_at_once_and_too_many_failures_are_an_end() {
    let (url, seen) = server(body(), vec![Does::Status("404 Not Found")]);
    let error = all(request(&[&url])).expect_err("404");
    assert!(error.contains("404"), "{error}");
    assert_eq!(seen.lock().expect("not poisoned").len(), 1, "not asked again");
    let (url, seen) = server(body(), vec![Does::Status("503 Busy"); 10]);
    assert!(all(request(&[&url])).is_err());
    assert_eq!(seen.lock().expect("not poisoned").len(), 4, "one try and three retries");
    let (url, _) = server(body(), vec![Does::Status("204 No Content")]);
    assert!(all(request(&[&url])).is_err(), "only 200 is an image");
}

#[test]
fn another_mirror_takes_over() {
    let (bad, _) = server(body(), vec![Does::Status("404 Not Found"); 9]);
    let (cut, _) = server(body(), vec![Does::Cut(7777), Does::Status("404 Not Found")]);
    let (good, _) = server(body(), vec![]);
    assert!(all(request(&[&bad, &cut, &good])).expect("arrives") == body());
}

#[test]
fn tables_are_read_out_of_order() {
    let (url, _) = server(body(), vec![]);
    let mut source = HttpSource::open(request(&[&url])).expect("opened");
    assert_eq!(source.length(), Some(Bytes(300_000)));
    let mut part = vec![0; 100];
    source.random().expect("ranges").read_exact_at(Bytes(1234), &mut part).expect("read");
    let beyond = source.random().expect("ranges").read_exact_at(Bytes(u64::MAX), &mut [0; 512]);
    assert!(beyond.is_err_and(|err| err.to_string().contains("beyond")), "a table may say anything");
    assert_eq!(part, body()[1234..1334]);
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).expect("arrives");
    assert!(bytes == body());
    assert!(source.random().is_none(), "too late");
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let (url, seen) = server(body(), vec![]);
    let request = Request { authorization: Some(Secret::new("Bearer hunter2")), ..request(&[&url]) };
    assert!(!format!("{request:?}").contains("hunter2"));
    all(request).expect("arrives");
    assert!(seen.lock().expect("not poisoned")[0].contains("authorization: bearer hunter2"));
}

#[test]
fn whoever_goes_away_leaves_no_thread_behind() {
    // More than the channel, the socket and both its buffers hold: the thread waits for us.
    let endless = vec![7; 64 << 20];
    for (body, does) in [(body(), Does::Stall(1000)), (body(), Does::Stall(0)), (endless, Does::Serve)] {
        let (url, _) = server(body, vec![does]);
        let slow = Pace { stall: Duration::from_secs(3600), floor: None, ..Pace::default() };
        let mut source = HttpSource::open(Request { pace: slow, ..request(&[&url]) }).expect("opened");
        if !matches!(does, Does::Stall(0)) {
            source.read_exact(&mut [0; 1000]).expect("as much as there is");
        }
        // Returns when the thread has ended, hours before it would give up.
        drop(source);
    }
}

#[test]
fn a_total_limit_holds_although_bytes_come() {
    let (url, _) = server(body(), vec![Does::Stall(1000); 9]);
    let moment = Duration::from_millis(200);
    let pace = Pace { stall: Duration::from_secs(3600), total: Some(moment), ..Pace::default() };
    let error = all(Request { pace, ..request(&[&url]) }).expect_err("too long");
    assert!(error.contains("not all came within"), "{error}");
}

#[test]
fn bytes_that_come_again_are_counted_and_must_be_the_same() {
    for (url, changed) in [(unversioned(false), false), (unversioned(true), true)] {
        let mut source = HttpSource::open(request(&[&url])).expect("opened");
        let mut bytes = Vec::new();
        let end = source.read_to_end(&mut bytes);
        match end {
            Err(err) => assert!(changed && err.to_string().contains("changed"), "{err}"),
            Ok(_) => assert!(!changed && bytes == body()),
        }
        assert_eq!((source.retries(), source.refetched()), (1, Bytes(100_000)));
        assert!(bytes[..100_000] == body()[..100_000] && (!changed || bytes.len() == 100_000));
    }
}

/// A server without ranges or validators, which is cut once, and then has
/// another file or the same.
fn unversioned(changes: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/image.raw", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        let mut body = body();
        for (to, length) in listener.incoming().flatten().zip([100_000, 300_000]) {
            let mut to = to;
            let mut request = [0; 4096];
            assert!(to.read(&mut request).is_ok_and(|length| length > 0), "asked");
            write!(to, "HTTP/1.1 200 OK\r\ncontent-length: 300000\r\nconnection: close\r\n\r\n")
                .expect("sent");
            to.write_all(&body[..length]).expect("sent");
            body[50_000] ^= u8::from(changes);
        }
    });
    url
}

#[test]
fn proxies_are_used_but_where_told() {
    for (no_proxy, direct) in [
        (None, false),
        (Some("other.example.org, 10.0.0.0/8"), false),
        (Some("example.org,127.0.0.1"), true),
        (Some("127.0.0.0/8"), true),
        (Some("*"), true),
    ] {
        let (proxy, by_proxy) = server(body(), vec![]);
        let (url, directly) = server(body(), vec![]);
        let proxies = (Some(proxy), None);
        let no_proxy = no_proxy.map(str::to_owned);
        let bytes =
            all(Request { proxies, no_proxy: no_proxy.clone(), ..request(&[&url]) }).expect("arrives");
        assert!(bytes == body());
        let seen = |seen: &Mutex<Vec<String>>| seen.lock().expect("not poisoned").len();
        let want = if direct { (0, 1) } else { (1, 0) };
        assert_eq!((seen(&by_proxy), seen(&directly)), want, "{no_proxy:?}");
    }
}

/// A server with these answers, one a connection: heads and bodies as they are.
fn scripted(answers: Vec<(String, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/image", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        for (mut to, (head, part)) in listener.incoming().flatten().zip(answers) {
            assert!(to.read(&mut [0; 4096]).is_ok_and(|length| length > 0), "asked");
            write!(to, "HTTP/1.1 {head}\r\ncontent-type: text/html\r\netag: \"1\"\r\n\r\n").expect("sent");
            to.write_all(&part).expect("sent");
        }
    });
    url
}

/// A disk may have a page where a cut happens to be, and a server no better
/// name for a disk.
#[test]
fn a_page_in_the_middle_of_an_image_is_part_of_it() {
    let mut image = body();
    image[100_000..100_006].copy_from_slice(b"<html>");
    let rest = "206 Partial Content\r\ncontent-range: bytes 100000-299999/300000\r\ncontent-length: 200000";
    let url = scripted(vec![
        ("200 OK\r\ncontent-length: 300000".to_owned(), image[..100_000].to_vec()),
        (rest.to_owned(), image[100_000..].to_vec()),
    ]);
    assert!(all(request(&[&url])).expect("arrives") == image);
}

#[test]
fn a_rest_of_another_length_than_its_range_is_not_taken() {
    let rest = "206 Partial Content\r\ncontent-range: bytes 100000-199999/300000\r\ncontent-length: 200000";
    let url = scripted(vec![
        ("200 OK\r\ncontent-length: 300000".to_owned(), body()[..100_000].to_vec()),
        (rest.to_owned(), body()[100_000..].to_vec()),
    ]);
    let error = all(request(&[&url])).expect_err("which is it");
    assert!(error.contains("not of the range's length"), "{error}");
}

/// Without ranges it repeats everything, for a byte more each time.
#[test]
fn a_server_that_crawls_is_given_up() {
    let answer = |length: usize| ("200 OK\r\ncontent-length: 300000".to_owned(), body()[..length].to_vec());
    let crawl =
        |step: usize| (0..20).map(|place| answer(100_000 + place * step)).chain([answer(300_000)]).collect();
    assert!(all(request(&[&scripted(crawl(1))])).is_err(), "one more each time");
    assert!(all(request(&[&scripted(crawl(8_000))])).is_ok(), "slow, but it gets there");
}
