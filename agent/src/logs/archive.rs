//! A tar.gz in memory, in the base64 that Ironic wants.

use std::io::{self, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};

/// tar's unit.
const BLOCK: usize = 512;

/// A tar.gz that grows.
pub(super) struct Archive {
    out: GzEncoder<Vec<u8>>,
    mtime_s: u64,
}

impl Archive {
    /// An empty one, whose members are of this time (seconds since 1970).
    pub(super) fn new(mtime_s: u64) -> Self {
        Self { out: GzEncoder::new(Vec::new(), Compression::default()), mtime_s }
    }

    /// Add a file.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.out.write_all(&header(name, content.len(), self.mtime_s))?;
        self.out.write_all(content)?;
        let padding = content.len().next_multiple_of(BLOCK) - content.len();
        self.out.write_all(&[0; BLOCK][..padding])
    }

    /// End it.
    pub(super) fn into_base64(mut self) -> io::Result<String> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(STANDARD.encode(self.out.finish()?))
    }
}

/// A ustar header: POSIX.1-1988, octal numbers in text fields.
fn header(name: &str, length: usize, mtime_s: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, &name[..name.len().min(100)]);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{length:011o}\0"));
    put(136, &format!("{:011o}\0", mtime_s & 0o777_7777_7777));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn tar_reads_it() {
        let mut archive = Archive::new(1_800_000_000);
        archive.add("billet-agent.log", b"hello\n").unwrap();
        archive.add("dmesg", &[b'x'; 1025]).unwrap();
        let bytes = STANDARD.decode(archive.into_base64().unwrap()).unwrap();
        let mut tar = Command::new("tar")
            .args(["-tvzf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(&bytes).unwrap();
        let done = tar.wait_with_output().unwrap();
        let listing = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{listing}");
        for member in ["6 2027-01-15", "billet-agent.log", "1025 2027-01-15", "dmesg"] {
            assert!(listing.contains(member), "{listing}");
        }
    }
}
