//! What the first bytes of a file say.

use super::{Compression, Declared, Format, FormatError, Terms, partitions};

/// How many bytes of content [`format`] wants to see.
pub(crate) const SNIFFED: usize = 64 << 10;

/// Compressions that are known by name and not read.
const FOREIGN_COMPRESSIONS: [(&[u8], &str); 8] = [
    (b"\x02\x21\x4c\x18", "lz4-compressed in the legacy format"),
    (b"LZIP", "lzip-compressed"),
    (b"\x89LZO\0\r\n\x1a\n", "lzop-compressed"),
    (b"\x1f\x9d", "compressed by compress (.Z)"),
    (b"\xff\x06\0\0sNaPpY", "snappy-compressed"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"LRZI", "lrzip-compressed"),
    (b"\x27\xb5\x2f\xfd", "zstd-compressed in a format before version 0.8"),
];

/// Offset, magic and name of what is no raw disk.
const FOREIGN: [(usize, &[u8], &str); 32] = [
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"PK\x05\x06", "a zip archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"070701", "a cpio archive"),
    (0, b"070702", "a cpio archive"),
    (0, b"070707", "a cpio archive"),
    (0, b"Rar!\x1a\x07", "a rar archive"),
    (0, b"MSWIM\0\0\0", "a WIM archive"),
    (0, b"MSCF\0\0\0\0", "a cabinet archive"),
    (0, b"xar!\0", "a xar archive"),
    (0, b"EVF\x09\x0d\x0a\xff\0", "an EnCase image"),
    (0, b"!<arch>\n", "a Debian package or ar archive"),
    (0, b"\xed\xab\xee\xdb", "an RPM package"),
    (0, b"\x7fELF", "an ELF program"),
    (514, b"HdrS", "a Linux kernel"),
    (56, b"ARM\x64", "a Linux kernel"),
    (0, b"hsqs", "a squashfs file system"),
    (0, b"LUKS\xba\xbe", "a LUKS container"),
    (0, b"SKUL\xba\xbe", "a LUKS container"),
    (0, b"\x3a\xff\x26\xed", "an Android sparse image"),
    (64, b"\x7f\x10\xda\xbe", "VDI"),
    (0, b"QED\0", "QED"),
    (0, b"WithoutFreeSpace", "a Parallels disk"),
    (0, b"WithouFreSpacExt", "a Parallels disk"),
    (0, b"Bochs Virtual HD Image", "a Bochs disk"),
    (0, b"#!/bin/sh\n#V2.0 Format", "a cloop disk"),
    (0, b"COWD", "VMDK of the ESX sparse kind"),
    (0, b"\xbe\xba\xfe\xca\0\0\0\0", "VMDK of the seSparse kind"),
    (0, b"bplist", "a property list"),
    (0, b"%PDF", "a PDF document"),
    // What registries and APIs answer instead of an image.
    (0, b"{\"", "a JSON document"),
    (0, b"{\n", "a JSON document"),
];

/// Magic and name of the formats that are read, where their content starts.
const KNOWN: [(&[u8], Format, &str); 4] = [
    (b"QFI\xfb", Format::Qcow2, "qcow2"),
    (b"KDMV", Format::Vmdk, "VMDK"),
    (b"conectix", Format::Vhd, "VHD"),
    (b"vhdxfile", Format::Vhdx, "VHDX"),
];

pub(super) fn has(content: &[u8], at: usize, magic: &[u8]) -> bool {
    content.get(at..at + magic.len()) == Some(magic)
}

/// What a compressed file starts with.
enum Packed {
    /// A compression that is read.
    By(Compression),
    /// Skippable frames, of zstd or of lz4; what follows them is not shown.
    Skippable,
}

impl Packed {
    fn compression(self, if_skippable: Compression) -> Compression {
        match self {
            Packed::By(compression) => compression,
            Packed::Skippable => if_skippable,
        }
    }
}

