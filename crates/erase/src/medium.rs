//! Media that are nobody's disk: what the management controller lends, and what
//! this agent was started from.
//!
//! Labels and vendor ids count on removable USB media only: on a fixed disk a
//! tenant could write a label to keep his data from being erased.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use disk::{gpt, mbr};
use model::inventory::{Disk, Transport};

/// Whose medium it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A disk of the machine, like any other.
    Installed,
    /// The management controller lends it; the text says how that is known.
    Virtual(String),
    /// This agent was started from it, and it can be pulled out.
    BootStick(String),
    /// This agent was started from it, and it stays in the machine.
    BootDisk(String),
}

/// What management controllers call the media they pretend to be.
const NAMES: [&str; 5] =
    ["virtual media", "virtual floppy", "virtual cd", "virtual hdisk", "virtual keydisk"];
/// USB vendors that make no sticks: their storage is a management controller's.
const CONTROLLERS: [(&str, &str); 4] = [
    ("046b", "American Megatrends"),
    ("0557", "ATEN"),
    ("0624", "Avocent"),
    ("1d6b", "a Linux gadget, as OpenBMC makes them"),
];
/// Volume labels of the media Ironic has the controller insert.
const IRONIC_LABELS: [&str; 2] = ["ir-vfd-dev", "vmedia_boot_iso"];
/// Volume label of iPXE's own USB image.
const IPXE_LABEL: &str = "ipxe";
/// Where loaders that follow the boot loader interface say what they came from
/// (systemd-stub, systemd-boot, GRUB's bli module).
const LOADER_PARTITION: &str = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// The vendor of UEFI's own variables (UEFI 2.10 3.3).
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Where the kernel shows them.
const VARIABLES: &str = "sys/firmware/efi/efivars";
/// Directories between a disk and its USB device in sysfs; a few hubs deep.
const ANCESTORS_LIMIT: usize = 24;

impl Medium {
    /// What `disk` is, as sysfs and the device nodes below `root` tell.
    #[must_use]
    pub fn read(root: &Path, disk: &Disk) -> Self {
        let file = File::open(root.join("dev").join(&disk.name)).ok();
        Self::of(root, disk, file.as_ref(), &[])
    }

    /// What `disk` is, as sysfs below `root` and its own labels tell. Without
    /// `file`, which may fail to open, its labels are not known.
    pub(crate) fn of(root: &Path, disk: &Disk, file: Option<&File>, partitions: &[u64]) -> Self {
        if is_virtual_media(disk) {
            return Self::Virtual(format!("its model is {:?}", disk.model.as_deref().unwrap_or_default()));
        }
        let stick = disk.removable && disk.transport == Some(Transport::Usb);
        if stick && let Some(maker) = controller(root, &disk.name) {
            return Self::Virtual(format!("its USB vendor is {maker}"));
        }
        let Some(file) = file else { return Self::Installed };
        if stick && let Some(medium) = by_label(file, partitions) {
            return medium;
        }
        let tables = Tables::read(file, disk);
        match loaded_from(root, &tables) {
            Some(why) if stick => Self::BootStick(why),
            Some(why) => Self::BootDisk(why),
            // The firmware may have started something that started us without it (kexec).
            None if stick => booted_from(root, &tables).map_or(Self::Installed, Self::BootStick),
            None => Self::Installed,
        }
    }
}

/// True when the model alone tells that the management controller lends `disk`.
fn is_virtual_media(disk: &Disk) -> bool {
    let model = disk.model.as_deref().unwrap_or_default().to_ascii_lowercase();
    let by_usb = matches!(disk.transport, Some(Transport::Usb) | None);
    by_usb && NAMES.iter().any(|name| model.contains(name))
}

/// The management controller's maker, by the `idVendor` of the USB device above the disk.
fn controller(root: &Path, name: &str) -> Option<&'static str> {
    let dir = fs::canonicalize(root.join("sys/block").join(name)).ok()?;
    let id = dir
        .ancestors()
        .take(ANCESTORS_LIMIT)
        .find_map(|dir| fs::read_to_string(dir.join("idVendor")).ok())?;
    CONTROLLERS.iter().find(|(known, _)| *known == id.trim()).map(|(_, maker)| *maker)
}

