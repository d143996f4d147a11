//! What a kernel module says about itself: the `.modinfo` section of its ELF file.
//!
//! Read here and not with depmod, so that a ramdisk depends on the modules'
//! bytes alone and not on the kmod of the machine that builds it.

use std::ops::Range;

/// Sections a module may have before it is taken for garbage. Debian's largest has about 200.
const SECTIONS_LIMIT: usize = 65_536;

/// A module's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// Patterns of the hardware (and of the services) it serves: `alias=`.
    pub aliases: Vec<String>,
    /// Modules whose symbols it uses: `depends=`.
    pub depends: Vec<String>,
    /// Modules or aliases to be loaded before it, if there are any: `softdep=pre: …`.
    pub before: Vec<String>,
    /// Modules or aliases to be loaded after it, if there are any: `softdep=post: …`.
    pub after: Vec<String>,
    /// Firmware files that it may ask for: `firmware=`.
    pub firmware: Vec<String>,
}

/// Why a file is not a kernel module of this architecture.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModInfoError {
    /// Not a 64-bit little-endian ELF file.
    #[error("not a 64-bit little-endian ELF file; is it compressed, or of another architecture?")]
    NotElf,
    /// A header points outside the file.
    #[error("the ELF headers point outside the file; it is truncated or damaged")]
    Damaged,
    /// No `.modinfo` section.
    #[error("no .modinfo section; this ELF file is not a kernel module")]
    NotAModule,
}

/// Read the `.modinfo` section of the module in `elf`.
///
/// # Errors
/// When `elf` is not a whole ELF file with such a section.
pub fn parse(elf: &[u8]) -> Result<ModInfo, ModInfoError> {
    let section = section(elf, b".modinfo")?;
    let mut info = ModInfo::default();
    for line in section.split(|byte| *byte == 0) {
        let line = String::from_utf8_lossy(line);
        let Some((key, value)) = line.split_once('=') else { continue };
        match key {
            "alias" => info.aliases.push(value.to_owned()),
            "depends" => info.depends.extend(names(value, ',')),
            "firmware" => info.firmware.push(value.to_owned()),
            "softdep" => soft_dependencies(value, &mut info),
            _ => {}
        }
    }
    Ok(info)
}

/// A module's name as the kernel spells it: no folder, no suffix, underscores.
#[must_use]
pub fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

fn names(value: &str, separator: char) -> impl Iterator<Item = String> {
    value.split(separator).filter(|name| !name.is_empty()).map(|name| name.replace('-', "_"))
}

/// `pre: a b post: c`, as modprobe.d(5) has it.
fn soft_dependencies(value: &str, info: &mut ModInfo) {
    let mut list = None;
    for word in value.split_whitespace() {
        match word {
            "pre:" => list = Some(&mut info.before),
            "post:" => list = Some(&mut info.after),
            name => {
                if let Some(list) = list.as_deref_mut() {
                    list.push(name.to_owned());
                }
            }
        }
    }
}

/// The contents of the section called `name`.
fn section<'elf>(elf: &'elf [u8], name: &[u8]) -> Result<&'elf [u8], ModInfoError> {
    // Offsets from the ELF-64 object file format, "ELF header" and "Sections".
    if elf.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(ModInfoError::NotElf);
    }
    let table = integer(elf, 0x28, 8)?;
    let entry = integer(elf, 0x3a, 2)?;
    let count = integer(elf, 0x3c, 2)?;
    let names_at = integer(elf, 0x3e, 2)?;
    if count > SECTIONS_LIMIT || names_at >= count {
        return Err(ModInfoError::Damaged);
    }
    let header = |index: usize| {
        let at = index.checked_mul(entry).and_then(|at| at.checked_add(table));
        at.ok_or(ModInfoError::Damaged)
    };
    let names = contents(elf, header(names_at)?)?;
    for index in 0..count {
        let header = header(index)?;
        let from = integer(elf, header, 4)?;
        let title = names.get(from..).ok_or(ModInfoError::Damaged)?;
        if title.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0)) {
            return contents(elf, header);
        }
    }
    Err(ModInfoError::NotAModule)
}

/// The bytes of the section whose header is at `header`.
fn contents(elf: &[u8], header: usize) -> Result<&[u8], ModInfoError> {
    let offset = integer(elf, header.saturating_add(0x18), 8)?;
    let size = integer(elf, header.saturating_add(0x20), 8)?;
    let end = offset.checked_add(size).ok_or(ModInfoError::Damaged)?;
    elf.get(Range { start: offset, end }).ok_or(ModInfoError::Damaged)
}

/// The little-endian integer of `width` bytes at `at`.
fn integer(elf: &[u8], at: usize, width: usize) -> Result<usize, ModInfoError> {
    let end = at.checked_add(width).ok_or(ModInfoError::Damaged)?;
    let bytes = elf.get(at..end).ok_or(ModInfoError::Damaged)?;
    let value = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    usize::try_from(value).map_err(|_| ModInfoError::Damaged)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The smallest ELF file with a `.modinfo` section holding `lines`.
    pub(crate) fn module(lines: &[&str]) -> Vec<u8> {
        let info: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\0"].concat()).collect();
        let names = b"\0.modinfo\0.shstrtab\0";
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let table = 64 + info.len() + names.len();
        elf[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
        elf[0x3a] = 64;
        elf[0x3c] = 3;
        elf[0x3e] = 2;
        elf.extend(&info);
        elf.extend(names);
        let header = |name: u32, at: usize, size: usize| {
            let mut header = vec![0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[0x18..0x20].copy_from_slice(&(at as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
            header
        };
        elf.extend(header(0, 0, 0));
        elf.extend(header(1, 64, info.len()));
        elf.extend(header(10, 64 + info.len(), names.len()));
        elf
    }

    #[test]
    fn a_module_says_what_it_serves_and_what_it_needs() {
        let elf = module(&[
            "license=GPL",
            "alias=pci:v00008086d0000100Esv*sd*bc*sc*i*",
            "depends=nvme-core,ptp",
            "softdep=pre: crc32c post: post-one",
            "firmware=bnx2/a.fw",
            "not a pair",
        ]);
        let info = parse(&elf).expect("a module");
        assert_eq!(info.aliases, ["pci:v00008086d0000100Esv*sd*bc*sc*i*"]);
        assert_eq!(info.depends, ["nvme_core", "ptp"]);
        assert_eq!((&info.before[..], &info.after[..]), (&["crc32c".into()][..], &["post-one".into()][..]));
        assert_eq!(info.firmware, ["bnx2/a.fw"]);
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let elf = module(&["alias=pci:*"]);
        // Of the last header nothing past its size is read.
        for length in 0..elf.len() - 24 {
            parse(&elf[..length]).expect_err("truncated");
        }
        for at in 0..elf.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = elf.clone();
                damaged[at] = value;
                let _ = parse(&damaged);
            }
        }
        assert_eq!(parse(b"\x28\xb5\x2f\xfd"), Err(ModInfoError::NotElf));
    }

    #[test]
    fn names_are_spelled_as_the_kernel_spells_them() {
        for (path, name) in [
            ("kernel/drivers/nvme/host/nvme-core.ko", "nvme_core"),
            ("nvme.ko.zst", "nvme"),
            ("virtio_net", "virtio_net"),
        ] {
            assert_eq!(module_name(path), name);
        }
    }
}
