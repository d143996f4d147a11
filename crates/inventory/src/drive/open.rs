//! Opening a drive to ask it something, unless that would disturb somebody.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

pub(super) const ENOMEDIUM: i32 = 123;
const EBUSY: i32 = 16;
const O_EXCL: i32 = 0o200;
/// Without it the opening of a removable drive waits for its medium.
const O_NONBLOCK: i32 = 0o4000;

/// The node of the disk or partition `name`, for questions. A drive that is held for one program
/// alone, and is not just mounted or part of something, is left in peace: a question
/// would wait behind its SECURITY ERASE for hours, or be the end of it. Unless that is
/// who asks now, and says so (`held`).
pub(crate) fn open(name: &str, held: bool) -> io::Result<File> {
    let path = format!("/dev/{}", node(name));
    let open = |flags| OpenOptions::new().read(true).custom_flags(flags).open(&path);
    if held {
        return open(O_NONBLOCK);
    }
    match open(O_NONBLOCK | O_EXCL) {
        // The claim is given back at once: others may want it.
        Ok(_) => open(O_NONBLOCK),
        Err(err) if err.raw_os_error() == Some(EBUSY) && is_in_use(name) => open(O_NONBLOCK),
        Err(err) if err.raw_os_error() == Some(EBUSY) => {
            Err(io::Error::other("another program holds it for itself; look again when that is done"))
        }
        Err(err) => Err(err),
    }
}

/// Mounted, swapped to, or part of a volume: what the kernel itself holds.
fn is_in_use(name: &str) -> bool {
    let listed = |file: &str| {
        fs::read_to_string(file).unwrap_or_default().lines().any(|line| is_of(line, &node(name)))
    };
    let dir = Path::new("/sys/class/block").join(name);
    let has_holders =
        |dir: &Path| fs::read_dir(dir.join("holders")).is_ok_and(|mut holders| holders.next().is_some());
    let partitions = fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
    listed("/proc/self/mounts")
        || listed("/proc/swaps")
        || has_holders(&dir)
        || partitions.filter(|path| path.join("partition").exists()).any(|path| has_holders(&path))
}

/// The device node below `/dev`: sysfs writes its slashes as exclamation marks.
fn node(name: &str) -> String {
    name.replace('!', "/")
}

/// True when a line of a list begins with the node of `name` or of a partition of it.
fn is_of(line: &str, name: &str) -> bool {
    let node = line.split_whitespace().next().and_then(|node| node.strip_prefix("/dev/"));
    let Some(rest) = node.and_then(|node| node.strip_prefix(name)) else { return false };
    let digits =
        if name.ends_with(|last: char| last.is_ascii_digit()) { rest.strip_prefix('p') } else { Some(rest) };
    rest.is_empty() || digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_node_is_a_disk_s_own_or_its_partition_s_and_no_other_disk_s() {
        for (line, name, want) in [
            ("/dev/sda / ext4 rw 0 0", "sda", true),
            ("/dev/sda2 / ext4 rw 0 0", "sda", true),
            ("/dev/sdaa / ext4 rw 0 0", "sda", false),
            ("/dev/sdaa1 / ext4 rw 0 0", "sda", false),
            ("/dev/sda1 / ext4 rw 0 0", "sda1", true),
            ("/dev/sda11 / ext4 rw 0 0", "sda1", false),
            ("/dev/nvme0n1p1 / ext4 rw 0 0", "nvme0n1", true),
            ("/dev/nvme0n12 / ext4 rw 0 0", "nvme0n1", false),
            ("/dev/nvme0n12p1 / ext4 rw 0 0", "nvme0n1", false),
            ("/dev/cciss/c0d0p1 / ext4 rw 0 0", &node("cciss!c0d0"), true),
            ("proc /proc proc rw 0 0", "sda", false),
        ] {
            assert_eq!(is_of(line, name), want, "{line}: {name}");
        }
    }

    #[test]
    fn a_drive_that_is_held_is_left_in_peace_until_it_is_given_back() {
        let image = tempfile::NamedTempFile::new().expect("a file");
        image.as_file().set_len(1 << 20).expect("sized");
        let made = Command::new("losetup").args(["--find", "--show"]).arg(image.path()).output();
        let Some(made) = made.ok().filter(|made| made.status.success()) else {
            return eprintln!("SKIPPED: needs root and a loop device");
        };
        let device = String::from_utf8(made.stdout).expect("a path").trim().to_owned();
        let name = device.trim_start_matches("/dev/");
        let free = open(name, false).map(drop);
        let held = OpenOptions::new().read(true).custom_flags(O_EXCL).open(&device).expect("ours");
        let refused = open(name, false).map(drop);
        let ours = open(name, true).map(drop);
        drop(held);
        let again = open(name, false).map(drop);
        let gone = Command::new("losetup").arg("--detach").arg(&device).status();
        assert!(gone.is_ok_and(|gone| gone.success()));
        assert!(free.is_ok() && ours.is_ok() && again.is_ok(), "{free:?} {ours:?} {again:?}");
        let refused = refused.expect_err("held").to_string();
        assert!(refused.contains("another program holds it"), "{refused}");
    }
}
