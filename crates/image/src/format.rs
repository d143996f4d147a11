//! What an image is: told by its content, checked against what was declared.
//!
//! first bytes ──[`compression`]──▶ decompressed ──[`format`]──▶ [`Format`] or [`FormatError`]

use std::{fmt, str::FromStr};

use model::{Algorithm, Bytes};

mod partitions;
mod sniff;

pub(crate) use partitions::{Inside, SEEN};
pub(crate) use sniff::{SNIFFED, compression, format};

/// How the disk's bytes are arranged in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As on the disk.
    Raw,
    /// QEMU's copy-on-write format, versions 2 and 3.
    Qcow2,
    /// VMware's sparse extents: monolithicSparse and streamOptimized.
    Vmdk,
    /// Microsoft's first format, of Virtual PC: fixed and dynamic.
    Vhd,
    /// Microsoft's second one, of Hyper-V.
    Vhdx,
}

impl Format {
    /// All there are, in the order of [`Formats`]'s bits.
    const ALL: [Format; 5] = [Format::Raw, Format::Qcow2, Format::Vmdk, Format::Vhd, Format::Vhdx];

    /// As in `--format`: `raw`, `qcow2`, `vmdk`, `vhd`, `vhdx`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
            Format::Vmdk => "vmdk",
            Format::Vhd => "vhd",
            Format::Vhdx => "vhdx",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = ParseFormatError;

    /// The names of qemu-img and of Ironic: `gpt`, `mbr` and `iso` are raw
    /// disks, `vpc` is VHD.
    fn from_str(text: &str) -> Result<Self, ParseFormatError> {
        match text {
            "raw" | "gpt" | "mbr" | "iso" => Ok(Format::Raw),
            "qcow2" => Ok(Format::Qcow2),
            "vmdk" => Ok(Format::Vmdk),
            "vhd" | "vpc" => Ok(Format::Vhd),
            "vhdx" => Ok(Format::Vhdx),
            _ => Err(ParseFormatError { text: text.to_owned() }),
        }
    }
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
    /// xz, of one stream or several.
    Xz,
    /// bzip2, of one stream or several.
    Bzip2,
    /// LZ4 frames, of one or several.
    Lz4,
}

impl Compression {
    /// The ending of a name: empty, `.gz`, `.zst`, `.xz`, `.bz2`, `.lz4`.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
            Compression::Xz => ".xz",
            Compression::Bzip2 => ".bz2",
            Compression::Lz4 => ".lz4",
        }
    }

    /// What a file of it is called.
    pub(crate) fn adjective(self) -> &'static str {
        match self {
            Compression::None => "not compressed",
            Compression::Gzip => "gzip-compressed",
            Compression::Zstd => "zstd-compressed",
            Compression::Xz => "xz-compressed",
            Compression::Bzip2 => "bzip2-compressed",
            Compression::Lz4 => "lz4-compressed",
        }
    }
}

/// The formats that somebody permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// One bit for each of [`Format::ALL`].
    bits: u8,
}

impl Formats {
    /// What is permitted when nobody says otherwise: raw and qcow2, as in
    /// Ironic. The others are read by code that fewer images have tried.
    pub const DEFAULT: Formats = Formats { bits: 0b11 };
    /// Every format that can be read.
    pub const ALL: Formats = Formats { bits: 0b1_1111 };

    /// These and `format`.
    #[must_use]
    pub fn with(self, format: Format) -> Formats {
        Formats { bits: self.bits | 1 << format as u8 }
    }

    /// Whether `format` is one of them.
    #[must_use]
    pub fn contains(self, format: Format) -> bool {
        self.bits & 1 << format as u8 != 0
    }
}

impl Default for Formats {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromIterator<Format> for Formats {
    /// Exactly these.
    fn from_iter<I: IntoIterator<Item = Format>>(formats: I) -> Self {
        formats.into_iter().fold(Formats { bits: 0 }, Formats::with)
    }
}

impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            Format::ALL.into_iter().filter(|&format| self.contains(format)).map(Format::name).collect();
        f.write_str(&names.join(", "))
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
#[error(
    "{text:?} is not an image format: want auto, raw, qcow2, vmdk, vhd or vhdx, with .gz, .zst, .xz, .bz2 or .lz4 when compressed"
)]
pub struct ParseFormatError {
    /// What was given.
    pub text: String,
}

impl FromStr for Declared {
    type Err = ParseFormatError;

