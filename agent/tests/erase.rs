//! `billet-agent erase` as people use it: what it says, what it erases, its exit
//! status. On loop devices; needs root.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

const MIB: u64 = 1 << 20;
/// Planted in every block of a used disk.
const SECRET: &[u8] = b"the tenant's secret";
const BLOCK: usize = 4096;

/// A loop device over a file full of secrets, gone when dropped.
struct Used {
    device: PathBuf,
    file: NamedTempFile,
}

impl Used {
    /// None, loudly, when this user may make none.
    fn new(mib: u64) -> Option<Self> {
        let file = NamedTempFile::new().expect("a file");
        Self::fill(&file, 0..mib);
        Self::over(file)
    }

    /// Mostly holes, with a mebibyte of secrets every 64.
    fn sparse(mib: u64) -> Option<Self> {
        let file = NamedTempFile::new().expect("a file");
        file.as_file().set_len(mib * MIB).expect("sparse");
        Self::fill(&file, (0..mib).step_by(64));
        Self::over(file)
    }

    fn fill(file: &NamedTempFile, mebibytes: impl Iterator<Item = u64>) {
        let block: Vec<u8> = SECRET.iter().copied().cycle().take(BLOCK).collect();
        let mebibyte = block.repeat(256);
        mebibytes.for_each(|at| file.as_file().write_all_at(&mebibyte, at * MIB).expect("written"));
    }

    fn over(file: NamedTempFile) -> Option<Self> {
        let made = Command::new("losetup").args(["--find", "--show"]).arg(file.path()).output();
        match made {
            Ok(made) if made.status.success() => {
                let device = String::from_utf8(made.stdout).expect("text").trim().into();
                Some(Self { device, file })
            }
            refused => {
                eprintln!("SKIPPED: no loop device (needs root and losetup): {refused:?}");
                None
            }
        }
    }

    fn name(&self) -> String {
        self.device.display().to_string()
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.file.path()).expect("a backing file")
    }

    fn has_secrets(&self) -> bool {
        let (mut file, mut piece) = (fs::File::open(self.file.path()).expect("a file"), Vec::new());
        loop {
            piece.clear();
            (&mut file).take(4 * MIB).read_to_end(&mut piece).expect("read");
            if piece.is_empty() || has_secrets(&piece) {
                return !piece.is_empty();
            }
        }
    }

    /// How far the mark of an overwrite under way is: 8 bytes at 24 of the 8th block.
    fn mark(&self) -> u64 {
        let mut place = [0; 8];
        self.file.as_file().read_exact_at(&mut place, 8 * 512 + 24).expect("read");
        let mut magic = [0; 12];
        self.file.as_file().read_exact_at(&mut magic, 8 * 512).expect("read");
        if &magic == b"billet-erase" { u64::from_le_bytes(place) } else { 0 }
    }

    fn is_untouched(&self) -> bool {
        self.bytes().chunks(BLOCK).all(|block| block.starts_with(SECRET))
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}

fn has_secrets(bytes: &[u8]) -> bool {
    // Any part of it that an earlier tenant would know again. Zeros need no search.
    let known = |block: &[u8]| block.windows(8).any(|window| window == &SECRET[4..12]);
    bytes.chunks(BLOCK).any(|block| block != [0; BLOCK] && known(block))
}

fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_billet-agent"));
    command.args(arguments).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    agent(arguments).output().expect("billet-agent runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// The last object a program gets.
fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(text.lines().last().expect("a report")).expect("JSON")
}

fn policy(dir: &TempDir, policy: &Value) -> String {
    let path = dir.path().join("policy.json");
    fs::write(&path, policy.to_string()).expect("written");
    path.display().to_string()
}

