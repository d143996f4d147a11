//! A disk's bytes, read by the lab itself: what the agent proves is proven once more.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::{Context, Result};

/// How much is read at a time.
const CHUNK: usize = 1 << 20;

/// Is every byte of the disk `path` zero?
///
/// # Errors
/// When it cannot be read.
pub async fn is_zero(path: &Path) -> Result<bool> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        scan(&path).with_context(|| format!("read the disk {}", path.display()))
    });
    read.await.context("reading the disk panicked")?
}

fn scan(path: &Path) -> Result<bool> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; CHUNK];
    let zeros = vec![0; CHUNK];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(true);
        }
        if buffer.get(..count) != zeros.get(..count) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_byte_at_the_end_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let mut bytes = vec![0; CHUNK + 3];
        std::fs::write(&path, &bytes).unwrap();
        assert!(is_zero(&path).await.unwrap());
        *bytes.last_mut().unwrap() = 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(!is_zero(&path).await.unwrap());
    }
}
