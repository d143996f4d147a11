//! A real Debian as a whole disk: systemd, a login prompt on ttyS0, SSH, and a
//! small service that applies the config drive's hostname and keys.
//!
//! ```text
//! mmdebstrap ─▶ folder ─settings─▶ folder ─mke2fs -d─▶ root (ext4) ─▶ whole disk ─▶ cache
//! ```
//!
//! Root is needed, for mmdebstrap's chroot and the owners of files; loop devices
//! and mounts are not, so nothing is left behind however this ends.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    digest,
    package::{self, PackageError},
    place::{self, Scratch},
    program::{self, ProgramError},
    whole_disk::{self, WholeDisk, WholeDiskError},
};

const SUITE: &str = "bookworm";
const KERNEL_PACKAGE: &str = "linux-image-amd64";
const PACKAGES: &str = include_str!("../debian/packages");
const EXCLUDED: &str = include_str!("../debian/excluded");
const GRUB_CFG: &str = include_str!("../debian/grub.cfg");
/// The virtual size beyond what is in it, for logs and updates. The file system
/// does not grow by itself; `resize2fs` grows it after a partition was grown.
const FREE_BYTES: u64 = 256 << 20;
const MIB: u64 = 1 << 20;

/// Files that are there before the kernel is installed, which makes its initramfs.
const EARLY: [(&str, u32, &str); 3] = [
    ("etc/initramfs-tools/conf.d/billet", 0o644, "MODULES=list\nCOMPRESS=zstd\nRESUME=none\n"),
    ("etc/initramfs-tools/modules", 0o644, include_str!("../debian/initramfs-modules")),
    ("etc/kernel-img.conf", 0o644, "do_symlinks=yes\n"),
];
/// Files of the finished system.
const SETTINGS: [(&str, u32, &str); 9] = [
    ("usr/lib/billet/config-drive", 0o755, include_str!("../debian/config-drive")),
    (
        "etc/systemd/system/billet-config-drive.service",
        0o644,
        include_str!("../debian/billet-config-drive.service"),
    ),
    ("etc/systemd/system/billet-booted.service", 0o644, include_str!("../debian/billet-booted.service")),
    ("etc/systemd/system/ssh.service.d/billet.conf", 0o644, include_str!("../debian/ssh.conf")),
    ("etc/ssh/sshd_config.d/billet.conf", 0o644, include_str!("../debian/sshd.conf")),
    ("etc/systemd/network/80-dhcp.network", 0o644, include_str!("../debian/dhcp.network")),
    ("etc/hostname", 0o644, "debian\n"),
    ("etc/hosts", 0o644, "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 debian\n"),
    // Empty, and not absent: each machine gets an id, and systemd does not enable every preset at the first boot.
    ("etc/machine-id", 0o444, ""),
];
/// Units that start with the system.
const ENABLED: [(&str, &str); 5] = [
    (
        "multi-user.target.wants/billet-config-drive.service",
        "/etc/systemd/system/billet-config-drive.service",
    ),
    ("multi-user.target.wants/billet-booted.service", "/etc/systemd/system/billet-booted.service"),
    ("multi-user.target.wants/systemd-networkd.service", "/lib/systemd/system/systemd-networkd.service"),
    ("sockets.target.wants/systemd-networkd.socket", "/lib/systemd/system/systemd-networkd.socket"),
    ("getty.target.wants/serial-getty@ttyS0.service", "/lib/systemd/system/serial-getty@.service"),
];
/// Units that only take time from a first boot, most of them to mount what few programs read.
const MASKED: [&str; 15] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "modprobe@configfs.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
];
/// Units that the packages enable and `billet-booted.service` starts later.
const LATER: [&str; 1] = ["sysinit.target.wants/systemd-resolved.service"];
/// What a finished system has no use for.
const SUPERFLUOUS: [&str; 4] = ["var/lib/apt/lists", "var/cache/apt", "var/log/apt", "var/cache/debconf"];

/// What was built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Built {
    /// Debian's code name: `bookworm`.
    pub suite: String,
    /// The package of its kernel, with version.
    pub kernel: String,
    /// Identifies the recipe: the same key, the same contents.
    pub key: String,
}

