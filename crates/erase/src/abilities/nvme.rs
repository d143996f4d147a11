//! What an NVMe controller offers, from its Identify data. Offsets: NVM
//! Express Base Specification 2.0, figures 275 and NVM command set figure 97.

use std::{fs::File, path::Path};

use disk::drive::nvme::{Format, Sanitizes};
use serde_json::json;
use sys::nvme::{AdminError, IDENTIFY_LENGTH};

use crate::{Method, SelfErase, nvme::is_no_nvme};

/// What an NVMe controller can do by itself; nothing, for another disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NvmeAbilities {
    /// NVMe Sanitize, which reaches every namespace of the drive.
    pub sanitize: Sanitizes,
    /// NVMe Format, where the controller has it (OACS bit 1).
    pub format: Option<Format>,
    /// The namespaces of the drive.
    pub namespaces: Namespaces,
}

/// The namespaces of one drive, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// The drive's name: the kernel's, its NVMe subsystem and serial number, of which
    /// cheap drives have none.
    pub drive: String,
    /// The one in question.
    pub own: u32,
    /// Those that this machine sees as disks, the one in question included.
    pub attached: Vec<u32>,
    /// Those that are allocated, and no disk of this machine.
    pub unattached: Vec<u32>,
    /// The drive may be reached by further controllers (CMIC bit 1), and by what they belong to.
    pub other_controllers: bool,
    /// All that are attached are to be erased: [`in_turns`](crate::in_turns) says so.
    pub all_erased: bool,
}

impl NvmeAbilities {
    /// Ask the drive at `path`. A disk that is not NVMe has none.
    ///
    /// # Errors
    /// What the kernel or the controller answered; the drive's abilities are
    /// unknown then, which is not the same as none.
    pub fn read(path: &Path) -> Result<Self, AdminError> {
        let node = File::open(path).map_err(AdminError::Kernel)?;
        let own = match sys::nvme::namespace_id(&node) {
            Ok(id) => id,
            Err(err) if is_no_nvme(&err) => return Ok(Self::default()),
            Err(err) => return Err(AdminError::Kernel(err)),
        };
        let controller = sys::nvme::identify_controller(&node)?;
        // NVMe 1.0 has no list, only how many there are.
        let attached = match sys::nvme::active_namespaces(&node) {
            Ok(list) => list,
            Err(error) if knows_no_list(&error) => as_many_as(&controller),
            Err(error) => return Err(error),
        };
        // Controllers without namespace management do not know the list of allocated ones.
        let allocated = match sys::nvme::allocated_namespaces(&node) {
            Ok(list) => list,
            Err(error) if knows_no_list(&error) => attached.clone(),
            Err(error) => return Err(error),
        };
        let mut abilities = Self::of_identify(&controller, own, &attached, &allocated);
        let drive = &mut abilities.namespaces.drive;
        *drive = format!("{} {drive}", kernel_name(path));
        Ok(abilities)
    }

    /// From Identify Controller and the lists of namespaces. Short data offers nothing.
    #[must_use]
    pub fn of_identify(controller: &[u8], own: u32, attached: &[u8], allocated: &[u8]) -> Self {
        if controller.len() < IDENTIFY_LENGTH {
            return Self::default();
        }
        Self {
            sanitize: Sanitizes::of_identify(controller),
            format: Format::of_identify(controller),
            namespaces: Namespaces::of_identify(controller, own, attached, allocated),
        }
    }

    /// Its ways to erase itself, best first.
    pub(super) fn erases(&self, notes: &mut Vec<String>) -> Vec<SelfErase> {
        let all = disk::drive::nvme::erases(self.sanitize, self.format);
        let (whole, own): (Vec<_>, Vec<_>) = all.into_iter().partition(|erase| self.reaches_all(*erase));
        match self.namespaces.not_asked_for() {
            Some(others) if !whole.is_empty() => {
                let names: Vec<_> = whole.iter().map(|erase| erase.name()).collect();
                notes.push(format!("{} would also erase {others}", names.join(", ")));
                own
            }
            // What reaches the drive is the better: sanitize is before format.
            Some(_) | None => whole.into_iter().chain(own).collect(),
        }
    }

    /// Whether `erase` may change every namespace of the drive.
    fn reaches_all(&self, erase: SelfErase) -> bool {
        match erase {
            SelfErase::NvmeSanitize(_) => true,
            SelfErase::NvmeFormat(_) => self.format.is_some_and(|format| format.reaches_all),
            SelfErase::AtaSanitize(_)
            | SelfErase::AtaSecurity(_)
            | SelfErase::ScsiSanitize(_)
            | SelfErase::OpalRevert => false,
        }
    }

