//! Which modules go into a ramdisk: a list of folders and names, closed under need.
//!
//! The lists are data, in `initramfs/*.modules`. One thing per line:
//!
//! ```text
//! # a comment
//! [nvme]                      what the report weighs together
//! drivers/nvme/host/          every module below this folder
//! - nvme_fc                   but not this module, or this folder/
//! raid1                       this module
//! always efivarfs             this module, and every machine loads it
//! common nvme                 this module, unpacked together with the other common ones
//! with vfat: nls_ascii        if vfat is chosen, then these too, loaded before it:
//!                             the kernel would ask a modprobe for them, and there is none
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    kernel::{Kernel, Module},
    modinfo::module_name,
};

/// A parsed list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    wanted: Vec<Wanted>,
    unwanted: BTreeSet<String>,
    companions: BTreeMap<String, Vec<String>>,
    /// Modules that every machine loads.
    pub always: Vec<String>,
    /// Modules that most machines load.
    pub common: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    section: String,
    /// A folder with its slash, or a module's name.
    what: String,
}

/// A line that means nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the list of modules means nothing: {text:?}; see initramfs/full.modules")]
pub struct ListError {
    /// Counted from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// The modules chosen from a kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct Selection {
    /// Names of the chosen modules, each with the section that brought it.
    pub chosen: BTreeMap<String, String>,
    /// Names and folders on the list that this kernel has neither as modules nor built in.
    pub absent: Vec<String>,
    /// Modules that every machine loads, of the chosen ones.
    pub always: Vec<String>,
    /// Extra modules to be loaded before a module.
    pub companions: BTreeMap<String, Vec<String>>,
}

/// Why nothing was chosen.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("module {module} depends on {need}, which the kernel does not have; are its modules complete?")]
pub struct SelectError {
    /// The module in need.
    pub module: String,
    /// What it needs.
    pub need: String,
}

impl std::str::FromStr for List {
    type Err = ListError;

    fn from_str(text: &str) -> Result<Self, ListError> {
        let mut list = List::default();
        let mut section = "other".to_owned();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            let fail = || ListError { line: index + 1, text: line.to_owned() };
            if let Some(title) = line.strip_prefix('[') {
                section = title.strip_suffix(']').ok_or_else(fail)?.to_owned();
            } else if !line.is_empty() {
                list.take(line, &section).ok_or_else(fail)?;
            }
        }
        Ok(list)
    }
}

impl List {
    /// Take in one line that is neither empty nor a title; `None` if it means nothing.
    fn take(&mut self, line: &str, section: &str) -> Option<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut want =
            |what: &str| self.wanted.push(Wanted { section: section.to_owned(), what: what.to_owned() });
        match words[..] {
            ["-" | "always" | "common" | "with"] => return None,
            [what] => want(&entry(what)),
            ["-", what] => drop(self.unwanted.insert(entry(what))),
            ["always", ref names @ ..] if !names.is_empty() => {
                names.iter().for_each(|name| want(&entry(name)));
                self.always.extend(names.iter().map(|name| entry(name)));
            }
            ["common", ref names @ ..] if !names.is_empty() => {
                names.iter().for_each(|name| want(&entry(name)));
                self.common.extend(names.iter().map(|name| entry(name)));
            }
            ["with", module, ref names @ ..] if !names.is_empty() => {
                let module = entry(module.strip_suffix(':')?);
                self.companions.entry(module).or_default().extend(names.iter().map(|name| entry(name)));
            }
            _ => return None,
        }
        Some(())
    }

    /// Choose from `kernel` what this list wants and all that it needs.
    ///
    /// # Errors
    /// When the kernel lacks a module that one of its modules needs.
    pub fn select(&self, kernel: &Kernel) -> Result<Selection, SelectError> {
        let mut choice = Choice { kernel, list: self, providers: providers(kernel), chosen: BTreeMap::new() };
        let mut absent = Vec::new();
        for Wanted { section, what } in &self.wanted {
            let names = self.expand(kernel, what);
            if names.is_empty() && !kernel.built_in.contains(what) {
                absent.push(what.clone());
            }
            for name in names {
                choice.choose(name, section)?;
            }
        }
        let chosen = choice.chosen;
        let keep =
            |names: &[String]| names.iter().filter(|name| chosen.contains_key(*name)).cloned().collect();
        Ok(Selection { always: keep(&self.always), companions: self.companions.clone(), absent, chosen })
    }

    /// The modules that one line means.
    fn expand<'k>(&self, kernel: &'k Kernel, what: &str) -> Vec<&'k str> {
        let matches = |module: &Module, name: &str| {
            if what.ends_with('/') {
                module.path.starts_with(what) && !self.is_unwanted(module, name)
            } else {
                name == what
            }
        };
        let modules = kernel.modules.iter().filter(|(name, module)| matches(module, name));
        modules.map(|(name, _)| name.as_str()).collect()
    }

    fn is_unwanted(&self, module: &Module, name: &str) -> bool {
        let in_folder = |what: &String| what.ends_with('/') && module.path.starts_with(what.as_str());
        self.unwanted.contains(name) || self.unwanted.iter().any(in_folder)
    }
}

/// A folder as it is, a module by its kernel name.
fn entry(word: &str) -> String {
    if word.ends_with('/') { word.to_owned() } else { module_name(word) }
}

