//! What stands on a disk: partitions, arrays, mapped volumes, and who uses them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{children, mounted_at};

/// Arrays on volumes on arrays: nobody builds eight layers.
const DEPTH_LIMIT: usize = 8;
/// More block devices than stand on any disk; a volume group with more has to be stopped by hand.
const DEVICES_LIMIT: usize = 1024;

/// One block device and everything that stands on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Kernel name: `sda1`, `md127`, `dm-3`.
    pub name: String,
    /// Major and minor number, from its file `dev`.
    pub number: (u32, u32),
    /// What it is.
    pub layer: Layer,
    /// Where it is mounted, and whether it is swapped to, in words.
    pub users: Vec<String>,
    /// What stands on it: its partitions, then its holders.
    pub above: Vec<Tree>,
}

/// What kind of block device it is, for who has to stop it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A whole disk.
    Disk,
    /// A partition; goes with its disk.
    Partition,
    /// A software RAID array.
    Array,
    /// A multipath map of the device mapper: the disk has several ways to it.
    Multipath,
    /// Any other volume of the device mapper: LVM, LUKS, a plain mapping.
    Mapped,
    /// Something this program cannot stop: bcache, drbd.
    Other,
}

/// Why it is not known what stands on a disk.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Its directory in sysfs could not be read.
    #[error("cannot read {}; the disk may be gone: take the inventory again", path.display())]
    Read {
        /// What could not be read.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// It has more on it than this program follows.
    #[error(
        "more stands on {name} than {DEVICES_LIMIT} devices in {DEPTH_LIMIT} layers; stop them by hand first"
    )]
    TooMuch {
        /// The disk.
        name: String,
    },
}

impl Tree {
    /// What stands on the disk `name`, as sysfs and procfs below `root` show it. Opens no device.
    ///
    /// # Errors
    /// [`TreeError`]: what is not known to be free is not free.
    pub fn read(root: &Path, name: &str) -> Result<Self, TreeError> {
        Self::read_at_most(DEVICES_LIMIT, root, name)
    }

    fn read_at_most(devices: usize, root: &Path, name: &str) -> Result<Self, TreeError> {
        let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
        let mut reading = Reading {
            root,
            disk: name,
            mounts: read("proc/self/mountinfo"),
            swaps: read("proc/swaps"),
            left: devices,
        };
        reading.device(&root.join("sys/block").join(name), Layer::Disk, DEPTH_LIMIT)
    }

    /// Mounts and swaps anywhere in the tree, and what nobody here can stop: while
    /// there is any, the disk is in use.
    #[must_use]
    pub fn in_use(&self) -> Vec<String> {
        let mut users = self.users.clone();
        if self.layer == Layer::Other {
            users.push(self.name.clone());
        }
        users.extend(self.above.iter().flat_map(Tree::in_use));
        dedup(users)
    }

    /// Arrays and mapped volumes in the order they have to be stopped in: what
    /// stands on top first, each once.
    #[must_use]
    pub fn stacked(&self) -> Vec<&Tree> {
        let mut order: Vec<&Tree> = Vec::new();
        self.collect(&mut order);
        order
    }

    fn collect<'a>(&'a self, order: &mut Vec<&'a Tree>) {
        self.above.iter().for_each(|above| above.collect(order));
        let stops = matches!(self.layer, Layer::Array | Layer::Multipath | Layer::Mapped);
        // A volume over two partitions is met twice; all that stands on it was met with it.
        if stops && order.iter().all(|known| known.number != self.number) {
            order.push(self);
        }
    }

    /// Every device of the tree by its kernel name, this one first, each once.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![self.name.as_str()];
        for name in self.above.iter().flat_map(Tree::names) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

fn dedup(names: Vec<String>) -> Vec<String> {
    let mut unique: Vec<String> = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}

/// What is needed while a tree is read.
struct Reading<'a> {
    root: &'a Path,
    disk: &'a str,
    mounts: String,
    swaps: String,
    /// How many more devices may come.
    left: usize,
}

