//! The hostname in an OpenStack config drive: a file system labelled `config-2`.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

use nix::mount::{self, MsFlags};
use serde_json::Value;

use crate::partitions::Partition;

const LABEL: &str = "config-2";
/// Where it is mounted for a moment.
const MOUNT_POINT: &str = "/config-drive";
/// A hostname longer than this is not one (`HOST_NAME_MAX`).
const HOSTNAME_LIMIT: usize = 64;
/// Keys of `meta_data.json`, best first.
const KEYS: [&str; 3] = ["local-hostname", "hostname", "name"];
/// Where a label lies, and of what file system: ECMA-119 8.4 (volume identifier of
/// the descriptor at sector 16), and the boot sectors of FAT12/16 and of FAT32.
const LABELS: [(u64, &str); 3] = [(16 * 2048 + 40, "iso9660"), (43, "vfat"), (71, "vfat")];

/// The hostname in the first config drive among `partitions`.
pub(crate) fn hostname(partitions: &[Partition]) -> Option<String> {
    partitions.iter().find_map(|partition| {
        let kind = kind(&partition.device)?;
        let meta_data = read(&partition.device, kind)?;
        name(&meta_data)
    })
}

/// The file system of `device` if its label says that it is a config drive.
fn kind(device: &Path) -> Option<&'static str> {
    let file = File::open(device).ok()?;
    let labelled = |at| {
        let mut label = [0; 11];
        file.read_exact_at(&mut label, at).is_ok()
            && String::from_utf8_lossy(&label).trim_end_matches([' ', '\0']).eq_ignore_ascii_case(LABEL)
    };
    LABELS.into_iter().find(|(at, _)| labelled(*at)).map(|(_, kind)| kind)
}

fn read(device: &Path, kind: &str) -> Option<String> {
    fs::create_dir_all(MOUNT_POINT).ok()?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount::mount(Some(device), MOUNT_POINT, Some(kind), flags, None::<&str>).ok()?;
    let text = fs::read_to_string(Path::new(MOUNT_POINT).join("openstack/latest/meta_data.json"));
    // It stays mounted, read-only, if this fails: no harm.
    let _ = mount::umount(MOUNT_POINT);
    text.ok()
}

fn name(meta_data: &str) -> Option<String> {
    let meta_data: Value = serde_json::from_str(meta_data).ok()?;
    let name = KEYS.iter().find_map(|key| meta_data.get(key)?.as_str())?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.';
    (!name.is_empty() && name.len() <= HOSTNAME_LIMIT && name.chars().all(plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_key_names_the_host_and_garbage_names_nobody() {
        for (meta_data, hostname) in [
            (r#"{"name":"a","hostname":"b","local-hostname":"c.example.org"}"#, Some("c.example.org")),
            (r#"{"name":"a","hostname":null}"#, Some("a")),
            (r#"{"name":"a b"}"#, None),
            (r#"{"name":""}"#, None),
            ("{", None),
        ] {
            assert_eq!(name(meta_data).as_deref(), hostname, "{meta_data}");
        }
    }
}
