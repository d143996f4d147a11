//! What an EFI system partition wants to be booted: the search rules of
//! Ironic's agent (agent-protocol §4.4), which are those of shim's fallback.

use std::io::{self, Read, Seek, SeekFrom, Write};

use fatfs::{Dir, FileSystem, FsOptions};

use crate::geometry;

/// Files that name a loader, best first.
const CSV: [&str; 3] = ["bootx64.csv", "bootaa64.csv", "boot.csv"];
/// Files that are loaders.
const LOADERS: [&str; 9] = [
    "bootia32.efi",
    "bootia64.efi",
    "bootx64.efi",
    "bootarm.efi",
    "bootaa64.efi",
    "bootriscv64.efi",
    "bootriscv32.efi",
    "grubaa64.efi",
    "winload.efi",
];
/// How deep loaders lie: `\EFI\BOOT\BOOTX64.EFI` is two down.
const DEEPEST: usize = 6;
/// The most files looked at.
const MOST_FILES: usize = 10_000;
/// The most folders looked into.
const MOST_FOLDERS: usize = 1000;
/// How much is read in all, every read counted as [`LEAST_READ`] at least. A
/// hostile file system has folders without end: chains of clusters that loop.
const MOST_READ: u64 = 16 << 20;
/// What the smallest read costs.
const LEAST_READ: u64 = 16;
/// The longest file that names a loader.
const LONGEST_CSV: u64 = 64 << 10;

/// A loader and what its menu entry should be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loader {
    /// Its path on the partition, with backslashes.
    pub path: String,
    /// What a CSV file calls it, if one names it.
    pub label: Option<String>,
}

/// Why no loader was found.
#[derive(Debug, thiserror::Error)]
pub enum FindLoaderError {
    /// The partition holds no FAT file system, or a damaged one.
    #[error("cannot read the EFI system partition; is it FAT?")]
    Read(#[source] io::Error),
    /// It has too many files.
    #[error("the EFI system partition has more than {limit} files")]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// It has too many folders, or they contain each other.
    #[error("the EFI system partition has more than {limit} folders")]
    TooManyFolders {
        /// The limit.
        limit: usize,
    },
    /// It has none that boots.
    #[error("the EFI system partition has no boot loader; rebuild the image for UEFI")]
    None,
}

/// The loader on the FAT file system in `volume`, which is only read.
///
/// # Errors
/// [`FindLoaderError`].
pub fn find_loader(mut volume: impl Read + Write + Seek) -> Result<Loader, FindLoaderError> {
    geometry::check(&mut volume).map_err(FindLoaderError::Read)?;
    // The library insists on starting at the start.
    volume.rewind().map_err(FindLoaderError::Read)?;
    let options = FsOptions::new().update_accessed_date(false);
    let volume = Bounded { volume, left: MOST_READ };
    let system = FileSystem::new(volume, options).map_err(FindLoaderError::Read)?;
    let mut found = Found::default();
    list(&system.root_dir(), "", 0, &mut found)?;
    let Found { files, .. } = found;
    // The CSV found first by name decides; of loaders, the first found.
    let by_name =
        |wanted: &'static str| files.iter().filter(move |path| file_name(path).eq_ignore_ascii_case(wanted));
    for csv in CSV.into_iter().flat_map(by_name) {
        if let Some(loader) = from_csv(&system, csv)? {
            return Ok(loader);
        }
    }
    let is_loader = |path: &&String| LOADERS.iter().any(|name| file_name(path).eq_ignore_ascii_case(name));
    let path = files.iter().find(is_loader).ok_or(FindLoaderError::None)?;
    Ok(Loader { path: backslashes(path), label: None })
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn backslashes(path: &str) -> String {
    path.replace('/', "\\")
}

/// What was listed so far.
#[derive(Default)]
struct Found {
    files: Vec<String>,
    folders: usize,
}

/// A volume that stops being read at some point, so that nothing reads it forever.
struct Bounded<T> {
    volume: T,
    left: u64,
}

impl<T: Read> Read for Bounded<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.volume.read(into)?;
        let cost = LEAST_READ.max(count as u64);
        let endless = || io::Error::new(io::ErrorKind::InvalidData, "it never ends; its chains may loop");
        self.left = self.left.checked_sub(cost).ok_or_else(endless)?;
        Ok(count)
    }
}

impl<T: Seek> Seek for Bounded<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.volume.seek(to)
    }
}

impl<T: Write> Write for Bounded<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.volume.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.volume.flush()
    }
}

/// All files below `dir`, as `/EFI/BOOT/BOOTX64.EFI`.
fn list<T: Read + Write + Seek>(
    dir: &Dir<'_, T>,
    path: &str,
    depth: usize,
    found: &mut Found,
) -> Result<(), FindLoaderError> {
    found.folders += 1;
    if found.folders > MOST_FOLDERS {
        return Err(FindLoaderError::TooManyFolders { limit: MOST_FOLDERS });
    }
    for entry in dir.iter() {
        let entry = entry.map_err(FindLoaderError::Read)?;
        let name = entry.file_name();
        if found.files.len() >= MOST_FILES {
            return Err(FindLoaderError::TooManyFiles { limit: MOST_FILES });
        }
        let below = format!("{path}/{name}");
        if entry.is_file() {
            found.files.push(below);
        } else if name != "." && name != ".." && depth < DEEPEST {
            list(&entry.to_dir(), &below, depth + 1, found)?;
        }
    }
    Ok(())
}

