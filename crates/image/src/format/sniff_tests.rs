use model::Bytes;

use super::{super::Formats, *};

fn terms(declared: &str) -> Terms {
    let declared = declared.parse().expect("a format");
    Terms { declared, permitted: Formats::DEFAULT, decoder_memory: Bytes(0), content: None }
}

fn with(magics: &[(usize, &[u8])]) -> Vec<u8> {
    let mut content = vec![0; SNIFFED];
    for (at, magic) in magics {
        content[*at..at + magic.len()].copy_from_slice(magic);
    }
    content
}

fn refusal(content: &[u8], declared: &str, compression: Compression) -> String {
    format(content, &terms(declared), compression).expect_err(declared).to_string()
}

#[test]
fn what_is_no_disk_is_refused_by_name() {
    let compressions = FOREIGN_COMPRESSIONS.map(|(magic, name)| (0, magic, name));
    for (at, magic, name) in FOREIGN.into_iter().chain(compressions) {
        let content = with(&[(at, magic)]);
        for declared in ["auto", "raw", "vhd"] {
            let refusal = refusal(&content, declared, Compression::None);
            assert!(refusal.contains(name), "{refusal}");
        }
    }
    for page in ["<!DOCTYPE html>", "\n <html>", "<?xml version", "\u{feff}<html>", "\u{feff}\n<html>"] {
        assert!(refusal(page.as_bytes(), "auto", Compression::None).contains("page"), "{page}");
    }
}

#[test]
fn a_compression_that_is_not_read_is_refused_by_name() {
    for (magic, name) in FOREIGN_COMPRESSIONS {
        let refusal = compression(&with(&[(0, magic)]), Declared::AUTO).expect_err(name);
        assert!(refusal.to_string().contains(name), "{refusal}");
    }
    let lzma = b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0";
    let refusal = compression(lzma, Declared::AUTO).expect_err("lzma");
    assert!(refusal.to_string().contains(".lzma"), "{refusal}");
    // Boot code may begin with the same byte.
    assert_eq!(compression(&with(&[(0, b"\x5d\xeb\x3c")]), Declared::AUTO), Ok(Compression::None));
}

#[test]
fn a_declaration_that_does_not_fit_is_refused() {
    let disk = vec![0; 1024];
    assert_eq!(format(&disk, &terms("raw"), Compression::None), Ok(Format::Raw));
    for (content, declared) in [(&disk[..], "qcow2"), (b"QFI\xfb", "raw"), (b"KDMV", "vhd")] {
        let refusal = format(content, &terms(declared), Compression::None);
        assert!(matches!(refusal, Err(FormatError::Mismatch { .. })), "{declared}: {refusal:?}");
    }
    let raw = terms("raw").declared;
    assert!(matches!(compression(b"\x1f\x8b", raw), Err(FormatError::Mismatch { .. })));
    assert_eq!(compression(b"\x1f\x8b", Declared::AUTO), Ok(Compression::Gzip));
}

#[test]
fn a_refusal_names_what_contradicts_the_declaration() {
    // Ironic declares a format and never a compression.
    let ironic = Declared { format: Some(Format::Raw), compression: None };
    let refusal = format(b"QFI\xfb", &Terms { declared: ironic, ..terms("auto") }, Compression::None)
        .expect_err("qcow2");
    assert_eq!(refusal.to_string(), "the image is qcow2 but was declared raw; correct one of them");
    let refusal = compression(&[0; 1024], terms("raw.zst").declared).expect_err("it is not compressed");
    assert_eq!(
        refusal.to_string(),
        "the image is not compressed but was declared raw.zst; correct one of them"
    );
}