fn by_label(file: &File, partitions: &[u64]) -> Option<Medium> {
    let labels = std::iter::once(&0).chain(partitions).filter_map(|start| label(file, *start).ok()?);
    labels.into_iter().find_map(|label| {
        let is = |known: &str| label.eq_ignore_ascii_case(known);
        let why = || format!("its volume is labelled {label}");
        if IRONIC_LABELS.into_iter().any(is) {
            Some(Medium::Virtual(why()))
        } else {
            is(IPXE_LABEL).then(|| Medium::BootStick(why()))
        }
    })
}

/// The label of the ISO 9660 (ECMA-119 8.4) or FAT (its boot sector) that starts at `start`.
fn label(file: &File, start: u64) -> io::Result<Option<String>> {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned();
        (!text.is_empty()).then_some(text)
    };
    let mut sector = [0; 512];
    file.read_exact_at(&mut sector, start)?;
    for (kind, label) in [(54, 43), (82, 71)] {
        if mbr::is_present(&sector) && sector[kind..].starts_with(b"FAT") {
            return Ok(text(&sector[label..label + 11]));
        }
    }
    file.read_exact_at(&mut sector, start.saturating_add(0x8000))?;
    Ok(if sector[1..].starts_with(b"CD001") { text(&sector[40..72]) } else { None })
}

/// What identifies the partitions of a disk.
#[derive(Default)]
struct Tables {
    /// Partition number and GUID of its GPT.
    partitions: Vec<(u32, gpt::Guid)>,
    /// Disk identifier of its MBR.
    mbr: Option<[u8; 4]>,
}

impl Tables {
    fn read(file: &File, disk: &Disk) -> Self {
        let length = usize::try_from(disk.size.0).unwrap_or(gpt::HEAD).min(gpt::HEAD);
        let mut head = vec![0; length];
        if file.read_exact_at(&mut head, 0).is_err() {
            return Self::default();
        }
        let table = gpt::Table::parse(&head, disk.logical_block);
        let partitions = table.map(|table| table.partitions()).unwrap_or_default();
        Self {
            partitions: partitions.iter().map(|partition| (partition.number, partition.id)).collect(),
            mbr: mbr::is_present(&head).then(|| std::array::from_fn(|byte| head[440 + byte])),
        }
    }
}

/// Why the loader of this very kernel lies on the disk, if it says so.
fn loaded_from(root: &Path, tables: &Tables) -> Option<String> {
    let variable = variable(root, LOADER_PARTITION)?;
    let units = variable.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let partition: String = char::decode_utf16(units).flatten().take_while(|c| *c != '\0').collect();
    let is_it = |id: &gpt::Guid| id.to_string().eq_ignore_ascii_case(&partition);
    let (number, _) = tables.partitions.iter().find(|(_, id)| is_it(id))?;
    Some(format!("its partition {number} holds the loader of this system"))
}

/// Why the firmware started this machine from the disk, by its boot entry.
fn booted_from(root: &Path, tables: &Tables) -> Option<String> {
    let current = variable(root, &format!("BootCurrent-{GLOBAL}"))?;
    let name = format!("Boot{:04X}", u16::from_le_bytes([*current.first()?, *current.get(1)?]));
    let entry = variable(root, &format!("{name}-{GLOBAL}"))?;
    let is_here = match hard_drive(&entry)? {
        Signature::Gpt(id) => tables.partitions.iter().any(|(_, known)| *known == id),
        // Many sticks have none; zeros are nobody's name.
        Signature::Mbr(id) => id != [0; 4] && tables.mbr == Some(id),
    };
    is_here.then(|| format!("the firmware booted from it, by {name}"))
}

/// How a boot entry tells disks apart.
enum Signature {
    Gpt(gpt::Guid),
    Mbr([u8; 4]),
}

