//! Reading a pack, and answering which modules a modalias asks for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::{
    MAX_BLOCK_BYTES, MAX_INDEX_BYTES, canonical,
    glob::{glob_match, literal_prefix},
    index::{Index, IndexError, Module},
    pack::{HEADER_BYTES, MAGIC, VERSION},
};

/// An open pack: its index in memory, its blocks still packed.
pub struct Pack<S> {
    source: S,
    index: Index,
    /// Where each block starts in `source`.
    starts: Vec<u64>,
    by_name: HashMap<String, usize>,
    aliases: Aliases,
    /// The block unpacked last, with its number.
    unpacked: Option<(usize, Vec<u8>)>,
}

/// Why a pack, or one block of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its bytes could not be read.
    #[error("the module pack could not be read")]
    Read(#[source] io::Error),
    /// It is something else.
    #[error("this is not a module pack; build the ramdisk again")]
    NotAPack,
    /// It was written by another version.
    #[error("the module pack is of version {0}, want {VERSION}; build the ramdisk again")]
    Version(u32),
    /// Lengths or checksums do not agree.
    #[error("the module pack is damaged: {0}")]
    Damaged(&'static str),
    /// The index contradicts itself.
    #[error("the module pack's index is damaged")]
    Index(#[source] IndexError),
}

impl Pack<File> {
    /// Open the pack at `path`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_path(path: &Path) -> Result<Self, OpenError> {
        Self::open(File::open(path).map_err(OpenError::Read)?)
    }
}

impl<S: Read + Seek> Pack<S> {
    /// Read the index of a pack.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(mut source: S) -> Result<Self, OpenError> {
        let mut header = [0; HEADER_BYTES];
        source.read_exact(&mut header).map_err(OpenError::Read)?;
        let number =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (version, packed, raw) = (number(8), number(12), number(16));
        if !header.starts_with(MAGIC) {
            return Err(OpenError::NotAPack);
        }
        if version != VERSION {
            return Err(OpenError::Version(version));
        }
        if packed > MAX_INDEX_BYTES || raw > MAX_INDEX_BYTES {
            return Err(OpenError::Damaged("its index is too large"));
        }
        let text = unpack(&mut source, packed, raw)?;
        let text = String::from_utf8(text).map_err(|_| OpenError::Damaged("its index is not text"))?;
        let index = Index::parse(&text).map_err(OpenError::Index)?;
        Ok(Self::with_index(source, index, HEADER_BYTES as u64 + u64::from(packed)))
    }

    fn with_index(source: S, index: Index, mut start: u64) -> Self {
        let mut starts = Vec::new();
        for block in &index.blocks {
            starts.push(start);
            start += u64::from(block.packed);
        }
        let by_name =
            index.modules.iter().enumerate().map(|(at, module)| (module.name.clone(), at)).collect();
        let aliases = Aliases::new(&index.modules);
        Self { source, index, starts, by_name, aliases, unpacked: None }
    }

    /// The names of all modules, in load order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.modules.iter().map(|module| module.name.as_str())
    }

    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.index.blocks.len()
    }

    /// The modules to load on every machine.
    pub fn always(&self) -> Vec<&str> {
        self.index.always.iter().map(|&at| self.name_at(at)).collect()
    }

    /// The modules that drive a device with this `modalias` (a line of a sysfs
    /// `modalias` file or the `MODALIAS` of a uevent), in load order.
    pub fn matching(&self, modalias: &str) -> Vec<&str> {
        let matches = self.aliases.matching(&self.index.modules, modalias);
        matches.into_iter().map(|at| self.name_at(at)).collect()
    }

    /// `names` with everything they need and want, in load order. Names that are
    /// not in the pack (built into the kernel, say) are left out.
    pub fn plan(&self, names: &[&str]) -> impl Iterator<Item = &str> {
        let mut open: Vec<usize> =
            names.iter().filter_map(|name| self.by_name.get(&canonical(name)).copied()).collect();
        let mut planned = model::order::set(open.iter().copied());
        while let Some(at) = open.pop() {
            let module = &self.index.modules[at];
            open.extend(module.needs.iter().chain(&module.wants).filter(|&&other| planned.insert(other)));
        }
        planned.into_iter().map(|at| self.name_at(at))
    }

    /// Does another module of `plan` need `name`?
    pub(crate) fn is_needed(&self, name: &str, plan: &[String]) -> bool {
        let Some(&at) = self.by_name.get(name) else { return false };
        let needs = |user: &String| {
            self.by_name.get(user).is_some_and(|&user| self.index.modules[user].needs.contains(&at))
        };
        plan.iter().any(needs)
    }

    /// The names of the modules that `name` needs itself.
    pub(crate) fn needs_of(&self, name: &str) -> impl Iterator<Item = &str> {
        let at = self.by_name.get(name);
        at.into_iter().flat_map(|&at| &self.index.modules[at].needs).map(|&need| self.name_at(need))
    }

    /// The bytes of module `name`; `None` when it is not in the pack. Unpacks
    /// its block, which is kept until another one is needed or [`forget`](Self::forget).
    ///
    /// # Errors
    /// When the block is damaged or cannot be read.
    pub fn bytes(&mut self, name: &str) -> Result<Option<&[u8]>, OpenError> {
        let Some(&at) = self.by_name.get(&canonical(name)) else { return Ok(None) };
        let Module { block, offset, length, .. } = self.index.modules[at];
        if self.unpacked.as_ref().is_none_or(|(number, _)| *number != block) {
            self.unpacked = None; // one block in memory, not two
            let raw = self.unpack_block(block)?;
            self.unpacked = Some((block, raw));
        }
        let bytes = self.unpacked.as_ref().and_then(|(_, raw)| raw.get(offset..offset + length));
        bytes.map(Some).ok_or(OpenError::Damaged("a module is past the end of its block"))
    }

    /// Give back the memory of the block unpacked last.
    pub fn forget(&mut self) {
        self.unpacked = None;
    }

    fn unpack_block(&mut self, number: usize) -> Result<Vec<u8>, OpenError> {
        let block = &self.index.blocks[number];
        self.source.seek(SeekFrom::Start(self.starts[number])).map_err(OpenError::Read)?;
        unpack(&mut self.source, block.packed, block.raw)
    }

    fn name_at(&self, at: usize) -> &str {
        &self.index.modules[at].name
    }
}

