//! The manifest as a JSON document: read with every limit checked, written in
//! one way only, so that its digest or a signature of it means something.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Range};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::{Algorithm, Bytes, Digest};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};

use super::{CHUNK_SIZES, Chunk, Encoding, ImageFile, MOST_CHUNKS, Manifest, VERSION};

/// The longest document that is read: [`MOST_CHUNKS`] take some 8 MiB.
pub const LONGEST_DOCUMENT: usize = 12 << 20;
/// The longest file name, as of most file systems.
const LONGEST_NAME: usize = 255;
/// The largest disk and file, in bytes: no sum of a few such lengths overflows.
const LARGEST: u64 = 1 << 60;
/// Nothing shorter is a disk.
const SECTOR: u64 = 512;
/// Bytes of one chunk's digest.
const DIGEST: usize = 32;

/// Why a document is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is longer than any manifest.
    #[error("the manifest is longer than {LONGEST_DOCUMENT} bytes; make it again with larger chunks")]
    TooLong,
    /// It is not JSON of this shape.
    #[error("the manifest is not a document that `billet-image manifest` makes")]
    Json(#[source] serde_json::Error),
    /// Another program made it.
    #[error("the manifest has version {found} and this program reads {VERSION}; make it again")]
    Version {
        /// What it says.
        found: u64,
    },
    /// It contradicts itself, the file or a limit.
    #[error("the manifest is wrong: {what}; make it again")]
    Wrong {
        /// In what.
        what: &'static str,
    },
}

/// The document. Fields are in the order of their names, here and below: that
/// makes what serde writes canonical.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    billet_manifest: u32,
    #[serde(borrow)]
    chunks: Chunks<'a>,
    #[serde(borrow)]
    disk: Disk<'a>,
    #[serde(borrow)]
    file: File<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chunks<'a> {
    #[serde(borrow)]
    blake3: Cow<'a, str>,
    #[serde(borrow)]
    encoding: Cow<'a, str>,
    lengths: Bounded<u32>,
    offsets: Bounded<u64>,
    runs: Bounded<u64>,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disk<'a> {
    #[serde(borrow)]
    sha256: Cow<'a, str>,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    length: u64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    sha256: Cow<'a, str>,
    #[serde(borrow)]
    sha512: Cow<'a, str>,
}

/// All that a manifest of another version must have. The rest is skipped, and
/// not kept: it may be as long as a document.
#[derive(Deserialize)]
struct AnyVersion {
    billet_manifest: u64,
}

/// A list that stops growing: two bytes of a document make eight here.
#[derive(Serialize)]
#[serde(transparent)]
struct Bounded<T>(Vec<T>);

/// The most entries of a list. Runs are pairs, and one zero run may end them.
const MOST_ENTRIES: usize = 2 * MOST_CHUNKS + 1;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of whole numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    if list.len() == MOST_ENTRIES {
                        return Err(A::Error::custom("a list is too long; make larger chunks"));
                    }
                    list.push(entry);
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(List(PhantomData)).map(Bounded)
    }
}

fn wrong(what: &'static str) -> ManifestError {
    ManifestError::Wrong { what }
}

/// `Err` with `what` unless `right`.
fn want(right: bool, what: &'static str) -> Result<(), ManifestError> {
    if right { Ok(()) } else { Err(wrong(what)) }
}

impl Manifest {
    /// Read a manifest from its `document`.
    ///
    /// # Errors
    /// [`ManifestError`]: whatever parses covers its disk exactly once, and every
    /// chunk lies in the file.
    pub fn parse(document: &[u8]) -> Result<Self, ManifestError> {
        if document.len() > LONGEST_DOCUMENT {
            return Err(ManifestError::TooLong);
        }
        let parsed: Document<'_> = serde_json::from_slice(document).map_err(|err| not_ours(document, err))?;
        if parsed.billet_manifest != VERSION {
            return Err(ManifestError::Version { found: parsed.billet_manifest.into() });
        }
        let (disk, size) = (&parsed.disk, parsed.disk.size);
        want((SECTOR..=LARGEST).contains(&size), "the disk's size")?;
        let file = image_file(&parsed.file, &parsed.chunks)?;
        let content = digest(Algorithm::Sha256, &disk.sha256)?;
        let chunk_size = parsed.chunks.size;
        let right = chunk_size.is_power_of_two() && (CHUNK_SIZES[0]..=CHUNK_SIZES[1]).contains(&chunk_size);
        want(right, "the chunks' size")?;
        let places = places(&parsed.chunks.runs.0, chunk_size, size)?;
        let chunks = chunks(&parsed.chunks, &file, &places.chunks)?;
        Ok(Self { file, size: Bytes(size), content, chunk_size, chunks, zeros: places.zeros })
    }

