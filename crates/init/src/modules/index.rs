//! The pack's index: which module is where, what it needs, what it drives.
//!
//! It is text, one fact per line, so that `zstd -d` shows it to a person:
//!
//! ```text
//! block <raw bytes> <packed bytes>
//! module <name> <block> <offset> <length> <needs> <wants>
//! alias <pattern>              (of the module above)
//! always <module position>
//! ```
//!
//! `needs` and `wants` are comma-separated positions in the list of modules, or
//! `-`. A need comes earlier in the list, which makes list order a load order.

use std::{fmt::Write as _, str::FromStr};

use super::{MAX_ALIASES, MAX_BLOCK_BYTES, MAX_MODULES};

/// One solid run of modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Bytes when unpacked.
    pub(crate) raw: u32,
    /// Bytes in the file.
    pub(crate) packed: u32,
}

/// One module: where its bytes are, and what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) block: usize,
    /// Byte range in the unpacked block.
    pub(crate) offset: usize,
    pub(crate) length: usize,
    /// Positions of modules it cannot load without; all smaller than its own.
    pub(crate) needs: Vec<usize>,
    /// Positions of modules to load with it if possible (softdeps).
    pub(crate) wants: Vec<usize>,
    pub(crate) aliases: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) blocks: Vec<Block>,
    pub(crate) modules: Vec<Module>,
    /// Positions of modules to load on every machine.
    pub(crate) always: Vec<usize>,
}

/// A line of the index that means nothing, or contradicts another.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct IndexError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Index {
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for Block { raw, packed } in &self.blocks {
            let _ = writeln!(text, "block {raw} {packed}");
        }
        for module in &self.modules {
            let Module { name, block, offset, length, .. } = module;
            let (needs, wants) = (join(&module.needs), join(&module.wants));
            let _ = writeln!(text, "module {name} {block} {offset} {length} {needs} {wants}");
            for alias in &module.aliases {
                let _ = writeln!(text, "alias {alias}");
            }
        }
        for position in &self.always {
            let _ = writeln!(text, "always {position}");
        }
        text
    }

    pub(crate) fn parse(text: &str) -> Result<Self, IndexError> {
        let mut index = Self::default();
        let mut aliases = 0;
        for (number, line) in text.lines().enumerate() {
            index.take(line, &mut aliases).map_err(|what| IndexError { line: number + 1, what })?;
        }
        let count = index.modules.len();
        let positions = index.modules.iter().flat_map(|module| &module.wants).chain(&index.always);
        if positions.into_iter().any(|&position| position >= count) {
            return Err(IndexError { line: 0, what: "a position is past the last module" });
        }
        Ok(index)
    }

    fn take(&mut self, line: &str, aliases: &mut usize) -> Result<(), &'static str> {
        let (word, rest) = line.split_once(' ').ok_or("a word alone")?;
        match word {
            "block" => self.take_block(rest),
            "module" => self.take_module(rest),
            "alias" => {
                *aliases += 1;
                let module = self.modules.last_mut().ok_or("an alias of no module")?;
                module.aliases.push(rest.to_owned());
                if *aliases > MAX_ALIASES { Err("too many aliases") } else { Ok(()) }
            }
            "always" => {
                self.always.push(number(rest)?);
                if self.always.len() > MAX_MODULES { Err("too many modules to load always") } else { Ok(()) }
            }
            _ => Err("an unknown word"),
        }
    }

    fn take_block(&mut self, rest: &str) -> Result<(), &'static str> {
        let [raw, packed] = fields(rest)?;
        let block = Block { raw: number(raw)?, packed: number(packed)? };
        if block.raw > MAX_BLOCK_BYTES || block.packed > MAX_BLOCK_BYTES {
            return Err("a block too large to unpack");
        }
        self.blocks.push(block);
        if self.blocks.len() > MAX_MODULES { Err("too many blocks") } else { Ok(()) }
    }

    fn take_module(&mut self, rest: &str) -> Result<(), &'static str> {
        let [name, block, offset, length, needs, wants] = fields(rest)?;
        let (block, offset, length): (usize, usize, usize) =
            (number(block)?, number(offset)?, number(length)?);
        let end = offset.checked_add(length).ok_or("a module past the end of its block")?;
        let raw = self.blocks.get(block).ok_or("a module in no block")?.raw;
        if end > usize::try_from(raw).map_err(|_| "a block too large to unpack")? {
            return Err("a module past the end of its block");
        }
        let (needs, wants) = (positions(needs)?, positions(wants)?);
        if needs.iter().any(|&position| position >= self.modules.len()) {
            return Err("a module before one it needs");
        }
        let name = name.to_owned();
        self.modules.push(Module { name, block, offset, length, needs, wants, aliases: Vec::new() });
        if self.modules.len() > MAX_MODULES { Err("too many modules") } else { Ok(()) }
    }
}

fn fields<const N: usize>(rest: &str) -> Result<[&str; N], &'static str> {
    let mut fields = [""; N];
    let mut given = rest.split(' ');
    for field in &mut fields {
        *field = given.next().ok_or("too few fields")?;
    }
    if given.next().is_some() { Err("too many fields") } else { Ok(fields) }
}

fn number<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "not a number")
}

fn positions(text: &str) -> Result<Vec<usize>, &'static str> {
    if text == "-" { Ok(Vec::new()) } else { text.split(',').map(number).collect() }
}

fn join(positions: &[usize]) -> String {
    if positions.is_empty() {
        return "-".to_owned();
    }
    positions.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "block 100 50\nmodule a 0 0 60 - -\nalias pci:v1*\nmodule b 0 60 40 0 0\nalways 1\n";

    #[test]
    fn an_index_survives_its_text() {
        let index = Index::parse(TEXT).expect("a good index");
        assert_eq!(index.to_text(), TEXT);
        assert_eq!(index.modules[1].needs, [0]);
        assert_eq!(index.modules[0].aliases, ["pci:v1*"]);
    }

    #[test]
    fn a_line_that_lies_is_refused() {
        let table = [
            ("block 1", "too few fields"),
            ("block 1 2 3", "too many fields"),
            ("block 4294967295 1", "a block too large to unpack"),
            ("module a 0 0 1 - -", "a module in no block"),
            ("block 9 9\nmodule a 0 9 1 - -", "a module past the end of its block"),
            ("block 9 9\nmodule a 0 18446744073709551615 1 - -", "a module past the end of its block"),
            ("block 9 9\nmodule a 0 0 1 0 -", "a module before one it needs"),
            ("block 9 9\nmodule a 0 0 1 - 1", "a position is past the last module"),
            ("always 0", "a position is past the last module"),
            ("alias x", "an alias of no module"),
            ("nonsense x", "an unknown word"),
            ("x", "a word alone"),
            ("block -1 1", "not a number"),
        ];
        for (text, what) in table {
            assert_eq!(Index::parse(text).map_err(|err| err.what), Err(what), "{text:?}");
        }
    }
}
