//! What an image is: told by its content, checked against what was declared.

use std::{fmt, str::FromStr};

/// How the disk's bytes are arranged in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As on the disk.
    Raw,
    /// QEMU's copy-on-write format, versions 2 and 3.
    Qcow2,
}

/// What is around that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    None,
    /// gzip, RFC 1952, of one member or several.
    Gzip,
    /// Zstandard, RFC 8878, of one frame or several.
    Zstd,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
        })
    }
}

impl Compression {
    /// The ending of a name: empty, `.gz`, `.zst`.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        }
    }
}

/// What somebody says an image is; `None` leaves it to the content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The format, if declared.
    pub format: Option<Format>,
    /// The compression, if declared; a bare `raw` declares that there is none.
    pub compression: Option<Compression>,
}

impl Declared {
    /// Nothing is declared: the content tells.
    pub const AUTO: Declared = Declared { format: None, compression: None };
}

/// A format nobody knows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image format: want auto, raw, raw.gz, raw.zst, qcow2, qcow2.gz or qcow2.zst")]
pub struct ParseFormatError {
    /// What was given.
    pub text: String,
}

impl FromStr for Declared {
    type Err = ParseFormatError;

    /// `auto`, or a format with an optional compression: `raw`, `raw.zst`,
    /// `qcow2+gzip`.
    fn from_str(text: &str) -> Result<Self, ParseFormatError> {
        let fail = || ParseFormatError { text: text.to_owned() };
        if text == "auto" {
            return Ok(Self::AUTO);
        }
        let (format, compression) = text.split_once(['.', '+']).unwrap_or((text, "none"));
        let format = match format {
            "raw" | "gpt" | "mbr" => Format::Raw,
            "qcow2" => Format::Qcow2,
            _ => return Err(fail()),
        };
        let compression = match compression {
            "none" => Compression::None,
            "gz" | "gzip" => Compression::Gzip,
            "zst" | "zstd" => Compression::Zstd,
            _ => return Err(fail()),
        };
        Ok(Self { format: Some(format), compression: Some(compression) })
    }
}

/// Why an image's content is not what is wanted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It is something that is no disk image, or a kind we do not write.
    #[error("the image is {found}, which cannot be written as a disk; use raw, raw.gz, raw.zst or qcow2")]
    NotADisk {
        /// What it is.
        found: &'static str,
    },
    /// It is another format than declared.
    #[error("the image is {found} but was declared {declared}; correct one of them")]
    Mismatch {
        /// What its content says.
        found: String,
        /// What was declared.
        declared: String,
    },
    /// It can be read as two formats, so nobody can say what it means.
    #[error("the image is both {one} and {other}; such a file is a mistake or an attack")]
    Ambiguous {
        /// One reading.
        one: &'static str,
        /// Another.
        other: &'static str,
    },
    /// It is shorter than a sector.
    #[error("the image is {length} bytes, less than one sector; check the URL and the upload")]
    TooShort {
        /// Its length in bytes.
        length: u64,
    },
}

/// How many bytes of content [`format`] wants to see.
pub(crate) const SNIFFED: usize = 64 << 10;