/// Unpack the next `packed` bytes of `source` into exactly `raw` bytes.
fn unpack(source: &mut impl Read, packed: u32, raw: u32) -> Result<Vec<u8>, OpenError> {
    debug_assert!(raw <= MAX_BLOCK_BYTES, "callers check lengths first");
    let mut bytes = Vec::new();
    let mut decoder = zstd::Decoder::new(source.take(packed.into())).map_err(OpenError::Read)?;
    // One byte more than promised, to notice that there is more.
    let read = (&mut decoder).take(u64::from(raw) + 1).read_to_end(&mut bytes);
    read.map_err(|_| OpenError::Damaged("a block does not unpack"))?;
    if bytes.len() as u64 == u64::from(raw) {
        Ok(bytes)
    } else {
        Err(OpenError::Damaged("a block has another length than the index says"))
    }
}

/// All alias patterns, found by the text before their first wildcard.
///
/// A modalias is looked up once for every length that such a prefix has on its
/// bus: about ten look-ups instead of thousands of pattern matches.
struct Aliases {
    /// Literal prefix → (position of the module, number of its alias).
    by_prefix: HashMap<String, Vec<(usize, usize)>>,
    /// First byte of a prefix → its lengths.
    lengths: BTreeMap<u8, BTreeSet<usize>>,
}

impl Aliases {
    fn new(modules: &[Module]) -> Self {
        let mut aliases = Self { by_prefix: HashMap::new(), lengths: BTreeMap::new() };
        for (at, module) in modules.iter().enumerate() {
            for (number, alias) in module.aliases.iter().enumerate() {
                let prefix = literal_prefix(alias);
                if let Some(first) = prefix.bytes().next() {
                    aliases.lengths.entry(first).or_default().insert(prefix.len());
                }
                aliases.by_prefix.entry(prefix.to_owned()).or_default().push((at, number));
            }
        }
        aliases
    }

