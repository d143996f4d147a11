//! Commands of a TPM 2.0 and their answers, "Trusted Platform Module Library", part 3:
//! `TPM2_GetCapability` (30.2), `TPM2_NV_ReadPublic` (31.6), `TPM2_NV_Read` (31.13).

use std::{collections::BTreeMap, io};

use super::{EACCES, EBADMSG, ENOENT, errno};
use crate::limits;

const WITHOUT_SESSIONS: u16 = 0x8001;
const WITH_SESSIONS: u16 = 0x8002;
/// Bytes of tag, length and code, before everything else.
const HEADER: usize = 10;

const GET_CAPABILITY: u32 = 0x17a;
const NV_READ_PUBLIC: u32 = 0x169;
const NV_READ: u32 = 0x14e;

/// `TPM_CAP_TPM_PROPERTIES`.
const PROPERTIES: u32 = 6;
/// `PT_FIXED`, the first of the properties that never change, and how many there are at most.
const FIXED: u32 = 0x100;
const FIXED_COUNT: u32 = 0x2e;
const MANUFACTURER: u32 = FIXED + 5;
const VENDOR_STRING: [u32; 4] = [FIXED + 6, FIXED + 7, FIXED + 8, FIXED + 9];
const FIRMWARE: [u32; 2] = [FIXED + 11, FIXED + 12];

/// `TPM_RH_OWNER` and the attribute that lets it read (`TPMA_NV_OWNERREAD`).
const OWNER: u32 = 0x4000_0001;
const OWNER_READ: u32 = 1 << 17;
/// The index's own, empty password lets read (`TPMA_NV_AUTHREAD`), and a wrong one does not
/// count as an attack (`TPMA_NV_NO_DA`): as the profile wants it of certificates.
const AUTH_READ: u32 = 1 << 18 | 1 << 25;
/// An authorisation by an empty password: `TPM_RS_PW`, no nonce, no attributes, no password.
const EMPTY_PASSWORD: [u8; 9] = [0x40, 0, 0, 9, 0, 0, 0, 0, 0];

/// `TPM_RC_HANDLE` for the first handle: there is no such index.
const NO_SUCH_INDEX: u32 = 0x18b;

/// Bytes read at a time. The smallest `TPM_PT_NV_BUFFER_MAX` known is 512.
const PIECE: u16 = 512;

/// What a TPM is asked through.
pub(super) type Ask<'a> = &'a dyn Fn(&[u8]) -> io::Result<Vec<u8>>;

fn command(tag: u16, code: u32, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    [&tag.to_be_bytes()[..], &length.to_be_bytes(), &code.to_be_bytes(), &body].concat()
}

