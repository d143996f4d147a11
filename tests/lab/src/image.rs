//! The images a deployment can choose from: what billetd serves, with the digests it must match.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use model::{Algorithm, Bytes, Hasher};
use serde_json::{Value, json};

use crate::billetd::base_url;

/// Image formats by file name: what the report calls them, what Ironic is told.
const FORMATS: [(&str, &str, &str); 4] = [
    (".qcow2", "qcow2", "qcow2"),
    (".raw.zst", "raw.zst", "raw"),
    (".raw.gz", "raw.gz", "raw"),
    (".raw", "raw", "raw"),
];

/// One image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its file.
    pub path: PathBuf,
    /// `qcow2`, `raw.zst`, `raw.gz` or `raw`.
    pub format: &'static str,
    disk_format: &'static str,
    /// Its length as downloaded.
    pub bytes: Bytes,
    /// SHA-256 of it as downloaded.
    pub sha256: String,
}

impl Image {
    /// Measure the image at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or its name ends in no format known here.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((_, format, disk_format)) = FORMATS.iter().copied().find(|(end, ..)| name.ends_with(end))
        else {
            bail!("{name} is no image: want a name that ends in .qcow2, .raw.zst, .raw.gz or .raw");
        };
        let (bytes, sha256) = digest(path).with_context(|| format!("read the image {}", path.display()))?;
        Ok(Image { path: path.to_owned(), format, disk_format, bytes, sha256 })
    }

    /// The images of `folder`, in the order of [`FORMATS`]: best first.
    ///
    /// # Errors
    /// When the folder cannot be read or holds no image.
    pub fn all_in(folder: &Path) -> Result<Vec<Image>> {
        let read =
            std::fs::read_dir(folder).with_context(|| format!("read the folder {}", folder.display()))?;
        let mut names: Vec<PathBuf> = read.filter_map(|entry| Some(entry.ok()?.path())).collect();
        names.sort();
        let mut images = Vec::new();
        for (end, ..) in FORMATS {
            for path in names.iter().filter(|path| path.to_string_lossy().ends_with(end)) {
                images.push(Image::open(path)?);
            }
        }
        if images.is_empty() {
            bail!("{} holds no image; make one with `billet-image debian`", folder.display());
        }
        Ok(images)
    }

    /// The JSON patch that makes a node's `instance_info` name this image.
    #[must_use]
    pub fn patch(&self) -> Value {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let add = |key: &str, value: &str| json!({"op": "add", "path": format!("/instance_info/{key}"), "value": value});
        json!([
            add("image_source", &format!("{}/images/{name}", base_url())),
            add("image_disk_format", self.disk_format),
            add("image_os_hash_algo", "sha256"),
            add("image_os_hash_value", &self.sha256),
        ])
    }
}

fn digest(path: &Path) -> Result<(Bytes, String)> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((Bytes(length), hasher.finish().hex()));
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
        length += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_format_and_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("os.raw.zst");
        std::fs::write(&path, b"abc").unwrap();
        let images = Image::all_in(folder.path()).unwrap();
        let [image] = images.as_slice() else { panic!("one image: {images:?}") };
        assert_eq!((image.format, image.bytes), ("raw.zst", Bytes(3)));
        assert_eq!(image.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(image.patch()[0]["value"], "http://172.22.0.1:6385/images/os.raw.zst");
        assert_eq!(image.patch()[1]["value"], "raw");
    }
}
