//! What would be done to every recorded disk under every kind of policy: the
//! table a reviewer reads. `erase.txt` beside each recorded machine, and
//! `golden/nvme.txt` for controllers that other projects recorded; `BLESS=1`
//! writes them. Recorded machines have no drive that answers and no content.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use erase::{Abilities, NvmeAbilities, Request, Subject, SubjectError};
use hardware_fixtures::machines;
use model::inventory::{Disk, Inventory};
use serde_json::{Value, json};

/// Name, and the policy as people write it.
fn policies() -> Vec<(&'static str, Request)> {
    [
        ("full", json!({})),
        ("purge", json!({"min_level": "purge"})),
        ("fallback", json!({"allow_fallback": true})),
        ("purge, fallback", json!({"min_level": "purge", "allow_fallback": true})),
        ("by the host", json!({"device_erase": false})),
        (
            "three passes, forced",
            json!({"passes": 3, "force_shared": true, "force_cluster_file_systems": true}),
        ),
        ("metadata", json!({"mode": "metadata"})),
        ("skip what rotates, and USB", json!({"skip": [{"rotational": true}, {"tran": "usb"}]})),
    ]
    .into_iter()
    .map(|(name, policy)| (name, Request::parse(policy.to_string().as_bytes()).expect("a policy")))
    .collect()
}

/// One line: the methods in order, or why not.
fn told(request: &Request, subject: &Subject, abilities: &Abilities) -> String {
    match request.plan(subject.clone(), abilities) {
        Ok(plan) => {
            let methods: Vec<_> = plan.methods().iter().map(|method| method.name()).collect();
            let notes: String = plan.notes().iter().map(|note| format!(" ({note})")).collect();
            methods.join(" > ") + &notes
        }
        Err(refusal) => format!("{}: {refusal}", if refusal.is_skip() { "skipped" } else { "refused" }),
    }
}

/// There is no device node to look at in any recording; that it is noted is tested elsewhere.
fn seen(root: &Path, disk: &Disk) -> Result<Subject, SubjectError> {
    Subject::read(root, disk).map(|subject| Subject { unread: Vec::new(), ..subject })
}

#[test]
fn every_recorded_disk_has_a_plan_or_a_reason() {
    for machine in machines() {
        let tree = machine.expand();
        let inventory: Inventory =
            serde_json::from_str(&machine.file("inventory.json")).expect(&machine.name);
        let mut table = String::new();
        for disk in &inventory.disks {
            let model = disk.model.as_deref().unwrap_or("no model");
            writeln!(table, "{} {model}", disk.name).expect("to memory");
            match seen(tree.path(), disk) {
                Ok(subject) => {
                    for (name, request) in policies() {
                        let told = told(&request, &subject, &Abilities::default());
                        writeln!(table, "  {name} -> {told}").expect("to memory");
                    }
                }
                Err(error) => {
                    let cause =
                        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    let error = format!("{error}: {cause}").replace(&*tree.path().to_string_lossy(), "");
                    writeln!(table, "  not looked at: {error}").expect("to memory");
                }
            }
        }
        machine.expect("erase.txt", &table);
    }
}

/// An Identify Controller structure with what `nvme id-ctrl -o json` told of it.
fn controller(told: &Value) -> Vec<u8> {
    let number = |key: &str| told[key].as_u64().unwrap_or_else(|| panic!("{key}: {told}"));
    let mut data = vec![0; 4096];
    data[76] = number("cmic").to_le_bytes()[0];
    data[256..258].copy_from_slice(&number("oacs").to_le_bytes()[..2]);
    data[328..332].copy_from_slice(&number("sanicap").to_le_bytes()[..4]);
    data[524] = number("fna").to_le_bytes()[0];
    data
}

fn namespaces(ids: &[u32]) -> Vec<u8> {
    let mut list: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    list.resize(4096, 0);
    list
}

/// Of ironic-python-agent's tests: a WDC SN730, told to have more and less than it has.
#[test]
fn recorded_nvme_controllers_have_a_plan_for_every_policy() {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let corpus = std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from).join("ipa-samples");
    if !corpus.is_dir() {
        return eprintln!("SKIPPED: no recorded controllers at {}; set BILLET_CORPUS", corpus.display());
    }
    let machine = hardware_fixtures::machine("rack-nvme-sata");
    let inventory: Inventory = serde_json::from_str(&machine.file("inventory.json")).expect("an inventory");
    let disk = inventory.disk("/dev/nvme0n1").expect("an NVMe disk");
    let free = Subject { stack: Vec::new(), ..seen(machine.expand().path(), disk).expect("readable") };
    let mut table = String::new();
    for sample in ["crypto_supported", "userdata_supported", "format_unsupported"] {
        let text = std::fs::read_to_string(corpus.join(format!("nvme_cli_info_template_{sample}.txt")));
        let told_of: Value = serde_json::from_str(&text.expect("a sample")).expect("JSON");
        for (attached, allocated) in [(&[1][..], &[1][..]), (&[1, 10], &[1, 10]), (&[1], &[1, 10])] {
            let attached = namespaces(attached);
            let nvme =
                NvmeAbilities::of_identify(&controller(&told_of), 1, &attached, &namespaces(allocated));
            let abilities = Abilities { nvme, ..Abilities::default() };
            let count = |list: &[u8]| list.chunks_exact(4).filter(|id| *id != [0; 4]).count();
            writeln!(table, "{sample}, namespaces attached {} of {}", count(&attached), allocated.len())
                .expect("to memory");
            for (name, request) in policies() {
                writeln!(table, "  {name} -> {}", told(&request, &free, &abilities)).expect("to memory");
            }
        }
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/nvme.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(golden, &table).expect("written");
    }
    assert_eq!(table, std::fs::read_to_string(golden).expect("the golden file; BLESS=1 writes it"));
}
