//! SMBIOS tables made here, field by field: what each means, and what is left of
//! one that is wrong.

use inventory::smbios::{Smbios, decode};
use model::{
    Bytes,
    inventory::{Board, Chassis, Firmware, MemoryModule, OnboardDevice, Slot, Socket, SystemVendor},
};

/// A structure: its type, its fields from offset 4 on, its texts.
#[derive(Clone)]
struct Structure {
    kind: u8,
    handle: u16,
    fields: Vec<u8>,
    texts: Vec<&'static str>,
}

impl Structure {
    fn new(kind: u8, length: usize) -> Self {
        Self { kind, handle: 0x1000 + u16::from(kind), fields: vec![0; length - 4], texts: Vec::new() }
    }

    fn handle(mut self, handle: u16) -> Self {
        self.handle = handle;
        self
    }

    fn bytes(mut self, at: usize, bytes: &[u8]) -> Self {
        self.fields[at - 4..at - 4 + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn byte(self, at: usize, value: u8) -> Self {
        self.bytes(at, &[value])
    }

    fn word(self, at: usize, value: u16) -> Self {
        self.bytes(at, &value.to_le_bytes())
    }

    fn double(self, at: usize, value: u32) -> Self {
        self.bytes(at, &value.to_le_bytes())
    }

    fn text(mut self, at: usize, text: &'static str) -> Self {
        self.texts.push(text);
        let number = u8::try_from(self.texts.len()).expect("few texts");
        self.byte(at, number)
    }

    fn built(&self) -> Vec<u8> {
        let length = u8::try_from(self.fields.len() + 4).expect("short");
        let mut built = vec![self.kind, length];
        built.extend(self.handle.to_le_bytes());
        built.extend(&self.fields);
        for text in &self.texts {
            built.extend(text.as_bytes());
            built.push(0);
        }
        built.extend(if self.texts.is_empty() { &[0, 0][..] } else { &[0] });
        built
    }
}

const END: [u8; 6] = [127, 4, 0xff, 0xfe, 0, 0];

/// Entry point of SMBIOS 3.4.
const ENTRY_POINT: [u8; 24] =
    [b'_', b'S', b'M', b'3', b'_', 0, 24, 3, 4, 0, 1, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn table(structures: &[Structure]) -> Vec<u8> {
    let mut table: Vec<u8> = structures.iter().flat_map(Structure::built).collect();
    table.extend(END);
    table
}

fn decoded(structures: &[Structure]) -> Smbios {
    decode(&table(structures), &ENTRY_POINT)
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn dimm(size: u16) -> Structure {
    Structure::new(17, 0x5c).word(0x04, 0x1010).word(0x0c, size).text(0x10, "DIMM_A1")
}

#[test]
fn the_maker_and_the_firmware_are_told() {
    let firmware = Structure::new(0, 0x1a)
        .text(0x04, "Dell Inc.")
        .text(0x05, "2.19.1")
        .text(0x08, "06/04/2023")
        .byte(0x09, 0xff)
        .bytes(0x14, &[2, 19, 255, 255])
        .word(0x18, 32);
    let uuid: Vec<u8> = (0..16).collect();
    let system = Structure::new(1, 0x1b)
        .text(0x04, "  Dell Inc. ")
        .text(0x05, "PowerEdge R640")
        .text(0x06, "Not Specified")
        .text(0x07, "7XK2P3Z")
        .bytes(0x08, &uuid)
        .byte(0x18, 6)
        .text(0x19, "SKU=0716")
        .text(0x1a, "PowerEdge");
    let smbios = decoded(&[firmware, system]);
    assert_eq!(smbios.flaws, Vec::<String>::new());
    assert_eq!(smbios.hardware.smbios.as_deref(), Some("3.4"));
    let expected = Firmware {
        vendor: text("Dell Inc."),
        version: text("2.19.1"),
        build_date: text("06/04/2023"),
        release: text("2.19"),
        controller_release: None,
        rom_size: Some(Bytes(32 << 20)),
    };
    assert_eq!(smbios.firmware, Some(expected));
    let expected = SystemVendor {
        manufacturer: text("Dell Inc."),
        product_name: text("PowerEdge R640"),
        serial_number: text("7XK2P3Z"),
        version: None,
        sku: text("SKU=0716"),
        family: text("PowerEdge"),
        uuid: text("03020100-0504-0706-0809-0a0b0c0d0e0f"),
        wake_up: text("Power Switch"),
        firmware: Firmware::default(),
    };
    assert_eq!(smbios.system, Some(expected));
}

#[test]
fn boards_and_enclosures_are_told_the_motherboard_first() {
    let blade = Structure::new(2, 0x0f).text(0x05, "Riser").byte(0x0d, 9);
    let mother = Structure::new(2, 0x0f)
        .text(0x04, "Dell Inc.")
        .text(0x05, "0H21J3")
        .text(0x06, "A09")
        .text(0x07, ".7XK2P3Z.CNFCP")
        .text(0x08, "rack 7")
        .text(0x0a, "Slot 02")
        .byte(0x0d, 10);
    // Two elements of three bytes before the SKU.
    let chassis = Structure::new(3, 0x1c)
        .text(0x04, "Dell Inc.")
        .byte(0x05, 0x97)
        .text(0x07, "7XK2P3Z")
        .text(0x08, "asset-4711")
        .byte(0x11, 1)
        .bytes(0x13, &[2, 3])
        .text(0x1b, "SKU-1");
    let hardware = decoded(&[blade, mother, chassis]).hardware;
    assert_eq!(hardware.boards.len(), 2);
    let expected = Board {
        manufacturer: text("Dell Inc."),
        product_name: text("0H21J3"),
        version: text("A09"),
        serial_number: text(".7XK2P3Z.CNFCP"),
        asset_tag: text("rack 7"),
        location: text("Slot 02"),
        kind: text("Motherboard"),
    };
    assert_eq!(hardware.boards[0], expected);
    assert_eq!(hardware.boards[1].kind.as_deref(), Some("Daughter Board"));
    let expected = Chassis {
        manufacturer: text("Dell Inc."),
        kind: text("Rack Mount Chassis"),
        version: None,
        serial_number: text("7XK2P3Z"),
        asset_tag: text("asset-4711"),
        sku: text("SKU-1"),
        height: Some(1),
    };
    assert_eq!(hardware.chassis, [expected]);
}

#[test]
fn sockets_are_told_the_empty_ones_too() {
    let full = Structure::new(4, 0x30)
        .text(0x04, "CPU1")
        .byte(0x05, 3)
        .text(0x07, "AMD")
        .text(0x10, "AMD EPYC 9965 192-Core Processor")
        .word(0x14, 4500)
        .word(0x16, 2250)
        .byte(0x18, 0x41)
        .text(0x20, "Unknown")
        .text(0x22, "100-000000976")
        .bytes(0x23, &[192, 192, 255])
        .word(0x2e, 384);
    let empty = Structure::new(4, 0x30).text(0x04, "CPU2").byte(0x05, 3);
    let failed = Structure::new(4, 0x30).text(0x04, "CPU3").byte(0x05, 3).byte(0x18, 0x43);
    let signal_processor = Structure::new(4, 0x30).byte(0x05, 5);
    let sockets = decoded(&[full, empty, failed, signal_processor]).hardware.sockets;
    let expected = Socket {
        designation: text("CPU1"),
        populated: true,
        enabled: Some(true),
        manufacturer: text("AMD"),
        version: text("AMD EPYC 9965 192-Core Processor"),
        serial_number: None,
        part_number: text("100-000000976"),
        asset_tag: None,
        maximum_speed: Some(4500),
        current_speed: Some(2250),
        cores: Some(192),
        enabled_cores: Some(192),
        threads: Some(384),
    };
    assert_eq!(sockets[0], expected);
    assert_eq!((sockets.len(), sockets[1].populated, sockets[1].enabled), (3, false, None));
    assert_eq!(
        (sockets[2].populated, sockets[2].enabled),
        (true, Some(false)),
        "switched off by the firmware"
    );
}

#[test]
fn slots_and_onboard_devices_are_told_with_their_addresses() {
    let used = Structure::new(9, 0x11)
        .text(0x04, "PCIe Slot 3")
        .bytes(0x05, &[0xbd, 0x0b, 4])
        .bytes(0x0d, &[0, 0, 0x3b, 0]);
    let empty = Structure::new(9, 0x11)
        .text(0x04, "PCIe Slot 1")
        .bytes(0x05, &[0xb6, 0x0d, 3])
        .bytes(0x0d, &[0xff; 4]);
    let old = Structure::new(9, 0x0d).text(0x04, "PCI1").bytes(0x05, &[6, 5, 2]);
    let nic =
        Structure::new(41, 0x0b).text(0x04, "Integrated NIC 1").bytes(0x05, &[0x85, 1, 1, 0, 0x18, 0x0a]);
    let off = Structure::new(41, 0x0b).text(0x04, "Video").bytes(0x05, &[0x03, 1]);
    let hardware = decoded(&[used, empty, old, nic, off, Structure::new(38, 0x12).byte(0x04, 1)]).hardware;
    let slot = |designation, kind, lanes, in_use, address: Option<&str>| Slot {
        designation: text(designation),
        kind: text(kind),
        lanes,
        in_use,
        pci_address: address.map(str::to_owned),
    };
    assert_eq!(
        hardware.slots,
        [
            slot("PCIe Slot 3", "PCI Express 4 x16", Some(8), Some(true), Some("0000:3b:00.0")),
            slot("PCIe Slot 1", "PCI Express 3 x16", Some(16), Some(false), None),
            slot("PCI1", "PCI", None, None, None),
        ]
    );
    let expected = OnboardDevice {
        designation: text("Integrated NIC 1"),
        kind: text("Ethernet"),
        instance: Some(1),
        enabled: true,
        pci_address: text("0001:18:01.2"),
    };
    assert_eq!(hardware.onboard[0], expected);
    assert_eq!((hardware.onboard[1].enabled, &hardware.onboard[1].pci_address), (false, &None));
    assert_eq!(hardware.ipmi.as_deref(), Some("KCS"));
}

#[test]
fn a_module_tells_all_it_knows() {
    let array = Structure::new(16, 0x17)
        .bytes(0x04, &[3, 3, 6])
        .double(0x07, 1 << 31)
        .bytes(0x0f, &(6_u64 << 40).to_le_bytes());
    let module = dimm(0x7fff)
        .word(0x08, 80)
        .word(0x0a, 64)
        .byte(0x0e, 9)
        .text(0x11, "NODE 1")
        .byte(0x12, 0x22)
        .word(0x15, 0xffff)
        .text(0x17, "Samsung")
        .text(0x18, "80CE0123")
        .text(0x19, "Dimm0_AssetTag")
        .text(0x1a, "M321R8GA0BB0-CQKZJ")
        .byte(0x1b, 2)
        .double(0x1c, 64 << 10)
        .word(0x20, 4800)
        .byte(0x28, 3)
        .bytes(0x34, &(1_u64 << 30).to_le_bytes())
        .double(0x54, 70_000);
    let memory = decoded(&[array, module, dimm(0)]).memory;
    assert_eq!(
        (memory.physical, memory.slots, memory.maximum),
        (Some(Bytes(64 << 30)), Some(2), Some(Bytes(6 << 40)))
    );
    assert_eq!(memory.error_correction.as_deref(), Some("Multi-bit ECC"));
    let expected = MemoryModule {
        locator: text("DIMM_A1"),
        bank: text("NODE 1"),
        size: Some(Bytes(64 << 30)),
        kind: text("DDR5"),
        form_factor: text("DIMM"),
        speed: Some(70_000),
        configured_speed: Some(4800),
        ecc: Some(true),
        total_width: Some(80),
        data_width: Some(64),
        ranks: Some(2),
        manufacturer: text("Samsung"),
        part_number: text("M321R8GA0BB0-CQKZJ"),
        serial_number: text("80CE0123"),
        asset_tag: None,
        technology: text("DRAM"),
        persistent: Some(Bytes(1 << 30)),
    };
    assert_eq!(memory.modules, [expected]);
}

#[test]
fn sizes_are_added_and_a_sum_with_an_unknown_one_is_unknown() {
    let flash = dimm(16).word(0x04, 0x2000);
    let of_flash = Structure::new(16, 0x17).bytes(0x04, &[3, 5, 3]).handle(0x2000);
    let array = Structure::new(16, 0x17).bytes(0x04, &[3, 3, 3]);
    let old = Structure { fields: dimm(2048).fields[..0x11].to_vec(), ..dimm(2048) };
    for (structures, sum, modules, flaws) in [
        (vec![dimm(0x8200), dimm(16 << 10), dimm(0), old], Some(Bytes((512 << 10) + (18 << 30))), 3, 0),
        (vec![dimm(1), array.clone(), of_flash, flash], Some(Bytes(1 << 20)), 1, 0),
        // VMware's modules name an array that is not there.
        (vec![array.clone(), dimm(1).word(0x04, 0x25)], Some(Bytes(1 << 20)), 1, 0),
        (vec![array.clone(), dimm(1), dimm(0xffff)], None, 2, 1),
        (vec![array.clone(), dimm(0x7fff)], None, 1, 1),
        (vec![array, dimm(0)], None, 0, 0),
        (vec![], None, 0, 0),
    ] {
        let smbios = decoded(&structures);
        let found = (smbios.memory.physical, smbios.memory.modules.len(), smbios.flaws.len());
        assert_eq!(found, (sum, modules, flaws), "{smbios:?}");
    }
}

#[test]
fn what_one_of_several_does_not_say_is_not_made_up() {
    let array = |kibibytes: u32| Structure::new(16, 0x17).bytes(0x04, &[3, 3, 3]).double(0x07, kibibytes);
    let maximum = |arrays: &[Structure]| decoded(arrays).memory.maximum;
    assert_eq!(maximum(&[array(1 << 20), array(1 << 20)]), Some(Bytes(2 << 30)));
    assert_eq!(maximum(&[array(1 << 20), array(0)]), None);
    // Neither an empty socket nor a device that is switched off: it is cut before it tells.
    let cut = decoded(&[Structure::new(4, 0x18).byte(0x05, 3), Structure::new(41, 5)]);
    assert_eq!((cut.hardware.sockets.len(), cut.hardware.onboard.len()), (0, 0));
}

#[test]
fn the_first_way_to_the_controller_that_has_a_name_counts() {
    let way = |kind: u8| Structure::new(38, 0x10).byte(0x04, kind);
    assert_eq!(decoded(&[way(0), way(1), way(4), way(0)]).hardware.ipmi.as_deref(), Some("KCS"));
}

#[test]
fn widths_tell_of_error_correction_only_where_they_can() {
    for (total, data, ecc) in [
        (72, 64, Some(true)),
        (64, 64, Some(false)),
        (8, 64, None),
        (0, 64, None),
        (0xffff, 64, None),
        (72, 0xffff, None),
    ] {
        let module = dimm(1024).word(0x08, total).word(0x0a, data);
        assert_eq!(decoded(&[module]).memory.modules[0].ecc, ecc, "{total} of {data}");
    }
}

#[test]
fn the_first_of_two_systems_counts() {
    let system = |name| Structure::new(1, 0x1b).text(0x05, name);
    let smbios = decoded(&[system("first"), system("second")]);
    assert_eq!(smbios.system.expect("a system").product_name.as_deref(), Some("first"));
}

/// Also in the order of 2.4, where a UUID's first byte is written first.
#[test]
fn the_version_is_read_from_every_kind_of_entry_point() {
    let system = Structure::new(1, 0x1b).bytes(0x08, &[0x12; 15]).byte(0x08, 0x34);
    let table = table(&[system]);
    let old = |minor| [b"_SM_\0\x1f\x02".as_slice(), &[minor], &[0; 23]].concat();
    for (entry_point, version, start) in [
        (ENTRY_POINT.to_vec(), Some("3.4"), "12121234"),
        (old(8), Some("2.8"), "12121234"),
        (old(4), Some("2.4"), "34121212"),
        (old(0x1f), Some("2.3"), "34121212"),
        (old(0x33), Some("2.6"), "12121234"),
        (b"_DMI_\0\0\0\0\0\0\0\0\0\x25".to_vec(), Some("2.5"), "34121212"),
        (b"_SM_".to_vec(), None, "12121234"),
        (b"nothing".to_vec(), None, "12121234"),
        (Vec::new(), None, "12121234"),
    ] {
        let smbios = decode(&table, &entry_point);
        assert_eq!(smbios.hardware.smbios.as_deref(), version, "{entry_point:?}");
        let uuid = smbios.system.expect("a system").uuid.expect("a UUID");
        assert!(uuid.starts_with(start), "{uuid}, {entry_point:?}");
    }
}

#[test]
fn a_text_is_safe_to_print() {
    let cases: [(&'static str, Option<&str>); 6] = [
        ("\x1b[31mred\x07", Some(".[31mred.")),
        ("line\nline", Some("line.line")),
        ("\u{1b}\u{1b}\u{1b}\u{1b}", None),
        (" \t ", None),
        ("Ünïcödé", Some("Ünïcödé")),
        ("北京", Some("北京")),
    ];
    for (said, read) in cases {
        let smbios = decoded(&[Structure::new(1, 0x1b).text(0x05, said)]);
        assert_eq!(smbios.system.expect("a system").product_name.as_deref(), read, "{said:?}");
    }
    let mut bytes = table(&[Structure::new(1, 0x1b).text(0x05, "ab?cd")]);
    let at = bytes.iter().position(|byte| *byte == b'?').expect("there");
    bytes[at] = 0xff;
    assert_eq!(decode(&bytes, b"").system.expect("a system").product_name.as_deref(), Some("ab.cd"));
    let long: &'static str = "long".repeat(20_000).leak();
    let smbios = decoded(&[Structure::new(1, 0x1b).text(0x05, long)]);
    assert_eq!(smbios.system.expect("a system").product_name.map(|name| name.len()), Some(256));
}

#[test]
fn what_is_wrong_with_a_table_is_told_and_the_rest_is_read() {
    let system = Structure::new(1, 0x1b).text(0x05, "R640").built();
    let board = Structure::new(2, 0x0f).text(0x05, "0H21J3").built();
    let bad_number = Structure::new(2, 0x0f).byte(0x05, 9).built();
    let too_short = [2, 3, 0, 0, 0, 0];
    let endless = [2, 8, 0, 0, 1, 1, 1, 1, b'A', b'B', b'C', 0];
    let longer_than_the_table = [2, 200, 0, 0, 1, 0, 0];
    for (rest, boards, flaw) in [
        (vec![], 0, ""),
        (END.to_vec(), 0, ""),
        (board.clone(), 1, ""),
        ([&END, board.as_slice()].concat(), 0, ""), // nothing is behind the end
        ([board.as_slice(), &too_short].concat(), 1, "structure 3 is 3 bytes long"),
        ([board.as_slice(), &endless].concat(), 1, "ends within structure 3, of type 2"),
        ([board.as_slice(), &longer_than_the_table].concat(), 1, "ends within structure 3, of type 2"),
        ([board.as_slice(), &[2]].concat(), 1, "ends within structure 3, of type 2"),
        ([board.as_slice(), &[0; 64]].concat(), 1, "structure 3 is 0 bytes long"),
        ([bad_number.as_slice(), &END].concat(), 1, "numbers 1 texts that are not there"),
        (board[..board.len() - 1].to_vec(), 0, "ends within structure 2, of type 2"),
    ] {
        let smbios = decode(&[system.as_slice(), &rest].concat(), b"");
        assert_eq!(smbios.system.expect("a system").product_name.as_deref(), Some("R640"));
        assert_eq!(smbios.hardware.boards.len(), boards, "{rest:?}");
        assert_eq!(smbios.flaws.len(), usize::from(!flaw.is_empty()), "{rest:?}: {:?}", smbios.flaws);
        assert!(smbios.flaws.iter().all(|told| told.contains(flaw)), "{:?}, want {flaw}", smbios.flaws);
    }
}

#[test]
fn more_structures_than_anybody_has_are_not_read() {
    let smbios = decode(&Structure::new(9, 0x11).built().repeat(5000), b"");
    assert_eq!(smbios.hardware.slots.len(), inventory::limits::SMBIOS_STRUCTURES);
    assert!(smbios.flaws[0].contains("more than 4096 structures"), "{:?}", smbios.flaws);
}

/// Fields that a structure is too short for are absent, whatever lies behind it.
#[test]
fn a_short_structure_has_fewer_fields() {
    for kind in [0, 1, 2, 3, 4, 9, 16, 17, 38, 41] {
        for length in 4..0x5c {
            let structure = Structure::new(kind, length).built();
            let smbios = decode(&[structure.as_slice(), &[0xff; 0x60], &[0, 0]].concat(), b"");
            let shown = format!("{smbios:?}");
            assert!(!shown.contains("..."), "type {kind}, {length} bytes: {shown}");
        }
    }
}
