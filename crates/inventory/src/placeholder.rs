//! Texts that firmware holds because its vendor filled in nothing.
//!
//! Collected from some two hundred real servers: phrases ("To Be Filled By
//! O.E.M.", "NO DIMM"), names of the field itself ("Dimm5_PartNum",
//! "ModulePartNumber07"), counting ("0123456789") and marks ("......", "xx").

/// True for a text that says nothing.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    says_nothing(text) || is_one_letter(text) || is_counting(text) || is_phrase(text) || is_field_name(text)
}

/// Nothing but marks, zeros and x: `0x0000`, `....`, `--`. A single X is a name.
fn says_nothing(text: &str) -> bool {
    let means = |c: char| match c {
        '0' | 'x' | 'X' | '\u{fffd}' => false,
        c => c.is_ascii_alphanumeric() || !c.is_ascii(),
    };
    !text.chars().any(means) && !text.eq_ignore_ascii_case("x")
}

/// One letter again and again: `FFFFFFFF`, `0xffffffff`.
fn is_one_letter(text: &str) -> bool {
    const SEEN: usize = 6; // shorter may be a name
    let text = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    text.len() >= SEEN && text.iter().all(|byte| *byte == text[0])
}

/// Digits in a row, up or down: `0123456789`, `MB-1234567890`, `01234567890123456789AB`.
fn is_counting(text: &str) -> bool {
    const ALONE: usize = 8;
    const IN_LETTERS: usize = 10;
    let digits = text.trim_matches(|c: char| c.is_ascii_alphabetic() || c == '-').as_bytes();
    let enough = if digits.len() == text.len() { ALONE } else { IN_LETTERS };
    let by = |step: u8| {
        digits
            .windows(2)
            .all(|pair| pair[1].wrapping_sub(b'0') == pair[0].wrapping_sub(b'0').wrapping_add(step) % 10)
    };
    digits.len() >= enough && digits.iter().all(u8::is_ascii_digit) && (by(1) || by(9))
}

/// What says nothing as a whole, whatever marks and blanks stand between.
fn is_phrase(text: &str) -> bool {
    let mut letters = text.bytes().filter(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
    matches!(
        small_letters(&mut letters, &mut [0; LONGEST]),
        Some(
            b"asset"
                | b"badindex"
                | b"blank"
                | b"default"
                | b"defaultstring"
                | b"empty"
                | b"family"
                | b"fillbyoem"
                | b"filledbyoem"
                | b"invalid"
                | b"memundefined"
                | b"na"
                | b"noasset"
                | b"noassetinformation"
                | b"noassettag"
                | b"nodimm"
                | b"noenclosure"
                | b"nomodule"
                | b"none"
                | b"notapplicable"
                | b"notavailable"
                | b"notinstalled"
                | b"notprovided"
                | b"notspecified"
                | b"null"
                | b"oem"
                | b"outofspec"
                | b"productname"
                | b"reserved"
                | b"sku"
                | b"systemname"
                | b"systemproductname"
                | b"tbd"
                | b"tobefiledbyoem"
                | b"tobefilledbyoem"
                | b"undefined"
                | b"unknown"
                | b"unspecified"
        )
    )
}

/// The name of a field: words of which such names are made, numbers and single
/// letters. "Board Version" is one; "Version 2" and "DIMM_A1" say something.
fn is_field_name(text: &str) -> bool {
    let (mut words, mut fields) = (0, 0);
    let mut rest = text.as_bytes();
    while let Some(start) = rest.iter().position(u8::is_ascii_alphabetic) {
        let word = first_word(&rest[start..]);
        rest = &rest[start + word.len()..];
        match meaning(word) {
            Word::Unknown => return false,
            Word::Letter => {}
            Word::Place => words += 1,
            Word::Field => (words, fields) = (words + 1, fields + 1),
            Word::Maker => (words, fields) = (words + 2, fields + 1),
        }
    }
    fields > 0 && words > 1 && text.is_ascii() && !text.contains('.')
}

/// The letters at the beginning, up to a capital that follows a small one.
fn first_word(text: &[u8]) -> &[u8] {
    let ends = |pair: &[u8]| {
        !pair[1].is_ascii_alphabetic() || pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()
    };
    text.windows(2).position(ends).map_or(text, |last| &text[..=last])
}

/// What a word has to do in the name of a field.
enum Word {
    /// Nothing.
    Unknown,
    /// It numbers.
    Letter,
    /// It says of what.
    Place,
    /// It is one of the fields.
    Field,
    /// It is the field and needs no other word.
    Maker,
}

fn meaning(word: &[u8]) -> Word {
    match small_letters(&mut word.iter().copied(), &mut [0; LONGEST]) {
        Some([_]) => Word::Letter,
        Some(b"manufacturer") => Word::Maker,
        Some(
            b"asset" | b"assettag" | b"define" | b"family" | b"location" | b"part" | b"partnum"
            | b"partnumber" | b"ser" | b"serial" | b"serialnumber" | b"sernum" | b"sku" | b"skunumber"
            | b"tag" | b"vendor" | b"version",
        ) => Word::Field,
        Some(
            b"array" | b"bank" | b"base" | b"baseboard" | b"board" | b"channel" | b"chassis" | b"cpu"
            | b"dimm" | b"enclosure" | b"mem" | b"memory" | b"module" | b"name" | b"no" | b"node" | b"num"
            | b"number" | b"oem" | b"processor" | b"product" | b"slot" | b"string" | b"system" | b"type",
        ) => Word::Place,
        Some(_) | None => Word::Unknown,
    }
}

/// Letters of the longest text that is compared.
const LONGEST: usize = 18;

/// `letters` in lower case in `buffer`; `None` when they do not fit.
fn small_letters<'a>(
    letters: &mut dyn Iterator<Item = u8>,
    buffer: &'a mut [u8; LONGEST],
) -> Option<&'a [u8]> {
    let mut length = 0;
    for letter in letters {
        *buffer.get_mut(length)? = letter.to_ascii_lowercase();
        length += 1;
    }
    Some(&buffer[..length])
}

