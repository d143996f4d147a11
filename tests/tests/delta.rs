//! Manifests from end to end: `billet-image` makes them, `billet-agent` writes by
//! them to a loop device, from servers that count what they send.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use bad_server::{Act, Content, File, Server};
use serde_json::Value;
use tests::{can_use_loop_devices, disk::LoopDisk, images::gpt_image, programs::program};

const MIB: u64 = 1 << 20;
/// Length of the images and of the disk.
const SIZE: u64 = 32 * MIB;
/// `billet-image`'s default.
const CHUNK: usize = 256 << 10;

/// An image in a folder, and its manifest.
struct Image {
    file: PathBuf,
    manifest: PathBuf,
    /// The manifest's digest.
    digest: String,
    bytes: u64,
}

/// Write `content` to `dir`/`name`.raw, and make its manifest; packed to
/// `name`.raw.zst when that is wanted.
fn image(dir: &Path, name: &str, content: &[u8], packed: bool) -> Image {
    let raw = dir.join(format!("{name}.raw"));
    fs::write(&raw, content).expect("space");
    let mut command = Command::new(program("billet-image"));
    command.args(["manifest", "--json"]).arg(&raw);
    if packed {
        command.arg("--pack").arg(dir.join(format!("{name}.raw.zst")));
    }
    let output = command.output().expect("billet-image runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let text = |field: &str| report[field].as_str().expect("a text").to_owned();
    Image {
        file: text("image").into(),
        manifest: text("manifest").into(),
        digest: format!("sha256:{}", text("manifest_sha256")),
        bytes: report["image_bytes"].as_u64().expect("a number"),
    }
}

impl Image {
    /// A server of it, whose answers to ranges are `acts` and then `then`.
    fn served(&self, acts: impl IntoIterator<Item = Act>, then: Act) -> Server {
        let content = |path: &Path| Content::open(path).expect("a file");
        let image = File::new(content(&self.file)).parts(acts).parts_then(then);
        Server::start([("/image", image), ("/manifest", File::new(content(&self.manifest)))])
    }

    fn mirror(&self) -> Server {
        self.served([], Act::good())
    }
}

/// `billet-agent write` from `mirrors`, the first of which has the manifest.
fn write(mirrors: &[&Server], digest: &str, disk: &LoopDisk) -> Command {
    let mut command = Command::new(program("billet-agent"));
    command.args(["write", "--json", "--yes", "--manifest-checksum", digest, "--target"]).arg(&disk.device);
    command.args(["--manifest", &mirrors[0].url("/manifest")]);
    for mirror in mirrors {
        command.args(["--image", &mirror.url("/image")]);
    }
    command.stdin(Stdio::null());
    command
}

/// Its exit status, and the last line it printed.
fn end(mut command: Command) -> (Option<i32>, Value) {
    let output = command.output().expect("billet-agent runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), serde_json::from_str(last).expect("JSON"))
}

/// What it reports, when it worked.
fn written(command: Command) -> Value {
    let (code, report) = end(command);
    assert_eq!(code, Some(0), "{report}");
    report["bytes"].clone()
}

/// Bytes of the image that `server` sent.
fn sent(server: &Server) -> u64 {
    server.seen().iter().filter(|seen| seen.target == "/image").map(|seen| seen.sent).sum()
}

fn holds(disk: &LoopDisk, content: &[u8]) -> bool {
    disk.read(0, content.len()) == content
}

#[test]
fn a_redeploy_fetches_what_has_changed_and_no_more() {
    if !can_use_loop_devices() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let disk = LoopDisk::used(SIZE / MIB);
    let old = gpt_image(usize::try_from(SIZE / MIB).expect("fits"));
    let mut new = old.clone();
    // Six of 128 chunks.
    for chunk in new.chunks_mut(CHUNK).skip(8).step_by(20) {
        chunk[1000] ^= 1;
    }
    for packed in [false, true] {
        let [before, after] =
            [("old", &old), ("new", &new)].map(|(name, content)| image(dir.path(), name, content, packed));
        let mirrors = [before.mirror(), before.mirror()];
        let first = written(write(&mirrors.each_ref(), &before.digest, &disk));
        assert!(holds(&disk, &old));
        assert_eq!(mirrors.iter().map(sent).sum::<u64>(), first["fetched"]);
        assert!(packed || mirrors.iter().all(|mirror| sent(mirror) > 0), "both have work");
        let mirrors = [after.mirror(), after.mirror()];
        let second = written(write(&mirrors.each_ref(), &after.digest, &disk));
        assert!(holds(&disk, &new), "packed: {packed}");
        let sent: u64 = mirrors.iter().map(sent).sum();
        assert!(sent > 0 && sent <= after.bytes * 6 / 100, "packed: {packed}: {sent} of {}", after.bytes);
        assert_eq!(second["fetched"], sent);
        assert!(second["skipped"].as_u64().expect("a number") >= SIZE * 90 / 100, "{second}");
        assert!(second["verified"].as_u64().expect("a number") >= SIZE, "{second}");
    }
}

#[test]
fn a_write_that_is_killed_does_not_boot_and_goes_on_where_it_was() {
    if !can_use_loop_devices() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let disk = LoopDisk::used(SIZE / MIB);
    let content = gpt_image(usize::try_from(SIZE / MIB).expect("fits"));
    let image = image(dir.path(), "image", &content, false);
    let stalls = image.served((0..16).map(|_| Act::good()), Act::stall(1000));
    let mut running = write(&[&stalls], &image.digest, &disk).stdout(Stdio::null()).spawn().expect("starts");
    stalls.wait_until(|seen| seen.iter().filter(|seen| seen.stalls > 0).count() >= 6);
    running.kill().and_then(|()| running.wait()).expect("killed");
    assert!(!disk.may_boot());
    let good = image.mirror();
    let again = written(write(&[&good], &image.digest, &disk));
    assert!(holds(&disk, &content));
    // Sixteen requests of 1 MiB had come; what was on its way to the disk may be lost.
    assert!(sent(&good) <= SIZE - 8 * MIB, "{} bytes again", sent(&good));
    assert_eq!(again["fetched"], sent(&good));
}

#[test]
fn a_manifest_that_nothing_vouches_for_is_refused_and_the_disk_is_untouched() {
    if !can_use_loop_devices() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let disk = LoopDisk::used(SIZE / MIB);
    let content = gpt_image(usize::try_from(SIZE / MIB).expect("fits"));
    let image = image(dir.path(), "image", &content, true);
    let server = image.mirror();
    let wrong = format!("sha256:{}", "0".repeat(64));
    let (code, report) = end(write(&[&server], &wrong, &disk));
    assert_eq!(code, Some(2), "{report}");
    assert!(report["error"].as_str().is_some_and(|error| error.contains("want sha256:0000")), "{report}");
    assert!(disk.is_untouched());
    assert_eq!(sent(&server), 0);
}
