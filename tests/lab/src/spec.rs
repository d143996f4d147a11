//! What a virtual server is made of, and the QEMU command line that is it.

use std::path::{Path, PathBuf};

use model::{Bytes, Mac};

/// The firmware a server boots with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF; its variables persist in a file of the server's own.
    Uefi,
}

impl Firmware {
    /// `bios` or `uefi`: Ironic's word, and the report's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Firmware::Bios => "bios",
            Firmware::Uefi => "uefi",
        }
    }
}

/// How a disk is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// An NVMe controller with one namespace.
    Nvme,
    /// virtio-blk.
    Virtio,
    /// SATA on q35's own AHCI controller.
    Sata,
    /// A SCSI disk behind virtio-scsi.
    Scsi,
}

/// One disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// How it is attached.
    pub attachment: Attachment,
    /// Its capacity. Ironic's default root device rule wants 4 GiB at least.
    pub size: Bytes,
    /// Its serial number, at most 20 characters (virtio-blk's limit, the smallest).
    pub serial: String,
}

/// One server.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name: of the node, the files and the Redfish system.
    pub name: String,
    /// Its place in the lab, 0 to 99: decides MAC addresses, tap names and the BMC's port.
    pub place: u8,
    /// BIOS or UEFI.
    pub firmware: Firmware,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Disks, in boot order.
    pub disks: Vec<Disk>,
}

impl Spec {
    /// A server with 512 MiB and no disk yet.
    #[must_use]
    pub fn new(name: &str, place: u8, firmware: Firmware) -> Self {
        Spec { name: name.to_owned(), place, firmware, memory_mib: 512, disks: Vec::new() }
    }

    /// Give it `memory_mib` MiB of memory.
    #[must_use]
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// Attach one more disk.
    #[must_use]
    pub fn disk(mut self, attachment: Attachment, size: Bytes) -> Self {
        let serial = format!("BILLET{:02}D{}", self.place, self.disks.len());
        self.disks.push(Disk { attachment, size, serial });
        self
    }

    /// The addresses of its two NICs: virtio-net, which boots, then e1000.
    #[must_use]
    pub fn macs(&self) -> [Mac; 2] {
        [1, 2].map(|nic| Mac([0x52, 0x54, 0, 0xb1, self.place, nic]))
    }

    /// The names of its two taps.
    #[must_use]
    pub fn taps(&self) -> [String; 2] {
        [1, 2].map(|nic| format!("tap{}n{nic}", self.place))
    }

    /// Its SMBIOS system UUID, which is its Redfish system id too.
    #[must_use]
    pub fn uuid(&self) -> String {
        format!("4c4c4544-0042-4910-8031-b1c04f{:06x}", self.place)
    }

    /// Its service tag.
    #[must_use]
    pub fn serial(&self) -> String {
        format!("BLT{:04}", self.place)
    }
}

/// Where the first boot attempt goes; the other kind of device follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootFirst {
    /// The first NIC.
    Network,
    /// The first disk.
    Disk,
}

/// A server's files.
#[derive(Clone, Debug)]
pub struct Files {
    /// One raw sparse file a disk.
    pub disks: Vec<PathBuf>,
    /// OVMF's variables.
    pub vars: PathBuf,
    /// QEMU's control socket; a UNIX socket's path has 107 bytes at most.
    pub qmp: PathBuf,
    /// Another one, for events: QEMU serves one client a socket.
    pub events: PathBuf,
}

/// OVMF's code, read-only and shared (Debian's package `ovmf`).
pub const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// OVMF's empty variables, copied for each server.
pub const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// The arguments of `qemu-system-x86_64` for one boot of `spec`.
///
/// A guest's reset ends QEMU (`-no-reboot`), because a one-time boot override holds for exactly one
/// boot and QEMU takes its boot order at start only; the BMC starts it again.
#[must_use]
pub fn qemu_arguments(spec: &Spec, files: &Files, first: BootFirst) -> Vec<String> {
    let mut line = Arguments(Vec::new());
    line.add("-name", &spec.name);
    line.flag("-nodefaults");
    line.flag("-no-user-config");
    line.flag("-no-reboot");
    // Without graphics SeaBIOS and iPXE speak on the serial line.
    line.add("-machine", "q35,accel=tcg,graphics=off");
    line.add("-cpu", "max,la57=off");
    line.add("-m", &spec.memory_mib.to_string());
    line.add("-display", "none");
    line.add("-vga", "none");
    line.add("-chardev", "stdio,id=serial0,signal=off");
    line.add("-serial", "chardev:serial0");
    for socket in [&files.qmp, &files.events] {
        line.add("-qmp", &format!("unix:{},server=on,wait=off", socket.display()));
    }
    identity(&mut line, spec);
    firmware(&mut line, spec, files);
    disks(&mut line, spec, &files.disks, first);
    nics(&mut line, spec, first);
    line.0
}

struct Arguments(Vec<String>);

