//! The forms that one disk comes in, made once and kept.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::program::bash;

/// One form of the image.
pub(crate) struct Form {
    /// As in tables, and as `--format` takes it.
    pub(crate) name: &'static str,
    /// What to tell `billet-agent write --format`.
    pub(crate) declared: &'static str,
    /// Name of its file.
    pub(crate) file: &'static str,
    /// How it is made from `disk.raw`, into `$NEW`.
    made: &'static str,
}

/// All of them.
pub(crate) const FORMS: [Form; 7] = [
    Form { name: "raw", declared: "raw", file: "disk.raw", made: "" },
    Form { name: "raw.gz", declared: "raw.gz", file: "disk.raw.gz", made: "pigz -6nc disk.raw > $NEW" },
    Form {
        name: "raw.zst",
        declared: "raw.zst",
        file: "disk.raw.zst",
        made: "zstd -q -3 -T0 -o $NEW disk.raw",
    },
    Form { name: "raw.xz", declared: "raw.xz", file: "disk.raw.xz", made: "xz -T0 -2 -c disk.raw > $NEW" },
    Form {
        name: "qcow2",
        declared: "qcow2",
        file: "disk.qcow2",
        made: "qemu-img convert -f raw -O qcow2 disk.raw $NEW",
    },
    Form {
        name: "qcow2-zlib",
        declared: "qcow2",
        file: "disk-zlib.qcow2",
        made: "qemu-img convert -c -W -m 4 -f raw -O qcow2 disk.raw $NEW",
    },
    Form {
        name: "qcow2-zstd",
        declared: "qcow2",
        file: "disk-zstd.qcow2",
        made: "qemu-img convert -c -W -m 4 -f raw -O qcow2 -o compression_type=zstd disk.raw $NEW",
    },
];

/// A form that is there, with the digest that a write must be given.
pub(crate) struct Made {
    /// Which.
    pub(crate) form: &'static Form,
    /// Where.
    pub(crate) path: PathBuf,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// `sha256:` and hex digits, of the file.
    pub(crate) digest: String,
}

/// Make `form` in `folder`, unless it is there.
///
/// # Errors
/// When a program is missing or fails.
pub(crate) fn make(folder: &Path, form: &'static Form) -> Result<Made> {
    let path = folder.join(form.file);
    if !path.is_file() {
        eprintln!("bench: making {}", form.file);
        bash(&format!("export NEW={0}.new; {1}; mv $NEW {0}", form.file, form.made), folder)
            .with_context(|| format!("cannot make {}", form.file))?;
    }
    let sums = format!("{}.sha256", form.file);
    if !folder.join(&sums).is_file() {
        bash(&format!("openssl dgst -sha256 -r {} > {sums}.new; mv {sums}.new {sums}", form.file), folder)?;
    }
    let text = std::fs::read_to_string(folder.join(&sums))?;
    let hex = text.split_whitespace().next().unwrap_or_default();
    let length = std::fs::metadata(&path)?.len();
    Ok(Made { form, path, length, digest: format!("sha256:{hex}") })
}

/// What bmaptool needs beside the image: which blocks hold something.
///
/// # Errors
/// When bmaptool fails.
pub(crate) fn block_map(folder: &Path) -> Result<()> {
    if !folder.join("disk.bmap").is_file() {
        bash("bmaptool -q create -o disk.bmap.new disk.raw; mv disk.bmap.new disk.bmap", folder)?;
    }
    Ok(())
}
