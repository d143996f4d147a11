//! Writing a pack: order the modules, cut them into blocks, compress.
//!
//! ```text
//! "BILLETMP" version:u32 packed:u32 raw:u32 | index (zstd) | block (zstd) | block …
//! ```
//!
//! Integers are little-endian. The same modules give the same bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use super::{
    MAX_ALIASES, MAX_BLOCK_BYTES, MAX_INDEX_BYTES, MAX_MODULES, canonical, glob_match,
    index::{Block, Index, Module},
};

pub(crate) const MAGIC: &[u8; 8] = b"BILLETMP";
pub(crate) const VERSION: u32 = 1;
/// Bytes before the index.
pub(crate) const HEADER_BYTES: usize = MAGIC.len() + 12;
/// A block is closed when it holds this much. Larger blocks compress better and
/// take longer to unpack for one module.
const BLOCK_BYTES: usize = 4 << 20;

/// One kernel module, uncompressed, with what its `.modinfo` says.
#[derive(Clone, Debug, Default)]
pub struct ModuleFile {
    /// Its name without path and `.ko`, dashes or underscores alike.
    pub name: String,
    /// The ELF file.
    pub bytes: Vec<u8>,
    /// `alias=` of `.modinfo`: patterns of modaliases, or other names.
    pub aliases: Vec<String>,
    /// `depends=` of `.modinfo`: modules it cannot load without.
    pub depends: Vec<String>,
    /// `softdep=pre:`: names or aliases to load before it if they are in the pack.
    pub soft_before: Vec<String>,
    /// `softdep=post:`: names or aliases to load after it if they are in the pack.
    pub soft_after: Vec<String>,
}

/// What goes into a pack.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// All modules, in any order.
    pub modules: Vec<ModuleFile>,
    /// Modules to load on every machine. A name that is not among `modules` is an error.
    pub always: Vec<String>,
    /// Modules most machines want: they share the first block with all that they
    /// need, so a common machine unpacks that block only. Unknown names are ignored.
    pub common: Vec<String>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Number of modules.
    pub modules: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Bytes of all modules, uncompressed.
    pub raw: u64,
    /// Bytes of the pack.
    pub packed: u64,
}

/// Why no pack was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A module or a need is not in the pack.
    #[error("module {missing} is wanted by {by} and is not among the modules; add it")]
    Missing {
        /// The module that is absent.
        missing: String,
        /// Who wants it.
        by: String,
    },
    /// Two files claim one name.
    #[error("two modules are named {name}; drop one")]
    Twice {
        /// The name.
        name: String,
    },
    /// Modules that need each other cannot be loaded at all.
    #[error("module {name} needs itself through others; its modinfo is wrong")]
    Cycle {
        /// One of them.
        name: String,
    },
    /// A name or alias that the index cannot hold.
    #[error("module {name:?} has a name or alias with a space or a line end")]
    Unspeakable {
        /// The module.
        name: String,
    },
    /// More than a reader accepts.
    #[error("{what} exceeds what a reader accepts; pack fewer modules")]
    TooMuch {
        /// Which limit.
        what: &'static str,
    },
    /// Compressing or writing failed.
    #[error("the pack was not written")]
    Output(#[from] io::Error),
}

/// Write `contents` to `out`, compressed at zstd `level` (1 to 22).
///
/// # Errors
/// See [`WriteError`]; `out` then holds nothing useful.
pub fn write(contents: Contents, out: &mut impl Write, level: i32) -> Result<Written, WriteError> {
    let Contents { modules, always, common } = contents;
    let modules = by_name(modules)?;
    let order = Order::new(&modules, &common)?;
    let (mut index, blocks) = lay_out(&modules, &order, level)?;
    for name in always.iter().map(|name| canonical(name)) {
        let position = order.positions.get(name.as_str()).copied();
        let position = position.ok_or_else(|| WriteError::Missing {
            missing: name,
            by: "the list of modules to load always".to_owned(),
        })?;
        index.always.push(position);
    }
    let text = index.to_text();
    let raw = limited(text.len(), MAX_INDEX_BYTES, "the index")?;
    let index_bytes = compress(text.as_bytes(), level)?;
    let packed = limited(index_bytes.len(), MAX_INDEX_BYTES, "the index")?;
    out.write_all(MAGIC)?;
    for number in [VERSION, packed, raw] {
        out.write_all(&number.to_le_bytes())?;
    }
    out.write_all(&index_bytes)?;
    for block in &blocks {
        out.write_all(block)?;
    }
    Ok(Written {
        modules: index.modules.len(),
        blocks: blocks.len(),
        raw: index.blocks.iter().map(|block| u64::from(block.raw)).sum(),
        packed: (HEADER_BYTES + index_bytes.len() + blocks.iter().map(Vec::len).sum::<usize>()) as u64,
    })
}

type Modules = BTreeMap<String, ModuleFile>;