impl Reading<'_> {
    fn device(&mut self, dir: &Path, layer: Layer, depth: usize) -> Result<Tree, TreeError> {
        let too_much = || TreeError::TooMuch { name: self.disk.to_owned() };
        self.left = self.left.checked_sub(1).ok_or_else(too_much)?;
        let deeper = depth.checked_sub(1).ok_or_else(too_much)?;
        let failed = |path: &Path, err| TreeError::Read { path: path.to_owned(), err };
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dev = dir.join("dev");
        let text = fs::read_to_string(&dev).map_err(|err| failed(&dev, err))?;
        let number = number(text.trim()).ok_or_else(|| {
            failed(&dev, io::Error::other(format!("{:?} is no device number", text.trim())))
        })?;
        let mut above = Vec::new();
        // sysfs links each holder's name to its own directory.
        for entry in fs::read_dir(dir).map_err(|err| failed(dir, err))? {
            let path = entry.map_err(|err| failed(dir, err))?.path();
            if path.join("partition").exists() {
                above.push(self.device(&path, Layer::Partition, deeper)?);
            }
        }
        model::order::sort_by_key(&mut above, |part| part.number);
        let mut holders = children(&dir.join("holders"));
        model::order::sort(&mut holders);
        for holder in holders {
            let holder = self.root.join("sys/block").join(holder.file_name().unwrap_or_default());
            above.push(self.device(&holder, layer_of(&holder), deeper)?);
        }
        let users = self.users(&name, text.trim());
        Ok(Tree { name, number, layer, users, above })
    }

    fn users(&self, name: &str, number: &str) -> Vec<String> {
        let mut users: Vec<String> =
            mounted_at(&self.mounts, number).into_iter().map(|point| format!("the mount {point}")).collect();
        let node = format!("/dev/{name}");
        if self.swaps.lines().any(|line| line.split_whitespace().next() == Some(&node)) {
            users.push(format!("swap on {name}"));
        }
        users
    }
}

fn layer_of(dir: &Path) -> Layer {
    if dir.join("md").exists() {
        return Layer::Array;
    }
    match fs::read_to_string(dir.join("dm/uuid")) {
        Ok(uuid) if uuid.starts_with("mpath-") => Layer::Multipath,
        Ok(_) => Layer::Mapped,
        Err(_) => Layer::Other,
    }
}

