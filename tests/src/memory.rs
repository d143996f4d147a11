//! A memory cgroup for one program, and how much it used.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// A group whose programs are killed above a limit; gone when dropped.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
}

/// Where the memory controller is: of version 2 or of version 1, and the name of its limit.
const CONTROLLERS: [(&str, &str, &str); 2] = [
    ("/sys/fs/cgroup", "cgroup.controllers", "memory.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.limit_in_bytes"),
];

impl Group {
    /// A new group limited to `mib` MiB, page cache included. Says so loudly, and
    /// gives nothing, where there can be none.
    #[must_use]
    pub fn limited(mib: u64) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("billet-test-{}-{number}", std::process::id());
        for (root, mark, limit) in CONTROLLERS {
            let has_memory = fs::read_to_string(Path::new(root).join(mark))
                .is_ok_and(|text| mark != "cgroup.controllers" || text.contains("memory"));
            let path = Path::new(root).join(&name);
            if has_memory && fs::create_dir(&path).is_ok() {
                let group = Self { path };
                if fs::write(group.path.join(limit), (mib << 20).to_string()).is_ok() {
                    // Where there is swap, it is no way around the limit; most have none.
                    let _ = fs::write(group.path.join("memory.swap.max"), "0");
                    return Some(group);
                }
            }
        }
        eprintln!("SKIPPED: no memory cgroup can be made here (root needed); no limit was tested");
        None
    }

    /// A command that runs `program` in this group.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]);
        command.arg(self.path.join("cgroup.procs")).arg(program);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// The most resident memory that process `id` ever had, in KiB; `None` when it is gone.
#[must_use]
pub fn peak_kib(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
