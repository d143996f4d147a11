//! Volumes of the device mapper over a loop device of our own, stopped.

use std::{fs, path::Path, process::Command};

use disk::{Device, OpenError, TearDownError, Tree, tear_down};

/// A loop device with two linear volumes, one upon the other; gone with the test.
struct Stack {
    disk: String,
    upper: String,
    lower: String,
    _file: tempfile::NamedTempFile,
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|err| format!("{program}: {err}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)))
}

impl Stack {
    fn new(name: &str) -> Result<Self, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(8 << 20).expect("sized");
        let disk = run("losetup", &["--show", "-f", &file.path().to_string_lossy()])?;
        let (lower, upper) = (format!("{name}-lower"), format!("{name}-upper"));
        let stack = Self { disk, upper, lower, _file: file };
        run(
            "dmsetup",
            &["--noudevsync", "create", &stack.lower, "--table", &format!("0 8192 linear {} 0", stack.disk)],
        )?;
        let below = format!("/dev/{}", stack.kernel_name()?);
        run(
            "dmsetup",
            &["--noudevsync", "create", &stack.upper, "--table", &format!("0 4096 linear {below} 0")],
        )?;
        Ok(stack)
    }

    fn kernel_name(&self) -> Result<String, String> {
        Ok(format!("dm-{}", run("dmsetup", &["info", "-c", "--noheadings", "-o", "minor", &self.lower])?))
    }

    fn tree(&self) -> Tree {
        Tree::read(Path::new("/"), self.disk.trim_start_matches("/dev/")).expect("sysfs shows it")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for volume in [&self.upper, &self.lower] {
            run("dmsetup", &["--noudevsync", "remove", volume]).ok();
        }
        run("losetup", &["-d", &self.disk]).ok();
    }
}

#[test]
fn volumes_upon_volumes_are_stopped_and_the_disk_is_free() {
    let stack = match Stack::new(&format!("billet-free-{}", std::process::id())) {
        Ok(stack) => stack,
        Err(why) => return eprintln!("SKIPPED: needs root, loop devices and the device mapper: {why}"),
    };
    let held = Device::open(&stack.disk).expect_err("a volume holds it");
    assert!(matches!(held, OpenError::Held { .. }), "{held}");
    let tree = stack.tree();
    assert_eq!(tree.names().len(), 3, "{tree:?}");
    assert_eq!(tear_down(&tree).expect("stopped").len(), 2);
    assert_eq!(tear_down(&tree).expect("gone is as good as stopped").len(), 2);
    assert!(stack.tree().above.is_empty());
    Device::open(&stack.disk).expect("free");
}

#[test]
fn what_somebody_has_open_is_not_stopped() {
    let stack = match Stack::new(&format!("billet-busy-{}", std::process::id())) {
        Ok(stack) => stack,
        Err(why) => return eprintln!("SKIPPED: needs root, loop devices and the device mapper: {why}"),
    };
    let tree = stack.tree();
    let upper = &tree.stacked()[0].name;
    let open = fs::File::open(format!("/dev/{upper}")).expect("opened");
    let error = tear_down(&tree).expect_err("busy");
    assert!(matches!(&error, TearDownError::Stop { name, .. } if name == upper), "{error}");
    drop(open);
    assert_eq!(stack.tree(), tree, "nothing changed");
}
