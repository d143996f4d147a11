use super::*;

const SHA256: &str = "f5bbc4354fbf7567e91727a1324a8c4b2189aa03610b03e50e4a1d63e74146a6";
const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
const URL: &str = "http://h/SUMS";

fn other() -> String {
    "0".repeat(64)
}

fn found(text: &str, name: &str) -> Result<String, ChecksumError> {
    find(text.as_bytes(), URL, name, None, Md5::Refused).map(|digest| digest.hex())
}

#[test]
fn checksum_files_of_every_habit_are_read() {
    let other = other();
    let sha512 = "a".repeat(128);
    for text in [
        format!("{SHA256}\n"),
        format!("  {} \r\n\r\n", SHA256.to_uppercase()),
        format!("sha256:{SHA256}"),
        format!("# made by hand\n{SHA256}\n"),
        format!("\u{feff}{other}  y.raw\r\n{SHA256}  x.raw\r\n"),
        format!("{other}  y.raw\n{SHA256}  x.raw\n"),
        format!("{SHA256} *x.raw\n{other} *z\n"),
        format!("{SHA256}  ./x.raw\n{other}  sub/x.raw\n"),
        format!("# sums\nSHA256 (y.raw) = {other}\nSHA256 (x.raw) = {SHA256}\n"),
        format!("SHA256(x.raw)= {SHA256}\n{other}  y\n"),
        format!("{other}\tnotx.raw\n{SHA256}\tx.raw\n"),
        format!("{MD5}  x.raw\n{SHA256}  x.raw\n"),
        format!("MD5 (x.raw) = {MD5}\nSHA256 (x.raw) = {SHA256}\nSHA1 (x.raw) = {}\n", "1".repeat(40)),
        format!("{SHA256}  x.raw\n{SHA256}  x.raw\n"),
        format!("\\{other}  x\\nraw\n{SHA256}  x.raw\n"),
    ] {
        assert_eq!(found(&text, "x.raw").as_deref(), Ok(SHA256), "{text}");
    }
    let both = format!("{SHA256}  x.raw\n{sha512}  x.raw\n");
    assert_eq!(found(&both, "x.raw"), Ok(sha512), "the strongest");
    let told = find(both.as_bytes(), URL, "x.raw", Some(Algorithm::Sha256), Md5::Refused);
    assert_eq!(told.map(|digest| digest.hex()).as_deref(), Ok(SHA256), "the one told");
}

#[test]
fn names_may_be_of_any_kind() {
    let other = other();
    for (line, name) in [
        (format!("{SHA256}  a b.raw"), "a b.raw"),
        (format!("SHA256 (a (b).raw) = {SHA256}"), "a (b).raw"),
        (format!("{SHA256}  a (b) = c"), "a (b) = c"),
        (format!("\\{SHA256}  a\\\\b\\nc\\r"), "a\\b\nc\r"),
        (format!("\\SHA256 (a\\nb) = {SHA256}"), "a\nb"),
        (format!("{SHA256}  a\\nb"), "a\\nb"),
        (format!("{SHA256}  a b+ü.raw"), "a%20b+%c3%BC.raw"),
        (format!("{SHA256}  a%20b"), "a%20b"),
        (format!("{SHA256}  100%"), "100%"),
    ] {
        let text = format!("{other}  something\n{line}\n");
        assert_eq!(found(&text, name).as_deref(), Ok(SHA256), "{line}");
    }
}

#[test]
fn what_does_not_speak_of_the_image_is_refused_by_name() {
    let other = other();
    for (text, want) in [
        (format!("{other}  y\n{other}  z\n"), "has no checksum for \"x.raw\""),
        (format!("{other}  my-x.raw\n{other}  x.raw.zst\n"), "has no checksum"),
        (format!("{other}  x.raw\n{SHA256}  x.raw\n"), "different checksums"),
        (format!("{MD5}  x.raw\n{other}  y\n"), "MD5 checksum is not accepted"),
        (format!("{MD5}\n"), "MD5 checksum is not accepted"),
        ("abc  x.raw\nabc  y\n".to_owned(), "\"abc\" is no checksum"),
        (format!("SHA512 (x.raw) = {SHA256}\n#\ny z\n"), "is no checksum"),
        ("<!DOCTYPE html>\n<html>".to_owned(), "is a web page"),
        ("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n".to_owned(), "PGP"),
        (String::new(), "has no checksum"),
        ("x".repeat(1 << 21), "longer than 1 MiB"),
    ] {
        let error = found(&text, "x.raw").expect_err(&text).to_string();
        assert!(error.contains(want), "{text:.80}: {error}");
    }
    assert!(find(b"\xff\xfe", URL, "x", None, Md5::Refused).is_err(), "not text");
    assert!(found(&format!("{SHA256}  \n{other}  y\n"), "").is_err(), "an image without a name");
}

#[test]
fn a_text_is_a_digest_or_a_place() {
    let known = |text: &str| Ok(Expected::Digest(text.parse().expect("a digest")));
    let malformed = |text: &str| Err(ChecksumError::Malformed { text: text.to_owned() });
    for (text, algorithm, md5, want) in [
        (SHA256, None, Md5::Refused, known(SHA256)),
        (&*format!(" sha256:{}\n", SHA256.to_uppercase()), None, Md5::Refused, known(SHA256)),
        (SHA256, Some(Algorithm::Sha512), Md5::Refused, malformed(SHA256)),
        (
            URL,
            Some(Algorithm::Sha512),
            Md5::Refused,
            Ok(Expected::File { url: URL.to_owned(), algorithm: Some(Algorithm::Sha512) }),
        ),
        (MD5, None, Md5::Refused, Err(ChecksumError::Md5Refused)),
        (MD5, None, Md5::Accepted, known(MD5)),
        ("abc", None, Md5::Accepted, malformed("abc")),
        ("sha1:abc", None, Md5::Accepted, malformed("sha1:abc")),
        ("", None, Md5::Accepted, malformed("")),
    ] {
        assert_eq!(expected(text, algorithm, md5), want, "{text}");
    }
}

#[test]
fn a_url_that_is_no_checksum_keeps_its_secrets() {
    for text in ["HTTPS://user:secret@h/SUMS?sig=secret", "ftp://user:sec/ret@h/SUMS"] {
        let Err(err) = expected(text, None, Md5::Refused) else { panic!("{text} is no checksum") };
        assert!(!err.to_string().contains("sec"), "{err}");
    }
}