/// The answer's code and what follows it; `None` when it is cut off.
fn answer(bytes: &[u8]) -> Option<(u32, &[u8])> {
    Some((u32_at(bytes, 6)?, &bytes[HEADER..]))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Ask for all properties that never change.
pub(super) fn get_properties() -> Vec<u8> {
    let what = [PROPERTIES, FIXED, FIXED_COUNT].map(u32::to_be_bytes);
    command(WITHOUT_SESSIONS, GET_CAPABILITY, &[what.as_flattened()])
}

/// The properties in an answer; none when it is no such answer.
pub(super) fn properties(bytes: &[u8]) -> BTreeMap<u32, u32> {
    let Some((0, body)) = answer(bytes) else { return BTreeMap::new() };
    // More data, the capability, the count; then pairs.
    let (Some(PROPERTIES), Some(pairs)) = (u32_at(body, 1), body.get(9..)) else { return BTreeMap::new() };
    let pairs = pairs.as_chunks::<8>().0.iter().take(FIXED_COUNT as usize);
    model::order::map(pairs.filter_map(|pair| Some((u32_at(pair, 0)?, u32_at(pair, 4)?))))
}

/// The maker's letters.
pub(super) fn manufacturer(properties: &BTreeMap<u32, u32>) -> Option<String> {
    letters(&properties.get(&MANUFACTURER)?.to_be_bytes())
}

/// The maker's name for it, of up to 16 letters.
pub(super) fn vendor_string(properties: &BTreeMap<u32, u32>) -> Option<String> {
    let words = VENDOR_STRING.map(|property| properties.get(&property).copied().unwrap_or(0).to_be_bytes());
    letters(words.as_flattened())
}

/// Four numbers of 16 bits, as fwupd shows the vendor's two of 32.
pub(super) fn firmware(properties: &BTreeMap<u32, u32>) -> Option<String> {
    let [first, second] = FIRMWARE.map(|property| properties.get(&property).copied());
    let (first, second) = (first?, second.unwrap_or(0));
    Some(format!("{}.{}.{}.{}", first >> 16, first & 0xffff, second >> 16, second & 0xffff))
}

/// What can be read of bytes that should be letters.
pub(super) fn letters(bytes: &[u8]) -> Option<String> {
    let text: String =
        bytes.iter().filter(|byte| (b' '..=b'~').contains(byte)).map(|&byte| char::from(byte)).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Read the certificate (DER) that is stored at `index`, without what pads it.
///
/// # Errors
/// `ENOENT` when nothing is stored there; `EACCES` when a try could lock the TPM;
/// `EBADMSG` when it is no certificate, or the answer none; whatever `ask` reports.
pub(super) fn read_certificate(index: u32, ask: Ask<'_>) -> io::Result<Vec<u8>> {
    let public = ask(&command(WITHOUT_SESSIONS, NV_READ_PUBLIC, &[&index.to_be_bytes()]))?;
    let (attributes, length) = stored(&public)?;
    let by = match attributes {
        may if may & AUTH_READ == AUTH_READ => index, // the owner may have a password
        may if may & OWNER_READ != 0 => OWNER,
        _ => return Err(errno(EACCES)),
    };
    let mut bytes = Vec::new();
    for at in (0..length).step_by(PIECE.into()) {
        let piece = PIECE.min(length - at);
        let parts: [&[u8]; 6] = [
            &by.to_be_bytes(),
            &index.to_be_bytes(),
            &9u32.to_be_bytes(),
            &EMPTY_PASSWORD,
            &piece.to_be_bytes(),
            &at.to_be_bytes(),
        ];
        bytes.extend(piece_of(&ask(&command(WITH_SESSIONS, NV_READ, &parts))?, piece)?);
    }
    whole_certificate(bytes)
}

/// Attributes and length of what an index holds, from `TPM2_NV_ReadPublic`.
fn stored(bytes: &[u8]) -> io::Result<(u32, u16)> {
    let parse = || {
        let (code, body) = answer(bytes)?;
        if code == NO_SUCH_INDEX {
            return Some(Err(errno(ENOENT)));
        }
        // Length of what follows, index, algorithm, attributes, length of a policy, the policy.
        let attributes = u32_at(body, 8)?;
        let policy = u16_at(body, 12)?;
        let length = u16_at(body, 14 + usize::from(policy))?;
        (code == 0 && length <= limits::CERTIFICATE_BYTES).then_some(Ok((attributes, length)))
    };
    parse().unwrap_or_else(|| Err(errno(EBADMSG)))
}

/// `length` bytes from `TPM2_NV_Read`.
fn piece_of(bytes: &[u8], length: u16) -> io::Result<Vec<u8>> {
    let parse = || {
        let (0, body) = answer(bytes)? else { return None };
        // Length of the parameters, length of the bytes, the bytes; then the session.
        let told = u16_at(body, 4)?;
        body.get(6..6 + usize::from(length)).filter(|_| told == length)
    };
    parse().map(<[u8]>::to_vec).ok_or_else(|| errno(EBADMSG))
}

/// Cut behind the end that the certificate itself tells: a sequence with a length of two bytes.
fn whole_certificate(mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let [0x30, 0x82, high, low, ..] = *bytes else { return Err(errno(EBADMSG)) };
    let length = 4 + usize::from(u16::from_be_bytes([high, low]));
    if length > bytes.len() {
        return Err(errno(EBADMSG));
    }
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