#[cfg(test)]
mod tests {
    use super::is_placeholder;

    /// All of them stand in tables of real machines.
    const NOTHING: [&str; 68] = [
        "",
        "  ",
        "-",
        "---",
        ".",
        "..............................",
        "0",
        "00000000",
        "0x0000",
        "x.x",
        "XXXXXXXX",
        "FFFFFFFF",
        "0xFFFFFFFF",
        "\u{fffd}\u{fffd}",
        "01234567",
        "0123456789",
        "123456789",
        "1234567890",
        "123456789012345678",
        "9876543210",
        "01234567890123456789AB",
        "MB-1234567890",
        "BSN12345678901234567",
        "ATN12345678901234567",
        "<BAD INDEX>",
        "<OUT OF SPEC>",
        "[Empty]",
        "(none)",
        "empty",
        "None",
        "NULL",
        "n/a",
        "N/A",
        "NO DIMM ",
        "No Asset Tag",
        "No Asset Information",
        "No Enclosure",
        "Unknown",
        "Undefined",
        "MemUndefined",
        "INVALID",
        "TBD",
        "SKU",
        "SKU Number",
        "Family",
        "SYSTEM_FAMILY",
        "OEM",
        "OEM Define 2",
        "Fill By OEM",
        "To be filled by O.E.M.",
        "To Be Filled By O.E.M",
        "To be filed by OEM",
        "Default string",
        "Default String",
        "Not Specified",
        "Not Available",
        "System Serial Number",
        "System Product Name",
        "System Version",
        "Chassis Manufacturer",
        "Chassis SKU Number",
        "Type1Family",
        "Type2 - Board Chassis Location",
        "Manufacturer07",
        "ModulePartNumber31",
        "SerNum00",
        "A1_AssetTagNum3",
        "CPU1_Dimm3_PartNum",
    ];

    /// So do these, and they are names.
    const SOMETHING: [&str; 38] = [
        "0123-x",
        "7XK2P3Z",
        "1",
        "01",
        "A",
        "X",
        "A00",
        "1.0",
        "0001",
        "1234",
        "1.01",
        "00CE00B300CE",
        "0198",
        "NEC",
        "OEGStone",
        "Others",
        "All Series",
        "Super Server",
        "Base Board",
        "Rev 1.xx",
        "Version 2.16",
        "Version 2",
        "DIMM_A1",
        "DIMM 0",
        "P0_Node0_Channel1_Dimm0",
        "BANK 0",
        "CPU1",
        "PCIe Slot 3",
        "NODE 0 CHANNEL 1 DIMM 1",
        "Family: Prime Server",
        "SUPERTALENT02",
        "9000116105",
        "VMware-56 4d e2 c3",
        "1519-7810-4472-8775-7272-8851-12",
        "北京",
        "MT12345678",
        "Part Component",
        "Middle",
    ];

    #[test]
    fn a_vendor_who_filled_in_nothing_said_nothing() {
        for text in NOTHING {
            assert!(is_placeholder(text), "{text:?}");
        }
    }

    #[test]
    fn a_name_that_looks_like_nothing_is_a_name() {
        for text in SOMETHING {
            assert!(!is_placeholder(text), "{text:?}");
        }
    }
}
