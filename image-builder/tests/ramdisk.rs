//! Ramdisks built from a small made-up kernel: the same bytes twice, and what is in them.

use std::{
    collections::BTreeMap,
    error::Error,
    fs::{self, File, FileTimes},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use image_builder::{
    compress::Compression,
    digest,
    ramdisk::{self, KernelSource, RamdiskError, Report, Request},
};
use init::modules::Pack;

const LIST: &str = "[disks]\ncommon nvme\n[efi]\nalways efivarfs\nwith efivarfs: nls-utf8\n";

#[test]
fn the_same_inputs_give_the_same_bytes_wherever_and_whenever() {
    for compression in [Compression::Zstd, Compression::Gzip, Compression::Xz] {
        let [one, other] = [SystemTime::UNIX_EPOCH, SystemTime::now()].map(|time| {
            let place = tempfile::tempdir().expect("a folder");
            build(place.path(), time, compression).expect("a ramdisk");
            ["vmlinuz", "initramfs"].map(|name| fs::read(place.path().join("out").join(name)).expect(name))
        });
        assert!(one == other, "{compression:?}: two builds differ");
    }
}

#[test]
fn the_initramfs_holds_the_agent_the_drivers_and_the_skeleton_only() {
    let place = tempfile::tempdir().expect("a folder");
    build(place.path(), SystemTime::now(), Compression::Zstd).expect("a ramdisk");
    let listing = shell("zstd -dc out/initramfs | cpio -itv --quiet --numeric-uid-gid", place.path());
    let entries: BTreeMap<&str, &str> = listing
        .lines()
        .map(|line| {
            (line.split_whitespace().last().unwrap_or(""), line.split_whitespace().next().unwrap_or(""))
        })
        .collect();
    let want = [
        ("dev", "drwxr-xr-x"),
        ("dev/console", "crw-------"),
        ("dev/null", "crw-------"),
        ("etc", "drwxr-xr-x"),
        ("etc/issue", "-rw-r--r--"),
        ("init", "-rwxr-xr-x"),
        ("lib", "drwxr-xr-x"),
        ("lib/billet", "drwxr-xr-x"),
        ("lib/billet/modules.pack", "-rw-r--r--"),
        ("lib/firmware", "drwxr-xr-x"),
        ("lib/firmware/nvme", "drwxr-xr-x"),
        ("lib/firmware/nvme/a.fw", "-rw-r--r--"),
        ("proc", "drwxr-xr-x"),
        ("run", "drwxr-xr-x"),
        ("sys", "drwxr-xr-x"),
        ("tmp", "drwxr-xr-x"),
    ];
    assert_eq!(entries, BTreeMap::from(want));
    shell("mkdir x && cd x && zstd -dc ../out/initramfs | cpio -i --quiet", place.path());
    assert!(fs::read(place.path().join("x/init")).expect("init") == static_program());
}

#[test]
fn the_pack_answers_to_the_hardware_and_brings_what_the_kernel_would_ask_modprobe_for() {
    let place = tempfile::tempdir().expect("a folder");
    build(place.path(), SystemTime::now(), Compression::Zstd).expect("a ramdisk");
    shell("mkdir x && cd x && zstd -dc ../out/initramfs | cpio -i --quiet", place.path());
    let pack = Pack::open_path(&place.path().join("x/lib/billet/modules.pack")).expect("a pack");
    let found = pack.matching("pci:v0000144Dd0000A808sv0sd0bc01sc08i02");
    assert_eq!(found, ["nvme"]);
    let plan: Vec<&str> = pack.plan(&["nvme", "efivarfs"]).collect();
    for (before, after) in [("nvme_core", "nvme"), ("nls_utf8", "efivarfs")] {
        let at = |name| {
            plan.iter().position(|planned| *planned == name).unwrap_or_else(|| panic!("{name}: {plan:?}"))
        };
        assert!(at(before) < at(after), "{plan:?}");
    }
}

#[test]
fn the_report_weighs_what_was_written() {
    let place = tempfile::tempdir().expect("a folder");
    let report = build(place.path(), SystemTime::now(), Compression::Zstd).expect("a ramdisk");
    let [kernel, initramfs] =
        ["vmlinuz", "initramfs"].map(|name| fs::read(place.path().join("out").join(name)).expect(name));
    assert_eq!(report.total_bytes, (kernel.len() + initramfs.len()) as u64);
    assert_eq!(
        (report.kernel.sha256, report.initramfs.sha256),
        (digest::of(&kernel), digest::of(&initramfs))
    );
    assert_eq!(report.agent.bytes, static_program().len() as u64);
    let drivers = report.drivers;
    assert_eq!(drivers.raw_bytes, drivers.sections.iter().map(|section| section.raw_bytes).sum::<u64>());
    assert_eq!((drivers.modules, report.firmware.files, report.firmware.absent), (4, 1, 1));
}

#[test]
fn an_agent_that_needs_a_library_is_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let mut request = request(place.path(), SystemTime::now(), Compression::Gzip);
    for (agent, why) in [("/bin/true", "needs ld.so"), ("/etc/passwd", "is a text")] {
        request.agent = agent.into();
        let refused = ramdisk::build(&request);
        assert!(matches!(refused, Err(RamdiskError::Agent { .. })), "{agent} {why}");
        assert!(!request.out.exists(), "nothing is written");
    }
}

