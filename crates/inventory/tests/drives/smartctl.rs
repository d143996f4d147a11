//! What smartctl printed of real drives, put back into the bytes it came from: the
//! same numbers are read from them.
//!
//! The JSON is run against, never kept here: without `BILLET_CORPUS` (default
//! `../shared/data`) this says so, loudly, and passes.

use std::path::{Path, PathBuf};

use model::{Bytes, inventory::Health};
use serde_json::Value;

use crate::{
    health::{NVME, SATA, SATA_DEVICE, ata_drive},
    tree::{SCSI, Tree},
};

/// Its keepers changed temperature and hours, and not the attributes they come from.
const EDITED: &str = "smart-ata-date2.json";
/// Samples with health in the corpus.
const AT_LEAST: usize = 14;

fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let corpus = std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from).join("smartctl-json");
    if corpus.is_dir() {
        return Some(corpus);
    }
    eprintln!("SKIPPED: no samples of smartctl at {}; set BILLET_CORPUS", corpus.display());
    None
}

fn samples(dir: &Path, found: &mut Vec<(String, Value)>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            samples(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path).expect("text");
            found.push((path.display().to_string(), serde_json::from_str(&text).expect("JSON")));
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn nvme(log: &Value) -> Health {
    let mut page = vec![0; 512];
    let kelvin = u16::try_from(number(&log["temperature"]) + 273).expect("cool");
    page[0] = log["critical_warning"].as_u64().expect("bits").to_le_bytes()[0];
    page[1..3].copy_from_slice(&kelvin.to_le_bytes());
    (page[3], page[5]) =
        (number(&log["available_spare"]).to_le_bytes()[0], number(&log["percentage_used"]).to_le_bytes()[0]);
    for (at, key) in [
        (48, "data_units_written"),
        (112, "power_cycles"),
        (128, "power_on_hours"),
        (144, "unsafe_shutdowns"),
        (160, "media_errors"),
    ] {
        page[at..at + 8].copy_from_slice(&number(&log[key]).to_le_bytes());
    }
    let tree = Tree::default()
        .disk(NVME)
        .bytes("kernel/block/nvme0n1/identify_controller", &[0; 4096])
        .bytes("kernel/block/nvme0n1/health_log", &page);
    tree.only_disk().health.expect("told")
}

/// Attributes and statistics as the drive sends them.
fn ata(sample: &Value) -> Option<Health> {
    let attributes = sample["ata_smart_attributes"]["table"].as_array()?;
    let mut data = vec![0; 512];
    for (entry, attribute) in data[2..362].chunks_exact_mut(12).zip(attributes) {
        entry[0] = number(&attribute["id"]).to_le_bytes()[0];
        entry[5..11].copy_from_slice(&number(&attribute["raw"]["value"]).to_le_bytes()[..6]);
    }
    data[511] = data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
    let words = [(84, 0x4020), (85, 1), (87, 0x4000)];
    let mut tree = Tree::default()
        .disk(SATA)
        .text(&format!("{SATA_DEVICE}/vendor"), "ATA")
        .bytes("kernel/block/sda/identify_device", &ata_drive(&words))
        .bytes("kernel/block/sda/smart_data", &data);
    if let Some(passed) = sample["smart_status"]["passed"].as_bool() {
        let [middle, high] = if passed { [0x4f, 0xc2] } else { [0xf4, 0x2c] };
        let mut sense = vec![0x72, 0x01, 0x00, 0x1d, 0, 0, 0, 14, 0x09, 0x0c, 0, 0, 0, 0, 0, 0, 0];
        sense.extend([middle, 0, high, 0, 0x50]);
        tree = tree.bytes("kernel/block/sda/smart_status", &sense);
    }
    let pages = sample["ata_device_statistics"]["pages"].as_array().cloned().unwrap_or_default();
    let mut list = vec![0; 512];
    for (nth, page) in pages.iter().enumerate() {
        let code = number(&page["number"]).to_le_bytes()[0];
        (list[8], list[9 + nth]) = (u8::try_from(nth + 1).expect("few"), code);
        let mut data = vec![0; 512];
        data[2] = code;
        for row in page["table"].as_array().expect("rows") {
            let at = usize::try_from(number(&row["offset"])).expect("small");
            let value = number(&row["value"]) | 0xc0 << 56;
            data[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        tree = tree.bytes(&format!("kernel/block/sda/statistics_{code}"), &data);
    }
    tree = tree.bytes("kernel/block/sda/statistics_0", &list);
    Some(tree.only_disk().health.expect("told"))
}

fn log(code: u8, parameter: u16, value: &[u8]) -> Vec<u8> {
    let [high, low] = parameter.to_be_bytes();
    let length = u8::try_from(value.len()).expect("short");
    [&[code, 0, 0, length + 4, high, low, 3, length], value].concat()
}

fn scsi(sample: &Value) -> Health {
    let errors =
        |way: &str| number(&sample["scsi_error_counter_log"][way]["total_uncorrected_errors"]).to_be_bytes();
    let celsius = number(&sample["temperature"]["current"]).to_le_bytes()[0];
    let minutes =
        u32::try_from(number(&sample["power_on_time"]["hours"]) * 60).expect("centuries").to_be_bytes();
    let asc = if sample["smart_status"]["passed"] == true { 0 } else { 0x5d };
    let tree = Tree::default()
        .disk(SCSI)
        .bytes("kernel/block/sda/log_00", &[0, 0, 0, 5, 2, 3, 0x0d, 0x15, 0x2f])
        .bytes("kernel/block/sda/log_02", &log(2, 6, &errors("write")))
        .bytes("kernel/block/sda/log_03", &log(3, 6, &errors("read")))
        .bytes("kernel/block/sda/log_0d", &log(0x0d, 0, &[0, celsius]))
        .bytes("kernel/block/sda/log_15", &log(0x15, 0, &[&minutes[..], &[0; 4]].concat()))
        .bytes("kernel/block/sda/log_2f", &log(0x2f, 0, &[asc, 0, celsius]));
    tree.only_disk().health.expect("told")
}

#[test]
fn the_numbers_are_smartctl_s() {
    let Some(corpus) = corpus() else { return };
    let mut all = Vec::new();
    samples(&corpus, &mut all);
    let mut compared = 0;
    for (path, sample) in all.iter().filter(|(path, _)| !path.ends_with(EDITED)) {
        let (health, kind) = match sample["device"]["protocol"].as_str() {
            Some("NVMe") if sample["nvme_smart_health_information_log"].is_object() => {
                (nvme(&sample["nvme_smart_health_information_log"]), "nvme")
            }
            Some("ATA") => match ata(sample) {
                Some(health) => (health, "ata"),
                None => continue,
            },
            Some("SCSI") if sample["smart_status"]["passed"].is_boolean() => (scsi(sample), "scsi"),
            _ => continue,
        };
        compare(path, sample, &health, kind);
        compared += 1;
    }
    assert!(compared >= AT_LEAST, "{compared} of {}", all.len());
    eprintln!("{compared} of {} samples tell of health, and are read as smartctl reads them", all.len());
}

fn compare(path: &str, sample: &Value, health: &Health, kind: &str) {
    assert_eq!(health.passed, sample["smart_status"]["passed"].as_bool(), "{path}");
    let temperature =
        sample["temperature"]["current"].as_i64().map(|celsius| i32::try_from(celsius).expect("small"));
    assert_eq!(health.temperature, temperature, "{path}");
    if let Some(hours) = sample["power_on_time"]["hours"].as_u64() {
        assert_eq!(health.power_on_hours, Some(hours), "{path}");
    }
    if let Some(cycles) = sample["power_cycle_count"].as_u64() {
        assert_eq!(health.power_cycles, Some(cycles), "{path}");
    }
    if kind == "nvme" {
        let log = &sample["nvme_smart_health_information_log"];
        let units = number(&log["data_units_written"]);
        assert_eq!(health.written, Some(Bytes(units * 512_000)), "{path}");
        assert_eq!(health.unsafe_shutdowns, log["unsafe_shutdowns"].as_u64(), "{path}");
        assert_eq!(health.media_errors, log["media_errors"].as_u64(), "{path}");
    }
}