    /// The namespaces with old data that `method` leaves on the drive and that nobody
    /// would erase after it: no disk of this machine shows them.
    #[must_use]
    pub fn left_by(&self, method: Method) -> &[u32] {
        match method {
            Method::ByDrive(SelfErase::NvmeSanitize(_)) => &[],
            Method::ByDrive(SelfErase::NvmeFormat(_))
                if self.format.is_some_and(|format| format.erases_all) =>
            {
                &[]
            }
            Method::ByDrive(_) | Method::ZeroOut | Method::Overwrite | Method::Metadata => {
                &self.namespaces.unattached
            }
        }
    }
}

impl Namespaces {
    fn of_identify(controller: &[u8], own: u32, attached: &[u8], allocated: &[u8]) -> Self {
        const SERIAL: std::ops::Range<usize> = 4..24;
        const CMIC: usize = 76;
        const SUBSYSTEM: std::ops::Range<usize> = 768..1024;
        let text = |range| {
            let bytes: &[u8] = controller.get(range).unwrap_or_default();
            String::from_utf8_lossy(bytes).trim_matches(['\0', ' ']).to_owned()
        };
        let attached = ids(attached);
        let unattached = ids(allocated).into_iter().filter(|id| !attached.contains(id)).collect();
        Self {
            drive: format!("{} {}", text(SUBSYSTEM), text(SERIAL)),
            own,
            attached,
            unattached,
            other_controllers: controller.get(CMIC).is_some_and(|cmic| cmic & 0b10 != 0),
            all_erased: false,
        }
    }

    /// For the certificate; `None` when it is no NVMe drive.
    pub(crate) fn record(&self) -> Option<serde_json::Value> {
        let Self { own, attached, unattached, .. } = self;
        (!attached.is_empty()).then(|| json!({"own": own, "attached": attached, "unattached": unattached}))
    }

    /// Those that no disk of this machine shows, by their names.
    pub(crate) fn hidden(&self) -> Option<String> {
        (!self.unattached.is_empty()).then(|| named(&self.unattached))
    }

    /// Whose data an erase of the whole drive would destroy unasked.
    pub(crate) fn not_asked_for(&self) -> Option<String> {
        let others = self.attached.iter().filter(|id| **id != self.own).copied().collect::<Vec<_>>();
        if !others.is_empty() && !self.all_erased {
            return Some(format!("{}, for which nobody asked", named(&others)));
        }
        (!self.unattached.is_empty() && self.other_controllers)
            .then(|| format!("{}, which may be another machine's", named(&self.unattached)))
    }
}

/// Namespaces as people write them, in hexadecimal like the rest of NVMe.
fn named(ids: &[u32]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| format!("{id:#x}")).collect();
    let what = if ids.len() == 1 { "namespace" } else { "namespaces" };
    format!("{what} {}", ids.join(", "))
}

/// What the kernel calls the controller, or the subsystem, behind a device node.
fn kernel_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    let device = Path::new("/sys/class/block").join(name).join("device");
    let controller = std::fs::canonicalize(device).unwrap_or_default();
    controller.file_name().unwrap_or(name).to_string_lossy().into_owned()
}

/// The controller has no such list. Any other answer may hide namespaces with old data.
fn knows_no_list(error: &AdminError) -> bool {
    match error {
        AdminError::Status(status) => matches!(status & 0x7ff, 0x001 | 0x002 | 0x00b),
        AdminError::Kernel(_) => false,
    }
}

/// A list of namespaces as a controller would give it that says only their number (NN).
fn as_many_as(controller: &[u8]) -> Vec<u8> {
    const NN: std::ops::Range<usize> = 516..520;
    /// As many as fit in one list.
    const MOST: u32 = 1024;
    let number = controller.get(NN).and_then(|bytes| bytes.try_into().ok()).map_or(1, u32::from_le_bytes);
    (1..=number.min(MOST)).flat_map(u32::to_le_bytes).collect()
}

fn ids(list: &[u8]) -> Vec<u32> {
    let ids = list.chunks_exact(4).map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]]));
    ids.take_while(|id| *id != 0).collect()
}

/// Which of several disks are erased in which order: the disks of one list one after
/// another, the lists at once. An erase of a whole NVMe drive is allowed to each of
/// its namespaces when all of them are among the disks; each has its own proof then.
pub fn in_turns(disks: &mut [crate::Abilities]) -> Vec<Vec<usize>> {
    let drives: Vec<Namespaces> = disks.iter().map(|disk| disk.nvme.namespaces.clone()).collect();
    let same = |one: &Namespaces, other: &Namespaces| !one.attached.is_empty() && one.drive == other.drive;
    for disk in disks.iter_mut() {
        let namespaces = &mut disk.nvme.namespaces;
        let erased = |id: &u32| drives.iter().any(|other| same(namespaces, other) && other.own == *id);
        namespaces.all_erased = namespaces.attached.iter().all(erased);
    }
    let mut turns: Vec<Vec<usize>> = Vec::new();
    for (index, one) in drives.iter().enumerate() {
        match turns.iter_mut().find(|turn| same(one, &drives[turn[0]])) {
            Some(turn) => turn.push(index),
            None => turns.push(vec![index]),
        }
    }
    turns
}

