//! A TPM made of the specification's tables.

use super::*;

const INDEX: u32 = 0x01c0_0002;

/// Keeps `content` at [`INDEX`], readable by whom `attributes` say, and checks every command.
fn tpm(content: &[u8], attributes: u32) -> impl Fn(&[u8]) -> io::Result<Vec<u8>> + use<> {
    let content = content.to_vec();
    move |sent: &[u8]| {
        assert_eq!(u32_at(sent, 2).map(|length| length as usize), Some(sent.len()), "the length is told");
        let reply = |tag: u16, code: u32, parts: &[&[u8]]| Ok(command(tag, code, parts));
        let (code, body) = answer(sent).expect("a command");
        match code {
            NV_READ_PUBLIC if u32_at(body, 0) != Some(INDEX) => reply(WITHOUT_SESSIONS, NO_SUCH_INDEX, &[]),
            NV_READ_PUBLIC => {
                let policy = [7; 32];
                let length = u16::try_from(content.len()).expect("short");
                let parts: [&[u8]; 8] = [
                    &46u16.to_be_bytes(),
                    &INDEX.to_be_bytes(),
                    &0x000bu16.to_be_bytes(),
                    &attributes.to_be_bytes(),
                    &32u16.to_be_bytes(),
                    &policy,
                    &length.to_be_bytes(),
                    &[0, 0], // the name, which nobody needs
                ];
                reply(WITHOUT_SESSIONS, 0, &parts)
            }
            NV_READ => {
                let by = if attributes & AUTH_READ == AUTH_READ { INDEX } else { OWNER };
                assert_eq!((u32_at(body, 0), u32_at(body, 4)), (Some(by), Some(INDEX)));
                let (size, at) =
                    (u16_at(body, 21).expect("size"), usize::from(u16_at(body, 23).expect("offset")));
                let piece = &content[at..at + usize::from(size)];
                let length = u32::from(size) + 2;
                reply(
                    WITH_SESSIONS,
                    0,
                    &[&length.to_be_bytes(), &size.to_be_bytes(), piece, &[0, 0, 1, 0, 0]],
                )
            }
            _ => panic!("command {code:#x}"),
        }
    }
}

/// A certificate of `length` bytes.
fn certificate(length: u16) -> Vec<u8> {
    let mut bytes = vec![0x30, 0x82];
    bytes.extend((length - 4).to_be_bytes());
    bytes.resize(length.into(), 0x55);
    bytes
}

#[test]
fn a_certificate_is_read_in_pieces_and_without_its_padding() {
    for length in [100, 511, 512, 513, 1500] {
        for attributes in [OWNER_READ, AUTH_READ, 0x6207_2001] {
            let mut stored = certificate(length);
            stored.resize(usize::from(length) + 37, 0xff);
            let read = read_certificate(INDEX, &tpm(&stored, attributes)).expect("read");
            assert_eq!(read, certificate(length), "{length}");
        }
    }
}

#[test]
fn what_is_no_certificate_is_none() {
    let failure = |content: &[u8], index| {
        read_certificate(index, &tpm(content, AUTH_READ)).expect_err("none").raw_os_error()
    };
    assert_eq!(failure(b"\x30\x82\xff\xff", INDEX), Some(EBADMSG), "longer than what is stored");
    assert_eq!(failure(b"hello, this is text", INDEX), Some(EBADMSG));
    assert_eq!(failure(b"", INDEX), Some(EBADMSG));
    assert_eq!(failure(&certificate(100), 0x01c0_000a), Some(ENOENT));
}

#[test]
fn a_tpm_that_lies_about_lengths_is_not_believed() {
    // Behind the 528th byte of an answer there is only the session.
    let honest = tpm(&certificate(600), AUTH_READ);
    for cut in 0..528 {
        let cutting = |sent: &[u8]| honest(sent).map(|answer| answer[..cut.min(answer.len())].to_vec());
        assert_eq!(
            read_certificate(INDEX, &cutting).expect_err("cut").raw_os_error(),
            Some(EBADMSG),
            "{cut}"
        );
    }
    let endless = tpm(&vec![0x30; usize::from(limits::CERTIFICATE_BYTES) + 1], AUTH_READ);
    assert_eq!(read_certificate(INDEX, &endless).expect_err("too long").raw_os_error(), Some(EBADMSG));
}

#[test]
fn a_password_that_could_lock_the_tpm_is_not_tried() {
    for attributes in [0, 1 << 18] {
        let honest = tpm(&certificate(100), attributes);
        let asked = |sent: &[u8]| {
            assert_eq!(answer(sent).map(|(code, _)| code), Some(NV_READ_PUBLIC), "nothing else is asked");
            honest(sent)
        };
        let err = read_certificate(INDEX, &asked).expect_err("not for everybody");
        assert_eq!(err.raw_os_error(), Some(EACCES));
    }
}

fn told(pairs: &[(u32, u32)]) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(PROPERTIES.to_be_bytes());
    body.extend(u32::try_from(pairs.len()).expect("few").to_be_bytes());
    pairs.iter().for_each(|(key, value)| body.extend([key.to_be_bytes(), value.to_be_bytes()].concat()));
    command(WITHOUT_SESSIONS, 0, &[&body])
}

#[test]
fn properties_become_names_and_versions() {
    // As an SLB 9670 has them.
    let found = properties(&told(&[
        (MANUFACTURER, 0x4946_5800),
        (0x106, 0x534c_4239),
        (0x107, 0x3637_3000),
        (0x108, 0),
        (0x10b, 0x0007_0055),
        (0x10c, 0x0011_cb00),
    ]));
    assert_eq!(manufacturer(&found).as_deref(), Some("IFX"));
    assert_eq!(vendor_string(&found).as_deref(), Some("SLB9670"));
    assert_eq!(firmware(&found).as_deref(), Some("7.85.17.51968"));
}

#[test]
fn half_an_answer_has_no_properties_that_it_does_not_name() {
    let whole = told(&[(MANUFACTURER, 1), (0x10b, 2)]);
    for length in 0..whole.len() {
        let expected = length.saturating_sub(HEADER + 9) / 8;
        assert_eq!(properties(&whole[..length]).len(), expected, "{length}");
    }
    let refused = command(WITHOUT_SESSIONS, 0x922, &[]);
    assert!(properties(&refused).is_empty());
    let empty = BTreeMap::new();
    assert_eq!((manufacturer(&empty), vendor_string(&empty), firmware(&empty)), (None, None, None));
}

#[test]
fn the_command_is_that_of_the_specification() {
    let want = [0x80, 1, 0, 0, 0, 0x16, 0, 0, 1, 0x7a, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 0, 0x2e];
    assert_eq!(get_properties(), want);
}