fn by_name(files: Vec<ModuleFile>) -> Result<Modules, WriteError> {
    let mut modules = Modules::new();
    if files.len() > MAX_MODULES {
        return Err(WriteError::TooMuch { what: "the number of modules" });
    }
    if files.iter().map(|file| file.aliases.len()).sum::<usize>() > MAX_ALIASES {
        return Err(WriteError::TooMuch { what: "the number of aliases" });
    }
    for file in files {
        let name = canonical(&file.name);
        if name.is_empty()
            || name.contains(char::is_whitespace)
            || file.aliases.iter().any(|alias| alias.contains(['\n', '\r']))
        {
            return Err(WriteError::Unspeakable { name });
        }
        if modules.contains_key(&name) {
            return Err(WriteError::Twice { name });
        }
        modules.insert(name, file);
    }
    Ok(modules)
}

/// The order of modules in the pack: every need before its user, common ones
/// first, relatives (which share a prefix of their names) next to each other.
struct Order<'a> {
    modules: &'a Modules,
    /// Name → softdeps that are in the pack, already resolved to names.
    wants: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// Names that come after a softdep of theirs.
    after: BTreeMap<&'a str, BTreeSet<&'a str>>,
    names: Vec<&'a str>,
    positions: BTreeMap<&'a str, usize>,
    /// How many of `names` belong to the first block.
    common: usize,
}

impl<'a> Order<'a> {
    fn new(modules: &'a Modules, common: &[String]) -> Result<Self, WriteError> {
        let mut order = Self {
            modules,
            wants: BTreeMap::new(),
            after: BTreeMap::new(),
            names: Vec::new(),
            positions: BTreeMap::new(),
            common: 0,
        };
        order.resolve_softdeps();
        for name in common.iter().map(|name| canonical(name)) {
            if let Some((name, _)) = modules.get_key_value(&name) {
                order.place(name, &mut Vec::new())?;
            }
        }
        order.common = order.names.len();
        for name in modules.keys() {
            order.place(name, &mut Vec::new())?;
        }
        Ok(order)
    }

    fn resolve_softdeps(&mut self) {
        for (name, file) in self.modules {
            for (softs, before) in [(&file.soft_before, true), (&file.soft_after, false)] {
                for other in softs.iter().flat_map(|soft| resolve(self.modules, soft)) {
                    self.wants.entry(name).or_default().insert(other);
                    let (later, earlier) =
                        if before { (name.as_str(), other) } else { (other, name.as_str()) };
                    self.after.entry(later).or_default().insert(earlier);
                }
            }
        }
    }

    /// Put `name` into the order, after all that it needs. `path` holds the
    /// modules being placed; a need among them is a cycle, a softdep among them
    /// is let go, since softdeps are wishes.
    fn place(&mut self, name: &'a str, path: &mut Vec<&'a str>) -> Result<(), WriteError> {
        if self.positions.contains_key(name) {
            return Ok(());
        }
        path.push(name);
        for need in &self.modules[name].depends {
            let need = canonical(need);
            let Some((need, _)) = self.modules.get_key_value(&need) else {
                return Err(WriteError::Missing { missing: need, by: name.to_owned() });
            };
            if path.contains(&need.as_str()) {
                return Err(WriteError::Cycle { name: need.clone() });
            }
            self.place(need, path)?;
        }
        for soft in self.after.get(name).cloned().unwrap_or_default() {
            if !self.reaches_any(soft, path) {
                self.place(soft, path)?;
            }
        }
        path.pop();
        if !self.positions.contains_key(name) {
            self.positions.insert(name, self.names.len());
            self.names.push(name);
        }
        Ok(())
    }

    /// Does `name`, or a module it needs, directly or not, stand in `path`?
    fn reaches_any(&self, name: &str, path: &[&str]) -> bool {
        let mut seen = BTreeSet::from([name.to_owned()]);
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            if path.contains(&name.as_str()) {
                return true;
            }
            let needs = self.modules.get(&name).into_iter().flat_map(|file| &file.depends);
            open.extend(needs.map(|need| canonical(need)).filter(|need| seen.insert(need.clone())));
        }
        false
    }
}

/// The modules that a softdep means: one of that name, else those with such an alias.
fn resolve<'a>(modules: &'a Modules, soft: &str) -> Vec<&'a str> {
    if let Some((name, _)) = modules.get_key_value(&canonical(soft)) {
        return vec![name];
    }
    let matches = |file: &ModuleFile| file.aliases.iter().any(|alias| glob_match(alias, soft));
    modules.iter().filter(|(_, file)| matches(file)).map(|(name, _)| name.as_str()).collect()
}