    fn matching(&self, modules: &[Module], modalias: &str) -> BTreeSet<usize> {
        let lengths = modalias.bytes().next().and_then(|first| self.lengths.get(&first));
        let prefixes = lengths.into_iter().flatten().filter_map(|&length| modalias.get(..length));
        let candidates = prefixes.chain([""]).filter_map(|prefix| self.by_prefix.get(prefix)).flatten();
        let matches = candidates.filter(|&&(at, number)| glob_match(&modules[at].aliases[number], modalias));
        model::order::set(matches.map(|&(at, _)| at))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::modules::pack::{Contents, ModuleFile, write};

    fn sample() -> Vec<u8> {
        let module = |name: &str, depends: &[&str], aliases: &[&str]| ModuleFile {
            name: name.to_owned(),
            bytes: name.repeat(1000).into_bytes(),
            depends: depends.iter().map(|&text| text.to_owned()).collect(),
            aliases: aliases.iter().map(|&text| text.to_owned()).collect(),
            ..ModuleFile::default()
        };
        let modules = vec![
            module("virtio", &[], &[]),
            module("virtio_blk", &["virtio"], &["virtio:d00000002v*"]),
            module("nvme-core", &[], &[]),
            module("nvme", &["nvme_core"], &["pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001D0Fd00008061sv*"]),
            module("wild", &[], &["*:never"]),
            module("efivarfs", &[], &["fs-efivarfs"]),
        ];
        let contents =
            Contents { modules, always: vec!["efivarfs".to_owned()], common: vec!["virtio_blk".to_owned()] };
        let mut out = Vec::new();
        write(contents, &mut out, 3).expect("a pack");
        out
    }

    #[test]
    fn a_modalias_finds_its_modules_and_their_needs() {
        let mut pack = Pack::open(Cursor::new(sample())).expect("a pack");
        let table: [(&str, &[&str]); 6] = [
            ("virtio:d00000002v00001AF4", &["virtio_blk"]),
            ("pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02", &["nvme"]),
            ("pci:v00001B36d00000010sv00001AF4sd00001100bc02sc00i00", &[]),
            ("any:never", &["wild"]),
            ("fs-efivarfs", &["efivarfs"]),
            ("", &[]),
        ];
        for (modalias, names) in table {
            assert_eq!(pack.matching(modalias), names, "{modalias}");
        }
        assert_eq!(pack.always(), ["efivarfs"]);
        assert_eq!(pack.plan(&["nvme", "builtin"]).collect::<Vec<_>>(), ["nvme_core", "nvme"]);
        assert_eq!(pack.bytes("nvme-core").expect("readable"), Some("nvme-core".repeat(1000).as_bytes()));
        assert_eq!(pack.bytes("absent").expect("readable"), None);
    }

    #[test]
    fn a_truncated_pack_is_an_error_and_never_a_wrong_module() {
        let whole = sample();
        for length in 0..whole.len() {
            if let Ok(mut pack) = Pack::open(Cursor::new(&whole[..length])) {
                assert!(pack.bytes("wild").is_err() || pack.bytes("virtio").is_err(), "{length}");
            }
        }
    }

    #[test]
    fn a_changed_pack_is_an_error_and_never_a_wrong_module() {
        let whole = sample();
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                let Ok(mut pack) = Pack::open(Cursor::new(bytes)) else { continue };
                let names: Vec<String> = pack.names().map(str::to_owned).collect();
                for name in names {
                    if let Ok(Some(bytes)) = pack.bytes(&name) {
                        let right = if name == "nvme_core" { "nvme-core" } else { name.as_str() };
                        assert_eq!(bytes, right.repeat(1000).as_bytes(), "byte {at} flipped by {flip:#x}");
                    }
                }
            }
        }
    }
}
