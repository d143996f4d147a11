//! Where the image comes from.

use std::path::{Path, PathBuf};

use fetch::{HttpSource, Request, oci, without_secrets};
use image::{FileSource, PipeSource, Source};

use super::failure::Failure;

/// Where the image comes from, as the command line says it.
pub(super) enum Images {
    /// Equal mirrors, or references to the same image in registries.
    Urls(Vec<String>),
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl Images {
    /// What `images` say.
    ///
    /// # Errors
    /// [`Failure::Mirrors`], [`Failure::SameFile`], [`Failure::Scheme`].
    pub(super) fn new(images: &[String], target: &Path) -> Result<Self, Failure> {
        if images.iter().all(|image| is_url(image)) {
            return Ok(Images::Urls(images.to_vec()));
        }
        let [image] = images else { return Err(Failure::Mirrors) };
        if image == "-" {
            return Ok(Images::Stdin);
        }
        let path = PathBuf::from(image);
        if image.contains("://") && !path.exists() {
            return Err(Failure::Scheme { url: without_secrets(image) });
        }
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        let target = real(target);
        let under = target.as_deref().and_then(backing).and_then(|file| real(&file));
        if real(&path).is_some_and(|path| [target, under].contains(&Some(path))) {
            return Err(Failure::SameFile);
        }
        Ok(Images::File(path))
    }

    /// The name that checksum files list it by.
    pub(super) fn name(&self) -> String {
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        match self {
            Images::Urls(urls) => {
                let url = urls.first().map_or("", String::as_str);
                last(url.split(['?', '#']).next().unwrap_or_default())
            }
            Images::File(path) => last(&path.to_string_lossy()),
            Images::Stdin => "-".to_owned(),
        }
    }

    /// Begin to read it.
    ///
    /// # Errors
    /// [`Failure`] when it is not there.
    pub(super) fn open(&self, request: &Request) -> Result<Box<dyn Source>, Failure> {
        match self {
            Images::Urls(_) => Ok(Box::new(HttpSource::open(request.clone())?)),
            Images::File(path) => {
                let source = FileSource::open(path);
                Ok(Box::new(source.map_err(|err| Failure::Read { path: path.clone(), err })?))
            }
            Images::Stdin => {
                let source = PipeSource::stdin();
                Ok(Box::new(source.map_err(|err| Failure::Read { path: "-".into(), err })?))
            }
        }
    }

    /// The mirrors; none unless it has some.
    pub(super) fn urls(&self) -> Vec<String> {
        match self {
            Images::Urls(urls) => urls.clone(),
            Images::File(_) | Images::Stdin => Vec::new(),
        }
    }

    /// True when it can be read once only.
    pub(super) fn is_spent_by_reading(&self) -> bool {
        match self {
            Images::Stdin => true,
            Images::Urls(_) | Images::File(_) => false,
        }
    }
}

/// The file that `target` is over, when it is a loop device.
fn backing(target: &Path) -> Option<PathBuf> {
    let device = Path::new("/sys/block").join(target.file_name()?);
    let path = std::fs::read_to_string(device.join("loop/backing_file")).ok()?;
    target.starts_with("/dev").then(|| PathBuf::from(path.trim_end_matches('\n')))
}

/// True for what is fetched.
pub(super) fn is_url(image: &str) -> bool {
    image.starts_with("http://") || image.starts_with("https://") || oci::is_reference(image)
}

/// True when every one of `images` is a reference that says which digest its manifest has.
pub(super) fn are_pinned(images: &[String]) -> bool {
    images.iter().all(|image| oci::is_pinned(image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_as_checksum_files_name_them() {
        let name = |image: &str| Images::new(&[image.to_owned()], Path::new("/dev/none")).map(|i| i.name());
        for (image, want) in [
            ("http://h/a/x.raw?y=z/w", "x.raw"),
            ("https://h/x.qcow2#y", "x.qcow2"),
            ("/a/b.raw", "b.raw"),
            ("-", "-"),
        ] {
            assert_eq!(name(image).ok().as_deref(), Some(want));
        }
        let pinned = format!("oci://h/x@sha256:{}", "0".repeat(64));
        assert!(are_pinned(std::slice::from_ref(&pinned)) && !are_pinned(&[pinned, "oci://h/x:y".into()]));
        for foreign in ["HTTP://u:secret@h/x?secret", "ftp://u:sec/ret@h/x"] {
            let Err(err) = Images::new(&[foreign.into()], Path::new("t")) else {
                panic!("{foreign} is fetched")
            };
            assert!(err.is_refusal() && !err.to_string().contains("sec"), "{err}");
        }
        let two = ["http://h/x".to_owned(), "x".to_owned()];
        assert!(matches!(Images::new(&two, Path::new("t")), Err(Failure::Mirrors)));
        assert!(matches!(
            Images::new(&["/etc/passwd".into()], Path::new("/etc/../etc/passwd")),
            Err(Failure::SameFile)
        ));
    }
}
