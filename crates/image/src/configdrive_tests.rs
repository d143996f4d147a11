use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

/// The least that is an ISO 9660 file system to us.
fn iso(label: &str) -> Vec<u8> {
    let mut iso = vec![0; 40 << 10];
    iso[0x8001..0x8006].copy_from_slice(b"CD001");
    iso[0x8028..0x8048].copy_from_slice(format!("{label:<32}").as_bytes());
    iso
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

#[test]
fn every_way_of_sending_one_gives_the_same_file_system() {
    let iso = iso("config-2");
    let text = STANDARD.encode(gzip(&iso));
    let wrapped =
        text.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line) + "\n").collect::<String>();
    assert_eq!(decode(&text).expect("as Ironic sends it"), iso);
    assert_eq!(decode(&wrapped).expect("with line breaks"), iso);
    assert_eq!(from_bytes(text.as_bytes()).expect("text"), iso);
    assert_eq!(from_bytes(&gzip(&iso)).expect("gzip"), iso);
    assert_eq!(from_bytes(&iso).expect("bare"), iso);
}

#[test]
fn what_is_none_is_refused_by_name() {
    let packed = gzip(&iso("config-2"));
    let refused = |text: &str| decode(text).expect_err(text).to_string();
    assert!(refused("!").contains("not base64"));
    assert!(refused("aGVsbG8=").contains("not gzip"));
    assert!(refused(&STANDARD.encode(&packed[..packed.len() - 9])).contains("not gzip"));
    assert!(refused(&STANDARD.encode(gzip(b"hello"))).contains("neither"));
    assert!(refused("").contains("not gzip"), "{}", refused(""));
}

#[test]
fn a_bomb_is_refused() {
    let bomb = gzip(&vec![0; LARGEST + 1]);
    assert!(bomb.len() < 1 << 20);
    assert!(matches!(decode(&STANDARD.encode(bomb)), Err(DecodeConfigDriveError::TooLarge)));
    assert!(matches!(decode(&"A".repeat(LARGEST * 3 / 2)), Err(DecodeConfigDriveError::TooLarge)));
}

#[test]
fn labels_are_read_from_every_kind() {
    assert_eq!(label(&iso("Config-2")).as_deref(), Some("Config-2"));
    let mut fat = vec![0; 512];
    (fat[0], fat[510], fat[511]) = (0xeb, 0x55, 0xaa);
    fat[43..54].copy_from_slice(b"CONFIG-2   ");
    assert_eq!(label(&fat).as_deref(), Some("CONFIG-2"));
    let mut ext = vec![0; 2048];
    ext[0x438..0x43a].copy_from_slice(&[0x53, 0xef]);
    ext[0x478..0x480].copy_from_slice(b"config-2");
    assert_eq!(label(&ext).as_deref(), Some("config-2"));
    assert_eq!(label(&[0; 2048]), None);
}