/// Compressions that are known by name and not supported.
const FOREIGN_COMPRESSIONS: [(&[u8], &str); 4] = [
    (b"\xfd7zXZ\0", "xz-compressed"),
    (b"BZh", "bzip2-compressed"),
    (b"\x04\x22\x4d\x18", "lz4-compressed"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
];

/// Offset, magic and name of what is no raw disk.
const FOREIGN: [(usize, &[u8], &str); 22] = [
    (0, b"\x1f\x8b", "gzip-compressed"),
    (0, b"\x28\xb5\x2f\xfd", "zstd-compressed"),
    (0, b"\xfd7zXZ\0", "xz-compressed"),
    (0, b"BZh", "bzip2-compressed"),
    (0, b"\x04\x22\x4d\x18", "lz4-compressed"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"PK\x03\x04", "a zip archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x7fELF", "an ELF program"),
    (0, b"hsqs", "a squashfs file system"),
    (0, b"LUKS\xba\xbe", "a LUKS container"),
    (0, b"KDMV", "VMDK"),
    (0, b"COWD", "VMDK"),
    (0, b"# Disk DescriptorFile", "a VMDK descriptor"),
    (64, b"\x7f\x10\xda\xbe", "VDI"),
    (0, b"vhdxfile", "VHDX"),
    (0, b"conectix", "VHD"),
    (0, b"QED\0", "QED"),
    (0, b"WithoutFreeSpace", "a Parallels disk"),
    (0, b"WithouFreSpacExt", "a Parallels disk"),
    (0, b"bplist", "a property list"),
    (0, b"%PDF", "a PDF document"),
];

fn has(content: &[u8], at: usize, magic: &[u8]) -> bool {
    content.get(at..at + magic.len()) == Some(magic)
}

/// The compression of a file that starts with `content`.
///
/// # Errors
/// [`FormatError`] when it is one we do not read, or not the declared one.
pub(crate) fn compression(content: &[u8], declared: Declared) -> Result<Compression, FormatError> {
    let found = match content {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        // A frame, or a skippable frame, of which there are sixteen kinds.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    };
    if declared.compression.is_some_and(|declared| declared != found) {
        return Err(mismatch(declared, declared.format, found));
    }
    let foreign = FOREIGN_COMPRESSIONS.iter().find(|(magic, _)| has(content, 0, magic));
    match foreign {
        Some((_, found)) => Err(FormatError::NotADisk { found }),
        None => Ok(found),
    }
}

/// The format of what starts with `content`, [`SNIFFED`] bytes of it or all.
///
/// # Errors
/// [`FormatError`] when it is no disk image, or not the declared one.
pub(crate) fn format(
    content: &[u8],
    declared: Declared,
    compression: Compression,
) -> Result<Format, FormatError> {
    let is_qcow2 = has(content, 0, b"QFI\xfb");
    let has_gpt = has(content, 512, b"EFI PART");
    if is_qcow2 && has_gpt {
        return Err(FormatError::Ambiguous { one: "qcow2", other: "a GPT disk" });
    }
    let found = if is_qcow2 { Format::Qcow2 } else { Format::Raw };
    if found == Format::Raw {
        check_raw(content)?;
    }
    if declared.format.is_some_and(|declared| declared != found) {
        return Err(mismatch(declared, Some(found), compression));
    }
    Ok(found)
}

fn check_raw(content: &[u8]) -> Result<(), FormatError> {
    if let Some((_, _, found)) = FOREIGN.iter().find(|(at, magic, _)| has(content, *at, magic)) {
        return Err(FormatError::NotADisk { found });
    }
    // An ISO 9660 file system is a disk only with boot code for disks in front
    // ("isohybrid").
    if has(content, 0x8001, b"CD001") && !has(content, 510, &[0x55, 0xaa]) {
        return Err(FormatError::NotADisk { found: "an ISO 9660 file system without a partition table" });
    }
    if is_markup(content) {
        return Err(FormatError::NotADisk { found: "an HTML or XML page" });
    }
    if content.len() < 512 {
        return Err(FormatError::TooShort { length: content.len() as u64 });
    }
    Ok(())
}

/// Error pages of proxies, saved as images.
fn is_markup(content: &[u8]) -> bool {
    let text = content.trim_ascii_start();
    let start = text.get(..text.len().min(9)).unwrap_or_default().to_ascii_lowercase();
    [&b"<!doctype"[..], b"<html", b"<?xml", b"<head"].iter().any(|tag| start.starts_with(tag))
}

fn mismatch(declared: Declared, format: Option<Format>, compression: Compression) -> FormatError {
    let name = |format: Option<Format>, compression: Option<Compression>| {
        let format = format.map_or_else(|| "auto".to_owned(), |format| format.to_string());
        format + compression.map_or("", Compression::suffix)
    };
    // What was not declared cannot be contradicted.
    let contradicted = declared.compression.is_some_and(|declared| declared != compression);
    let found = match compression {
        Compression::Gzip if contradicted => "gzip-compressed".to_owned(),
        Compression::Zstd if contradicted => "zstd-compressed".to_owned(),
        Compression::None if contradicted => "not compressed".to_owned(),
        Compression::Gzip | Compression::Zstd | Compression::None => name(format, Some(compression)),
    };
    FormatError::Mismatch { found, declared: name(declared.format, declared.compression) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_write_them() {
        let known =
            |format, compression| Ok(Declared { format: Some(format), compression: Some(compression) });
        assert_eq!("auto".parse(), Ok(Declared::AUTO));
        assert_eq!("raw".parse::<Declared>(), known(Format::Raw, Compression::None));
        assert_eq!("raw.zst".parse::<Declared>(), known(Format::Raw, Compression::Zstd));
        assert_eq!("qcow2+gzip".parse::<Declared>(), known(Format::Qcow2, Compression::Gzip));
        for bad in ["", "vmdk", "raw.xz", "RAW", "auto.zst"] {
            assert!(bad.parse::<Declared>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_disk_is_refused_by_name() {
        for (at, magic, name) in FOREIGN {
            let mut content = vec![0; SNIFFED];
            content[at..at + magic.len()].copy_from_slice(magic);
            let refusal = format(&content, Declared::AUTO, Compression::None).expect_err(name);
            assert!(refusal.to_string().contains(name), "{refusal}");
        }
        for page in ["<!DOCTYPE html>", "\n <html>", "<?xml version"] {
            assert!(format(page.as_bytes(), Declared::AUTO, Compression::None).is_err(), "{page}");
        }
    }

    #[test]
    fn a_declaration_that_does_not_fit_is_refused() {
        let raw: Declared = "raw".parse().expect("a format");
        let qcow2: Declared = "qcow2".parse().expect("a format");
        let disk = vec![0; 1024];
        assert_eq!(format(&disk, raw, Compression::None), Ok(Format::Raw));
        assert!(matches!(format(&disk, qcow2, Compression::None), Err(FormatError::Mismatch { .. })));
        assert!(matches!(format(b"QFI\xfb", raw, Compression::None), Err(FormatError::Mismatch { .. })));
        assert!(matches!(compression(b"\x1f\x8b", raw), Err(FormatError::Mismatch { .. })));
        assert_eq!(compression(b"\x1f\x8b", Declared::AUTO), Ok(Compression::Gzip));
    }

    #[test]
    fn a_refusal_names_what_contradicts_the_declaration() {
        // Ironic declares a format and never a compression.
        let ironic = Declared { format: Some(Format::Raw), compression: None };
        let refusal = format(b"QFI\xfb", ironic, Compression::None).expect_err("it is qcow2");
        assert_eq!(refusal.to_string(), "the image is qcow2 but was declared raw; correct one of them");
        let zst: Declared = "raw.zst".parse().expect("a format");
        let refusal = compression(&[0; 1024], zst).expect_err("it is not compressed");
        assert_eq!(
            refusal.to_string(),
            "the image is not compressed but was declared raw.zst; correct one of them"
        );
    }

    #[test]
    fn a_hybrid_iso_is_a_disk_and_a_plain_one_is_not() {
        let mut iso = vec![0; SNIFFED];
        iso[0x8001..0x8006].copy_from_slice(b"CD001");
        assert!(format(&iso, Declared::AUTO, Compression::None).is_err());
        iso[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(format(&iso, Declared::AUTO, Compression::None), Ok(Format::Raw));
    }
}
