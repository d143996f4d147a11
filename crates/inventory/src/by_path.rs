//! `/dev/disk/by-path/…`, built from the device tree by the rules of udev's
//! `path_id` (systemd 257): from the disk upwards, each bus that matters puts
//! its part in front.
//!
//! …/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda
//!               pci-0000:00:17.0 ◀── ata-1.0 ◀──────────

use std::path::{Path, PathBuf};

use crate::{disks::ScsiAddress, reader::Reader};

/// The links udev makes for one disk, the one that IPA and people know first.
pub(crate) fn links(reader: &Reader<'_>, disk: &Path) -> Vec<String> {
    let mut walk = Walk::default();
    let whole = walk.climb(reader, disk);
    if !(whole && walk.known_bus && walk.known_transport) {
        return Vec::new(); // as udev: an incomplete path may stand for two disks
    }
    let mut links = vec![walk.parts.join("-")];
    links.extend(walk.other_spelling());
    let part = boot_part(disk);
    links.iter().map(|link| format!("/dev/disk/by-path/{link}{part}")).collect()
}

/// A memory card has disks of its own to boot from: `mmcblk0boot1` is `…-boot1`.
fn boot_part(disk: &Path) -> String {
    let name = file_name(disk);
    let number = name.strip_prefix("mmcblk").and_then(|rest| rest.split_once("boot"));
    number.map(|(_, number)| format!("-boot{number}")).unwrap_or_default()
}

/// What a climb has found so far.
#[derive(Default)]
struct Walk {
    /// From the root of the tree down to the disk.
    parts: Vec<String>,
    /// A part that is spelled otherwise in another link, and its place counted from the disk.
    other: Option<(usize, Other)>,
    /// Something that stands for one place in the machine was seen.
    known_bus: bool,
    /// Something that tells disks at that place apart was seen.
    known_transport: bool,
}

enum Other {
    /// `ata-1` for `ata-1.0`, or since systemd 255 `usbv3-0:2` for `usb-0:2`.
    Part(String),
    /// `virtio-pci-…` for `pci-…`.
    Virtio,
}

/// Subsystems of which each device is a place with one thing at it.
const PLACES: [&str; 6] = ["platform", "amba", "scm", "ccw", "ccwgroup", "iucv"];
/// Subsystems of which each device is a place, with who knows what at it.
const BUSES: [&str; 3] = ["pci", "acpi", "xen"];

impl Walk {
    /// Whether udev would have come to the top.
    fn climb(&mut self, reader: &Reader<'_>, disk: &Path) -> bool {
        let subsystem = |device: &Path| reader.link_name(device.join("subsystem")).unwrap_or_default();
        let shared = disk.parent().is_some_and(|parent| subsystem(parent) == "nvme-subsystem");
        if is_virtual(disk) && !shared {
            return false; // it is nowhere, and udev does not look
        }
        let mut at = Some(disk.to_owned());
        while let Some(device) = at {
            let Some(top) = self.take(reader, disk, &device, &subsystem(&device)) else { return false };
            at = top.parent().filter(|parent| parent.components().count() > 2).map(Path::to_owned);
        }
        true
    }

    fn other_spelling(&self) -> Option<String> {
        Some(match self.other.as_ref()? {
            (_, Other::Virtio) => format!("virtio-{}", self.parts.join("-")),
            (from_disk, Other::Part(other)) => {
                let mut parts = self.parts.clone();
                let at = parts.len().checked_sub(*from_disk)?;
                parts.get_mut(at)?.clone_from(other);
                parts.join("-")
            }
        })
    }

