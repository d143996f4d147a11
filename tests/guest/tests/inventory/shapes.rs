//! Every shape of machine that is booted, and what is in it.

use crate::hardware::Hardware;

/// A machine that QEMU can be.
pub(crate) struct Shape {
    /// Its folder in `hardware-fixtures/machines`.
    pub(crate) name: &'static str,
    /// The dump in the corpus that its SMBIOS tables were made of.
    pub(crate) board: Option<&'static str>,
    /// What is arranged in the guest.
    pub(crate) rows: &'static [&'static str],
    /// Its hardware.
    pub(crate) build: fn(&mut Hardware),
}

/// A real server's board and what QEMU puts on it.
const fn server(name: &'static str, board: &'static str, build: fn(&mut Hardware)) -> Shape {
    Shape { name, board: Some(board), rows: &[], build }
}

const fn plain(name: &'static str, rows: &'static [&'static str], build: fn(&mut Hardware)) -> Shape {
    Shape { name, board: None, rows, build }
}

/// The server that `make bench-inventory` reads: 64 threads, 24 disks. Emulated on two
/// cores it takes minutes to boot.
pub(crate) const LARGEST: &str = "rack-64t-24d";

/// What is booted every time; the others with `BILLET_ALL_SHAPES`.
pub(crate) const EVERY_TIME: [&str; 12] = [
    "dell-r630-megaraid",
    "supermicro-x9dbl-ahci",
    "beelink-eq12-usb",
    "vmware-pvscsi",
    "gigabyte-ma74-i440fx",
    "qemu-nvme-subsystem",
    "qemu-virtio-scsi",
    "qemu-multipath",
    "qemu-mirror-lvm",
    "qemu-bond-vlan",
    "qemu-ipmi-kcs",
    "qemu-uefi-secure-boot",
];

pub(crate) const SHAPES: &[Shape] = &[
    server("dell-r630-megaraid", "go-smbios/Dell-PowerEdge-R630-Dual-Xeon.dmi", |hardware| {
        hardware
            .processors(2, 2, 1)
            .qemu("-device megasas-gen2,id=raid")
            .disk("S0M1AAAA", 64, "", "scsi-hd,bus=raid.0,channel=0,scsi-id=0,wwn=0x5000c500a1000001,vendor=SEAGATE,product=ST600MM0006")
            .disk("S0M1AAAB", 96, "", "scsi-hd,bus=raid.0,channel=0,scsi-id=1,wwn=0x5000c500a1000002,vendor=SEAGATE,product=ST600MM0006")
            .nic("e1000e", "e1000e")
            .nic("e1000e", "e1000e");
    }),
    server("supermicro-x9dbl-ahci", "u-root-smbios/SuperMicro-X9DBL.bin", |hardware| {
        hardware
            .processors(2, 1, 2)
            .disk(
                "WD-WCC1AAAA",
                64,
                "sata",
                "ide-hd,bus=ide.0,wwn=0x50014ee2b1000001,model=WDC_WD1003FBYX,ver=1.02",
            )
            .disk("WD-WCC1AAAB", 64, "sata", "ide-hd,bus=ide.1,wwn=0x50014ee2b1000002,rotation_rate=7200")
            .disk(
                "PHDV1AAAC",
                64,
                "sata",
                "ide-hd,bus=ide.4,rotation_rate=1,logical_block_size=512,physical_block_size=4096",
            )
            .nic("e1000e", "e1000e")
            .nic("e1000", "e1000");
    }),
    server("supermicro-dual-xeon-nvme", "go-smbios/SuperMicro-Dual-Xeon.dmi", |hardware| {
        hardware
            .processors(2, 2, 2)
            .disk("NVMEAAAA", 64, "nvme", "nvme")
            .disk("NVMEAAAB", 64, "nvme", "nvme,logical_block_size=4096,physical_block_size=4096")
            .nic("vmxnet3", "vmxnet3");
    }),
    server("gigabyte-x399", "u-root-smbios/GigaByte-X399.bin", |hardware| {
        hardware.processors(1, 4, 2).disk("S4EWNX0AAAA", 64, "nvme", "nvme").nic("e1000e", "e1000e");
    }),
    server("beelink-eq12-usb", "go-smbios/Beelink-EQ12.dmi", |hardware| {
        hardware
            .processors(1, 4, 1)
            .qemu("-device qemu-xhci,id=usb -device usb-kbd,bus=usb.0")
            .disk("AZX1AAAA", 64, "nvme", "nvme")
            .disk("4C531AAAB", 32, "usb", "usb-storage,bus=usb.0,removable=on")
            .nic("e1000e", "e1000e")
            .nic("e1000e", "e1000e");
    }),
    server("hyper-v", "go-smbios/HyperV.dmi", |hardware| {
        hardware
            .processors(1, 2, 1)
            .disk("HV1AAAA", 64, "sata", "ide-hd,bus=ide.0")
            .nic("virtio-net-pci", "virtio_net");
    }),
    server("vmware-pvscsi", "u-root-smbios/VMWare.bin", |hardware| {
        hardware
            .qemu("-device pvscsi,id=scsi")
            .disk(
                "VM1AAAA",
                64,
                "",
                "scsi-hd,bus=scsi.0,scsi-id=0,wwn=0x5000c29a1b2c3d01,vendor=VMware,product=Virtual_disk",
            )
            .nic("vmxnet3", "vmxnet3");
    }),
    server("lenovo-t480", "u-root-smbios/Lenovo-ThinkPad-T480.bin", |hardware| {
        hardware.processors(1, 4, 2).disk("S35ENX1AAAA", 64, "nvme", "nvme").nic("e1000e", "e1000e");
    }),
    server("msi-ms-7816", "u-root-smbios/MSI-MS-7816.bin", |hardware| {
        hardware
            .processors(1, 2, 2)
            .disk("Z1D1AAAA", 64, "sata", "ide-hd,bus=ide.0,rotation_rate=7200")
            .nic("e1000", "e1000");
    }),
    server("gigabyte-ma74-i440fx", "u-root-smbios/Gigabyte-GA-MA74GMT-S2.bin", |hardware| {
        hardware
            .qemu("-machine pc")
            .disk("5QE1AAAA", 64, "ata", "ide-hd,bus=ide.0")
            .disk("5QE1AAAB", 64, "ata", "ide-hd,bus=ide.1")
            .nic("e1000", "e1000");
    }),
    server(LARGEST, "go-smbios/SuperMicro-Dual-Xeon.dmi", |hardware| {
        hardware
            .processors(2, 16, 2)
            .qemu("-m 2G -object memory-backend-ram,id=m0,size=1G -object memory-backend-ram,id=m1,size=1G")
            .qemu("-numa node,nodeid=0,cpus=0-31,memdev=m0 -numa node,nodeid=1,cpus=32-63,memdev=m1")
            .qemu("-device megasas-gen2,id=raid");
        for nth in 0..16 {
            let place = format!("bus=raid.0,channel=0,scsi-id={nth},wwn=0x5000c500e50000{nth:02x}");
            let disk = format!("scsi-hd,{place},vendor=SEAGATE,product=ST1200MM0088,rotation_rate=10500");
            hardware.disk(&format!("S401AA{nth:02}"), 64, "", &disk);
        }
        for nth in 0..6 {
            hardware.qemu(&format!("-device pcie-root-port,id=port{nth},chassis={nth},slot={nth}"));
            hardware.disk(&format!("PHLJ0AA{nth:02}"), 64, "nvme", &format!("nvme,bus=port{nth}"));
        }
        for nth in 0..2 {
            let place = format!("bus=ide.{nth},wwn=0x5002538e5000000{nth}");
            hardware.disk(&format!("S4NBAA{nth:02}"), 64, "sata", &format!("ide-hd,{place},rotation_rate=1"));
        }
        for _ in 0..4 {
            hardware.nic("e1000e", "e1000e");
        }
        hardware.memory_mib = 2048;
    }),
    plain("qemu-nvme-subsystem", &[], |hardware| {
        hardware
            .qemu("-device nvme-subsys,id=sub,nqn=subsystem-7f3a")
            .qemu("-device nvme,id=one,serial=NVMESUBA,subsys=sub -device nvme,id=two,serial=NVMESUBA,subsys=sub")
            .file("NSA", 64)
            .file("NSB", 32)
            .qemu("-device nvme-ns,drive=n-NSA,bus=one,nsid=1,shared=on,eui64=0x5254001122334455")
            .qemu("-device nvme-ns,drive=n-NSB,bus=two,nsid=3,shared=off,uuid=0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")
            .disk("NVMEPLAIN", 64, "nvme", "nvme")
            .nic("virtio-net-pci", "virtio_net");
    }),
    plain("qemu-virtio-scsi", &[], |hardware| {
        hardware
            .qemu("-device virtio-scsi-pci,id=scsi")
            .disk("VSCSIA", 64, "", "scsi-hd,bus=scsi.0,scsi-id=0,lun=0,wwn=0x5000c500b2000001")
            .disk("VSCSIB", 64, "", "scsi-hd,bus=scsi.0,scsi-id=3,lun=2,wwn=0x60014055")
            .disk(
                "VSCSIC",
                64,
                "",
                "scsi-hd,bus=scsi.0,scsi-id=4,logical_block_size=4096,physical_block_size=4096",
            )
            .disk("VBLKA", 64, "virtio", "virtio-blk-pci")
            .nic("virtio-net-pci", "virtio_net");
    }),
    plain("qemu-mptsas", &[], |hardware| {
        hardware
            .qemu("-device mptsas1068,id=sas")
            .disk("SASA", 64, "sas", "scsi-hd,bus=sas.0,scsi-id=0,wwn=0x5000c500c3000001")
            .disk("SASB", 64, "sas", "scsi-hd,bus=sas.0,scsi-id=1,wwn=0x5000c500c3000002")
            .nic("e1000e", "e1000e");
    }),
    plain("qemu-multipath", &["multipath"], |hardware| {
        hardware
            .qemu("-device virtio-scsi-pci,id=left -device virtio-scsi-pci,id=right")
            .disk("LOCAL", 64, "sata", "ide-hd,bus=ide.0")
            .file("SHARED", 64)
            .qemu(
                "-device scsi-hd,bus=left.0,drive=n-SHARED,serial=SHARED,wwn=0x5000c500d4000001,share-rw=on",
            )
            .qemu(
                "-device scsi-hd,bus=right.0,drive=n-SHARED,serial=SHARED,wwn=0x5000c500d4000001,share-rw=on",
            )
            .nic("virtio-net-pci", "virtio_net");
    }),
    plain("qemu-mirror-lvm", &["mirror"], |hardware| {
        hardware
            .disk("MIRRORA", 64, "sata", "ide-hd,bus=ide.0")
            .disk("MIRRORB", 64, "sata", "ide-hd,bus=ide.1")
            .nic("virtio-net-pci", "virtio_net");
    }),
    plain("qemu-volume", &["volume"], |hardware| {
        hardware.disk("VOLUMEA", 64, "sata", "ide-hd,bus=ide.0").nic("virtio-net-pci", "virtio_net");
    }),
    plain("qemu-bond-vlan", &["bond", "vlan"], |hardware| {
        hardware
            .disk("BONDDISK", 64, "virtio", "virtio-blk-pci")
            .nic("virtio-net-pci", "virtio_net")
            .nic("e1000e", "e1000e")
            .nic("e1000e", "e1000e");
    }),
    plain("qemu-numa-pmem", &["processor-off"], |hardware| {
        hardware
            .processors(2, 2, 1)
            .qemu("-machine q35,nvdimm=on -m 512M,slots=4,maxmem=4G")
            .qemu("-object memory-backend-ram,id=m0,size=256M -object memory-backend-ram,id=m1,size=256M")
            .qemu("-numa node,nodeid=0,cpus=0-1,memdev=m0 -numa node,nodeid=1,cpus=2-3,memdev=m1")
            .qemu("-object memory-backend-ram,id=nv0,size=256M -device nvdimm,id=dimm0,memdev=nv0,uuid=8e1f1a0c-1111-4222-8333-0123456789ab")
            .disk("NUMADISK", 64, "nvme", "nvme")
            .nic("virtio-net-pci", "virtio_net");
        hardware.memory_mib = 512;
    }),
    plain("qemu-ipmi-kcs", &[], |hardware| {
        hardware
            .qemu("-device ipmi-bmc-sim,id=bmc,mfg_id=674,product_id=256,fwrev1=2,fwrev2=133 -device isa-ipmi-kcs,bmc=bmc,ioport=0xca2")
            .qemu("-device i6300esb")
            .disk("IPMIDISK", 64, "virtio", "virtio-blk-pci")
            .nic("virtio-net-pci", "virtio_net");
    }),
    plain("qemu-uefi-secure-boot", &[], |hardware| {
        hardware
            .qemu("-machine q35,smm=on -global driver=cfi.pflash01,property=secure,value=on")
            .qemu(
                "-drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
            )
            .qemu("-drive if=pflash,format=raw,unit=1,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
            .disk("UEFIDISK", 64, "nvme", "nvme")
            .nic("virtio-net-pci", "virtio_net");
        hardware.memory_mib = 768;
    }),
];
