//! A file with one zstd frame for each chunk of a disk, in the disk's order:
//! every chunk can be fetched alone, and `zstd -dc` gives the disk.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
    thread,
};

use image::manifest::Draft;
use model::Bytes;

use super::{Digests, MakeManifestError, file_failed, fill, length};
use crate::compress;

/// Chunks that each thread compresses between two writes: enough to make the
/// wait for the slowest short.
const BATCH: usize = 8;

/// Pack the raw `disk` into the new file `out`.
pub(super) fn pack(
    disk: &Path,
    out: &Path,
    chunk: Bytes,
    level: i32,
) -> Result<(Draft, Digests), MakeManifestError> {
    let failed = |err| MakeManifestError::Manifest { path: disk.to_owned(), err };
    let mut draft = Draft::new(chunk).map_err(failed)?;
    let mut digests = Digests::new();
    let mut from = File::open(disk).map_err(file_failed(disk))?;
    let mut to = BufWriter::new(File::create_new(out).map_err(file_failed(out))?);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    loop {
        let chunks = read(&mut from, length(chunk), threads * BATCH).map_err(file_failed(disk))?;
        if chunks.is_empty() {
            break;
        }
        let frames = compress(&chunks, threads, level).map_err(file_failed(disk))?;
        for (chunk, frame) in chunks.iter().zip(frames) {
            let start = digests.length;
            digests.update(&frame);
            draft.add(chunk, &(start..digests.length)).map_err(failed)?;
            to.write_all(&frame).map_err(file_failed(out))?;
        }
    }
    let file = to.into_inner().map_err(io::IntoInnerError::into_error);
    file.and_then(|file| file.sync_all()).map_err(file_failed(out))?;
    Ok((draft, digests))
}

/// The next chunks, `most` of them at most.
fn read(from: &mut File, length: usize, most: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut chunks = Vec::new();
    while chunks.len() < most {
        let mut chunk = vec![0; length];
        let count = fill(from, &mut chunk)?;
        if count == 0 {
            break;
        }
        chunk.truncate(count);
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// A frame for each of `chunks`, in their order.
fn compress(chunks: &[Vec<u8>], threads: usize, level: i32) -> io::Result<Vec<Vec<u8>>> {
    let frames = |part: &[Vec<u8>]| -> io::Result<Vec<Vec<u8>>> {
        part.iter().map(|chunk| compress::zstd(chunk, level)).collect()
    };
    let parts = chunks.chunks(chunks.len().div_ceil(threads));
    thread::scope(|scope| {
        let running: Vec<_> = parts.map(|part| scope.spawn(move || frames(part))).collect();
        let done = running.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a compressing thread panicked")))
        });
        done.collect::<io::Result<Vec<_>>>().map(|parts| parts.concat())
    })
}
