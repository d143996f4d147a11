//! The server does what it is told, as seen on a bare socket.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use bad_server::{Act, End, File, Head, Length, Ranges, Server, Validator};

/// What comes back for a request with these headers, until the connection ends.
fn ask(server: &Server, path: &str, headers: &str) -> (String, Vec<u8>) {
    let url = server.url("");
    let mut socket = TcpStream::connect(url.strip_prefix("http://").expect("plain")).expect("connected");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n").expect("sent");
    let mut answer = Vec::new();
    // A reset ends it as well.
    let _ = socket.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
    let body = answer.split_off(end);
    (String::from_utf8_lossy(&answer).into_owned(), body)
}

fn digits() -> Vec<u8> {
    b"0123456789".to_vec()
}

#[test]
fn every_act_is_played() {
    let part = "Range: bytes=2-4\r\n";
    let open = "Range: bytes=7-\r\nIf-Range: \"v0\"\r\n";
    let table: &[(Act, &str, &str, &[u8])] = &[
        (Act::good(), "", "200 OK", b"0123456789"),
        (Act::good(), part, "Content-Range: bytes 2-4/10", b"234"),
        (Act::good(), open, "206", b"789"),
        (Act::version(1), open, "200 OK", b"abcdefghij"),
        (Act { version: 1, ..Act::ranges(Ranges::IfRangeIgnored) }, open, "206", b"hij"),
        (Act { version: 1, validator: Validator::Same, ..Act::good() }, open, "206", b"hij"),
        (Act { validator: Validator::Weak, ..Act::good() }, open, "ETag: W/\"v0\"", b"0123456789"),
        (Act::good(), "Range: bytes=10-\r\n", "416", b""),
        (Act::cut(3), "", "Content-Length: 10", b"012"),
        (Act::cut(0), "", "Content-Length: 10", b""),
        (Act::ranges(Ranges::Ignored), part, "200 OK", b"0123456789"),
        (Act::ranges(Ranges::Forgotten), part, "Accept-Ranges", b"0123456789"),
        (Act::ranges(Ranges::Other(3)), part, "Content-Range: bytes 5-7/10", b"567"),
        (Act::ranges(Ranges::Mislabelled(3)), part, "Content-Range: bytes 2-4/10", b"567"),
        (Act::ranges(Ranges::WrongTotal(5)), part, "Content-Range: bytes 2-4/15", b"234"),
        (Act::ranges(Ranges::Unsatisfiable), part, "416", b""),
        (Act::ranges(Ranges::Unlabelled), part, "206", b"234"),
        (Act::length(Length::Longer(5)), "", "Content-Length: 15", b"0123456789"),
        (Act::length(Length::Shorter(5)), "", "Content-Length: 5", b"0123456789"),
        (Act::length(Length::Unsaid), "", "200 OK", b"0123456789"),
        (Act::length(Length::Chunked), "", "chunked", b"a\r\n0123456789\r\n0\r\n\r\n"),
        (Act::length(Length::ChunkedOpen), "", "chunked", b"a\r\n0123456789\r\n"),
        (Act::redirect("/there"), "", "Location: /there", b"<!DOCTYPE html><html><body>302</body></html>\n"),
        (
            Act::status(503).with("Retry-After", "7"),
            "",
            "Retry-After: 7",
            b"<!DOCTYPE html><html><body>503</body></html>\n",
        ),
        (Act::head(Head::Silence), "", "", b""),
    ];
    for (act, headers, head, body) in table {
        let server = Server::of(File::new(digits()).version(b"abcdefghij".to_vec()).always(act.clone()));
        let (got_head, got_body) = ask(&server, "/image", headers);
        assert!(got_head.contains(head), "{act:?}: {got_head}");
        assert_eq!(got_body, *body, "{act:?}: {got_head}");
    }
}

#[test]
fn a_bit_is_flipped_where_told_whatever_was_asked() {
    let act = || {
        let mut act = Act::good();
        act.body.flip = Some(4);
        act
    };
    let server = Server::of(File::new(digits()).always(act()));
    assert_eq!(ask(&server, "/image", "").1, b"0123556789");
    assert_eq!(ask(&server, "/image", "Range: bytes=4-5\r\n").1, b"55");
    assert_eq!(ask(&server, "/image", "Range: bytes=5-6\r\n").1, b"56");
}

#[test]
fn a_reset_is_a_reset() {
    let server = Server::of(File::new(digits()).then(Act::reset(0)));
    let url = server.url("");
    let mut socket = TcpStream::connect(url.strip_prefix("http://").expect("plain")).expect("connected");
    socket.write_all(b"GET /image HTTP/1.1\r\n\r\n").expect("sent");
    let error = socket.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn acts_are_played_in_turn_and_everything_is_remembered() {
    let server = Server::of(File::new(digits()).acts([Act::cut(1), Act::status(500)]).parts([Act::cut(2)]));
    assert_eq!(ask(&server, "/image?a=b", "Authorization: x\r\n").1, b"0");
    assert_eq!(ask(&server, "/image", "Range: bytes=1-5\r\n").1, b"12");
    assert!(ask(&server, "/image", "").0.contains("500"));
    assert_eq!(ask(&server, "/image", "Range: bytes=9-\r\n").1, b"9");
    assert!(ask(&server, "/nowhere", "").0.contains("404"));
    let seen = server.seen();
    assert_eq!(seen.iter().map(|seen| seen.sent).collect::<Vec<_>>(), [1, 2, 0, 1, 0]);
    assert_eq!((seen[0].target.as_str(), seen[0].header("authorization")), ("/image?a=b", Some("x")));
    assert_eq!((seen[1].range(), seen[3].range()), (Some((1, Some(5))), Some((9, None))));
}

#[test]
fn what_stalls_goes_on_when_told() {
    let server = Server::of(File::new(digits()).then(Act::stall(4)));
    let (_, body) = std::thread::scope(|scope| {
        let client = scope.spawn(|| ask(&server, "/image", ""));
        server.wait_until(|seen| seen.iter().any(|seen| seen.stalls == 1));
        server.release();
        client.join().expect("answered")
    });
    assert_eq!(body, digits());
}

#[test]
fn a_server_ends_although_its_clients_wait() {
    let server = Server::of(File::new(digits()).then(Act { end: End::Open, ..Act::stall(4) }));
    let url = server.url("");
    let mut socket = TcpStream::connect(url.strip_prefix("http://").expect("plain")).expect("connected");
    socket.write_all(b"GET /image HTTP/1.1\r\n\r\n").expect("sent");
    server.wait_until(|seen| seen.iter().any(|seen| seen.sent == 4));
    drop(server);
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("closed");
    assert!(answer.ends_with(b"\r\n\r\n0123"));
}