fn number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with two partitions, mirrored on to themselves, with LVM and LUKS above.
    const STACK: &[(&str, &str)] = &[
        ("sys/block/sda/dev", "8:0\n"),
        ("sys/block/sda/sda1/partition", "1\n"),
        ("sys/block/sda/sda1/dev", "8:1\n"),
        ("sys/block/sda/sda1/holders/md0/x", ""),
        ("sys/block/sda/sda2/partition", "2\n"),
        ("sys/block/sda/sda2/dev", "8:2\n"),
        ("sys/block/sda/sda2/holders/md0/x", ""),
        ("sys/block/md0/dev", "9:0\n"),
        ("sys/block/md0/md/level", "raid1\n"),
        ("sys/block/md0/holders/dm-0/x", ""),
        ("sys/block/dm-0/dev", "253:0\n"),
        ("sys/block/dm-0/dm/uuid", "LVM-abc\n"),
        ("sys/block/dm-0/holders/dm-1/x", ""),
        ("sys/block/dm-1/dev", "253:1\n"),
        ("sys/block/dm-1/dm/uuid", "CRYPT-LUKS2-abc\n"),
    ];

    fn root(files: &[&[(&str, &str)]]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (name, content) in files.iter().copied().flatten() {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, content).expect("written");
        }
        root
    }

    #[test]
    fn what_stands_on_top_is_stopped_first_and_once() {
        let root = root(&[STACK]);
        let tree = Tree::read(root.path(), "sda").expect("readable");
        let order: Vec<_> = tree.stacked().iter().map(|tree| tree.name.as_str()).collect();
        assert_eq!(order, ["dm-1", "dm-0", "md0"]);
        assert_eq!(tree.names(), ["sda", "sda1", "md0", "dm-0", "dm-1", "sda2"]);
        assert!(tree.in_use().is_empty());
    }

    #[test]
    fn a_volume_over_two_volumes_goes_before_both() {
        let mapped = |name: &str, minor: u32| {
            [
                (format!("sys/block/{name}/dev"), format!("253:{minor}")),
                (format!("sys/block/{name}/dm/uuid"), "LVM-x".to_owned()),
            ]
        };
        let on = |below: &str, above: &str| (format!("sys/block/{below}/holders/{above}/x"), String::new());
        let mut files = vec![("sys/block/sda/dev".to_owned(), "8:0".to_owned())];
        files.extend([mapped("dm-0", 0), mapped("dm-1", 1), mapped("dm-2", 2)].into_iter().flatten());
        files.extend([on("sda", "dm-0"), on("sda", "dm-1"), on("dm-0", "dm-2"), on("dm-1", "dm-2")]);
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let tree = Tree::read(root(&[&files]).path(), "sda").expect("readable");
        let order: Vec<_> = tree.stacked().iter().map(|tree| tree.name.as_str()).collect();
        assert_eq!(order, ["dm-2", "dm-0", "dm-1"]);
    }

    #[test]
    fn more_devices_than_are_followed_are_an_error() {
        let root = root(&[STACK]);
        let error = Tree::read_at_most(8, root.path(), "sda").expect_err("too many");
        assert!(matches!(error, TreeError::TooMuch { .. }), "{error}");
        // What stands on both partitions is met, and counted, twice.
        Tree::read_at_most(9, root.path(), "sda").expect("just enough");
    }

    #[test]
    fn a_mount_a_swap_and_an_unknown_layer_are_users_wherever_they_are() {
        let used = [
            (
                "proc/self/mountinfo",
                "1 0 253:1 / /srv rw - ext4 /dev/dm-1 rw\n2 0 8:17 / /x rw - ext4 b rw\n",
            ),
            ("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n"),
            ("sys/block/sda/holders/bcache0/x", ""),
            ("sys/block/bcache0/dev", "252:0\n"),
        ];
        let root = root(&[STACK, &used]);
        let tree = Tree::read(root.path(), "sda").expect("readable");
        assert_eq!(tree.in_use(), ["the mount /srv", "swap on sda2", "bcache0"]);
    }

    #[test]
    fn a_multipath_map_is_told_from_other_volumes() {
        let paths = [
            ("sys/block/sdb/dev", "8:16\n"),
            ("sys/block/sdb/holders/dm-0/x", ""),
            ("sys/block/dm-0/dev", "253:0\n"),
            ("sys/block/dm-0/dm/uuid", "mpath-3600\n"),
        ];
        let root = root(&[&paths]);
        let tree = Tree::read(root.path(), "sdb").expect("readable");
        assert_eq!(tree.above[0].layer, Layer::Multipath);
    }

    #[test]
    fn what_cannot_be_followed_to_the_end_is_an_error() {
        let mut deep = vec![("sys/block/sda/dev".to_owned(), "8:0".to_owned())];
        let mut below = "sda".to_owned();
        for layer in 0..DEPTH_LIMIT {
            deep.push((format!("sys/block/{below}/holders/dm-{layer}/x"), String::new()));
            deep.push((format!("sys/block/dm-{layer}/dev"), format!("253:{layer}")));
            deep.push((format!("sys/block/dm-{layer}/dm/uuid"), "LVM-".to_owned()));
            below = format!("dm-{layer}");
        }
        let deep: Vec<_> = deep.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let error = Tree::read(root(&[&deep]).path(), "sda").expect_err("too deep");
        assert!(matches!(error, TreeError::TooMuch { .. }), "{error}");

        let loops = [("sys/block/sda/dev", "8:0"), ("sys/block/sda/holders/sda/x", "")];
        let error = Tree::read(root(&[&loops]).path(), "sda").expect_err("endless");
        assert!(matches!(error, TreeError::TooMuch { .. }), "{error}");

        let gone = [("sys/block/sda/dev", "8:0"), ("sys/block/sda/holders/md0/x", "")];
        let root = root(&[&gone]);
        let error = Tree::read(root.path(), "sda").expect_err("no such holder").to_string();
        assert!(
            error.ends_with("sys/block/md0/dev; the disk may be gone: take the inventory again"),
            "{error}"
        );
    }
}