fn build(place: &Path, time: SystemTime, compression: Compression) -> Result<Report, RamdiskError> {
    let built = ramdisk::build(&request(place, time, compression));
    built.inspect_err(|err| eprintln!("{err}: {:?}", err.source()))
}

/// A kernel with five modules in `place`, its files dated `time`, and what to make of it.
fn request(place: &Path, time: SystemTime, compression: Compression) -> Request {
    let modules = place.join("6.1.0");
    let module = |path: &str, lines: &[&str]| file(&modules.join("kernel").join(path), &elf(lines), time);
    module(
        "drivers/nvme/nvme.ko",
        &[
            "alias=pci:v*d*sv*sd*bc01sc08i02*",
            "depends=nvme-core",
            "firmware=nvme/a.fw",
            "firmware=nvme/b.fw",
        ],
    );
    module("drivers/nvme/nvme-core.ko", &["depends="]);
    module("fs/efivarfs.ko", &["depends="]);
    module("fs/nls/nls_utf8.ko", &["depends="]);
    module("sound/beep.ko", &["depends="]);
    Request {
        agent: file(&place.join("agent"), &static_program(), time),
        kernel: KernelSource::Paths { image: file(&place.join("bzImage"), b"a kernel", time), modules },
        list: LIST.to_owned(),
        firmware: vec![parent(&parent(&file(&place.join("fw/nvme/a.fw"), b"firmware", time)))],
        firmware_packages: Vec::new(),
        files: vec![("etc/issue".to_owned(), file(&place.join("issue"), b"hello", time))],
        compression,
        out: place.join("out"),
        cache: place.join("cache"),
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().expect("a parent").to_owned()
}

fn file(path: &Path, bytes: &[u8], time: SystemTime) -> PathBuf {
    fs::create_dir_all(parent(path)).expect("a folder");
    fs::write(path, bytes).expect("a file");
    let times = FileTimes::new().set_modified(time + Duration::from_secs(1));
    File::options().write(true).open(path).and_then(|file| file.set_times(times)).expect("a time");
    path.to_owned()
}

/// The header of an x86-64 executable with one segment and no interpreter, and something to compress.
fn static_program() -> Vec<u8> {
    let mut elf = vec![0; 64 + 56];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (elf[0x12], elf[0x20], elf[0x36], elf[0x38], elf[64]) = (62, 64, 56, 1, 1);
    elf.extend((0..50_000_u32).flat_map(|number| (number / 3).to_le_bytes()));
    elf
}

/// An ELF file with a `.modinfo` section of `lines`.
fn elf(lines: &[&str]) -> Vec<u8> {
    let info: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\0"].concat()).collect();
    let names = b"\0.modinfo\0.shstrtab\0";
    let table = 64 + info.len() + names.len();
    let mut elf = vec![0; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
    (elf[0x3a], elf[0x3c], elf[0x3e]) = (64, 3, 2);
    elf.extend([&info[..], names, &[0; 64]].concat());
    for (name, at, size) in [(1_u32, 64, info.len()), (10, 64 + info.len(), names.len())] {
        let mut header = vec![0; 64];
        header[..4].copy_from_slice(&name.to_le_bytes());
        header[0x18..0x20].copy_from_slice(&(at as u64).to_le_bytes());
        header[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
        elf.extend(header);
    }
    elf
}

fn shell(script: &str, folder: &Path) -> String {
    let done = Command::new("sh").args(["-c", script]).current_dir(folder).output().expect("sh");
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