/// What `content` starts with, if it is compressed.
fn packed(content: &[u8]) -> Option<Packed> {
    let mut rest = content;
    while let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, after @ ..] = rest {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        match after.get(length..) {
            Some(after) if !after.is_empty() => rest = after,
            Some(_) | None => return Some(Packed::Skippable),
        }
    }
    Some(Packed::By(match rest {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Compression::Bzip2,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        [0x04, 0x22, 0x4d, 0x18, ..] => Compression::Lz4,
        _ => return None,
    }))
}

/// A file of the LZMA tool of old: it has no magic, so all of its header must
/// be what that tool wrote (properties, dictionary of one or two bits, length).
fn is_lzma_alone(content: &[u8]) -> bool {
    let [0x5d, a, b, c, d, length @ ..] = content else { return false };
    let dictionary = u32::from_le_bytes([*a, *b, *c, *d]);
    let Some(&length) = length.first_chunk() else { return false };
    let length = u64::from_le_bytes(length);
    dictionary >= 1 << 12
        && (dictionary.count_ones() <= 2 || dictionary == u32::MAX)
        && (length == u64::MAX || length < 1 << 48)
}

/// The compression of a file that starts with `content`.
///
/// # Errors
/// [`FormatError`] when it is one we do not read, or not the declared one.
pub(crate) fn compression(content: &[u8], declared: Declared) -> Result<Compression, FormatError> {
    let is_lz4 = declared.compression == Some(Compression::Lz4);
    let if_skippable = if is_lz4 { Compression::Lz4 } else { Compression::Zstd };
    let found = packed(content).map_or(Compression::None, |packed| packed.compression(if_skippable));
    if declared.compression.is_some_and(|declared| declared != found) {
        return Err(mismatch(declared, declared.format, found));
    }
    let foreign = FOREIGN_COMPRESSIONS.iter().find(|(magic, _)| has(content, 0, magic));
    match foreign {
        Some((_, found)) => Err(FormatError::Compression { found }),
        None if is_lzma_alone(content) => Err(FormatError::Compression { found: "lzma-compressed (.lzma)" }),
        None => Ok(found),
    }
}

/// The format of what starts with `content`, [`SNIFFED`] bytes of it or all.
///
/// # Errors
/// [`FormatError`] when it is no disk image, not the declared one, or not
/// permitted.
pub(crate) fn format(content: &[u8], terms: &Terms, compression: Compression) -> Result<Format, FormatError> {
    let declared = terms.declared;
    let found = match KNOWN.iter().find(|(magic, ..)| has(content, 0, magic)) {
        Some(&(_, format, name)) => {
            check_alone(content, format, name)?;
            format
        }
        None => {
            check_raw(content, compression)?;
            // A fixed VHD tells itself at its end only; its decoder looks there.
            if declared.format == Some(Format::Vhd) { Format::Vhd } else { Format::Raw }
        }
    };
    if declared.format.is_some_and(|declared| declared != found) {
        return Err(mismatch(declared, Some(found), compression));
    }
    if !terms.permitted.contains(found) {
        return Err(FormatError::NotPermitted { found, permitted: terms.permitted });
    }
    Ok(found)
}

/// The name of the disk image that `content` starts with, if it is one.
pub(super) fn nested(content: &[u8]) -> Option<&'static str> {
    let known = KNOWN.iter().find(|(magic, ..)| has(content, 0, magic)).map(|&(.., name)| name);
    let foreign = FOREIGN.iter().filter(|(.., name)| is_disk_image(name));
    known.or_else(|| foreign.clone().find(|(at, magic, _)| has(content, *at, magic)).map(|&(.., name)| name))
}

/// Of [`FOREIGN`], what nobody makes a file system of.
fn is_disk_image(name: &str) -> bool {
    ["VDI", "QED", "a Parallels disk", "VMDK of the ESX sparse kind"].contains(&name)
}

/// That something with the magic of `format` is not a bare disk as well.
fn check_alone(content: &[u8], format: Format, one: &'static str) -> Result<(), FormatError> {
    if has(content, 512, b"EFI PART") {
        return Err(FormatError::Ambiguous { one, other: "a GPT disk" });
    }
    if has(content, 510, &[0x55, 0xaa]) {
        return Err(FormatError::Ambiguous { one, other: "an MBR disk" });
    }
    // Smaller clusters may well hold that there.
    let big_header = format == Format::Qcow2 && content.get(23).is_some_and(|&bits| bits >= 16);
    if big_header && has(content, ISO_MAGIC, b"CD001") {
        return Err(FormatError::Ambiguous { one, other: "an ISO 9660 file system" });
    }
    Ok(())
}