#[cfg(test)]
impl NvmeAbilities {
    /// A drive that formats, with namespaces 1 to `namespaces`, the first in question.
    pub(crate) fn formatting(cryptographic: bool, reaches_all: bool, namespaces: u32) -> Self {
        let namespaces = Namespaces { own: 1, attached: (1..=namespaces).collect(), ..Namespaces::default() };
        Self {
            format: Some(Format { cryptographic, reaches_all, erases_all: reaches_all }),
            namespaces,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Abilities, Policy, plan::tests::subject};
    use crate::{Sanitize, SecureErase};

    fn controller(oacs: u8, fna: u8, sanicap: u8) -> Vec<u8> {
        let mut data = vec![0; IDENTIFY_LENGTH];
        (data[256], data[524], data[328]) = (oacs, fna, sanicap);
        data[4..8].copy_from_slice(b"SN1 ");
        data[768..771].copy_from_slice(b"nqn");
        data
    }

    fn list(ids: &[u8]) -> Vec<u8> {
        let mut list = vec![0; IDENTIFY_LENGTH];
        ids.iter().enumerate().for_each(|(at, id)| list[at * 4] = *id);
        list
    }

    fn read(oacs: u8, fna: u8, sanicap: u8, attached: &[u8], allocated: &[u8]) -> NvmeAbilities {
        let own = attached.first().copied().unwrap_or(0).into();
        let data = controller(oacs, fna, sanicap);
        NvmeAbilities::of_identify(&data, own, &list(attached), &list(allocated))
    }

    /// What is tried, and why not something else.
    fn erases(abilities: &NvmeAbilities) -> (String, String) {
        let mut notes = Vec::new();
        let erases = abilities.erases(&mut notes);
        let names: Vec<_> = erases.into_iter().map(SelfErase::name).collect();
        (names.join(" > "), notes.join("; "))
    }

    #[test]
    fn identify_tells_what_the_drive_does_and_in_which_order_it_is_tried() {
        for (oacs, fna, sanicap, want) in [
            (0b00, 0b111, 0b000, ""),
            (0b10, 0b000, 0b000, "nvme.format.user-data"),
            (0b10, 0b100, 0b000, "nvme.format.crypto > nvme.format.user-data"),
            (0b00, 0b000, 0b111, "nvme.sanitize.crypto > nvme.sanitize.block > nvme.sanitize.overwrite"),
            (0b10, 0b100, 0b010, "nvme.sanitize.block > nvme.format.crypto > nvme.format.user-data"),
        ] {
            let read = read(oacs, fna, sanicap, &[1], &[1]);
            assert_eq!(erases(&read), (want.to_owned(), String::new()), "{oacs} {fna} {sanicap}");
        }
        assert_eq!(NvmeAbilities::of_identify(&[], 1, &[], &[]), NvmeAbilities::default());
    }

    #[test]
    fn another_namespace_is_never_erased_unasked() {
        let formats = "nvme.format.crypto > nvme.format.user-data";
        for (fna, sanicap, want, why) in [
            (0b100, 0b000, formats, ""),
            (
                0b100,
                0b010,
                formats,
                "nvme.sanitize.block would also erase namespace 0xf, for which nobody asked",
            ),
            (
                0b110,
                0b010,
                "",
                "nvme.sanitize.block, nvme.format.crypto, nvme.format.user-data would also erase namespace 0xf, \
                 for which nobody asked",
            ),
        ] {
            let found = erases(&read(0b10, fna, sanicap, &[1, 15], &[1, 15]));
            assert_eq!(found, (want.to_owned(), why.to_owned()), "{fna:#b} {sanicap:#b}");
        }
    }

    #[test]
    fn a_namespace_that_no_disk_shows_is_reached_by_the_whole_drive_s_erase_only() {
        let drive = read(0b10, 0b000, 0b010, &[1], &[1, 0x1f]);
        assert_eq!(erases(&drive), ("nvme.sanitize.block > nvme.format.user-data".to_owned(), String::new()));
        let left = |method| drive.left_by(method).to_vec();
        assert!(left(Method::ByDrive(SelfErase::NvmeSanitize(Sanitize::Block))).is_empty());
        assert_eq!(left(Method::ByDrive(SelfErase::NvmeFormat(SecureErase::UserData))), [0x1f]);
        assert_eq!(left(Method::ZeroOut), [0x1f]);
        // FNA bit 0: a format reaches all, and its secure erase one; bit 1: that reaches all too.
        for (fna, want) in [(0b01, vec![0x1f]), (0b10, vec![]), (0b11, vec![])] {
            let drive = read(0b10, fna, 0, &[1], &[1, 0x1f]);
            let format = Method::ByDrive(SelfErase::NvmeFormat(SecureErase::UserData));
            assert_eq!(drive.left_by(format), want, "{fna:#b}");
            let other = read(0b10, fna, 0, &[1, 2], &[1, 2]);
            assert_eq!(erases(&other).0, "", "it would reach another one: {fna:#b}");
        }
        let mut shared = drive.clone();
        shared.namespaces.other_controllers = true;
        let why = "nvme.sanitize.block would also erase namespace 0x1f, which may be another machine's";
        assert_eq!(erases(&shared), ("nvme.format.user-data".to_owned(), why.to_owned()));
    }

    #[test]
    fn a_drive_is_not_called_clean_while_a_namespace_that_no_disk_shows_holds_data() {
        let plan = |sanicap, policy| {
            let nvme = read(0b10, 0b000, sanicap, &[1], &[1, 0x1f]);
            let abilities = Abilities { nvme, ..Abilities::default() };
            crate::plan(subject("nvme0n1"), &abilities, policy)
        };
        let whole = plan(0b010, Policy { allow_fallback: true, ..Policy::FULL }).expect("it reaches all");
        assert_eq!(whole.methods(), [Method::ByDrive(SelfErase::NvmeSanitize(Sanitize::Block))]);
        let why = "erased with the whole drive and not read back, as no disk shows it: namespace 0x1f";
        assert_eq!(whole.notes(), [why]);
        let refusal = plan(0b000, Policy::FULL).expect_err("its data would stay");
        let text = "/dev/nvme0n1 is on a drive with namespace 0x1f, ";
        assert!(refusal.to_string().starts_with(text) && !refusal.is_skip(), "{refusal}");
        let tables = plan(0b000, Policy::METADATA).expect("it says what it leaves");
        assert_eq!(tables.notes(), ["left as it is, as no disk of this machine shows it: namespace 0x1f"]);
    }

    #[test]
    fn all_namespaces_of_a_drive_are_erased_by_it_one_after_another() {
        let other = Abilities::default;
        let disk = |own: u32, drive: &str| {
            let mut nvme = read(0b10, 0b000, 0b010, &[1, 10], &[1, 10]);
            (nvme.namespaces.own, nvme.namespaces.drive) = (own, drive.to_owned());
            Abilities { nvme, ..Abilities::default() }
        };
        let mut disks = [other(), disk(1, "a"), disk(1, "b"), disk(10, "a"), other()];
        assert_eq!(in_turns(&mut disks), [vec![0], vec![1, 3], vec![2], vec![4]]);
        let whole = disks.each_ref().map(|disk| erases(&disk.nvme).0.starts_with("nvme.sanitize"));
        assert_eq!(whole, [false, true, false, true, false], "of drive b only one is erased");
    }

    #[test]
    fn a_controller_without_lists_says_how_many_namespaces_it_has() {
        let mut data = controller(0b10, 0, 0b010);
        for (number, want) in [(0, vec![]), (1, vec![1]), (3, vec![1, 2, 3])] {
            data[516] = number;
            assert_eq!(ids(&as_many_as(&data)), want);
        }
        data[516..520].fill(0xff);
        assert_eq!(as_many_as(&data).len(), IDENTIFY_LENGTH, "bounded");
    }

    #[test]
    fn only_a_controller_that_knows_no_such_list_is_taken_to_have_none() {
        // Invalid opcode, field, namespace, also with more and do-not-retry; then an error
        // inside the drive, an abort, a lost path, a sanitize, all of which pass.
        for (status, want) in [
            (0x0001, true),
            (0x4002, true),
            (0x600b, true),
            (0x0006, false),
            (0x4007, false),
            (0x0371, false),
            (0x401d, false),
        ] {
            assert_eq!(knows_no_list(&AdminError::Status(status)), want, "{status:#x}");
        }
        assert!(!knows_no_list(&AdminError::Kernel(std::io::ErrorKind::TimedOut.into())));
    }

    #[test]
    fn a_regular_file_offers_nothing() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(NvmeAbilities::read(file.path()).expect("not NVMe"), NvmeAbilities::default());
    }
}
