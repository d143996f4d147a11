//! `billet-agent record`: what the inventory reads, for replaying elsewhere.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use inventory::{Depth, Identifiers, Options, Root, lldp::Patience, record, record_archive};

/// Arguments of `record`.
///
/// The recording holds what `inventory` reads and nothing more; `inventory --root`
/// shows the machine again, anywhere.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A directory that is empty or does not exist yet, or a new file whose name
    /// ends in .tar.zst.
    #[arg(value_name = "DIR|FILE.tar.zst")]
    place: PathBuf,
    /// Keep serial numbers, MACs, world wide names and addresses. Otherwise each
    /// becomes a stand-in of the same shape, the same one everywhere.
    #[arg(long)]
    keep_identifiers: bool,
    /// Record another recording, or a directory that has sys/ and proc/.
    #[arg(long, value_name = "DIR|FILE.tar.zst")]
    root: Option<PathBuf>,
    /// Listen to switches (LLDP) too, for at most so long; they speak every 30 seconds.
    #[arg(long, value_name = "SECONDS", conflicts_with = "root")]
    lldp: Option<u64>,
    /// Print one JSON object instead of a sentence.
    #[arg(long)]
    json: bool,
}

/// Run it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let root = open(args.root.as_deref())?;
    let identifiers = if args.keep_identifiers { Identifiers::Keep } else { Identifiers::Replace };
    let lldp = args.lldp.map(|seconds| Patience::of(Duration::from_secs(seconds)));
    let options = Options { depth: Depth::Whole, lldp, ..Options::default() };
    if is_archive(&args.place) {
        let archive = record_archive(&root, &options, identifiers)?;
        write_new(&args.place, &archive)?;
    } else {
        record(&root, &options, identifiers, &args.place)?;
    }
    let mut out = io::stdout().lock();
    if args.json {
        let place = args.place.to_string_lossy();
        let told = serde_json::json!({ "place": place, "identifiers_kept": args.keep_identifiers });
        writeln!(out, "{told}")?;
    } else {
        writeln!(out, "recorded in {}; look at it before you give it away", args.place.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// This machine, or one that was recorded at `place`: a directory, or a `.tar.zst`.
pub(crate) fn open(place: Option<&Path>) -> anyhow::Result<Root> {
    let Some(place) = place else { return Ok(Root::live()) };
    if !is_archive(place) {
        return Ok(Root::open(place)?);
    }
    let packed = File::open(place).with_context(|| format!("cannot read {}", place.display()))?;
    let mut archive = zstd::Decoder::new(packed)?;
    archive.window_log_max(WINDOW_LOG)?;
    Root::unpack(&mut archive).with_context(|| format!("{} is no recording", place.display()))
}

/// What decompressing may take, as a power of two: 8 MiB, what every zstd must be able to.
const WINDOW_LOG: u32 = 23;

fn is_archive(place: &Path) -> bool {
    place.as_os_str().as_encoded_bytes().ends_with(b".tar.zst")
}

/// Nothing is overwritten.
fn write_new(place: &Path, archive: &[u8]) -> anyhow::Result<()> {
    let written = File::create_new(place).and_then(|mut file| file.write_all(archive));
    written.with_context(|| format!("cannot write {}; name a new file", place.display()))
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use inventory::scan;

    use super::*;

    fn recorded(place: &Path, from: &Path) {
        let (place, root) = (place.to_owned(), Some(from.to_owned()));
        run(Args { place, keep_identifiers: true, root, lldp: None, json: true }).expect("a recording");
    }

    #[test]
    fn an_archive_is_the_machine_and_tar_and_zstd_read_it() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let archive = folder.path().join("machine.tar.zst");
        let machine = hardware_fixtures::machine("rack-nvme-sata");
        recorded(&archive, machine.dir());
        let options = Options { depth: Depth::Whole, ..Options::default() };
        let seen = |root: &Root| serde_json::to_value(scan(root, &options)).expect("plain data");
        let original = seen(&Root::open(machine.dir()).expect("recorded"));
        assert_eq!(seen(&open(Some(&archive)).expect("own work")), original);

        let unpacked = folder.path().join("unpacked");
        fs::create_dir(&unpacked).expect("temporary directory");
        let status =
            Command::new("tar").arg("--zstd").arg("-xf").arg(&archive).arg("-C").arg(&unpacked).status();
        assert!(status.expect("tar runs").success());
        assert_eq!(seen(&Root::open(unpacked).expect("a recording")), original);

        // People may pack it better, and again.
        let tar = zstd::decode_all(File::open(&archive).expect("an archive")).expect("zstd");
        let smaller = folder.path().join("smaller.tar.zst");
        fs::write(&smaller, zstd::encode_all(tar.as_slice(), 19).expect("zstd")).expect("room");
        assert_eq!(seen(&open(Some(&smaller)).expect("a recording")), original);
    }

    #[test]
    fn a_large_machine_is_read_again() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let device = |number: u32| {
            let device = format!("sys/bus/usb/devices/1-{number}");
            let words = "w".repeat(60_000);
            format!("{device}/idVendor = 046b\n{device}/idProduct = ff20\n{device}/product = {words}\n")
        };
        let machine = folder.path().join("machine");
        fs::create_dir(&machine).expect("temporary directory");
        fs::write(machine.join("sysfs.txt"), (0..200).map(device).collect::<String>()).expect("room");
        let archive = folder.path().join("machine.tar.zst");
        recorded(&archive, &machine);
        assert!(fs::metadata(&archive).expect("written").len() > 1 << WINDOW_LOG, "more than the window");
        let read = open(Some(&archive)).expect("own work");
        assert_eq!(scan(&read, &Options::default()).usb.len(), 200);
    }

    #[test]
    fn a_place_may_have_any_name() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = tempfile::tempdir().expect("temporary directory");
        let place = folder.path().join(std::ffi::OsStr::from_bytes(b"machine\xff"));
        recorded(&place, hardware_fixtures::machine("hostile").dir());
        assert!(place.join("sysfs.txt").is_file());
    }

    #[test]
    fn nothing_is_overwritten_and_what_is_no_recording_is_named() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let taken = folder.path().join("taken.tar.zst");
        fs::write(&taken, b"mine").expect("room");
        let machine = hardware_fixtures::machine("hostile");
        let root = Some(machine.dir().to_owned());
        let args = |place: &Path| Args {
            place: place.to_owned(),
            keep_identifiers: false,
            root: root.clone(),
            lldp: None,
            json: false,
        };
        let refused = run(args(&taken)).expect_err("taken");
        assert!(refused.to_string().contains("name a new file"), "{refused}");
        assert_eq!(fs::read(&taken).expect("mine"), b"mine");
        let refused = format!("{:#}", open(Some(&taken)).expect_err("no recording"));
        assert!(refused.contains("taken.tar.zst"), "{refused}");
    }
}
