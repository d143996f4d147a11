//! `/dev/disk/by-path/…`, built from the device tree by the rules of udev's
//! `path_id` (systemd 252): from the disk upwards, each bus that matters puts
//! its part in front.
//!
//! …/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda
//!               pci-0000:00:17.0 ◀── ata-1.0 ◀──────────

use std::path::{Path, PathBuf};

use crate::{disks::ScsiAddress, reader::Reader};

/// The links udev makes for one disk, the one it makes today first.
pub(crate) fn links(reader: &Reader<'_>, disk: &Path) -> Vec<String> {
    let mut walk = Walk::default();
    walk.climb(reader, disk);
    if !(walk.known_bus && walk.known_transport) {
        return Vec::new(); // as udev: an incomplete path may stand for two disks
    }
    let mut links = vec![walk.parts.join("-")];
    if let Some(old) = walk.old_spelling {
        links.push(old);
    }
    links.iter().map(|link| format!("/dev/disk/by-path/{link}")).collect()
}

/// What a climb has found so far.
#[derive(Default)]
struct Walk {
    /// From the root of the tree down to the disk.
    parts: Vec<String>,
    /// A link that older udevs made and that newer ones still make.
    old_spelling: Option<String>,
    /// The place of the last part that has an older spelling, counted from the disk.
    old_part: Option<OldPart>,
    /// Something that stands for one place in the machine was seen.
    known_bus: bool,
    /// Something that tells disks at that place apart was seen.
    known_transport: bool,
}

enum OldPart {
    /// `ata-1` for `ata-1.0`.
    Ata(String),
    /// `virtio-pci-…` for `pci-…`.
    Virtio,
}

impl Walk {
    fn climb(&mut self, reader: &Reader<'_>, disk: &Path) {
        let mut at = Some(disk.to_owned());
        while let Some(device) = at {
            let subsystem = reader.link_name(device.join("subsystem"));
            let top = self.take(reader, disk, &device, subsystem.as_deref().unwrap_or(""));
            at = top.parent().filter(|parent| parent.components().count() > 2).map(Path::to_owned);
        }
        self.old_spelling = self.old_part.take().map(|part| match part {
            OldPart::Virtio => format!("virtio-{}", self.parts.join("-")),
            OldPart::Ata(old) => {
                let newer = self.parts.len() - 1;
                [&self.parts[..newer], &[old]].concat().join("-")
            }
        });
    }

    /// Take what `device` says, and return where to go on upwards.
    fn take(&mut self, reader: &Reader<'_>, disk: &Path, device: &Path, subsystem: &str) -> PathBuf {
        let Some(name) = device.file_name().and_then(|name| name.to_str()) else { return device.to_owned() };
        match subsystem {
            "scsi" => self.take_scsi(reader, device, name),
            "nvme" | "nvme-subsystem" => {
                let Some(nsid) = reader.text(disk.join("nsid")) else { return device.to_owned() };
                self.put(format!("nvme-{nsid}"));
                self.known_transport = true;
                let controller = if subsystem == "nvme" { None } else { controller(reader, disk) };
                return controller.unwrap_or_else(|| skip(reader, device, subsystem));
            }
            "virtio" => {
                let has_old_spelling =
                    disk.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"vd"));
                self.old_part = has_old_spelling.then_some(OldPart::Virtio);
                self.known_transport = true;
                return skip(reader, device, subsystem);
            }
            "usb" => {
                let Some((_, port)) = name.split_once('-') else { return device.to_owned() };
                self.put(format!("usb-0:{port}"));
                self.known_transport = true;
                return skip(reader, device, subsystem);
            }
            "pci" | "acpi" | "xen" => {
                self.put(format!("{subsystem}-{name}"));
                self.known_bus = true;
                return skip(reader, device, subsystem);
            }
            "platform" => {
                self.put(format!("platform-{name}"));
                self.known_bus = true;
                self.known_transport = true;
                return skip(reader, device, subsystem);
            }
            _ => {}
        }
        device.to_owned()
    }

    fn put(&mut self, part: String) {
        self.parts.insert(0, part);
    }

    /// A SCSI device says where it hangs by what is above it. Targets and hosts
    /// are of the same subsystem and say nothing.
    fn take_scsi(&mut self, reader: &Reader<'_>, device: &Path, name: &str) {
        let Ok(address) = name.parse::<ScsiAddress>() else { return };
        let lun = lun(address.lun);
        if let Some(rport) = ancestor(device, "rport-") {
            let class = format!("sys/class/fc_transport/{}/port_name", target_name(&address));
            let of_port = format!("sys/class/fc_remote_ports/{}/port_name", file_name(&rport));
            let port = reader.text(class).or_else(|| reader.text(of_port));
            self.put_if(port.map(|port| format!("fc-{port}-{lun}")));
        } else if let Some(end_device) = ancestor(device, "end_device-") {
            self.put_if(sas(reader, &end_device, &lun));
        } else if let Some(session) = ancestor(device, "session") {
            self.put_if(iscsi(reader, &session, &lun));
            self.known_bus = true; // the address of the portal is one
        } else if let Some(port) = ancestor(device, "ata") {
            let number = reader.text(port.join("ata_port").join(file_name(&port)).join("port_no"));
            self.put_if(number.as_ref().map(|number| match address.channel {
                0 => format!("ata-{number}.{}", address.target),
                behind_multiplier => format!("ata-{number}.{behind_multiplier}.0"),
            }));
            self.old_part = number.map(|number| OldPart::Ata(format!("ata-{number}")));
        } else {
            self.put_if(numbered_from_zero(reader, device, &address));
        }
    }

    fn put_if(&mut self, part: Option<String>) {
        self.known_transport |= part.is_some();
        self.parts.splice(0..0, part);
    }
}

/// With native multipathing a namespace hangs below its subsystem, which is
/// nowhere; udev goes on from the controller of the same number.
fn controller(reader: &Reader<'_>, disk: &Path) -> Option<PathBuf> {
    let number = disk.file_name()?.to_str()?.strip_prefix("nvme")?.split_once('n')?.0;
    let controller = format!("sys/class/nvme/nvme{number}");
    if reader.exists(&controller) { reader.real(&controller) } else { None }
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
