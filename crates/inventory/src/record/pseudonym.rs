//! Stand-ins for what identifies one machine among its like.
//!
//! ```text
//! files ──walk──▶ Ledger ──settle──▶ stand-ins ──walk──▶ files ──forms──▶ files
//! ```
//! Identifiers are looked for where [`rules`] say that they stand. What was found is
//! replaced there, and then everywhere, in each of its [`forms`]: pages keep their
//! lengths, and two disks with one serial number still have one.

use std::path::{Path, PathBuf};

use model::inventory::Inventory;

use super::{
    forms::{self, Forms},
    identifier::{Identifier, Ledger},
    rules::{self, Rule},
    walks,
};
use crate::recording::{Entry, Tree};

/// The same tree of a machine nobody can find.
pub(crate) fn replace(tree: &Tree, inventory: &Inventory) -> Tree {
    let ledger = ledger(tree, inventory);
    let forms = forms::of(ledger.pairs());
    let replaced = tree.entries().map(|(path, entry)| {
        let entry = match entry {
            Entry::File(content) => Entry::File(forms::replace(&walked(path, content, &ledger), &forms)),
            Entry::Link(target) => Entry::Link(in_path(target, &forms)),
            Entry::Directory | Entry::Broken(_) => entry.clone(),
        };
        (in_path(path, &forms), entry)
    });
    replaced.collect()
}

fn ledger(tree: &Tree, inventory: &Inventory) -> Ledger {
    let mut ledger = Ledger::default();
    let mut note = |found: Identifier| {
        ledger.note(found.clone());
        found
    };
    for (path, entry) in tree.entries() {
        let Entry::File(content) = entry else { continue };
        if let Rule::Walk(walk) = rules::of(path, content) {
            walk(&mut content.clone(), &mut note);
        }
    }
    // What the inventory shows was found in files; should a rule have missed it, it is found now.
    let disks = inventory.disks.iter();
    let serials = disks.clone().filter_map(|disk| disk.serial.as_ref());
    let names = disks.filter_map(|disk| disk.wwn.as_ref()?.with_extension.as_ref());
    for text in serials.chain(names).chain(&inventory.system_vendor.serial_number) {
        walks::whole(&mut text.clone().into_bytes(), &mut note);
    }
    for nic in &inventory.nics {
        note(Identifier::Bytes(nic.mac.0.to_vec()));
    }
    ledger.settle();
    ledger
}

fn walked(path: &Path, content: &[u8], ledger: &Ledger) -> Vec<u8> {
    let mut content = content.to_vec();
    match rules::of(path, &content) {
        Rule::Walk(walk) => walk(&mut content, &mut |found| ledger.of(found)),
        Rule::LeaveOut => content.clear(),
    }
    content
}

/// Names of interfaces may be made of their MACs.
fn in_path(path: &Path, forms: &Forms) -> PathBuf {
    let replaced = forms::replace(path.as_os_str().as_encoded_bytes(), forms);
    String::from_utf8(replaced).map_or_else(|_| path.to_owned(), PathBuf::from)
}