impl Arguments {
    fn flag(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    fn add(&mut self, name: &str, value: &str) {
        self.0.push(name.to_owned());
        self.0.push(value.to_owned());
    }
}

/// SMBIOS of a Dell PowerEdge R630, so that inventory reads what a real server says.
fn identity(line: &mut Arguments, spec: &Spec) {
    let (uuid, serial) = (spec.uuid(), spec.serial());
    line.add("-uuid", &uuid);
    line.add("-smbios", "type=0,vendor=Dell Inc.,version=2.13.0,date=05/14/2021,release=2.13");
    line.add(
        "-smbios",
        &format!(
            "type=1,manufacturer=Dell Inc.,product=PowerEdge R630,version=Not Specified,serial={serial},\
             uuid={uuid},sku=SKU=NotProvided;ModelName=PowerEdge R630"
        ),
    );
    line.add(
        "-smbios",
        &format!("type=2,manufacturer=Dell Inc.,product=0CNCJW,version=A05,serial=.{serial}.CN7475"),
    );
    line.add("-smbios", &format!("type=3,manufacturer=Dell Inc.,version=Not Specified,serial={serial}"));
}

fn firmware(line: &mut Arguments, spec: &Spec, files: &Files) {
    match spec.firmware {
        Firmware::Bios => line.add("-boot", "strict=on"),
        Firmware::Uefi => {
            line.add("-drive", &format!("if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}"));
            line.add("-drive", &format!("if=pflash,format=raw,unit=1,file={}", files.vars.display()));
        }
    }
}

/// Disks ignore discards (QEMU's default) and write zeros when told to write zeros: an erase that
/// trusts a trim leaves every byte here, and is caught.
fn disks(line: &mut Arguments, spec: &Spec, paths: &[PathBuf], first: BootFirst) {
    if spec.disks.iter().any(|disk| disk.attachment == Attachment::Scsi) {
        line.add("-device", "virtio-scsi-pci,id=scsi0");
    }
    let boots_from = match first {
        BootFirst::Network => 2,
        BootFirst::Disk => 1,
    };
    let mut sata_port = 0;
    for (index, (disk, path)) in spec.disks.iter().zip(paths).enumerate() {
        line.add("-blockdev", &blockdev(index, path));
        let serial = &disk.serial;
        let wwn = format!("0x5000c500b1{:02x}{index:04x}", spec.place);
        let device = match disk.attachment {
            Attachment::Nvme => format!("nvme,serial={serial}"),
            Attachment::Virtio => format!("virtio-blk-pci,serial={serial}"),
            Attachment::Scsi => format!("scsi-hd,bus=scsi0.0,serial={serial},wwn={wwn}"),
            Attachment::Sata => {
                sata_port += 1;
                format!("ide-hd,bus=ide.{},serial={serial},wwn={wwn}", sata_port - 1)
            }
        };
        let boot = if index == 0 { format!(",bootindex={boots_from}") } else { String::new() };
        line.add("-device", &format!("{device},drive=disk{index}{boot}"));
    }
}

/// `cache.no-flush`: the disks are thrown away with the lab; a host crash may lose them.
fn blockdev(index: usize, path: &Path) -> String {
    format!(
        "driver=raw,node-name=disk{index},file.driver=file,file.filename={},cache.no-flush=on,file.cache.no-flush=on",
        path.display()
    )
}

/// The first NIC boots with iPXE from its option ROM; the second has no ROM.
fn nics(line: &mut Arguments, spec: &Spec, first: BootFirst) {
    let boots_from = match first {
        BootFirst::Network => 1,
        BootFirst::Disk => 2,
    };
    let models = [format!("virtio-net-pci,bootindex={boots_from}"), "e1000,romfile=".to_owned()];
    for (index, ((tap, mac), model)) in spec.taps().into_iter().zip(spec.macs()).zip(models).enumerate() {
        line.add("-netdev", &format!("tap,id=net{index},ifname={tap},script=no,downscript=no"));
        line.add("-device", &format!("{model},netdev=net{index},mac={mac}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(firmware: Firmware, attachment: Attachment, first: BootFirst) -> String {
        let spec = Spec::new("node", 3, firmware).disk(attachment, Bytes(4 << 30));
        let files =
            Files { disks: vec!["d0".into()], vars: "vars".into(), qmp: "qmp".into(), events: "e".into() };
        qemu_arguments(&spec, &files, first).join(" ")
    }

    #[test]
    fn the_override_decides_which_device_boots_first() {
        let network = arguments(Firmware::Bios, Attachment::Virtio, BootFirst::Network);
        assert!(
            network.contains("virtio-net-pci,bootindex=1") && network.contains("drive=disk0,bootindex=2")
        );
        let disk = arguments(Firmware::Bios, Attachment::Virtio, BootFirst::Disk);
        assert!(disk.contains("virtio-net-pci,bootindex=2") && disk.contains("drive=disk0,bootindex=1"));
    }

    #[test]
    fn every_kind_of_disk_and_firmware_has_its_devices() {
        let table = [
            (Firmware::Uefi, Attachment::Nvme, "-device nvme,serial=BILLET03D0,drive=disk0"),
            (
                Firmware::Uefi,
                Attachment::Sata,
                "-device ide-hd,bus=ide.0,serial=BILLET03D0,wwn=0x5000c500b1030000",
            ),
            (Firmware::Bios, Attachment::Scsi, "-device scsi-hd,bus=scsi0.0,serial=BILLET03D0"),
            (Firmware::Bios, Attachment::Virtio, "-device virtio-blk-pci,serial=BILLET03D0"),
        ];
        for (firmware, attachment, want) in table {
            let line = arguments(firmware, attachment, BootFirst::Disk);
            assert!(line.contains(want), "{want} is not in {line}");
            assert_eq!(line.contains("if=pflash"), firmware == Firmware::Uefi, "{line}");
        }
    }
}