    /// Take what `device` says, and return where to go on upwards; `None` where
    /// udev gives up.
    fn take(&mut self, reader: &Reader<'_>, disk: &Path, device: &Path, subsystem: &str) -> Option<PathBuf> {
        let name = device.file_name()?.to_str()?;
        match subsystem {
            "scsi" => self.take_scsi(reader, device, name)?,
            "nvme" | "nvme-subsystem" => {
                let Some(nsid) = reader.text(disk.join("nsid")) else { return Some(device.to_owned()) };
                self.put(format!("nvme-{nsid}"));
                (self.known_bus, self.known_transport) = (true, true);
                let from = if subsystem == "nvme" { device.to_owned() } else { controller(reader, disk)? };
                return Some(skip(reader, &from, "nvme"));
            }
            "virtio" => {
                let has_other = file_name(disk).starts_with("vd");
                self.other = has_other.then_some((0, Other::Virtio));
                self.known_transport = true;
            }
            "usb" => {
                let Some((_, port)) = name.split_once('-') else { return Some(device.to_owned()) };
                self.put(format!("usb-0:{port}"));
                let revision = revision(reader, &skip(reader, device, subsystem));
                let other = revision.map(|revision| Other::Part(format!("usbv{revision}-0:{port}")));
                self.other = other.map(|other| (self.parts.len(), other));
                self.known_transport = true;
            }
            _ if BUSES.contains(&subsystem) || PLACES.contains(&subsystem) => {
                self.put(format!("{subsystem}-{name}"));
                self.known_bus = true;
                self.known_transport |= PLACES.contains(&subsystem);
            }
            _ => return Some(device.to_owned()),
        }
        Some(if subsystem == "scsi" { device.to_owned() } else { skip(reader, device, subsystem) })
    }

    fn put(&mut self, part: String) {
        self.parts.insert(0, part);
    }

    /// A SCSI device says where it hangs by what is above it. Targets and hosts
    /// are of the same subsystem and say nothing.
    fn take_scsi(&mut self, reader: &Reader<'_>, device: &Path, name: &str) -> Option<()> {
        self.known_transport = true;
        let Ok(address) = name.parse::<ScsiAddress>() else { return Some(()) };
        let lun = lun(address.lun);
        let part = if let Some(rport) = ancestor(device, "rport-") {
            self.known_bus = true;
            let class = format!("sys/class/fc_transport/{}/port_name", target_name(&address));
            let of_port = format!("sys/class/fc_remote_ports/{}/port_name", file_name(&rport));
            let port = reader.text(class).or_else(|| reader.text(of_port))?;
            format!("fc-{port}-{lun}")
        } else if let Some(end_device) = ancestor(device, "end_device-") {
            self.known_bus = true;
            sas(reader, &end_device, &lun)?
        } else if let Some(session) = ancestor(device, "session") {
            self.known_bus = true; // the address of the portal is one
            iscsi(reader, &session, &lun)?
        } else if let Some(port) = ancestor(device, "ata") {
            let number = reader.text(port.join("ata_port").join(file_name(&port)).join("port_no"))?;
            self.other = Some((self.parts.len() + 1, Other::Part(format!("ata-{number}"))));
            match address.channel {
                0 => format!("ata-{number}.{}", address.target),
                behind_multiplier => format!("ata-{number}.{behind_multiplier}.0"),
            }
        } else if let Some(guid) = hyper_v(reader, device)? {
            format!("vmbus-{guid}-{lun}")
        } else {
            numbered_from_zero(reader, device, &address)?
        };
        self.put(part);
        Some(())
    }
}

/// Below `/sys/devices/virtual`: no hardware of this machine.
fn is_virtual(device: &Path) -> bool {
    device.starts_with("sys/devices/virtual")
}

/// What a root hub speaks: xHCI has two for the same ports, which makes two disks
/// of one path.
fn revision(reader: &Reader<'_>, hub: &Path) -> Option<u8> {
    let protocol = reader.text(hub.join("bDeviceProtocol"))?;
    match u8::from_str_radix(&protocol, 16).ok()? {
        0 if reader.text(hub.join("speed")).as_deref() == Some("480") => Some(2),
        0 => Some(1),
        1 | 2 => Some(2),
        3 => Some(3),
        _ => None,
    }
}

/// The channel of a disk of Hyper-V, by its GUID; `None` outside for one without.
#[expect(clippy::option_option, reason = "not Hyper-V is another thing than Hyper-V without a name")]
fn hyper_v(reader: &Reader<'_>, device: &Path) -> Option<Option<String>> {
    let below = |dir: &&Path| {
        let name = file_name(dir);
        name.starts_with("vmbus_") || name.starts_with("VMBUS")
    };
    if !device.ancestors().any(|dir| below(&dir)) {
        return Some(None);
    }
    let channel = ancestor(device, "host")?.parent()?.to_owned();
    let id = reader.text(channel.join("device_id"))?;
    Some(Some(id.strip_prefix('{')?.strip_suffix('}')?.replace('-', "")))
}

