//! Vendors and classes that are common in servers, in words: a page of text, not
//! the megabyte of `pci.ids`. What is not here has its number.

/// Vendor number, four hex digits, and a short name.
const VENDORS: &str = "\
1000 Broadcom (LSI)
1002 AMD
1013 Cirrus Logic
1014 IBM
1022 AMD
1028 Dell
102b Matrox
103c HP
1077 QLogic
10b5 PLX
10de NVIDIA
10df Emulex
10ec Realtek
10ee AMD (Xilinx)
1137 Cisco
117c ATTO
1179 Toshiba
11ab Marvell
11f8 Microchip (PMC)
1344 Micron
1414 Microsoft
1425 Chelsio
144d Samsung
14e4 Broadcom
1590 HPE
15ad VMware
15b3 NVIDIA (Mellanox)
15b7 SanDisk
15d9 Supermicro
177d Marvell (Cavium)
17aa Lenovo
17cb Qualcomm
17d3 Areca
18f4 Napatech
1924 AMD (Solarflare)
193d H3C
19a2 Emulex
19e5 Huawei
1a03 ASPEED
1ae0 Google
1af4 Red Hat (virtio)
1b21 ASMedia
1b36 Red Hat (QEMU)
1b4b Marvell
1b96 Western Digital
1bb1 Seagate
1bcf NEC
1c36 Amazon (Annapurna)
1c58 HGST
1c5c SK hynix
1c5f Memblaze
1cc1 ADATA
1d0f Amazon
1d17 Zhaoxin
1d49 Lenovo
1d6a Aquantia
1d78 DERA
1d94 Hygon
1d9b Meta
1da3 Intel (Habana)
1dd8 AMD (Pensando)
1ded Alibaba
1e0f Kioxia
1e36 Enflame
1e3b DapuStor
1e49 YMTC
1e95 SSSTC
1ed5 Moore Threads
8086 Intel
8088 Wangxun
9005 Microchip (Adaptec)
";

/// Class and subclass, or a class alone for the rest of it, and a short name.
const CLASSES: &str = "\
0100 SCSI controller
0101 IDE controller
0104 RAID controller
0106 SATA controller
0107 SAS controller
0108 NVMe controller
01 storage controller
0200 Ethernet controller
0207 InfiniBand controller
02 network controller
0300 VGA controller
0302 3D controller
03 display controller
04 multimedia controller
0502 CXL memory
05 memory controller
0600 host bridge
0601 ISA bridge
0604 PCI bridge
0680 bridge
06 bridge
0700 serial port
07 communication controller
0806 IOMMU
08 system device
09 input device
0b40 co-processor
0b processor
0c03 USB controller
0c05 SMBus
0c07 IPMI interface
0c serial bus
0d wireless controller
10 encryption controller
11 signal processor
12 processing accelerator
13 instrumentation
";

/// The vendor `0x8086` in words.
pub(super) fn vendor(vendor: &str) -> Option<&'static str> {
    named(VENDORS, digits(vendor)?.get(..4)?)
}

/// The class `0x020000` in words: its subclass, or else its class.
pub(super) fn class(class: &str) -> Option<&'static str> {
    let digits = digits(class)?;
    named(CLASSES, digits.get(..4)?).or_else(|| named(CLASSES, digits.get(..2)?))
}

fn digits(number: &str) -> Option<&str> {
    number.strip_prefix("0x")
}

fn named(table: &'static str, number: &str) -> Option<&'static str> {
    let lines = table.lines().filter_map(|line| line.split_once(' '));
    lines.into_iter().find(|(known, _)| *known == number).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_numbers_have_names_and_others_none() {
        for (number, name) in [
            ("0x8086", Some("Intel")),
            ("0x15b3", Some("NVIDIA (Mellanox)")),
            ("0xffff", None),
            ("8086", None),
            ("0x80", None),
            ("0xé", None),
        ] {
            assert_eq!(vendor(number), name, "{number}");
        }
        for (number, name) in [
            ("0x010802", Some("NVMe controller")),
            ("0x018000", Some("storage controller")),
            ("0x120000", Some("processing accelerator")),
            ("0xff0000", None),
            ("0x01", Some("storage controller")),
            ("", None),
        ] {
            assert_eq!(class(number), name.filter(|_| number.len() > 4), "{number}");
        }
    }

    #[test]
    fn the_tables_are_small_and_every_line_is_a_number_and_a_name() {
        assert!(VENDORS.len() + CLASSES.len() < 4096);
        for line in VENDORS.lines().chain(CLASSES.lines()) {
            let (number, name) = line.split_once(' ').expect(line);
            assert!([2, 4].contains(&number.len()) && !name.is_empty(), "{line}");
            assert!(number.bytes().all(|digit| b"0123456789abcdef".contains(&digit)), "{line}");
        }
    }
}
