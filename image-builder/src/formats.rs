//! A raw image in the forms that images travel in, each with its digest.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    digest,
    program::{self, ProgramError},
};

/// A form of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Format {
    /// The bytes of the disk.
    #[value(name = "raw")]
    Raw,
    /// The bytes of the disk in one zstd frame.
    #[value(name = "raw.zst")]
    RawZst,
    /// The bytes of the disk in gzip.
    #[value(name = "raw.gz")]
    RawGz,
    /// qcow2 with clusters compressed by zlib, which every reader knows.
    #[value(name = "qcow2")]
    Qcow2,
}

impl Format {
    fn suffix(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::RawZst => "raw.zst",
            Format::RawGz => "raw.gz",
            Format::Qcow2 => "qcow2",
        }
    }

    /// The path of this form beside the raw image `raw`: `a/os.raw` gives `a/os.qcow2`.
    #[must_use]
    pub fn beside(self, raw: &Path) -> PathBuf {
        raw.with_extension(self.suffix())
    }
}

/// One image as it lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Where.
    pub path: PathBuf,
    /// Its form: `raw.zst`.
    pub format: &'static str,
    /// Bytes that are downloaded.
    pub bytes: u64,
    /// Bytes of the disk that it holds.
    pub virtual_bytes: u64,
    /// SHA-256 of what is downloaded, in hex: Ironic's `image_os_hash_value`.
    pub sha256: String,
}

/// Why an image has not the form asked for.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The converter failed.
    #[error("the image cannot be converted")]
    Convert(#[from] ProgramError),
    /// A file failed.
    #[error("{path} failed; is the disk full?")]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
}

/// Put `raw` into each of `formats`, beside it. `raw` itself goes if it is not among them.
///
/// # Errors
/// When a converter or the disk fails.
pub fn convert(raw: &Path, formats: &[Format]) -> Result<Vec<Image>, FormatError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |err| FormatError::File { path, err }
    };
    let virtual_bytes = fs::metadata(raw).map_err(failed(raw))?.len();
    let mut formats = formats.to_vec();
    formats.sort_unstable();
    formats.dedup();
    let mut images = Vec::new();
    for format in &formats {
        let path = format.beside(raw);
        write(raw, *format, &path)?;
        images.push(Image {
            format: format.suffix(),
            bytes: fs::metadata(&path).map_err(failed(&path))?.len(),
            virtual_bytes,
            sha256: digest::of_file(&path).map_err(failed(&path))?,
            path,
        });
    }
    if !formats.contains(&Format::Raw) {
        fs::remove_file(raw).map_err(failed(raw))?;
    }
    Ok(images)
}

/// Put the cached image `cached` into each of `formats` beside `raw`. Conversions are
/// kept beside `cached`, each with its digest, so they are made once.
///
/// # Errors
/// When a converter or the disk fails.
pub fn copies(cached: &Path, raw: &Path, formats: &[Format]) -> Result<Vec<Image>, FormatError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |err| FormatError::File { path, err }
    };
    let virtual_bytes = fs::metadata(cached).map_err(failed(cached))?.len();
    let mut images = Vec::new();
    for format in formats {
        let (kept, path) = (format.beside(cached), format.beside(raw));
        if !kept.is_file() {
            let unfinished = kept.with_extension("unfinished");
            write(cached, *format, &unfinished)?;
            fs::rename(&unfinished, &kept).map_err(failed(&kept))?;
        }
        let mut copy = program::command("cp");
        program::output(copy.args(["--reflink=auto", "--sparse=always"]).arg(&kept).arg(&path))?;
        images.push(Image {
            format: format.suffix(),
            bytes: fs::metadata(&path).map_err(failed(&path))?.len(),
            virtual_bytes,
            sha256: digest::of_file(&path).map_err(failed(&path))?,
            path,
        });
    }
    Ok(images)
}

fn write(raw: &Path, format: Format, path: &Path) -> Result<(), FormatError> {
    let mut converter = match format {
        Format::Raw => return Ok(()),
        Format::RawZst => {
            // The output does not depend on the number of threads.
            let mut zstd = program::command("zstd");
            zstd.args(["-q", "-f", "-10", "-T0", "-o"]).arg(path).arg(raw);
            zstd
        }
        Format::RawGz => {
            let mut gzip = program::command("sh");
            gzip.args(["-c", "gzip -n -6 <\"$0\" >\"$1\""]).arg(raw).arg(path);
            gzip
        }
        Format::Qcow2 => {
            let mut convert = program::command("qemu-img");
            convert.args(["convert", "-q", "-f", "raw", "-O", "qcow2", "-c"]).arg(raw).arg(path);
            convert
        }
    };
    program::output(&mut converter)?;
    Ok(())
}
