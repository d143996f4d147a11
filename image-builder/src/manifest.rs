//! Chunk manifests: what every chunk of a disk is and where an image's file has
//! it, so that servers fetch only what they lack, from any mirror.
//!
//! ```text
//! raw image ────────────────────────────────▶ chunks ─▶ manifest        (manifest IMAGE)
//! any image ─▶ unpacked ─▶ chunks ─▶ a zstd frame each ─▶ manifest      (manifest IMAGE --pack OUT)
//! ```

mod pack;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use disk::Device;
use image::{
    Declared, DecodeError, FileSource, FormatError, Formats, Options, WriteError,
    manifest::{self, Draft, Encoding, ImageFile, ManifestError},
};
use model::{Algorithm, Bytes, Digest, Hasher};
use serde::Serialize;

use crate::place::{self, Scratch};

/// How much of a file is read at a time.
const PIECE: usize = 1 << 20;

/// What a manifest is to be made of.
#[derive(Debug)]
pub struct Request {
    /// The image.
    pub image: PathBuf,
    /// What it is said to be.
    pub declared: Declared,
    /// Where the manifest goes; beside the image's file by default.
    pub out: Option<PathBuf>,
    /// Where a new file with a zstd frame for each chunk goes; by default the
    /// image itself is what is fetched.
    pub pack: Option<PathBuf>,
    /// The chunks' length; by default what suits the disk.
    pub chunk: Option<Bytes>,
    /// zstd's level.
    pub level: i32,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The manifest.
    pub manifest: PathBuf,
    /// Its length.
    pub manifest_bytes: u64,
    /// Its SHA-256: what is given with it when it is installed.
    pub manifest_sha256: String,
    /// The file that chunks are fetched from.
    pub image: PathBuf,
    /// Its length.
    pub image_bytes: u64,
    /// Its SHA-256.
    pub image_sha256: String,
    /// Length of the disk.
    pub disk_bytes: u64,
    /// SHA-256 of the disk's content.
    pub disk_sha256: String,
    /// Length of a chunk.
    pub chunk_bytes: u64,
    /// Chunks that are not zero.
    pub chunks: usize,
}

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum MakeManifestError {
    /// The parts of the image cannot be fetched one by one.
    #[error("{} is not a raw image, so its chunks are not addressable; use --pack", path.display())]
    NotAddressable {
        /// The image.
        path: PathBuf,
    },
    /// It is no image.
    #[error("{} cannot be used as an image", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// Why.
        #[source]
        err: WriteError,
    },
    /// What is made would replace the image, or the one file the other.
    #[error("what is made would replace {}; name another file", path.display())]
    SameFile {
        /// What would be gone.
        path: PathBuf,
    },
    /// A file failed.
    #[error("{} failed; is it there, and is there space?", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
    /// The disk makes no manifest.
    #[error("no manifest can be made of {}", path.display())]
    Manifest {
        /// The image.
        path: PathBuf,
        /// Why.
        #[source]
        err: ManifestError,
    },
}

fn file_failed(path: &Path) -> impl Fn(io::Error) -> MakeManifestError {
    move |err| MakeManifestError::File { path: path.to_owned(), err }
}

/// Make a manifest, and the packed file if one is wanted.
///
/// # Errors
/// [`MakeManifestError`]. Files appear whole or not at all.
pub fn make(request: &Request) -> Result<Report, MakeManifestError> {
    for (out, other) in [
        (&request.pack, Some(&request.image)),
        (&request.out, Some(&request.image)),
        (&request.out, request.pack.as_ref()),
    ] {
        if let (Some(out), Some(path)) = (out, other)
            && is_same(out, path)
        {
            return Err(MakeManifestError::SameFile { path: path.clone() });
        }
    }
    let raw = is_raw(&request.image, request.declared)?;
    let (fetched, manifest) = match &request.pack {
        Some(out) => (out.clone(), packed(request, out, raw)?),
        None if raw => (request.image.clone(), plain(request)?),
        None => return Err(MakeManifestError::NotAddressable { path: request.image.clone() }),
    };
    let failed = |err| MakeManifestError::Manifest { path: fetched.clone(), err };
    let document = manifest.to_json().map_err(failed)?;
    let path = request.out.clone().unwrap_or_else(|| beside(&fetched));
    place::write_whole(&path, &document).map_err(file_failed(&path))?;
    let mut digest = Hasher::new(Algorithm::Sha256);
    digest.update(&document);
    Ok(Report {
        manifest_bytes: document.len() as u64,
        manifest_sha256: digest.finish().hex(),
        manifest: path,
        image_bytes: manifest.file().length.0,
        image_sha256: manifest.file().sha256.hex(),
        image: fetched,
        disk_bytes: manifest.size().0,
        disk_sha256: manifest.content().hex(),
        chunk_bytes: manifest.chunk_size().0,
        chunks: manifest.chunks().len(),
    })
}

/// True when both name one file, whether it is there or not.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// `a.raw` gives `a.raw.billet.json`.
fn beside(image: &Path) -> PathBuf {
    let mut name = image.file_name().unwrap_or_default().to_os_string();
    name.push(".billet.json");
    image.with_file_name(name)
}