    /// The document: keys sorted, no spaces, so the same manifest is the same bytes.
    ///
    /// # Errors
    /// None that can happen: every value has a JSON form.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        let digests: Vec<u8> = self.chunks.iter().flat_map(|chunk| chunk.digest).collect();
        let [sha256, sha512, content] =
            [&self.file.sha256, &self.file.sha512, &self.content].map(|digest| Cow::from(digest.hex()));
        let document = Document {
            billet_manifest: VERSION,
            chunks: Chunks {
                blake3: STANDARD.encode(digests).into(),
                encoding: self.file.encoding.name().into(),
                lengths: Bounded(self.chunks.iter().map(|chunk| chunk.stored).collect()),
                offsets: Bounded(self.chunks.iter().map(|chunk| chunk.offset).collect()),
                runs: Bounded(self.runs()),
                size: self.chunk_size,
            },
            disk: Disk { sha256: content, size: self.size.0 },
            file: File {
                format: self.file.encoding.format().into(),
                length: self.file.length.0,
                name: self.file.name.as_str().into(),
                sha256,
                sha512,
            },
        };
        serde_json::to_vec(&document).map_err(ManifestError::Json)
    }

    /// How many chunks are zero, how many are not, how many are zero, and so on.
    fn runs(&self) -> Vec<u64> {
        let mut runs = Vec::new();
        let mut at = 0;
        let mut zeros = self.zeros.iter().peekable();
        while at < self.size.0 {
            let zero = zeros.next_if(|range| range.start == at).map_or(at, |range| range.end);
            let data = zeros.peek().map_or(self.size.0, |range| range.start);
            runs.push((zero - at).div_ceil(self.chunk_size));
            if data > zero {
                runs.push((data - zero).div_ceil(self.chunk_size));
            }
            at = data;
        }
        runs
    }
}

/// Why a document that has another shape is not ours: perhaps it will be, one day.
fn not_ours(document: &[u8], err: serde_json::Error) -> ManifestError {
    match serde_json::from_slice::<AnyVersion>(document) {
        Ok(AnyVersion { billet_manifest: found, .. }) if found != u64::from(VERSION) => {
            ManifestError::Version { found }
        }
        Ok(_) | Err(_) => ManifestError::Json(err),
    }
}

fn digest(algorithm: Algorithm, hex: &str) -> Result<Digest, ManifestError> {
    Digest::from_hex(algorithm, hex).map_err(|_| wrong("a digest is not the hex digits it should be"))
}

fn image_file(file: &File<'_>, chunks: &Chunks<'_>) -> Result<ImageFile, ManifestError> {
    let named = [Encoding::Raw, Encoding::Zstd].into_iter().find(|known| known.name() == chunks.encoding);
    let encoding = named.ok_or(wrong("the chunks' encoding"))?;
    want(file.format == encoding.format(), "the file's format does not go with the chunks' encoding")?;
    want((1..=LARGEST).contains(&file.length), "the file's length")?;
    want(is_name(&file.name), "the file's name")?;
    Ok(ImageFile {
        name: file.name.clone().into_owned(),
        length: Bytes(file.length),
        encoding,
        sha256: digest(Algorithm::Sha256, &file.sha256)?,
        sha512: digest(Algorithm::Sha512, &file.sha512)?,
    })
}

/// A name of a file in any folder, that can be put after a URL or a path.
fn is_name(name: &str) -> bool {
    let dots = [".", ".."].contains(&name);
    let short = (1..=LONGEST_NAME).contains(&name.len());
    short && !dots && !name.contains(['/', '\\']) && !name.contains(char::is_control)
}

/// Where on the disk something is.
#[derive(Default)]
struct Places {
    chunks: Vec<Range<u64>>,
    zeros: Vec<Range<u64>>,
}

/// Where chunks and zeros are on a disk of `size`, which `runs` must cover.
fn places(runs: &[u64], chunk_size: u64, size: u64) -> Result<Places, ManifestError> {
    let mut places = Places::default();
    let count = size.div_ceil(chunk_size);
    let mut at = 0;
    for (number, &run) in runs.iter().enumerate() {
        want(run > 0 || number == 0, "an empty run")?;
        want(run <= count - at, "the runs are longer than the disk")?;
        let place = |from: u64, to: u64| from * chunk_size..(to * chunk_size).min(size);
        let is_data = number % 2 == 1;
        if is_data {
            let room = (MOST_CHUNKS - places.chunks.len()) as u64;
            want(run <= room, "more chunks than are read; make them larger")?;
            places.chunks.extend((at..at + run).map(|chunk| place(chunk, chunk + 1)));
        } else if run > 0 {
            places.zeros.push(place(at, at + run));
        }
        at += run;
    }
    want(at == count, "the runs are shorter than the disk")?;
    Ok(places)
}

fn chunks(lists: &Chunks<'_>, file: &ImageFile, places: &[Range<u64>]) -> Result<Vec<Chunk>, ManifestError> {
    let count = places.len();
    let (lengths, offsets) = (&lists.lengths.0, &lists.offsets.0);
    let same = lengths.len() == count && offsets.len() == count;
    want(same, "the lists are not as long as the runs say")?;
    want(lists.blake3.len() == (count * DIGEST).div_ceil(3) * 4, "the digests are not one for each chunk")?;
    let digests =
        STANDARD.decode(lists.blake3.as_bytes()).map_err(|_| wrong("the digests are not base64"))?;
    let (digests, rest) = digests.as_chunks::<DIGEST>();
    want(digests.len() == count && rest.is_empty(), "the digests are not one for each chunk")?;
    let mut end = 0;
    let mut chunks = Vec::with_capacity(count);
    for (((place, &stored), &offset), digest) in places.iter().zip(lengths).zip(offsets).zip(digests) {
        let length = place.end - place.start;
        let exact = file.encoding == Encoding::Zstd || u64::from(stored) == length;
        let fits = (1..=file.encoding.longest(length)).contains(&u64::from(stored)) && exact;
        want(fits, "a chunk's length in the file")?;
        want(offset >= end, "chunks overlap in the file, or are not in the disk's order")?;
        want(offset <= file.length.0, "a chunk ends outside the file")?;
        end = offset + u64::from(stored);
        want(end <= file.length.0, "a chunk ends outside the file")?;
        let length = u32::try_from(length).expect("at most CHUNK_SIZES[1]");
        chunks.push(Chunk { at: place.start, length, offset, stored, digest: *digest });
    }
    Ok(chunks)
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
