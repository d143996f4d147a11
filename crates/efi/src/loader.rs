//! What an EFI system partition wants to be booted: the search rules of
//! Ironic's agent (agent-protocol §4.4), which are those of shim's fallback.

use std::io::{self, Read, Seek, Write};

use fatfs::{Dir, FileSystem, FsOptions};

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
    /// It has none that boots.
    #[error("the EFI system partition has no boot loader; rebuild the image for UEFI")]
    None,
}

/// The loader on the FAT file system in `volume`, which is only read.
///
/// # Errors
/// [`FindLoaderError`].
pub fn find_loader(mut volume: impl Read + Write + Seek) -> Result<Loader, FindLoaderError> {
    // The library insists on starting at the start.
    volume.rewind().map_err(FindLoaderError::Read)?;
    let options = FsOptions::new().update_accessed_date(false);
    let system = FileSystem::new(volume, options).map_err(FindLoaderError::Read)?;
    let mut files = Vec::new();
    list(&system.root_dir(), "", 0, &mut files)?;
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

/// All files below `dir`, as `/EFI/BOOT/BOOTX64.EFI`.
fn list<T: Read + Write + Seek>(
    dir: &Dir<'_, T>,
    path: &str,
    depth: usize,
    files: &mut Vec<String>,
) -> Result<(), FindLoaderError> {
    for entry in dir.iter() {
        let entry = entry.map_err(FindLoaderError::Read)?;
        let name = entry.file_name();
        if files.len() >= MOST_FILES {
            return Err(FindLoaderError::TooManyFiles { limit: MOST_FILES });
        }
        let below = format!("{path}/{name}");
        if entry.is_file() {
            files.push(below);
        } else if name != "." && name != ".." && depth < DEEPEST {
            list(&entry.to_dir(), &below, depth + 1, files)?;
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
    fn nothing_to_boot_and_no_file_system_are_errors() {
        assert!(matches!(find_loader(volume(&[("readme.txt", b"")])), Err(FindLoaderError::None)));
        assert!(matches!(find_loader(Cursor::new(vec![0; 1 << 20])), Err(FindLoaderError::Read(_))));
    }
}
