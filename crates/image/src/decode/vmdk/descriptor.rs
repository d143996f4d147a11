//! The descriptor of a VMDK: text that says what kind it is and what it builds
//! upon.

use super::super::flaw::Flaw;

/// The parent of a disk that has none.
const NO_PARENT: &str = "ffffffff";

/// Refuse what is not all of a disk.
pub(super) fn check(descriptor: &[u8]) -> Result<(), Flaw> {
    let end = descriptor.iter().position(|&byte| byte == 0).unwrap_or(descriptor.len());
    // Names may be in any encoding; what counts here is ASCII.
    let text = String::from_utf8_lossy(&descriptor[..end]);
    let mut kind = None;
    let mut extents = 0;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.split_once('=') else {
            extents += u32::from(is_extent(line)?);
            continue;
        };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
        match key.as_str() {
            "parentcid" if !value.eq_ignore_ascii_case(NO_PARENT) => {
                return Err(Flaw::NotAlone { what: "a parent disk (it is a snapshot)" });
            }
            "parentfilenamehint" => {
                return Err(Flaw::NotAlone { what: "a parent disk (it is a snapshot)" });
            }
            "createtype" if kind.is_none() => kind = Some(value.to_owned()),
            "createtype" => return Err(Flaw::Lie { what: "the descriptor has two types", at: 0 }),
            _ if key.starts_with("encryption") => return Err(Flaw::Encrypted),
            _ => {}
        }
    }
    match kind.as_deref() {
        Some("monolithicSparse" | "streamOptimized") => {}
        Some(kind) => return Err(Flaw::Unknown { what: format!("the type {kind:.40}") }),
        None if text.is_empty() => {
            return Err(Flaw::NotAlone {
                what: "its descriptor in another file (it is part of a split disk)",
            });
        }
        None => return Err(Flaw::Lie { what: "the descriptor has no type", at: 0 }),
    }
    match extents {
        1 => Ok(()),
        _ => Err(Flaw::NotAlone { what: "its content in other files (it is flat or split)" }),
    }
}

/// True when `line` describes an extent: `RW 4192256 SPARSE "name"`.
fn is_extent(line: &str) -> Result<bool, Flaw> {
    let mut words = line.split_ascii_whitespace();
    if !words.next().is_some_and(|word| ["RW", "RDONLY", "NOACCESS"].contains(&word)) {
        return Ok(false);
    }
    match words.nth(1) {
        Some("SPARSE") => Ok(true),
        kind => Err(Flaw::Unknown { what: format!("an extent of type {:.40}", kind.unwrap_or_default()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "# Disk DescriptorFile\nversion=1\nCID=dff7928e\nparentCID=ffffffff\n\
        createType=\"streamOptimized\"\n\n# Extent description\nRW 10241 SPARSE \"so.vmdk\"\n\n#DDB\n\
        ddb.adapterType = \"ide\"\n";

    #[test]
    fn a_whole_disk_is_told_from_a_part_of_one() {
        check(SOUND.as_bytes()).expect("all of a disk");
        check([SOUND.as_bytes(), b"\0\xff"].concat().as_slice()).expect("padded");
        check(SOUND.replace('\n', "\r\n").as_bytes()).expect("from Windows");
        for (from, to, says) in [
            ("ffffffff", "12345678", "snapshot"),
            ("CID=d", "parentFileNameHint=\"a.vmdk\"\nCID=d", "snapshot"),
            ("streamOptimized", "monolithicFlat", "monolithicFlat"),
            ("streamOptimized", "seSparse", "seSparse"),
            ("SPARSE", "FLAT", "FLAT"),
            ("SPARSE", "VMFSSPARSE", "VMFSSPARSE"),
            ("RW 10241 SPARSE \"so.vmdk\"", "", "flat or split"),
            ("#DDB", "RW 1 SPARSE \"b.vmdk\"", "flat or split"),
            ("CID=d", "encryption.keySafe = \"x\"\nCID=d", "encrypted"),
            ("createType", "type", "no type"),
            ("version=1", "createType=\"monolithicSparse\"", "two types"),
        ] {
            let text = SOUND.replacen(from, to, 1);
            let flaw = check(text.as_bytes()).expect_err(says);
            assert!(flaw.to_string().contains(says), "{says}: {flaw}");
        }
    }
}