/// The loader that the file at `csv` names: UTF-16, `file,label,options,comment`.
fn from_csv<T: Read + Write + Seek>(
    system: &FileSystem<T>,
    csv: &str,
) -> Result<Option<Loader>, FindLoaderError> {
    let root = system.root_dir();
    let file = root.open_file(csv.trim_start_matches('/')).map_err(FindLoaderError::Read)?;
    let mut bytes = Vec::new();
    file.take(LONGEST_CSV).read_to_end(&mut bytes).map_err(FindLoaderError::Read)?;
    let (units, _) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    let text = String::from_utf16_lossy(&units);
    let Some(line) = text.trim_start_matches('\u{feff}').lines().find(|line| !line.trim().is_empty()) else {
        return Ok(None);
    };
    let mut fields = line.split(',');
    let (Some(name), Some(label)) = (fields.next(), fields.next()) else { return Ok(None) };
    let folder = csv.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = format!("{folder}/{}", name.trim());
    // An entry for a file that is not there would boot nothing.
    if root.open_file(path.trim_start_matches('/')).is_err() {
        return Ok(None);
    }
    Ok(Some(Loader { path: backslashes(&path), label: Some(label.trim().to_owned()) }))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use fatfs::{FormatVolumeOptions, format_volume};

    use super::*;

    /// A FAT volume with these files, folders made as needed.
    fn volume(files: &[(&str, &[u8])]) -> Cursor<Vec<u8>> {
        let mut volume = Cursor::new(vec![0; 4 << 20]);
        format_volume(&mut volume, FormatVolumeOptions::new()).expect("formatted");
        let system = FileSystem::new(&mut volume, FsOptions::new()).expect("mounted");
        for (path, content) in files {
            for (end, _) in path.match_indices('/') {
                system.root_dir().create_dir(&path[..end]).expect("a folder");
            }
            let mut file = system.root_dir().create_file(path).expect("a file");
            file.write_all(content).expect("written");
        }
        drop(system);
        volume
    }

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn the_fallback_loader_is_found_in_any_case() {
        let found = find_loader(volume(&[("EFI/BOOT/BOOTX64.EFI", b"MZ"), ("readme.txt", b"")]));
        let expected = Loader { path: r"\EFI\BOOT\BOOTX64.EFI".to_owned(), label: None };
        assert_eq!(found.expect("found"), expected);
    }

    #[test]
    fn a_csv_names_loader_and_label() {
        let csv = utf16("\u{feff}shimx64.efi,debian,,This is the boot entry for debian\r\n");
        let files: [(&str, &[u8]); 3] = [
            ("EFI/BOOT/BOOTX64.EFI", b"MZ"),
            ("EFI/debian/shimx64.efi", b"MZ"),
            ("EFI/debian/BOOTX64.CSV", &csv),
        ];
        let expected =
            Loader { path: r"\EFI\debian\shimx64.efi".to_owned(), label: Some("debian".to_owned()) };
        assert_eq!(find_loader(volume(&files)).expect("found"), expected);
    }

    #[test]
    fn a_csv_that_names_nothing_there_is_passed_over() {
        let csv = utf16("gone.efi,debian,,\n");
        let files: [(&str, &[u8]); 2] = [("EFI/BOOT/BOOTX64.EFI", b"MZ"), ("EFI/x/BOOT.CSV", &csv)];
        assert_eq!(find_loader(volume(&files)).expect("found").label, None);
    }

    #[test]
    fn folders_that_contain_each_other_or_never_end_are_an_error() {
        let mut looped = volume(&[("A/B/x.txt", b"")]).into_inner();
        // FAT12 of mkfs: every entry "the next cluster is this one", and nothing but deleted files in A.
        let sector = |at: usize| usize::from(u16::from_le_bytes([looped[at], looped[at + 1]])) * 512;
        let (fat, fat_length) = (sector(14), sector(22));
        for copy in [fat, fat + fat_length] {
            looped[copy + 3..copy + 6].copy_from_slice(&[0x02, 0x30, 0x00]);
        }
        let root = fat + 2 * fat_length;
        let data = root + usize::from(u16::from_le_bytes([looped[17], looped[18]])) * 32;
        let cluster = usize::from(looped[13]) * 512;
        let deleted: Vec<u8> = [[0xe5; 11].as_slice(), &[0x20], &[0; 20]].concat().repeat(cluster / 32);
        looped[data..data + cluster].copy_from_slice(&deleted);
        assert!(matches!(find_loader(Cursor::new(looped)), Err(FindLoaderError::Read(_))));
    }

    #[test]
    fn no_change_of_any_byte_in_front_panics() {
        let good = volume(&[("EFI/BOOT/BOOTX64.EFI", b"MZ"), ("EFI/x/a.csv", b"")]).into_inner();
        for at in (0..90).chain(510..560) {
            for value in [0, 1, 2, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                drop(find_loader(Cursor::new(bad)));
            }
        }
    }

    #[test]
    fn nothing_to_boot_and_no_file_system_are_errors() {
        assert!(matches!(find_loader(volume(&[("readme.txt", b"")])), Err(FindLoaderError::None)));
        assert!(matches!(find_loader(Cursor::new(vec![0; 1 << 20])), Err(FindLoaderError::Read(_))));
    }
}
