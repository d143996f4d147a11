//! Compressing whole files in ways that do not depend on when, where or by how many threads.

use std::{
    io::{self, Write},
    process::Stdio,
    thread,
};

use serde::Serialize;

use crate::program;

/// The zstd level for what is downloaded by every server: the best that needs no
/// window beyond the kernel's 8 MiB of unpacking memory (levels 20 and up do).
const ZSTD_LEVEL: i32 = 19;

/// How an initramfs is compressed. Linux knows all three; Ironic 39 unpacks zstd
/// files that it caches, so its conductor wants gzip or xz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Fast to unpack, nearly the smallest.
    Zstd,
    /// Read by everything.
    Gzip,
    /// The smallest, slow to unpack.
    Xz,
}

/// `bytes`, compressed.
///
/// # Errors
/// When the compressor cannot be run or fails.
pub fn compress(bytes: &[u8], how: Compression) -> io::Result<Vec<u8>> {
    match how {
        Compression::Zstd => zstd(bytes, ZSTD_LEVEL),
        Compression::Gzip => gzip(bytes),
        Compression::Xz => xz(bytes),
    }
}

/// `bytes` as one zstd frame with its length and a checksum.
///
/// # Errors
/// When zstd refuses `level`.
pub fn zstd(bytes: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    // The header that flate2 writes has no time and no name.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// By the program: Linux reads xz with CRC32 only, and with one thread the output
/// does not depend on the machine.
fn xz(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut xz = program::command("xz");
    xz.args(["--compress", "--stdout", "--check=crc32", "--threads=1", "-9"]);
    let mut child = xz.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let done = thread::scope(|scope| {
        let feeder = scope.spawn(move || stdin.write_all(bytes));
        let done = child.wait_with_output()?;
        feeder.join().unwrap_or(Err(io::ErrorKind::BrokenPipe.into()))?;
        io::Result::Ok(done)
    })?;
    if done.status.success() {
        Ok(done.stdout)
    } else {
        Err(io::Error::other(format!("xz: {}", done.status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_repeatable_and_starts_with_its_magic() {
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for (how, magic) in [
            (Compression::Zstd, &b"\x28\xb5\x2f\xfd"[..]),
            (Compression::Gzip, b"\x1f\x8b"),
            (Compression::Xz, b"\xfd7zXZ"),
        ] {
            let packed = compress(&bytes, how).expect("compressed");
            assert!(packed.starts_with(magic) && packed.len() < bytes.len() / 2, "{how:?}");
            assert_eq!(packed, compress(&bytes, how).expect("again"));
        }
    }
}
