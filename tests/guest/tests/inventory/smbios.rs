//! The SMBIOS tables of real servers, given to a guest one structure at a time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hardware_fixtures::machine;
use tempfile::TempDir;

/// Structure 127 ends a table; QEMU writes its own.
const END_OF_TABLE: u8 = 127;
/// Structure 4 describes a socket; QEMU wants one for each of its own.
const PROCESSOR: u8 = 4;
/// Structure 17 describes a slot for memory.
const MEMORY_MODULE: u8 = 17;
/// Where `dmidecode --dump-bin` puts the table.
const DUMPED_TABLE: usize = 0x20;

/// A table as files that QEMU reads.
pub(crate) struct Board {
    folder: TempDir,
    structures: usize,
    /// What the system is called, when it is called something.
    pub(crate) product: Option<String>,
    /// Locator and MiB of the memory modules that are plugged in; `None` where the
    /// table has no slot for one.
    pub(crate) modules: Option<Vec<(String, u64)>>,
}

impl Board {
    /// The board of the recorded machine called `name`; when it is being recorded,
    /// that of the dump `source` in the corpus. `None` when there is neither. Hypervisors
    /// tell of hundreds of `sockets`; so many are enough.
    pub(crate) fn of(name: &str, source: &str, sockets: u32) -> Option<Self> {
        let dump = corpus().map(|corpus| corpus.join(source)).filter(|dump| dump.is_file());
        let table = match dump {
            Some(dump) if super::records() => without_entry_point(fs::read(dump).expect("a dump")),
            Some(_) | None => recorded_table(name)?,
        };
        Some(Self::split(&table, sockets))
    }

    fn split(table: &[u8], sockets: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (mut structures, mut processors) = (0, 0);
        let (mut product, mut modules) = (None, None);
        let mut rest = table;
        while let Some((structure, next)) = first_structure(rest) {
            if structure[0] == END_OF_TABLE {
                break;
            }
            rest = next;
            if structure[0] == MEMORY_MODULE {
                modules.get_or_insert_with(Vec::new).extend(plugged_in(structure));
            }
            product = product.or_else(|| product_name(structure));
            processors += u32::from(structure[0] == PROCESSOR);
            if structure[0] == PROCESSOR && processors > sockets {
                continue;
            }
            fs::write(folder.path().join(structures.to_string()), structure).expect("room");
            structures += 1;
        }
        Self { folder, structures, product, modules }
    }

    /// QEMU's arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let file = |nth: usize| format!("file={}", self.folder.path().join(nth.to_string()).display());
        (0..self.structures).flat_map(|nth| ["-smbios".to_owned(), file(nth)]).collect()
    }
}

/// Where recorded hardware of public projects lies.
fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    Some(std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from)).filter(|dir| dir.is_dir())
}

fn recorded_table(name: &str) -> Option<Vec<u8>> {
    let recorded = hardware_fixtures::machines().into_iter().any(|machine| machine.name == name);
    let tree = recorded.then(|| machine(name).expand())?;
    fs::read(tree.path().join("sys/firmware/dmi/tables/DMI")).ok()
}

fn without_entry_point(dump: Vec<u8>) -> Vec<u8> {
    if dump.starts_with(b"_SM") { dump[DUMPED_TABLE..].to_vec() } else { dump }
}

/// Locator and MiB of a module; an empty slot has a size of nothing.
fn plugged_in(module: &[u8]) -> Option<(String, u64)> {
    let size = u16::from_le_bytes(module.get(0x0c..0x0e)?.try_into().ok()?);
    let mebibytes = match size {
        0 => return None,
        0x7fff => u32::from_le_bytes(module.get(0x1c..0x20)?.try_into().ok()?).into(),
        size => u64::from(size),
    };
    Some((text(module, 0x10).unwrap_or_default(), mebibytes))
}

/// The product name of type 1.
fn product_name(structure: &[u8]) -> Option<String> {
    if structure[0] == 1 { text(structure, 5) } else { None }
}

/// The text that the byte at `offset` numbers.
fn text(structure: &[u8], offset: usize) -> Option<String> {
    let number = *structure.get(offset)?;
    let texts = structure.get(usize::from(structure[1])..)?;
    let text = texts.split(|byte| *byte == 0).nth(usize::from(number).checked_sub(1)?)?;
    Some(String::from_utf8_lossy(text).trim().to_owned())
}

/// The first structure with its strings, and what follows. A length that cannot be
/// ends a table: what follows in the dump of Hyper-V is none.
fn first_structure(table: &[u8]) -> Option<(&[u8], &[u8])> {
    let formatted = usize::from(*table.get(1)?);
    if formatted < 4 {
        return None;
    }
    let end = table.get(formatted..)?.windows(2).position(|pair| pair == [0, 0])?;
    table.split_at_checked(formatted + end + 2)
}
