//! What an NVMe controller offers, from its Identify data. Offsets: NVM
//! Express Base Specification 2.0, figures 275 and NVM command set figure 97.

use std::{fs::File, io, path::Path};

use sys::nvme::{AdminError, IDENTIFY_LENGTH};

use crate::{SecureErase, SelfErase};

/// What an NVMe controller can do by itself; nothing, for another disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NvmeAbilities {
    /// NVMe Format, where the controller has it (OACS bit 1).
    pub format: Option<Format>,
}

/// How this controller formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// SES 2 destroys a key (FNA bit 2). Without this bit the setting is a lie.
    pub cryptographic: bool,
    /// One namespace's format or secure erase reaches all of them (FNA bits 0 and 1).
    pub reaches_all: bool,
    /// How many namespaces are allocated on this controller, this one included.
    pub namespaces: usize,
}

impl NvmeAbilities {
    /// Ask the drive at `path`. A disk that is not NVMe has none.
    ///
    /// # Errors
    /// What the kernel or the controller answered; the drive's abilities are
    /// unknown then, which is not the same as none.
    pub fn read(path: &Path) -> Result<Self, AdminError> {
        let node = File::open(path).map_err(AdminError::Kernel)?;
        match sys::nvme::namespace_id(&node) {
            Ok(_) => {}
            Err(err) if is_no_nvme(&err) => return Ok(Self::default()),
            Err(err) => return Err(AdminError::Kernel(err)),
        }
        let controller = sys::nvme::identify_controller(&node)?;
        // Controllers without namespace management do not know the list of allocated ones.
        let namespaces = match sys::nvme::allocated_namespaces(&node) {
            Ok(list) => list,
            Err(AdminError::Status(_)) => sys::nvme::active_namespaces(&node)?,
            Err(error) => return Err(error),
        };
        Ok(Self::of_identify(&controller, &namespaces))
    }

    /// From Identify Controller and a namespace list. Short data offers nothing.
    #[must_use]
    pub fn of_identify(controller: &[u8], namespaces: &[u8]) -> Self {
        const OACS: usize = 256;
        const FNA: usize = 524;
        if controller.len() < IDENTIFY_LENGTH || controller[OACS] & 0b10 == 0 {
            return Self::default();
        }
        let fna = controller[FNA];
        let namespaces = namespaces.chunks_exact(4).take_while(|id| *id != [0; 4]).count();
        Self {
            format: Some(Format {
                cryptographic: fna & 0b100 != 0,
                reaches_all: fna & 0b11 != 0,
                namespaces,
            }),
        }
    }

    /// Its ways to erase itself, best first.
    pub(super) fn erases(self, notes: &mut Vec<String>) -> Vec<SelfErase> {
        let Some(format) = self.format else { return Vec::new() };
        if format.reaches_all && format.namespaces > 1 {
            // A plan is permission for one disk; the other namespaces are other disks.
            notes.push(format!(
                "NVMe Format would erase all {} namespaces of the controller",
                format.namespaces
            ));
            return Vec::new();
        }
        let user_data = SelfErase::NvmeFormat(SecureErase::UserData);
        match format.cryptographic {
            true => vec![SelfErase::NvmeFormat(SecureErase::Cryptographic), user_data],
            false => vec![user_data],
        }
    }
}

/// The answers of block drivers that do not know NVMe's ioctl.
fn is_no_nvme(err: &io::Error) -> bool {
    matches!(err.raw_os_error(), Some(22 /* EINVAL */ | 25 /* ENOTTY */ | 95 /* EOPNOTSUPP */))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(oacs: u8, fna: u8) -> Vec<u8> {
        let mut data = vec![0; IDENTIFY_LENGTH];
        data[256] = oacs;
        data[524] = fna;
        data
    }

    fn namespaces(count: u8) -> Vec<u8> {
        let mut list = vec![0; IDENTIFY_LENGTH];
        (1..=count).for_each(|id| list[usize::from(id - 1) * 4] = id);
        list
    }

    #[test]
    fn identify_tells_what_format_does() {
        let format = |cryptographic, reaches_all, namespaces| NvmeAbilities {
            format: Some(Format { cryptographic, reaches_all, namespaces }),
        };
        for (oacs, fna, count, want) in [
            (0b00, 0b111, 1, NvmeAbilities::default()),
            (0b10, 0b000, 1, format(false, false, 1)),
            (0b10, 0b100, 15, format(true, false, 15)),
            (0b10, 0b001, 2, format(false, true, 2)),
            (0b10, 0b110, 2, format(true, true, 2)),
        ] {
            assert_eq!(NvmeAbilities::of_identify(&controller(oacs, fna), &namespaces(count)), want);
        }
        assert_eq!(NvmeAbilities::of_identify(&[], &[]), NvmeAbilities::default());
    }

    #[test]
    fn a_regular_file_offers_nothing() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(NvmeAbilities::read(file.path()).expect("not NVMe"), NvmeAbilities::default());
    }
}