/// Why there is no Debian.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// Somebody without the right to make one.
    #[error("a Debian can be made by root only, for the owners of its files; run this as root")]
    NotRoot,
    /// The kernel package is not known.
    #[error("its kernel cannot be had")]
    Package(#[from] PackageError),
    /// A program failed.
    #[error("its file system cannot be made")]
    Program(#[from] ProgramError),
    /// The disk failed.
    #[error("its disk cannot be made")]
    Disk(#[from] WholeDiskError),
    /// A file failed.
    #[error("{path} failed; is the disk full?")]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> DebianError + use<> {
    let path = path.to_owned();
    move |err| DebianError::File { path, err }
}

/// The raw image of a Debian in `cache`, built if this recipe was not built before.
///
/// # Errors
/// When not root, or a package, a program or the disk fails.
pub fn build(cache: &Path) -> Result<(PathBuf, Built), DebianError> {
    let kernel = package::find_kernel(KERNEL_PACKAGE)?;
    let key = digest::of_parts([kernel.sha256.as_bytes(), recipe().as_bytes()])[..16].to_owned();
    let folder = cache.join("debian").join(&key);
    let raw = folder.join("debian.raw");
    let built = Built { suite: SUITE.to_owned(), kernel: format!("{} {}", kernel.name, kernel.version), key };
    if raw.is_file() {
        return Ok((raw, built));
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(DebianError::NotRoot);
    }
    fs::create_dir_all(&folder).map_err(failed(&folder))?;
    let work = Scratch::new(&folder).map_err(failed(&folder))?;
    let tree = work.path().join("tree");
    bootstrap(&tree, work.path())?;
    settle(&tree).map_err(failed(&tree))?;
    let root = work.path().join("root");
    file_system(&tree, &root, &built.key)?;
    let unfinished = work.path().join("debian.raw");
    whole_disk::write(&WholeDisk {
        seed: &built.key,
        root: &root,
        root_name: "root",
        grub_config: &format!(
            "search.fs_uuid {0} root\nconfigfile /boot/grub/grub.cfg\n",
            root_id(&built.key)
        ),
        out: &unfinished,
    })?;
    fs::rename(&unfinished, &raw).map_err(failed(&raw))?;
    Ok((raw, built))
}

/// Everything that decides what is in the image, as one text.
fn recipe() -> String {
    let files = EARLY.iter().chain(&SETTINGS).map(|(path, mode, text)| format!("{path} {mode:o} {text}\n"));
    let lists =
        [PACKAGES, EXCLUDED, GRUB_CFG, SUITE, &MASKED.concat(), &LATER.concat(), &SUPERFLUOUS.concat()];
    let enabled = ENABLED.iter().map(|(unit, file)| format!("{unit} {file}\n"));
    files.chain(enabled).chain(lists.map(str::to_owned)).chain([FREE_BYTES.to_string()]).collect()
}

fn root_id(key: &str) -> String {
    whole_disk::uuid(key, "root").to_string()
}

/// The lines of a list without its comments.
fn lines(list: &str) -> impl Iterator<Item = &str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn bootstrap(tree: &Path, work: &Path) -> Result<(), DebianError> {
    let early = work.join("early");
    put(&early, &EARLY).map_err(failed(&early))?;
    let mut mmdebstrap = program::command("mmdebstrap");
    mmdebstrap.args(["--quiet", "--mode=root", "--variant=minbase", "--format=directory"]);
    mmdebstrap.arg(format!("--include={}", lines(PACKAGES).collect::<Vec<_>>().join(",")));
    for pattern in lines(EXCLUDED) {
        mmdebstrap.arg(format!("--dpkgopt=path-exclude={pattern}"));
    }
    // Two of the early files belong to packages that come later: they stay as they are.
    mmdebstrap.args(["--dpkgopt=force-confold", "--aptopt=Apt::Install-Recommends \"false\""]);
    mmdebstrap.arg(format!("--essential-hook=sync-in {} /", early.display()));
    mmdebstrap.arg(SUITE).arg(tree);
    program::output(&mut mmdebstrap)?;
    Ok(())
}

/// Make a system of its own of the bootstrapped `tree`.
fn settle(tree: &Path) -> io::Result<()> {
    put(tree, &SETTINGS)?;
    let units = tree.join("etc/systemd/system");
    for (unit, file) in ENABLED {
        link(file, &units.join(unit))?;
    }
    for unit in MASKED {
        link("/dev/null", &units.join(unit))?;
    }
    for unit in LATER {
        fs::remove_file(units.join(unit))?;
    }
    link("../run/systemd/resolve/stub-resolv.conf", &tree.join("etc/resolv.conf"))?;
    for folder in SUPERFLUOUS.map(|folder| tree.join(folder)) {
        if folder.is_dir() {
            fs::remove_dir_all(&folder)?;
            fs::create_dir(&folder)?;
        }
    }
    // Keys that every copy of this image would share.
    for entry in fs::read_dir(tree.join("etc/ssh"))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ssh_host_")) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn put(tree: &Path, files: &[(&str, u32, &str)]) -> io::Result<()> {
    for (path, mode, text) in files {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().unwrap_or(tree))?;
        place::write_whole(&path, text.as_bytes())?;
        fs::set_permissions(&path, Permissions::from_mode(*mode))?;
    }
    Ok(())
}

/// A symbolic link at `path`, whatever was there.
fn link(target: &str, path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    match fs::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => symlink(target, path),
    }
}

/// Put `tree` into an ext4 file system in the file `root`.
fn file_system(tree: &Path, root: &Path, key: &str) -> Result<(), DebianError> {
    let id = root_id(key);
    let settings = [
        ("boot/grub/grub.cfg", 0o644, &*GRUB_CFG.replace("@ROOT@", &id)),
        // No check at each start: the journal repairs what a power cut leaves.
        ("etc/fstab", 0o644, &*format!("UUID={id} / ext4 noatime,errors=remount-ro 0 0\n")),
        // systemd-update-done(8): everything below /usr is known to /etc and /var.
        ("etc/.updated", 0o644, ""),
        ("var/.updated", 0o644, ""),
    ];
    put(tree, &settings).map_err(failed(tree))?;
    let used = program::output(program::command("du").args(["-s", "-B1"]).arg(tree))?;
    let used: u64 = String::from_utf8_lossy(&used)
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    // An eighth for inodes, the journal and what else ext4 keeps of itself.
    let bytes = (used + used / 8 + FREE_BYTES).next_multiple_of(MIB);
    File::create(root).and_then(|file| file.set_len(bytes)).map_err(failed(root))?;
    let mut format = program::command("mke2fs");
    format.args(["-q", "-F", "-t", "ext4", "-m", "1", "-J", "size=16", "-L", "root", "-U", &id, "-d"]);
    program::output(format.arg(tree).arg(root))?;
    program::output(program::command("e2fsck").args(["-f", "-n"]).arg(root))?;
    Ok(())
}
