//! SATA and SAS drives that erase themselves, and those that fail to, through the
//! kernel's own disk driver. The rows look at the drives' own memory for the secret.

use guest::machine::Machine;

use crate::BOOT;

#[test]
fn sas_drives_erase_themselves_or_are_not_clean() {
    let rows = [
        "sas-sanitize",
        "sas-sanitize-fails-once",
        "sas-sanitize-fails",
        "sas-lies",
        "sas-stalls",
        "sas-found-sanitizing",
        "sas-found-failed",
        "sas-power-cut",
        "sas-refuses",
        "sas-unreadable",
        "sas-unwritable",
    ];
    let _ = Machine::new().run(&BOOT, &rows);
}

#[test]
fn sata_drives_erase_themselves_or_are_not_clean() {
    let rows = [
        "sata-sanitize",
        "sata-sanitize-fails-once",
        "sata-sanitize-fails",
        "sata-lies",
        "sata-stalls",
        "sata-found-sanitizing",
        "sata-found-failed",
        "sata-security",
        "sata-security-normal",
        "sata-security-fails",
        "sata-security-lies",
        "sata-power-cut",
        "sata-frozen",
        "sata-hidden",
        "sata-hidden-by-address",
        "sata-locked",
        "sata-locked-for-good",
    ];
    let _ = Machine::new().run(&BOOT, &rows);
}
