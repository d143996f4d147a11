//! Seeds, and inputs that once broke something. Kept packed with zstd: an image
//! is mostly holes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// An input and the file it is kept in.
pub struct Kept {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub bytes: Vec<u8>,
}

/// Where the inputs of `target` are kept.
#[must_use]
pub fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// All inputs kept for `target`, in the order of their names.
///
/// # Errors
/// When one cannot be read or unpacked.
pub fn load(target: &str) -> io::Result<Vec<Kept>> {
    let entries: io::Result<Vec<PathBuf>> =
        fs::read_dir(directory(target))?.map(|entry| Ok(entry?.path())).collect();
    let mut paths = entries?;
    paths.sort();
    let open = |path: PathBuf| Ok(Kept { bytes: zstd::decode_all(&*fs::read(&path)?)?, path });
    paths.into_iter().map(open).collect()
}

/// Keep `bytes` as `name` in `directory`. Returns the file.
///
/// # Errors
/// When it cannot be written.
pub fn keep(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let path = directory.join(format!("{name}.zst"));
    fs::write(&path, zstd::encode_all(bytes, 19)?)?;
    Ok(path)
}
