//! Everybody else's ways to put an image on a disk, and ours, as shell scripts.
//!
//! Each is given `$URL`, `$FILE` (the same image, local), `$DEV`, `$TMP` (a
//! folder on tmpfs) and flushes the disk before it ends: what is not on the
//! disk when a way says so is not compared.

use std::path::Path;

use anyhow::Result;

use crate::{
    forms::Made,
    measure::{self, Cost},
    server::Server,
};

/// One way.
pub(crate) struct Way {
    /// As in the report.
    pub(crate) name: &'static str,
    /// The forms of an image that it takes.
    forms: &'static [&'static str],
    /// What a shell is told.
    script: &'static str,
    /// Whether it keeps the whole image in memory before it writes.
    pub(crate) stages_image: bool,
}

impl Way {
    /// Whether it takes an image of this form.
    pub(crate) fn takes(&self, form: &str) -> bool {
        self.forms.contains(&form)
    }
}

const RAW: &[&str] = &["raw"];
const GZIP: &[&str] = &["raw.gz"];
const ZSTD: &[&str] = &["raw.zst"];
const XZ: &[&str] = &["raw.xz"];
const QCOW2: &[&str] = &["qcow2", "qcow2-zlib", "qcow2-zstd"];
const STREAMS: &[&str] = &["raw", "raw.gz", "raw.zst", "raw.xz"];

const fn way(name: &'static str, forms: &'static [&'static str], script: &'static str) -> Way {
    Way { name, forms, script, stages_image: false }
}

/// Issue 3's (a) to (e).
pub(crate) const PEERS: &[Way] = &[
    way(
        "curl|dd",
        RAW,
        "curl -sSf $URL | dd of=$DEV bs=1M iflag=fullblock oflag=direct conv=fsync status=none",
    ),
    way(
        "curl|tee sha256sum|dd",
        RAW,
        "rm -f $TMP/fifo; mkfifo $TMP/fifo; sha256sum < $TMP/fifo > $TMP/sum & \
         curl -sSf $URL | tee $TMP/fifo | dd of=$DEV bs=1M iflag=fullblock oflag=direct conv=fsync status=none; wait",
    ),
    way(
        "curl|gzip|dd",
        GZIP,
        "curl -sSf $URL | gzip -dc | dd of=$DEV bs=1M iflag=fullblock oflag=direct conv=fsync status=none",
    ),
    way(
        "curl|pigz|dd",
        GZIP,
        "curl -sSf $URL | pigz -dc | dd of=$DEV bs=1M iflag=fullblock oflag=direct conv=fsync status=none",
    ),
    way(
        "curl|zstd|dd",
        ZSTD,
        "curl -sSf $URL | zstd -q -dc | dd of=$DEV bs=1M iflag=fullblock oflag=direct conv=fsync status=none",
    ),
    way(
        "curl|xz|dd",
        XZ,
        "curl -sSf $URL | xz -T0 -dc | dd of=$DEV bs=1M iflag=fullblock oflag=direct conv=fsync status=none",
    ),
    Way {
        name: "download, digest, qemu-img",
        forms: QCOW2,
        // What ironic-python-agent does; its digest is OpenSSL's, as Python's is.
        script: "curl -sSf -o $TMP/staged $URL; openssl dgst -sha256 $TMP/staged > $TMP/sum; \
                 qemu-img convert -n -t directsync -O host_device -S 0 -W $TMP/staged $DEV; \
                 sync $DEV; rm $TMP/staged",
        stages_image: true,
    },
    way(
        "qemu-img http",
        QCOW2,
        "qemu-img convert -n -t none -W -m 16 -f qcow2 -O host_device $URL $DEV; sync $DEV",
    ),
    way(
        "qemu-img http",
        RAW,
        "qemu-img convert -n -t none -W -m 16 -f raw -O host_device $URL $DEV; sync $DEV",
    ),
    way("bmaptool", STREAMS, "bmaptool -q copy --bmap $BMAP $URL $DEV; sync $DEV"),
    way("nbdkit|nbdcopy", RAW, "nbdkit -U - curl url=$URL --run \"nbdcopy --flush \\$uri $DEV\"; sync $DEV"),
];

/// Ours, complete: digest, commit last, all that was written read back.
pub(crate) const OURS: Way = Way {
    name: "billet-agent",
    forms: &[],
    script: "$AGENT write --image $URL --checksum $SUM --target $DEV --format $FORMAT --yes --json",
    stages_image: false,
};
/// Ours without the read-back, to see what it costs.
pub(crate) const OURS_UNVERIFIED: Way = Way {
    name: "billet-agent, nothing read back",
    forms: &[],
    script: "$AGENT write --image $URL --checksum $SUM --target $DEV --format $FORMAT --yes --json --verify none",
    stages_image: false,
};

/// Where everything is.
pub(crate) struct World<'w> {
    /// Our program.
    pub(crate) agent: &'w Path,
    /// Who serves.
    pub(crate) server: &'w Server,
    /// Folder of the forms.
    pub(crate) images: &'w Path,
    /// Folder on tmpfs.
    pub(crate) scratch: &'w Path,
}

impl World<'_> {
    /// Run `script`, at most `limit_s` long, with the variables that say what to write where.
    ///
    /// # Errors
    /// When it fails, with what it said last.
    pub(crate) fn run(&self, script: &str, made: &Made, device: &Path, limit_s: f64) -> Result<Cost> {
        let variables = [
            ("AGENT", self.agent.display().to_string()),
            ("URL", self.server.url(made.form.file)),
            ("FILE", made.path.display().to_string()),
            ("SUM", made.digest.clone()),
            ("FORMAT", made.form.declared.to_owned()),
            ("DEV", device.display().to_string()),
            ("TMP", self.scratch.display().to_string()),
            ("BMAP", self.images.join("disk.bmap").display().to_string()),
            ("RAW", self.images.join("disk.raw").display().to_string()),
        ];
        let exports: String = variables.map(|(name, value)| format!("export {name}='{value}'; ")).concat();
        measure::script(&(exports + script), limit_s)
    }

    /// Run one way, at most `limit_s` long.
    ///
    /// # Errors
    /// When it fails, with what it said last.
    pub(crate) fn go(&self, way: &Way, made: &Made, device: &Path, limit_s: f64) -> Result<Cost> {
        self.run(way.script, made, device, limit_s)
    }
}
