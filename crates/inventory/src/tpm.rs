//! The trusted platform module: what the kernel says of it, and what it says itself.
//!
//! A TPM 2.0 is asked through the kernel's resource manager, which leaves no traces in
//! it. Nothing is written, and no secret read: its properties, and the certificates of its
//! endorsement keys, of which only the digest is kept.

mod commands;

use std::{
    cell::Cell,
    fs::File,
    io::{self, Read as _, Write as _},
};

use model::{
    Algorithm, Hasher,
    inventory::{EndorsementKey, Tpm},
};

use crate::{limits, reader::Reader};

const CLASS: &str = "sys/class/tpm";

/// Where certificates of endorsement keys lie (TCG EK Credential Profile 2.5, section 2.2.1.4).
const CERTIFICATES: [(&str, u32); 3] =
    [("rsa-2048", 0x01c0_0002), ("ecc-p256", 0x01c0_000a), ("ecc-p384", 0x01c0_0016)];

/// The longest answer (`TPM_BUFSIZE` of the kernel).
const ANSWER_BYTES: usize = 4096;

const ENOENT: i32 = 2;
const ENXIO: i32 = 6;
const EACCES: i32 = 13;
const EBADMSG: i32 = 74;
const EIO: i32 = 5;

pub(crate) fn read(reader: &Reader<'_>) -> Option<Tpm> {
    let names = reader.list(CLASS);
    names.iter().take(limits::TPMS).find_map(|name| describe(reader, name))
}

fn describe(reader: &Reader<'_>, name: &str) -> Option<Tpm> {
    let managed = reader.exists(format!("sys/class/tpmrm/tpmrm{}", name.strip_prefix("tpm")?));
    let major = reader.text(format!("{CLASS}/{name}/tpm_version_major"));
    let two = major.as_deref().map_or(managed, |major| major == "2");
    let tpm = if two { second(reader, name) } else { first(reader, name) };
    Some(Tpm { pcr_banks: pcr_banks(reader, name), ..tpm })
}

/// `pcr-sha256` is a directory of the values of one bank, since Linux 5.12.
fn pcr_banks(reader: &Reader<'_>, name: &str) -> Vec<String> {
    let names = reader.list(format!("{CLASS}/{name}"));
    names.iter().filter_map(|name| name.strip_prefix("pcr-")).map(str::to_owned).collect()
}

/// A TPM 1.2 has told the kernel all it has to say.
fn first(reader: &Reader<'_>, name: &str) -> Tpm {
    let caps = reader
        .text(format!("{CLASS}/{name}/caps"))
        .or_else(|| reader.text(format!("{CLASS}/{name}/device/caps")))
        .unwrap_or_default();
    let field = |name: &str| {
        let line = caps.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == name));
        line.map(|(_, value)| value.trim().to_owned())
    };
    let letters = |number: String| {
        let number = u32::from_str_radix(number.strip_prefix("0x")?, 16).ok()?;
        commands::letters(&number.to_be_bytes())
    };
    Tpm {
        version: field("TCG version"),
        manufacturer: field("Manufacturer").and_then(letters),
        firmware: field("Firmware version"),
        ..Tpm::default()
    }
}

fn second(reader: &Reader<'_>, name: &str) -> Tpm {
    let device = Device::open(reader, name);
    let path = |of: &str| format!("kernel/tpm/{name}/{of}");
    let ask = |of: &str, question: &dyn Fn(&Device) -> io::Result<Vec<u8>>| {
        reader.ask(&path(of), &|| device.as_ref().map_or(Err(errno(ENOENT)), question))
    };
    let properties = ask("properties", &|device| device.ask(&commands::get_properties()));
    let properties = properties.map(|answer| commands::properties(&answer)).unwrap_or_default();
    let mut endorsement = Vec::new();
    // One that does not tell its properties tells nothing else, and a failing one takes its time.
    for (kind, index) in CERTIFICATES.into_iter().filter(|_| !properties.is_empty()) {
        let digest = ask(&format!("endorsement/{kind}"), &|device| device.certificate_digest(index));
        match digest.map(String::from_utf8) {
            Some(Ok(digest)) if is_digest(digest.trim()) => {
                endorsement.push(EndorsementKey { kind: kind.into(), sha256: digest.trim().into() });
            }
            Some(_) => reader.warn(path(&format!("endorsement/{kind}")), "is no SHA-256"),
            None => {}
        }
    }
    Tpm {
        version: Some("2.0".to_owned()),
        manufacturer: commands::manufacturer(&properties),
        model: commands::vendor_string(&properties),
        firmware: commands::firmware(&properties),
        endorsement,
        ..Tpm::default()
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// The resource manager of one TPM. The kernel waits for an answer as long as it knows the
/// command to take, two seconds at most; and two minutes for `TPM2_NV_ReadPublic`, of which it
/// knows nothing and which only a TPM is asked that has answered before.
struct Device {
    file: File,
    /// It let a question without an answer: the next ones would wait as long.
    is_silent: Cell<bool>,
}

impl Device {
    /// `None` in a recording, and when it cannot be opened.
    fn open(reader: &Reader<'_>, name: &str) -> Option<Self> {
        if !reader.is_live() {
            return None;
        }
        let path = format!("dev/tpmrm{}", name.strip_prefix("tpm")?);
        let opened = File::options().read(true).write(true).open(format!("/{path}"));
        opened.inspect_err(|err| reader.warn(path, err)).map(Self::of).ok()
    }

    fn of(file: File) -> Self {
        Self { file, is_silent: Cell::new(false) }
    }

    /// One command, one answer.
    ///
    /// # Errors
    /// The kernel's; `ENXIO`, which is no warning, once there was one.
    fn ask(&self, command: &[u8]) -> io::Result<Vec<u8>> {
        if self.is_silent.get() {
            return Err(errno(ENXIO));
        }
        self.exchange(command).inspect_err(|_| self.is_silent.set(true))
    }

    fn exchange(&self, command: &[u8]) -> io::Result<Vec<u8>> {
        let sent = (&self.file).write(command)?;
        if sent != command.len() {
            return Err(errno(EIO));
        }
        let mut answer = vec![0; ANSWER_BYTES];
        let length = (&self.file).read(&mut answer)?;
        answer.truncate(length);
        Ok(answer)
    }

    /// The SHA-256, in hex, of the certificate at `index`.
    ///
    /// # Errors
    /// `ENOENT` when there is none; `EACCES` when it is not for everybody; `EBADMSG` when it is none.
    fn certificate_digest(&self, index: u32) -> io::Result<Vec<u8>> {
        let certificate = commands::read_certificate(index, &|command| self.ask(command))?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&certificate);
        Ok(hasher.finish().hex().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tpm_that_fails_to_answer_is_not_asked_again() {
        let full = File::options().read(true).write(true).open("/dev/full").expect("a device");
        let device = Device::of(full);
        let asked = || device.certificate_digest(0x01c0_0002).expect_err("no answer").raw_os_error();
        assert_eq!([asked(), asked()], [Some(28 /* ENOSPC */), Some(ENXIO)]);
    }
}