    /// `auto`, or a format with an optional compression: `raw`, `raw.zst`,
    /// `qcow2+gzip`.
    fn from_str(text: &str) -> Result<Self, ParseFormatError> {
        if text == "auto" {
            return Ok(Self::AUTO);
        }
        let fail = || ParseFormatError { text: text.to_owned() };
        let (format, compression) = text.split_once(['.', '+']).unwrap_or((text, "none"));
        let format = format.parse().map_err(|_| fail())?;
        let compression = match compression {
            "none" => Compression::None,
            "gz" | "gzip" => Compression::Gzip,
            "zst" | "zstd" => Compression::Zstd,
            "xz" => Compression::Xz,
            "bz2" | "bzip2" => Compression::Bzip2,
            "lz4" => Compression::Lz4,
            _ => return Err(fail()),
        };
        Ok(Self { format: Some(format), compression: Some(compression) })
    }
}

/// On what terms an image is read: all that does not come from the image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// What it is said to be.
    pub(crate) declared: Declared,
    /// What it may be.
    pub(crate) permitted: Formats,
    /// What its decompressor may hold.
    pub(crate) decoder_memory: Bytes,
    /// The digest to make of its content.
    pub(crate) content: Option<Algorithm>,
}

/// Why an image's content is not what is wanted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It is something that is no disk image, or a kind we do not write.
    #[error("the image is {found}, which cannot be written as a disk; use raw or qcow2, compressed or not")]
    NotADisk {
        /// What it is.
        found: &'static str,
    },
    /// It is compressed in a way that is not read.
    #[error("the image is {found}, which is not read; compress it with zstd, xz, gzip, bzip2 or lz4 frames")]
    Compression {
        /// How.
        found: &'static str,
    },
    /// It was compressed again.
    #[error("the image is compressed twice: {inner} within {outer}; take one of them off")]
    Twice {
        /// What is around it.
        outer: &'static str,
        /// What is within that.
        inner: &'static str,
    },
    /// It is a format that nobody permitted.
    #[error("the image is {found}, and only {permitted} are permitted; permit it or convert the image")]
    NotPermitted {
        /// What it is.
        found: Format,
        /// What it may be.
        permitted: Formats,
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
    /// It looks raw, nobody said so, and a partition of it is an image itself.
    #[error(
        "the image is a disk whose partition at byte {at} is {found}; declare it raw if that is meant",
        at = at.0
    )]
    Inside {
        /// What is inside.
        found: &'static str,
        /// Where it starts.
        at: Bytes,
    },
    /// It is shorter than a sector.
    #[error("the image is {length} bytes, less than one sector; check the URL and the upload")]
    TooShort {
        /// Its length in bytes.
        length: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_write_them() {
        let known =
            |format, compression| Ok(Declared { format: Some(format), compression: Some(compression) });
        assert_eq!("auto".parse(), Ok(Declared::AUTO));
        for (text, format, compression) in [
            ("raw", Format::Raw, Compression::None),
            ("gpt", Format::Raw, Compression::None),
            ("iso", Format::Raw, Compression::None),
            ("raw.zst", Format::Raw, Compression::Zstd),
            ("raw+xz", Format::Raw, Compression::Xz),
            ("raw+bzip2", Format::Raw, Compression::Bzip2),
            ("qcow2+gzip", Format::Qcow2, Compression::Gzip),
            ("qcow2.lz4", Format::Qcow2, Compression::Lz4),
            ("vmdk", Format::Vmdk, Compression::None),
            ("vpc", Format::Vhd, Compression::None),
            ("vhdx.xz", Format::Vhdx, Compression::Xz),
        ] {
            assert_eq!(text.parse::<Declared>(), known(format, compression), "{text}");
        }
        for bad in ["", "vdi", "raw.zip", "RAW", "auto.zst", "raw.", ".gz", "raw.gz.gz"] {
            assert!(bad.parse::<Declared>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_name_reads_as_its_format_and_every_suffix_as_its_compression() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert!(Formats::ALL.contains(format));
            assert_eq!([format].into_iter().collect::<Formats>().to_string(), format.name());
        }
        for compression in [Compression::Gzip, Compression::Xz, Compression::Bzip2, Compression::Lz4] {
            let declared: Declared = format!("raw{}", compression.suffix()).parse().expect("a format");
            assert_eq!(declared.compression, Some(compression));
        }
        assert_eq!(Formats::default().to_string(), "raw, qcow2");
    }
}