/// Whether the image's file is the disk byte by byte.
fn is_raw(path: &Path, declared: Declared) -> Result<bool, MakeManifestError> {
    let raw: Declared = "raw".parse().expect("a format");
    if declared != Declared::AUTO && declared != raw {
        return Ok(false);
    }
    match image::measure(open(path)?, raw) {
        Ok(_) => Ok(true),
        Err(WriteError::Image(DecodeError::Format(FormatError::Mismatch { .. })))
            if declared == Declared::AUTO =>
        {
            Ok(false)
        }
        Err(err) => Err(MakeManifestError::Image { path: path.to_owned(), err }),
    }
}

fn open(path: &Path) -> Result<FileSource, MakeManifestError> {
    FileSource::open(path).map_err(file_failed(path))
}

/// The manifest of a raw image, whose file is left as it is.
fn plain(request: &Request) -> Result<manifest::Manifest, MakeManifestError> {
    let path = &request.image;
    let failed = |err| MakeManifestError::Manifest { path: path.clone(), err };
    let mut file = File::open(path).map_err(file_failed(path))?;
    let size = Bytes(file.metadata().map_err(file_failed(path))?.len());
    let chunk = request.chunk.unwrap_or_else(|| chunk_for(size));
    let mut draft = Draft::new(chunk).map_err(failed)?;
    let mut digests = Digests::new();
    let mut buffer = vec![0; length(chunk)];
    loop {
        let count = fill(&mut file, &mut buffer).map_err(file_failed(path))?;
        if count == 0 {
            break;
        }
        let start = digests.length;
        digests.update(&buffer[..count]);
        draft.add(&buffer[..count], &(start..digests.length)).map_err(failed)?;
    }
    draft.finish(digests.of_file(path, Encoding::Raw)).map_err(failed)
}

/// Pack the image into `out`, and the manifest of that.
fn packed(request: &Request, out: &Path, raw: bool) -> Result<manifest::Manifest, MakeManifestError> {
    let folder = out.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let scratch = Scratch::new(folder).map_err(file_failed(folder))?;
    let disk = if raw { request.image.clone() } else { unpacked(request, scratch.path())? };
    let partial = scratch.path().join("packed");
    let size = Bytes(disk.metadata().map_err(file_failed(&disk))?.len());
    let chunk = request.chunk.unwrap_or_else(|| chunk_for(size));
    let (draft, digests) = pack::pack(&disk, &partial, chunk, request.level)?;
    let failed = |err| MakeManifestError::Manifest { path: request.image.clone(), err };
    let manifest = draft.finish(digests.of_file(out, Encoding::Zstd)).map_err(failed)?;
    std::fs::rename(&partial, out).map_err(file_failed(out))?;
    Ok(manifest)
}

/// The disk of any image that can be written, as a raw file in `folder`.
fn unpacked(request: &Request, folder: &Path) -> Result<PathBuf, MakeManifestError> {
    let path = &request.image;
    let failed = |err| MakeManifestError::Image { path: path.clone(), err };
    let size = image::measure(open(path)?, request.declared).map_err(failed)?;
    let raw = folder.join("raw");
    let make = File::create_new(&raw).and_then(|file| file.set_len(size.0.next_multiple_of(512)));
    make.map_err(file_failed(&raw))?;
    let opened = Device::open(&raw).map_err(io::Error::other);
    let mut device = opened.map_err(file_failed(&raw))?;
    // The write wants a digest, so that it is of the file that was measured.
    let options = Options {
        declared: request.declared,
        permitted: Formats::ALL,
        digests: vec![digest_of(path)?],
        ..Options::default()
    };
    let size = manifest::unpack(open(path)?, &mut device, options, |_| {}).map_err(failed)?;
    let cut = File::options().write(true).open(&raw).and_then(|file| file.set_len(size.0));
    cut.map_err(file_failed(&raw))?;
    Ok(raw)
}

fn digest_of(path: &Path) -> Result<Digest, MakeManifestError> {
    let mut file = File::open(path).map_err(file_failed(path))?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; PIECE];
    loop {
        match fill(&mut file, &mut buffer).map_err(file_failed(path))? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// The default, or what keeps the number of chunks within the limit.
fn chunk_for(size: Bytes) -> Bytes {
    let fits = |chunk: &u64| size.0.div_ceil(*chunk) <= manifest::MOST_CHUNKS as u64;
    let largest = manifest::CHUNK_SIZES[1];
    let sizes = std::iter::successors(Some(manifest::DEFAULT_CHUNK), |chunk| Some(chunk * 2));
    // A larger disk may be mostly zeros, which take no chunks.
    Bytes(sizes.take_while(|&chunk| chunk <= largest).find(fits).unwrap_or(largest))
}

fn length(chunk: Bytes) -> usize {
    usize::try_from(chunk.0).expect("this program runs on 64-bit machines")
}

/// Fill `buffer` as far as `reader` goes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// Length and digests of a file that goes by.
struct Digests {
    length: u64,
    sha256: Hasher,
    sha512: Hasher,
}

impl Digests {
    fn new() -> Self {
        let (sha256, sha512) = (Hasher::new(Algorithm::Sha256), Hasher::new(Algorithm::Sha512));
        Self { length: 0, sha256, sha512 }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.sha256.update(bytes);
        self.sha512.update(bytes);
    }

    /// All went by, of the file that will be at `path`.
    fn of_file(self, path: &Path, encoding: Encoding) -> ImageFile {
        ImageFile {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            length: Bytes(self.length),
            encoding,
            sha256: self.sha256.finish(),
            sha512: self.sha512.finish(),
        }
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
