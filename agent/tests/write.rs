//! `billet-agent write` as people use it: what it says, what it writes, its exit
//! status.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// An image in a folder, with its checksum file, and a used disk of the same length.
struct Bench {
    dir: TempDir,
    raw: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let raw: Vec<u8> = (0..3 * MIB).map(|at| u8::try_from(at % 251).expect("below 251")).collect();
        let packed = zstd::encode_all(&raw[..], 1).expect("in memory");
        let bench = Self { dir, raw };
        fs::write(bench.path("x.raw.zst"), &packed).expect("written");
        fs::write(bench.path("SUMS"), format!("{}  other\n{}  x.raw.zst\n", hex(b""), hex(&packed)))
            .expect("written");
        fs::write(bench.path("disk"), vec![0xaa; 4 * MIB]).expect("written");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Run `write` with the image, its checksum file and the disk, and `more`.
    fn write(&self, more: &[&str]) -> Output {
        run(
            &[
                "--image",
                &self.text("x.raw.zst"),
                "--checksum",
                &self.text("SUMS"),
                "--target",
                &self.text("disk"),
            ],
            more,
        )
    }

    fn holds_the_image(&self, file: &str) -> bool {
        fs::read(self.path(file)).expect("a disk").starts_with(&self.raw)
    }

    fn is_untouched(&self) -> bool {
        fs::read(self.path("disk")).expect("a disk").iter().all(|&byte| byte == 0xaa)
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn command(arguments: &[&str], more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_billet-agent"));
    command.arg("write").args(arguments).args(more).env_remove("RUST_BACKTRACE");
    command
}

fn run(arguments: &[&str], more: &[&str]) -> Output {
    command(arguments, more).stdin(Stdio::null()).output().expect("billet-agent runs")
}

/// The last line, which is the report.
fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("{output:?}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_plan_says_what_would_be_done_and_writes_nothing() {
    let bench = Bench::new();
    let output = bench.write(&["--plan"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for part in
        ["something unknown", "would be destroyed", "raw.zst", "must be sha256:", "Nothing was written"]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let plan = report(&bench.write(&["--plan", "--json"]));
    assert_eq!((&plan["ok"], &plan["plan"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(
        (plan["target"]["bytes"].as_u64(), plan["image"]["format"].as_str()),
        (Some(4 << 20), Some("raw.zst"))
    );
    assert!(bench.is_untouched());
}

#[test]
fn a_plan_names_what_would_be_refused() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), vec![0xaa; 2 * MIB]).expect("written");
    fs::write(bench.path("raw"), &bench.raw).expect("written");
    let sum = format!("sha256:{}", hex(&bench.raw));
    let output = run(
        &["--image", &bench.text("raw"), "--checksum", &sum, "--target", &bench.text("disk")],
        &["--plan"],
    );
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("REFUSED: the image is 3.0 MiB and the disk 2.0 MiB"), "{text}");
    assert!(bench.is_untouched());
}

#[test]
fn the_report_says_everything_that_was_done() {
    let bench = Bench::new();
    let output = bench.write(&["--yes", "--json"]);
    assert!(output.status.success() && bench.holds_the_image("disk"), "{output:?}");
    let report = report(&output);
    assert_eq!((&report["ok"], &report["proven"]), (&Value::Bool(true), &Value::Bool(true)));
    let fetched = fs::metadata(bench.path("x.raw.zst")).expect("there").len();
    let bytes = |name: &str| report["bytes"][name].as_u64();
    assert_eq!((bytes("fetched"), bytes("image")), (Some(fetched), Some(3 << 20)));
    assert!(bytes("verified") >= bytes("written"), "{report}");
    for number in ["refetched", "zeroed", "skipped"] {
        assert!(bytes(number).is_some(), "{number}");
    }
    for stage in ["write", "verify", "commit", "total"] {
        assert!(report["seconds"][stage].is_number(), "{stage}");
    }
    for part in ["net", "hash", "decode", "write", "verify"] {
        assert!(report["parts"][part]["busy_s"].is_number(), "{part}");
    }
    assert_eq!(report["digests"][0].as_str().map(str::len), Some(71), "{report}");
    assert_eq!(report["retries"], 0);
}

#[test]
fn standard_input_is_an_image() {
    let bench = Bench::new();
    let packed = fs::read(bench.path("x.raw.zst")).expect("there");
    let sum = format!("sha256:{}", hex(&packed));
    let write = |target: &str| {
        let mut child =
            command(&["--image", "-", "--checksum", &sum, "--target", &bench.text(target), "--yes"], &[])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("billet-agent runs");
        // One that refuses before it reads closes the pipe.
        let _ = child.stdin.take().expect("piped").write_all(&packed);
        child.wait_with_output().expect("it ends")
    };
    assert!(write("disk").status.success() && bench.holds_the_image("disk"));
    let refused = write("new");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(said(&refused).contains("can be read once only"), "{refused:?}");
    assert!(!bench.path("new").exists());
}

#[test]
fn what_is_not_read_back_is_not_called_proven() {
    let bench = Bench::new();
    let report = report(&bench.write(&["--yes", "--json", "--verify", "none"]));
    assert_eq!(
        (&report["ok"], &report["proven"], &report["verify"]),
        (&true.into(), &false.into(), &"none".into())
    );
    let text = String::from_utf8_lossy(&bench.write(&["--yes", "--verify", "none"]).stdout).into_owned();
    assert!(text.contains("NOT READ BACK"), "{text}");
}

#[test]
fn input_that_is_refused_is_status_2_and_touches_nothing() {
    let bench = Bench::new();
    let image = bench.text("x.raw.zst");
    let disk = bench.text("disk");
    let sums = bench.text("SUMS");
    let wrong = format!("sha256:{}", hex(b"another"));
    let rows: &[(&[&str], &str)] = &[
        (&["--image", &image, "--checksum", &sums, "--target", &disk], "nobody to ask; say --yes"),
        (&["--image", &image, "--target", &disk, "--yes"], "no digest to check the image against"),
        (
            &[
                "--image",
                &image,
                "--checksum",
                "md5:d41d8cd98f00b204e9800998ecf8427e",
                "--target",
                &disk,
                "--yes",
            ],
            "MD5",
        ),
        (&["--image", &image, "--checksum", "nonsense", "--target", &disk, "--yes"], "is no checksum"),
        (&["--image", &image, "--image", &disk, "--checksum", &wrong, "--target", &disk], "must all be URLs"),
        (&["--image", &disk, "--checksum", &wrong, "--target", &disk, "--yes"], "the same file"),
        (
            &["--image", &image, "--checksum", &sums, "--target", "/dev/null", "--yes"],
            "neither a block device",
        ),
        (&["--image", &image, "--checksum", &sums, "--target", &disk, "--yes", "--format", "qcow2"], "qcow2"),
        (
            &["--image", &image, "--checksum", &sums, "--target", &disk, "--yes", "--config-drive", &sums],
            "config drive",
        ),
        (&["--image", "oci://h/x:y", "--target", &disk, "--yes"], "no digest"),
    ];
    for (arguments, want) in rows {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(said(&output).contains(want), "{arguments:?}: {}", said(&output));
        assert!(bench.is_untouched(), "{arguments:?}");
    }
}

#[test]
fn the_content_of_an_image_may_have_a_digest_of_its_own() {
    let bench = Bench::new();
    let right = format!("sha256:{}", hex(&bench.raw));
    let report = report(&bench.write(&["--yes", "--json", "--content-checksum", &right]));
    assert_eq!((&report["ok"], &report["content_digest"]), (&true.into(), &right.into()));
    let wrong = format!("sha256:{}", hex(b"another"));
    let output = bench.write(&["--yes", "--content-checksum", &wrong]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said(&output).contains("content"), "{output:?}");
}

#[test]
fn a_manifest_lets_a_disk_keep_what_it_has() {
    let bench = Bench::new();
    let (raw, manifest) = (bench.text("x.raw"), bench.path("x.raw.billet.json"));
    fs::write(&raw, &bench.raw).expect("written");
    let mut draft = image::manifest::Draft::new(model::Bytes(64 << 10)).expect("a chunk size");
    for (number, chunk) in bench.raw.chunks(64 << 10).enumerate() {
        let start = (number as u64) << 16;
        draft.add(chunk, &(start..start + chunk.len() as u64)).expect("in order");
    }
    let sum = |algorithm| {
        let mut hasher = model::Hasher::new(algorithm);
        hasher.update(&bench.raw);
        hasher.finish()
    };
    let file = image::manifest::ImageFile {
        name: "x.raw".into(),
        length: model::Bytes(bench.raw.len() as u64),
        encoding: image::manifest::Encoding::Raw,
        sha256: sum(model::Algorithm::Sha256),
        sha512: sum(model::Algorithm::Sha512),
    };
    fs::write(&manifest, draft.finish(file).and_then(|manifest| manifest.to_json()).expect("a manifest"))
        .expect("written");
    let checksum = format!("sha256:{}", hex(&fs::read(&manifest).expect("there")));
    let manifest = manifest.display().to_string();
    let arguments = [
        "--image",
        &raw,
        "--manifest",
        &manifest,
        "--manifest-checksum",
        &checksum,
        "--target",
        &bench.text("disk"),
    ];
    let skipped = |output: &Output| (output.status.success(), report(output)["bytes"]["skipped"].as_u64());
    assert_eq!(skipped(&run(&arguments, &["--yes", "--json"])), (true, Some(0)));
    let again = run(&arguments, &["--yes", "--json"]);
    assert_eq!(skipped(&again), (true, Some(3 << 20)), "{again:?}");
    assert_eq!(report(&again)["bytes"]["fetched"], 0);
    assert!(bench.holds_the_image("disk"));
    let plan = run(&arguments, &["--plan"]);
    assert!(String::from_utf8_lossy(&plan.stdout).contains("in 48 chunks"), "{plan:?}");
    let wrong = format!("sha256:{}", hex(b"another"));
    let unlike = ["--image", &raw, "--manifest", &manifest, "--manifest-checksum", &wrong, "--target", &raw];
    assert_eq!(run(&unlike[..6], &["--target", &bench.text("disk"), "--yes"]).status.code(), Some(2));
}

#[test]
fn a_wrong_image_leaves_nothing_to_boot() {
    let bench = Bench::new();
    let wrong = format!("sha256:{}", hex(b"another"));
    let output = run(
        &[
            "--image",
            &bench.text("x.raw.zst"),
            "--checksum",
            &wrong,
            "--target",
            &bench.text("disk"),
            "--yes",
            "--json",
        ],
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    assert_eq!((&report(&output)["ok"], &report(&output)["refused"]), (&false.into(), &true.into()));
    assert!(fs::read(bench.path("disk")).expect("a disk")[..MIB].iter().all(|&byte| byte == 0));
}

#[test]
fn a_target_that_is_missing_or_empty_becomes_as_large_as_the_disk_in_the_image() {
    let bench = Bench::new();
    fs::write(bench.path("empty"), b"").expect("written");
    for target in ["new", "empty"] {
        let target_path = bench.text(target);
        let output = run(
            &[
                "--image",
                &bench.text("x.raw.zst"),
                "--checksum",
                &bench.text("SUMS"),
                "--target",
                &target_path,
                "--yes",
            ],
            &[],
        );
        assert!(output.status.success(), "{output:?}");
        assert_eq!(fs::metadata(Path::new(&target_path)).expect("there").len(), 3 << 20);
        assert!(bench.holds_the_image(target));
    }
}

#[test]
fn a_format_is_permitted_by_name_and_not_by_being_declared() {
    let bench = Bench::new();
    fs::write(bench.path("x.raw"), &bench.raw).expect("written");
    let made = Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "vmdk", &bench.text("x.raw"), &bench.text("x.vmdk")])
        .status();
    assert!(made.expect("qemu-img").success());
    let sum = format!("sha256:{}", hex(&fs::read(bench.path("x.vmdk")).expect("there")));
    let write = |target: &str, more: &[&str]| {
        let (image, target) = (bench.text("x.vmdk"), bench.text(target));
        run(&["--image", &image, "--checksum", &sum, "--target", &target, "--yes"], more)
    };
    for more in [&[][..], &["--format", "vmdk"], &["--permit", "vhd"]] {
        let refused = write("disk", more);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(said(&refused).contains("the image is vmdk"), "{refused:?}");
        assert!(bench.is_untouched());
    }
    let permitted = write("new", &["--permit", "vmdk", "--format", "vmdk"]);
    assert!(permitted.status.success() && bench.holds_the_image("new"), "{permitted:?}");
}

#[test]
fn a_table_for_small_sectors_is_refused_before_a_disk_of_large_ones_is_touched() {
    let bench = Bench::new();
    let image = bench.text("gpt.raw");
    fs::write(&image, vec![0; 3 * MIB]).expect("written");
    let made = Command::new("sgdisk").args(["--new=1:0:0", &image]).output().expect("sgdisk");
    assert!(made.status.success(), "{made:?}");
    let attach = ["--find", "--show", "--sector-size", "4096", &bench.text("disk")];
    let attached = Command::new("losetup").args(attach).output().expect("losetup");
    if !attached.status.success() {
        return eprintln!("SKIPPED: losetup needs root; nothing was tested");
    }
    let device = String::from_utf8_lossy(&attached.stdout).trim().to_owned();
    let sum = format!("sha256:{}", hex(&fs::read(&image).expect("there")));
    let write =
        |more: &[&str]| run(&["--image", &image, "--checksum", &sum, "--target", &device, "--yes"], more);
    let (refused, planned) = (write(&[]), write(&["--plan"]));
    let untouched = bench.is_untouched();
    let rewritten = write(&["--rewrite-sectors"]);
    Command::new("losetup").args(["--detach", &device]).status().expect("losetup");
    assert_eq!((refused.status.code(), planned.status.code()), (Some(2), Some(2)), "{refused:?} {planned:?}");
    assert!(said(&refused).contains("512-byte sectors and the disk has 4096-byte sectors"), "{refused:?}");
    assert!(untouched);
    assert!(rewritten.status.success(), "{rewritten:?}");
    assert_eq!(&fs::read(bench.path("disk")).expect("a disk")[4096..4104], b"EFI PART");
}