/// The hard drive node of a boot entry's device path (UEFI 2.10 3.1.3, 10.3.5.1).
fn hard_drive(entry: &[u8]) -> Option<Signature> {
    let u16_at = |at: usize| Some(usize::from(u16::from_le_bytes([*entry.get(at)?, *entry.get(at + 1)?])));
    // Attributes, length of the path, a description that ends in a zero.
    let paths = u16_at(4)?;
    let mut at = (6..entry.len()).step_by(2).find(|at| u16_at(*at) == Some(0))? + 2;
    let end = at.checked_add(paths)?.min(entry.len());
    while at < end {
        let node = entry.get(at..at.checked_add(u16_at(at + 2)?)?)?;
        if let [4, 1, _, _, ..] = node
            && node.len() >= 42
        {
            let id: [u8; 16] = node[24..40].try_into().ok()?;
            return match node[41] {
                2 => Some(Signature::Gpt(gpt::Guid(id))),
                1 => Some(Signature::Mbr([id[0], id[1], id[2], id[3]])),
                _ => None,
            };
        }
        at += node.len().max(4);
    }
    None
}

/// The content of a UEFI variable in efivarfs, without its four bytes of attributes.
fn variable(root: &Path, name: &str) -> Option<Vec<u8>> {
    let content = fs::read(root.join(VARIABLES).join(name)).ok()?;
    Some(content.get(4..)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::disk;

    fn stick() -> Disk {
        Disk { removable: true, transport: Some(Transport::Usb), ..disk("sdb") }
    }

    fn image(pieces: &[(u64, &[u8])]) -> File {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(64 << 20).expect("sized");
        pieces.iter().for_each(|(at, bytes)| file.write_all_at(bytes, *at).expect("written"));
        file
    }

    fn fat(label: &[u8]) -> File {
        image(&[(43, label), (54, b"FAT16   "), (510, &[0x55, 0xaa])])
    }

    fn iso(label: &[u8]) -> File {
        image(&[(0x8001, b"CD001"), (0x8028, label)])
    }

    #[test]
    fn a_label_counts_on_a_removable_usb_medium_and_nowhere_else() {
        let nowhere = Path::new("/nonexistent");
        let fixed = Disk { removable: false, ..stick() };
        let sata = Disk { transport: Some(Transport::Sata), ..stick() };
        let lent = |label: &str| Medium::Virtual(format!("its volume is labelled {label}"));
        for (disk, file, want) in [
            (stick(), fat(b"ir-vfd-dev "), lent("ir-vfd-dev")),
            (stick(), fat(b"IR-VFD-DEV "), lent("IR-VFD-DEV")),
            (stick(), iso(b"VMEDIA_BOOT_ISO      "), lent("VMEDIA_BOOT_ISO")),
            (stick(), fat(b"iPXE       "), Medium::BootStick("its volume is labelled iPXE".into())),
            (stick(), fat(b"config-2   "), Medium::Installed),
            (stick(), image(&[]), Medium::Installed),
            (fixed, fat(b"ir-vfd-dev "), Medium::Installed),
            (sata, iso(b"VMEDIA_BOOT_ISO "), Medium::Installed),
        ] {
            assert_eq!(Medium::of(nowhere, &disk, Some(&file), &[]), want, "{disk:?}");
        }
    }

    #[test]
    fn a_label_in_a_partition_counts_too() {
        let at: u64 = 1 << 20;
        let file = image(&[(at + 71, b"ir-vfd-dev "), (at + 82, b"FAT32   "), (at + 510, &[0x55, 0xaa])]);
        let medium = Medium::of(Path::new("/nonexistent"), &stick(), Some(&file), &[at]);
        assert_eq!(medium, Medium::Virtual("its volume is labelled ir-vfd-dev".into()));
    }

    #[test]
    fn a_controller_s_usb_storage_is_lent_whatever_it_is_called() {
        let root = tempfile::tempdir().expect("a directory");
        let device = root.path().join("sys/devices/pci0/usb1/1-3");
        fs::create_dir_all(device.join("1-3:1.0/host4/block/sdb")).expect("made");
        fs::create_dir_all(root.path().join("sys/block")).expect("made");
        let link = root.path().join("sys/block/sdb");
        std::os::unix::fs::symlink(device.join("1-3:1.0/host4/block/sdb"), link).expect("linked");
        let of = |disk: &Disk| Medium::of(root.path(), disk, None, &[]);
        for (vendor, want) in [
            ("046b\n", Medium::Virtual("its USB vendor is American Megatrends".into())),
            ("0781\n", Medium::Installed),
        ] {
            fs::write(device.join("idVendor"), vendor).expect("written");
            assert_eq!(of(&stick()), want);
            assert_eq!(of(&Disk { removable: false, ..stick() }), Medium::Installed);
        }
    }

    #[test]
    fn the_disk_the_loader_names_is_the_one_we_were_started_from() {
        let root = tempfile::tempdir().expect("a directory");
        let variable = root.path().join(VARIABLES).join(LOADER_PARTITION);
        fs::create_dir_all(variable.parent().expect("a parent")).expect("made");
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("disk");
        fs::write(&path, vec![0; 64 << 20]).expect("written");
        let id = "1DCF10BC-637E-4C52-8203-087AE10A820B";
        let made = std::process::Command::new("sgdisk")
            .args(["-n", "1:2048:+8M", "-u", &format!("1:{id}")])
            .arg(&path)
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            return eprintln!("SKIPPED: needs sgdisk");
        }
        let file = File::open(&path).expect("opened");
        let of = |disk: &Disk| Medium::of(root.path(), disk, Some(&file), &[]);
        let say = |id: &str| {
            let text = id.encode_utf16().chain([0]).flat_map(u16::to_le_bytes);
            fs::write(&variable, [7, 0, 0, 0].into_iter().chain(text).collect::<Vec<_>>()).expect("written");
        };
        let why = "its partition 1 holds the loader of this system";
        say(id);
        assert_eq!(of(&disk("sda")), Medium::BootDisk(why.into()));
        assert_eq!(of(&stick()), Medium::BootStick(why.into()));
        say("11111111-637E-4C52-8203-087AE10A820B");
        assert_eq!(of(&disk("sda")), Medium::Installed);
    }

    /// A boot entry: attributes, description, `PciRoot(0)`, `HD(1, …)`, the end.
    fn entry(signature: [u8; 16], kind: u8) -> Vec<u8> {
        let mut drive = vec![4, 1, 42, 0];
        drive.extend([0; 20]);
        drive.extend(signature);
        drive.extend([2, kind]);
        let path = [vec![2, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0], drive, vec![0x7f, 0xff, 4, 0]].concat();
        let mut entry = vec![1, 0, 0, 0];
        entry.extend(u16::try_from(path.len()).expect("short").to_le_bytes());
        entry.extend("UEFI: Stick\0".encode_utf16().flat_map(u16::to_le_bytes));
        entry.extend(path);
        entry
    }

    #[test]
    fn the_stick_the_firmware_booted_from_is_known_by_its_entry() {
        let root = tempfile::tempdir().expect("a directory");
        let folder = root.path().join(VARIABLES);
        fs::create_dir_all(&folder).expect("made");
        let set = |name: &str, content: &[u8]| {
            fs::write(folder.join(format!("{name}-{GLOBAL}")), [&[7, 0, 0, 0], content].concat())
                .expect("written");
        };
        let id = [0xde, 0xad, 0xbe, 0xef];
        let signature = std::array::from_fn(|at| id.get(at).copied().unwrap_or(0));
        let stick_with = |id: [u8; 4]| image(&[(440, &id), (510, &[0x55, 0xaa])]);
        let of = |disk: &Disk, id| Medium::of(root.path(), disk, Some(&stick_with(id)), &[]);
        let found = Medium::BootStick("the firmware booted from it, by Boot001A".into());
        set("BootCurrent", &[0x1a, 0]);
        assert_eq!(of(&stick(), id), Medium::Installed, "there is no such entry");
        set("Boot001A", &entry(signature, 1));
        assert_eq!(of(&stick(), id), found);
        assert_eq!(of(&stick(), [1, 2, 3, 4]), Medium::Installed);
        assert_eq!(of(&disk("sda"), id), Medium::Installed, "a disk of the machine is not spared for that");
        set("Boot001A", &entry([0; 16], 1));
        assert_eq!(of(&stick(), [0; 4]), Medium::Installed, "no signature is nobody's");
        for cut in 0..entry(signature, 1).len() {
            set("Boot001A", &entry(signature, 1)[..cut]);
            let _ = of(&stick(), id);
        }
    }
}