fn lay_out(modules: &Modules, order: &Order<'_>, level: i32) -> Result<(Index, Vec<Vec<u8>>), WriteError> {
    let mut index = Index::default();
    let mut packed = Vec::new();
    let mut raw = Vec::new();
    for (position, &name) in order.names.iter().enumerate() {
        let file = &modules[name];
        if !raw.is_empty()
            && (position == order.common
                || raw.len() + file.bytes.len() > BLOCK_BYTES && position > order.common)
        {
            close(&mut index, &mut packed, &mut raw, level)?;
        }
        let positions = |names: &mut dyn Iterator<Item = &str>| {
            names.filter_map(|name| order.positions.get(name).copied()).collect()
        };
        let depends: Vec<String> = file.depends.iter().map(|name| canonical(name)).collect();
        index.modules.push(Module {
            name: name.to_owned(),
            block: packed.len(),
            offset: raw.len(),
            length: file.bytes.len(),
            needs: positions(&mut depends.iter().map(String::as_str)),
            wants: positions(&mut order.wants.get(name).into_iter().flatten().copied()),
            aliases: file.aliases.clone(),
        });
        raw.extend_from_slice(&file.bytes);
    }
    close(&mut index, &mut packed, &mut raw, level)?;
    Ok((index, packed))
}

fn close(
    index: &mut Index,
    packed: &mut Vec<Vec<u8>>,
    raw: &mut Vec<u8>,
    level: i32,
) -> Result<(), WriteError> {
    let block = compress(raw, level)?;
    index.blocks.push(Block {
        raw: limited(raw.len(), MAX_BLOCK_BYTES, "a block")?,
        packed: limited(block.len(), MAX_BLOCK_BYTES, "a block")?,
    });
    packed.push(block);
    raw.clear();
    Ok(())
}

fn compress(raw: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(raw.len() as u64))?;
    encoder.write_all(raw)?;
    encoder.finish()
}

fn limited(length: usize, limit: u32, what: &'static str) -> Result<u32, WriteError> {
    u32::try_from(length).ok().filter(|&length| length <= limit).ok_or(WriteError::TooMuch { what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::Pack;

    fn module(name: &str, depends: &[&str]) -> ModuleFile {
        let depends = depends.iter().map(|&name| name.to_owned()).collect();
        ModuleFile {
            name: name.to_owned(),
            bytes: name.as_bytes().to_vec(),
            depends,
            ..ModuleFile::default()
        }
    }

    fn packed(contents: Contents) -> Result<Vec<u8>, WriteError> {
        let mut out = Vec::new();
        write(contents, &mut out, 1).map(|_| out)
    }

    #[test]
    fn the_same_modules_in_another_order_give_the_same_bytes() {
        let modules = vec![module("b", &["a"]), module("a", &[]), module("c-d", &["b"])];
        let reversed = modules.iter().rev().cloned().collect();
        let pack = |modules| packed(Contents { modules, ..Contents::default() }).expect("a pack");
        assert_eq!(pack(modules), pack(reversed));
    }

    #[test]
    fn contents_that_cannot_be_loaded_are_refused() {
        let table = [
            (vec![module("a", &["b"])], vec![], "module b is wanted by a"),
            (vec![module("a", &[])], vec!["z"], "module z is wanted by the list"),
            (vec![module("a", &["b"]), module("b", &["a"])], vec![], "needs itself"),
            (vec![module("x-y", &[]), module("x_y", &[])], vec![], "two modules are named x_y"),
            (vec![module("x y", &[])], vec![], "has a name or alias with a space"),
        ];
        for (modules, always, message) in table {
            let always = always.into_iter().map(str::to_owned).collect();
            let err = packed(Contents { modules, always, common: vec![] }).expect_err(message).to_string();
            assert!(err.contains(message), "{err}");
        }
    }

    #[test]
    fn common_modules_and_their_needs_share_the_first_block() {
        let modules = vec![module("a", &[]), module("m", &["n"]), module("n", &[]), module("z", &[])];
        let common = vec!["m".to_owned(), "absent".to_owned()];
        let bytes = packed(Contents { modules, common, ..Contents::default() }).expect("a pack");
        let pack = Pack::open(io::Cursor::new(bytes)).expect("a pack");
        assert_eq!(pack.names().collect::<Vec<_>>(), ["n", "m", "a", "z"]);
        assert_eq!(pack.blocks(), 2);
    }

    #[test]
    fn softdeps_order_modules_unless_they_contradict_needs() {
        let mut early = module("a", &[]);
        early.soft_before = vec!["z".to_owned(), "absent".to_owned()];
        let mut wisher = module("b", &[]);
        wisher.soft_before = vec!["crypto-x".to_owned()]; // an alias of c, which needs b
        let mut needy = module("c", &["b"]);
        needy.aliases = vec!["crypto-*".to_owned()];
        let mut last = module("y", &[]);
        last.soft_after = vec!["x".to_owned()];
        let modules = vec![early, wisher, needy, module("x", &[]), last, module("z", &[])];
        let bytes = packed(Contents { modules, ..Contents::default() }).expect("a pack");
        let pack = Pack::open(io::Cursor::new(bytes)).expect("a pack");
        assert_eq!(pack.names().collect::<Vec<_>>(), ["z", "a", "b", "c", "y", "x"]);
        assert_eq!(pack.plan(&["b"]).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(pack.plan(&["y"]).collect::<Vec<_>>(), ["y", "x"]);
    }
}