/// Where an ISO 9660 file system has its magic, in its sixteenth sector.
const ISO_MAGIC: usize = 0x8001;

fn check_raw(content: &[u8], compression: Compression) -> Result<(), FormatError> {
    if let Some(inner) = packed(content) {
        let inner = inner.compression(Compression::Zstd).adjective();
        let outer = compression.adjective();
        return Err(match compression == Compression::None {
            true => FormatError::NotADisk { found: inner },
            false => FormatError::Twice { outer, inner },
        });
    }
    if let Some((_, found)) = FOREIGN_COMPRESSIONS.iter().find(|(magic, _)| has(content, 0, magic)) {
        return Err(FormatError::NotADisk { found });
    }
    if let Some((.., found)) = FOREIGN.iter().find(|(at, magic, _)| has(content, *at, magic)) {
        return Err(FormatError::NotADisk { found });
    }
    if is_vmdk_descriptor(content) {
        return Err(FormatError::NotADisk { found: "a VMDK descriptor, which names other files" });
    }
    if has(content, ISO_MAGIC, b"CD001") {
        check_iso(content)?;
    }
    if is_markup(content) {
        return Err(FormatError::NotADisk { found: "an HTML or XML page" });
    }
    if content.len() < 512 {
        return Err(FormatError::TooShort { length: content.len() as u64 });
    }
    Ok(())
}

/// An ISO 9660 file system is a disk only if it has a partition table in which
/// it is a partition itself ("isohybrid"); in the gap before the partitions of
/// another disk it is a second reading of the same bytes.
fn check_iso(content: &[u8]) -> Result<(), FormatError> {
    let found = "an ISO 9660 file system without a partition table";
    if !has(content, 510, &[0x55, 0xaa]) {
        return Err(FormatError::NotADisk { found });
    }
    let partitions = partitions::of(content);
    match partitions.iter().any(|partition| partition.contains(&(ISO_MAGIC as u64))) {
        true => Ok(()),
        false if partitions.is_empty() => Err(FormatError::NotADisk { found }),
        false => Err(FormatError::Ambiguous { one: "a disk", other: "an ISO 9660 file system" }),
    }
}

/// Text that VMware or QEMU takes for a disk: the line that names it a
/// descriptor, or a version after nothing but comments and blank lines.
fn is_vmdk_descriptor(content: &[u8]) -> bool {
    let end = content.iter().position(|&byte| byte == 0).unwrap_or(content.len());
    let lines = content[..end].split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    for line in lines {
        let line = line.to_ascii_lowercase();
        if line.starts_with(b"# disk descriptorfile") || line.starts_with(b"version=") {
            return true;
        }
        if !line.is_empty() && line[0] != b'#' {
            return false;
        }
    }
    false
}

/// Error pages of proxies, saved as images.
fn is_markup(content: &[u8]) -> bool {
    let text = content.trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").map_or(text, <[u8]>::trim_ascii_start);
    let start = text.get(..text.len().min(9)).unwrap_or_default().to_ascii_lowercase();
    [&b"<!doctype"[..], b"<html", b"<?xml", b"<head", b"<!--", b"<error"]
        .iter()
        .any(|tag| start.starts_with(tag))
}

fn mismatch(declared: Declared, format: Option<Format>, compression: Compression) -> FormatError {
    let name = |format: Option<Format>, compression: Option<Compression>| {
        let format = format.map_or_else(|| "auto".to_owned(), |format| format.to_string());
        format + compression.map_or("", Compression::suffix)
    };
    // What was not declared cannot be contradicted.
    let contradicted = declared.compression.is_some_and(|declared| declared != compression);
    let found = match contradicted {
        true => compression.adjective().to_owned(),
        false => name(format, Some(compression)),
    };
    FormatError::Mismatch { found, declared: name(declared.format, declared.compression) }
}

#[cfg(test)]
#[path = "sniff_tests.rs"]
mod tests;
