use std::io::BufReader;

use super::*;

/// Sixteen bytes at a time, so that every field is split somewhere.
fn unpacked(compression: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let from = BufReader::with_capacity(16, io::Cursor::new(bytes.to_vec()));
    let mut content = Vec::new();
    unpack(from, compression, DECODER_MEMORY)?.read_to_end(&mut content)?;
    Ok(content)
}

#[test]
fn nothing_depends_on_how_the_bytes_arrive() {
    let content: Vec<u8> = (0..100_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut gzip, &content).unwrap();
    let mut xz = Vec::new();
    liblzma::read::XzEncoder::new(&content[..], 0).read_to_end(&mut xz).unwrap();
    let mut bzip2 = Vec::new();
    ::bzip2::read::BzEncoder::new(&content[..], ::bzip2::Compression::fast())
        .read_to_end(&mut bzip2)
        .unwrap();
    for (compression, packed) in [
        (Compression::Gzip, gzip.finish().unwrap()),
        (Compression::Zstd, ::zstd::encode_all(&content[..], 1).unwrap()),
        (Compression::Xz, xz),
        (Compression::Bzip2, bzip2),
    ] {
        assert_eq!(unpacked(compression, &packed).unwrap(), content, "{compression:?}");
        let twice = [&packed[..], &packed].concat();
        assert_eq!(
            unpacked(compression, &twice).unwrap(),
            [&content[..], &content].concat(),
            "{compression:?}"
        );
        assert!(unpacked(compression, &packed[..packed.len() - 1]).is_err(), "{compression:?}");
    }
}

/// RFC 8878, 3.1.1.1.2: the example values of the window descriptor.
#[test]
fn the_window_of_a_zstd_frame_is_read_from_its_head() {
    let head = |bytes: &[u8]| zstd::Head::read(&mut &bytes[..]).map(|head| head.expect("a frame").window);
    let magic = b"\x28\xb5\x2f\xfd";
    for (rest, window) in [
        (&b"\x00\x00"[..], 1 << 10),
        (b"\x04\x50", 1 << 20),
        (b"\x00\x07", 1920),
        (b"\x00\x88", 1 << 27),
        (b"\x20\xff", 255),
        (b"\x60\x00\x01", 512),
        (b"\xa0\x00\x00\x00\x04", 64 << 20),
        (b"\xe0\x00\x00\x00\x00\x01\x00\x00\x00", 1 << 32),
    ] {
        assert_eq!(head(&[&magic[..], rest].concat()).unwrap(), Bytes(window), "{rest:x?}");
    }
    assert!(head(b"\x28\xb5\x2f\xfd").is_err());
    let dictionary = zstd::Head::read(&mut &b"\x28\xb5\x2f\xfd\x22\x34\x12\x05"[..]).unwrap().unwrap();
    let refusal = dictionary.check(DECODER_MEMORY).unwrap_err();
    assert_eq!(refusal, DecompressError::Dictionary { what: "zstd-compressed", id: 0x1234 });
}

#[test]
fn an_lz4_block_reaches_back_over_the_blocks_before_it() {
    // Two linked blocks: eight bytes stored, then a match of eight bytes, eight back.
    let descriptor = [0x40, 0x40];
    let check = |descriptor: [u8; 2]| xxh32::Xxh32::of(&descriptor).to_le_bytes()[1];
    let mut frame = [&b"\x04\x22\x4d\x18"[..], &descriptor, &[check(descriptor)]].concat();
    frame.extend((8_u32 | 1 << 31).to_le_bytes());
    frame.extend(b"abcdefgh");
    let second = [0x04, 8, 0, 0x50, b'v', b'w', b'x', b'y', b'z'];
    frame.extend(9_u32.to_le_bytes());
    frame.extend(second);
    frame.extend([0; 4]);
    assert_eq!(unpacked(Compression::Lz4, &frame).unwrap(), b"abcdefghabcdefghvwxyz");
    frame[4] |= 0x20;
    frame[6] = check([0x60, 0x40]);
    assert!(unpacked(Compression::Lz4, &frame).is_err(), "independent blocks have no past");
}