#[test]
fn skippable_frames_belong_to_what_follows_them() {
    let skippable = |tail: &[u8]| [b"\x53\x2a\x4d\x18\x02\0\0\0ab", tail].concat();
    let tell = |content: &[u8], declared| compression(content, terms(declared).declared);
    assert_eq!(tell(&skippable(b"\x28\xb5\x2f\xfd"), "auto"), Ok(Compression::Zstd));
    assert_eq!(tell(&skippable(b"\x04\x22\x4d\x18"), "auto"), Ok(Compression::Lz4));
    assert_eq!(tell(&skippable(b""), "raw.lz4"), Ok(Compression::Lz4));
    assert_eq!(tell(&skippable(b""), "raw.zst"), Ok(Compression::Zstd));
    assert_eq!(tell(&skippable(b"nothing"), "auto"), Ok(Compression::None));
}

#[test]
fn what_is_compressed_twice_is_refused_as_that() {
    let said = refusal(&with(&[(0, b"\x1f\x8b")]), "auto", Compression::Zstd);
    assert_eq!(
        said,
        "the image is compressed twice: gzip-compressed within zstd-compressed; take one of them off"
    );
}

#[test]
fn other_formats_are_read_only_when_permitted() {
    for (magic, format_found, _) in KNOWN.into_iter().skip(1) {
        let content = with(&[(0, magic)]);
        let mut terms = terms(format_found.name());
        let refusal = format(&content, &terms, Compression::None).expect_err("not permitted");
        let text = format!("the image is {format_found}, and only raw, qcow2 are permitted");
        assert!(refusal.to_string().starts_with(&text), "{refusal}");
        terms.permitted = Formats::DEFAULT.with(format_found);
        assert_eq!(format(&content, &terms, Compression::None), Ok(format_found));
    }
    let permitted = Formats::DEFAULT.with(Format::Vhd);
    let fixed = Terms { permitted, ..terms("vpc") };
    assert_eq!(format(&with(&[]), &fixed, Compression::None), Ok(Format::Vhd), "its footer is at its end");
}

#[test]
fn two_readings_of_the_same_bytes_are_refused() {
    let boot = [0x55, 0xaa];
    let one_cluster = (23, &[16][..]);
    for (second, name) in [
        ((512, &b"EFI PART"[..]), "a GPT disk"),
        ((510, &boot[..]), "an MBR disk"),
        ((ISO_MAGIC, b"CD001"), "an ISO 9660"),
    ] {
        let said = refusal(&with(&[(0, b"QFI\xfb"), one_cluster, second]), "auto", Compression::None);
        assert!(said.contains("both qcow2 and") && said.contains(name), "{said}");
    }
    let small_clusters = with(&[(0, b"QFI\xfb"), (23, &[9]), (ISO_MAGIC, b"CD001")]);
    assert_eq!(format(&small_clusters, &terms("auto"), Compression::None), Ok(Format::Qcow2));
}

#[test]
fn a_hybrid_iso_is_a_disk_and_a_plain_one_is_not() {
    let iso: (usize, &[u8]) = (ISO_MAGIC, b"CD001");
    let boot: (usize, &[u8]) = (510, &[0x55, 0xaa]);
    let tell = |content: &[u8]| format(content, &terms("raw"), Compression::None);
    assert!(matches!(tell(&with(&[iso])), Err(FormatError::NotADisk { .. })));
    assert!(matches!(tell(&with(&[iso, boot])), Err(FormatError::NotADisk { .. })), "of no partition");
    let all = [0x80, 0, 0, 0, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    assert_eq!(tell(&with(&[iso, boot, (446, &all)])), Ok(Format::Raw));
    let elsewhere = [0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0];
    assert!(matches!(tell(&with(&[iso, boot, (446, &elsewhere)])), Err(FormatError::Ambiguous { .. })));
}

#[test]
fn a_vmdk_descriptor_is_refused_however_it_starts() {
    for text in [
        "# Disk DescriptorFile\nversion=1\n",
        "#\n\n# hello\nversion=3\r\n",
        "  \n# x\n# Disk DescriptorFile",
    ] {
        for declared in ["raw", "auto"] {
            let content = with(&[(0, text.as_bytes())]);
            let said = refusal(&content, declared, Compression::None);
            assert!(said.contains("VMDK descriptor"), "{said}");
        }
    }
    assert!(!is_vmdk_descriptor(b"\xeb\x3c\x90version=1"));
}