#[test]
fn several_disks_are_erased_at_once_and_their_evidence_holds() {
    let (Some(one), Some(two)) = (Used::new(24), Used::new(40)) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let evidence = dir.path().join("evidence");
    let place = evidence.display().to_string();
    let output =
        run(&["erase", "--yes", "--json", "--evidence", &place, &one.name(), &two.name(), &one.name()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = report(&output);
    assert_eq!(
        (&report["ok"], report["devices"].as_object().map(serde_json::Map::len)),
        (&json!(true), Some(2))
    );
    for disk in [&one, &two] {
        assert!(!disk.has_secrets());
        let name = disk.name().replace("/dev/", "");
        let file = evidence.join(format!("{name}.json")).display().to_string();
        let verified = run(&["evidence", "verify", &file]);
        assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
        let document: Value = serde_json::from_slice(&fs::read(&file).expect("a document")).expect("JSON");
        assert_eq!(document["body"]["device"]["path"], disk.name());
        assert_eq!(document, report["devices"][disk.name()]);
    }
}

#[test]
fn a_plan_says_what_would_be_done_to_which_disk_and_why_and_does_nothing() {
    let Some(disk) = Used::new(8) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let shown = run(&["erase", "--plan", &disk.name()]);
    assert_eq!(shown.status.code(), Some(0), "{}", said(&shown));
    let text = said(&shown);
    for part in
        [&disk.name(), "serial", "8.0 MiB", "by zero-out: clear (every addressable block", "read back:"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    let purge = policy(&dir, &json!({"min_level": "purge"}));
    let refused = run(&["erase", "--plan", "--json", "--policy", &purge, &disk.name()]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    let why = report(&refused)["plan"][0]["refused"].as_str().expect("a reason").to_owned();
    assert!(why.contains("the policy wants"), "{why}");
    assert!(disk.is_untouched());
}

#[test]
fn what_is_refused_is_not_written_and_neither_are_its_neighbours() {
    let (Some(disk), Some(other)) = (Used::new(8), Used::new(8)) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let (purge, typo) = (json!({"min_level": "purge"}), json!({"min_levle": "purge"}));
    let skip = json!({"skip": [{"name": disk.name()}]});
    let file = dir.path().join("a file").display().to_string();
    fs::write(&file, "").expect("written");
    let name = disk.name();
    for (arguments, why) in [
        (vec!["erase", name.as_str()], "nobody to ask; say --yes"),
        (vec!["erase", "--yes", &file, &name], "is not a whole disk of this machine"),
        (vec!["erase", "--yes", "--evidence", &file, &name], "name a directory"),
        (vec!["erase", "--yes", "--policy", "/nonexistent", &name], "cannot read the policy"),
        (vec!["erase", "--yes", "--policy", &policy(&dir, &typo), &name], "min_levle"),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(why), "{arguments:?}: {}", said(&output));
    }
    for (asked, why) in [(&purge, "the policy wants"), (&skip, "was skipped as the policy says (name")] {
        let output = run(&["erase", "--yes", "--policy", &policy(&dir, asked), &name, &other.name()]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(why), "{}", said(&output));
    }
    assert!(disk.is_untouched() && other.is_untouched());
}

#[test]
fn a_mounted_disk_is_refused_by_name_of_its_mount() {
    let Some(disk) = Used::new(16) else { return };
    let place = tempfile::tempdir().expect("a directory");
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.device).output();
    let Ok(true) = made.map(|made| made.status.success()) else {
        eprintln!("SKIPPED: no mkfs.ext4");
        return;
    };
    let mounted = Command::new("mount").arg(&disk.device).arg(place.path()).status();
    assert!(mounted.is_ok_and(|status| status.success()), "root mounts");
    let output = run(&["erase", "--yes", &disk.name()]);
    let unmounted = Command::new("umount").arg(place.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let mount = place.path().display().to_string();
    assert!(said(&output).contains(&mount), "{}", said(&output));
    let checked = Command::new("fsck.ext4").arg("-fn").arg(&disk.device).output().expect("fsck runs");
    assert!(checked.status.success(), "the file system is whole");
}

/// The program is killed at 20 moments of an erase; a fresh one finishes.
#[test]
fn an_erase_that_is_killed_again_and_again_is_finished_by_the_next() {
    const KILLS: u32 = 20;
    let Some(disk) = Used::new(64) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    // Some 0.6 s of writing, so that there are moments to be killed at.
    let slow = policy(&dir, &json!({"rate_limit_bytes_s": 100 * MIB, "verify": "full"}));
    let place = dir.path().join("evidence").display().to_string();
    let name = disk.name();
    let journal = dir.path().join("journal").display().to_string();
    let arguments = ["erase", "--yes", "--policy", &slow, "--evidence", &place, "--journal", &journal, &name];
    let mut cut_short = 0;
    for kill in 0..KILLS {
        // Moments spread over the erase, the early ones closer together.
        let moment = Duration::from_millis(u64::from(kill * kill) * 2);
        cut_short += u32::from(killed_at(agent(&arguments).spawn().expect("runs"), moment));
    }
    assert!(cut_short >= KILLS / 2, "only {cut_short} were killed before their end");
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!disk.has_secrets());
    assert!(!Path::new(&journal).exists(), "what comes now is somebody's");
    let last = newest(Path::new(&place));
    let verified = run(&["evidence", "verify", &last.display().to_string()]);
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
}

/// By the mark on the disk and the journal beside it; the last gibibyte before the
/// mark is written again.
#[test]
fn an_overwrite_that_was_killed_goes_on_where_it_was() {
    let Some(disk) = Used::sparse(3072) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str| dir.path().join(name).display().to_string();
    let slow = policy(&dir, &json!({"rate_limit_bytes_s": 400 * MIB}));
    let (place, journal, name) = (file("evidence"), file("journal"), disk.name());
    let arguments = ["erase", "--yes", "--evidence", &place, "--journal", &journal, &name];
    let mut child = agent(&arguments).args(["--policy", &slow]).spawn().expect("runs");
    // A mark comes every five seconds.
    while disk.mark() <= 1280 * MIB {
        assert!(child.try_wait().expect("a child").is_none(), "it ended before there was a mark");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().and_then(|()| child.wait()).expect("killed");
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!disk.has_secrets());
    let document = fs::read(newest(Path::new(&place))).expect("a document");
    let document: Value = serde_json::from_slice(&document).expect("JSON");
    assert_eq!(document["body"]["attempts"][0]["resumed"], true, "{document}");
    assert_eq!(document["body"]["result"], "clean");
}

/// True when it was not at its end by itself.
fn killed_at(mut child: Child, moment: Duration) -> bool {
    let until = Instant::now() + moment;
    while Instant::now() < until {
        if child.try_wait().expect("a child").is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("killed");
    !child.wait().expect("a child").success()
}

fn newest(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).expect("a directory").map(|file| file.expect("a file").path());
    files
        .max_by_key(|file| fs::metadata(file).and_then(|file| file.modified()).expect("a time"))
        .expect("one")
}