struct Choice<'a> {
    kernel: &'a Kernel,
    list: &'a List,
    /// Alias without a wildcard → modules that provide it.
    providers: BTreeMap<&'a str, Vec<&'a str>>,
    chosen: BTreeMap<String, String>,
}

impl Choice<'_> {
    /// Choose `name` and what it needs. Wishes (softdeps) of the kernel's own are
    /// followed too; one that nothing provides is let go.
    fn choose(&mut self, name: &str, section: &str) -> Result<(), SelectError> {
        let Some(module) = self.kernel.modules.get(name) else { return Ok(()) };
        if self.chosen.contains_key(name) {
            return Ok(());
        }
        self.chosen.insert(name.to_owned(), section.to_owned());
        for need in &module.info.depends {
            if !self.kernel.modules.contains_key(need) && !self.kernel.built_in.contains(need) {
                return Err(SelectError { module: name.to_owned(), need: need.clone() });
            }
            self.choose(need, section)?;
        }
        let companions = self.list.companions.get(name).into_iter().flatten();
        for wish in module.info.before.iter().chain(&module.info.after).chain(companions) {
            let by_name = [module_name(wish)];
            let by_alias = self.providers.get(wish.as_str()).cloned().unwrap_or_default();
            for other in by_name.iter().map(String::as_str).chain(by_alias) {
                self.choose(other, section)?;
            }
        }
        Ok(())
    }
}

/// Who provides what, of the aliases that name a service and not hardware.
fn providers(kernel: &Kernel) -> BTreeMap<&str, Vec<&str>> {
    let mut providers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, module) in &kernel.modules {
        for alias in module.info.aliases.iter().filter(|alias| !alias.contains('*')) {
            providers.entry(alias).or_default().push(name);
        }
    }
    providers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modinfo::ModInfo;

    /// Path, depends, softdeps, aliases.
    type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

    fn kernel(modules: &[Row<'_>]) -> Kernel {
        let module = |path: &str, depends: &[&str], before: &[&str], aliases: &[&str]| {
            let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            let info = ModInfo {
                depends: own(depends),
                before: own(before),
                aliases: own(aliases),
                ..ModInfo::default()
            };
            (module_name(path), Module { file: path.into(), path: path.to_owned(), info })
        };
        Kernel {
            image: "vmlinuz".into(),
            release: "6".to_owned(),
            modules: modules
                .iter()
                .map(|(path, depends, before, aliases)| module(path, depends, before, aliases))
                .collect(),
            built_in: ["tpm".to_owned(), "scsi_common".to_owned()].into(),
        }
    }

    fn chosen(list: &str, kernel: &Kernel) -> Vec<String> {
        let list: List = list.parse().expect("a list");
        list.select(kernel).expect("a selection").chosen.into_keys().collect()
    }

    #[test]
    fn a_folder_brings_its_modules_and_all_that_they_need() {
        let kernel = kernel(&[
            ("drivers/nvme/host/nvme.ko", &["nvme_core"], &[], &[]),
            ("drivers/nvme/host/nvme-core.ko", &["t10_pi", "scsi_common"], &[], &[]),
            ("drivers/nvme/host/nvme-fc.ko", &[], &[], &[]),
            ("block/t10-pi.ko", &[], &["crct10dif"], &[]),
            ("crypto/crct10dif_generic.ko", &[], &[], &["crct10dif"]),
            ("sound/beep.ko", &[], &[], &[]),
        ]);
        let got = chosen("[nvme]\ndrivers/nvme/host/ # all\n- nvme-fc\n", &kernel);
        assert_eq!(got, ["crct10dif_generic", "nvme", "nvme_core", "t10_pi"]);
    }

    #[test]
    fn companions_come_with_their_module_only() {
        let kernel = kernel(&[
            ("fs/vfat.ko", &[], &[], &[]),
            ("fs/nls_ascii.ko", &[], &[], &[]),
            ("a.ko", &[], &[], &[]),
        ]);
        assert_eq!(chosen("with vfat: nls-ascii\na", &kernel), ["a"]);
        assert_eq!(chosen("with vfat: nls-ascii\nalways vfat", &kernel), ["nls_ascii", "vfat"]);
    }

    #[test]
    fn what_the_kernel_lacks_is_told_and_what_it_has_built_in_is_not() {
        let list: List = "always tpm\nghost\ndrivers/ghost/\n".parse().expect("a list");
        let selection = list.select(&kernel(&[])).expect("a selection");
        assert_eq!(selection.absent, ["ghost", "drivers/ghost/"]);
        assert_eq!(selection.always, Vec::<String>::new());
        let broken = kernel(&[("a.ko", &["gone"], &[], &[])]);
        let err = "a".parse::<List>().expect("a list").select(&broken).expect_err("a need is not met");
        assert_eq!((&err.module[..], &err.need[..]), ("a", "gone"));
    }

    #[test]
    fn a_line_that_means_nothing_is_named() {
        for text in ["[x", "nvme sd_mod", "always", "with vfat nls", "-", "- a b"] {
            let err = format!("# fine\n{text}").parse::<List>().expect_err(text);
            assert_eq!((err.line, &err.text[..]), (2, text));
        }
    }
}