/// With native multipathing a namespace hangs below its subsystem, which is
/// nowhere; udev goes on from the controller of the same number, and gives up on
/// one that is reached over a network.
pub(crate) fn controller(reader: &Reader<'_>, disk: &Path) -> Option<PathBuf> {
    let number = disk.file_name()?.to_str()?.strip_prefix("nvme")?.split_once('n')?.0;
    let controller = format!("sys/class/nvme/nvme{number}");
    let real = if reader.exists(&controller) { reader.real(&controller) } else { None };
    real.filter(|real| !is_virtual(real))
}

/// The topmost of the devices above `device` that are of the same subsystem
/// without a gap: a function behind three bridges is one place.
fn skip(reader: &Reader<'_>, device: &Path, subsystem: &str) -> PathBuf {
    let mut top = device.to_owned();
    while let Some(parent) = top.parent() {
        if reader.link_name(parent.join("subsystem")).as_deref() != Some(subsystem) {
            break;
        }
        top = parent.to_owned();
    }
    top
}

/// The nearest directory above `device` called `prefix` and a number.
fn ancestor(device: &Path, prefix: &str) -> Option<PathBuf> {
    let is = |dir: &&Path| {
        let rest = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(prefix));
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    device.ancestors().find(is).map(Path::to_owned)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn target_name(address: &ScsiAddress) -> String {
    format!("target{}:{}:{}", address.host, address.channel, address.target)
}

/// Small LUNs in decimal, others as the eight bytes that travel on the wire.
fn lun(lun: u64) -> String {
    if lun < 256 {
        format!("lun-{lun}")
    } else {
        format!("lun-0x{:04x}{:04x}00000000", lun & 0xffff, (lun >> 16) & 0xffff)
    }
}

/// Several phys: a wide port, known by the disk's address. One phy: known by its
/// number, on an expander or on the adapter.
fn sas(reader: &Reader<'_>, end_device: &Path, lun: &str) -> Option<String> {
    let device = |name: &str| format!("sys/class/sas_device/{name}");
    let own = device(&file_name(end_device));
    let port = end_device.parent()?;
    let phys: u32 = reader.number(format!("sys/class/sas_port/{}/num_phys", file_name(port)))?;
    if phys != 1 {
        return Some(format!("sas-{}-{lun}", reader.text(format!("{own}/sas_address"))?));
    }
    let phy = reader.text(format!("{own}/phy_identifier"))?;
    let above = device(&file_name(port.parent()?));
    Some(match reader.text(format!("{above}/sas_address")) {
        Some(expander) => format!("sas-exp{expander}-phy{phy}-{lun}"),
        None => format!("sas-phy{phy}-{lun}"),
    })
}

fn iscsi(reader: &Reader<'_>, session: &Path, lun: &str) -> Option<String> {
    let session = file_name(session);
    let connection = format!("connection{}:0", session.strip_prefix("session")?);
    let of = |name: &str| reader.text(format!("sys/class/iscsi_connection/{connection}/{name}"));
    let (address, port) = (of("persistent_address")?, of("persistent_port")?);
    let target = reader.text(format!("sys/class/iscsi_session/{session}/targetname"))?;
    Some(format!("ip-{address}:{port}-iscsi-{target}-{lun}"))
}

/// Host numbers depend on the order of loading; udev counts them from the
/// lowest at the same place.
fn numbered_from_zero(reader: &Reader<'_>, device: &Path, address: &ScsiAddress) -> Option<String> {
    let host = ancestor(device, "host")?;
    let number = |name: &String| name.strip_prefix("host")?.parse::<u32>().ok();
    let lowest = reader.list(host.parent()?).iter().filter_map(number).min()?;
    let host = address.host.checked_sub(lowest)?;
    Some(format!("scsi-{host}:{}:{}:{}", address.channel, address.target, address.lun))
}
