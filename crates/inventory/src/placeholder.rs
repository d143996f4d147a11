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

/// Letters and digits of what says nothing as a whole. One text: a list of them
/// would cost the agent 40 bytes more for each.
const PHRASES: &str = "|asset|badindex|blank|default|defaultstring|empty|family|fillbyoem|filledbyoem|invalid|memundefined|na|noasset\
     |noassetinformation|noassettag|nodimm|noenclosure|nomodule|none|notapplicable|notavailable|notinstalled\
     |notprovided|notspecified|null|oem|outofspec|productname|reserved|sku|systemname|systemproductname|tbd\
     |tobefiledbyoem|tobefilledbyoem|undefined|unknown|unspecified|";

/// Words of which at least one is in the name of a field…
const FIELDS: &str = "|asset|assettag|define|family|location|manufacturer|part|partnum|partnumber|ser|serial|serialnumber|sernum\
     |sku|skunumber|tag|vendor|version|";

/// … and words that say of what it is one.
const PLACES: &str = "|array|bank|base|baseboard|board|channel|chassis|cpu|dimm|enclosure|mem|memory|module|name|no|node|num|number|oem\
     |processor|product|slot|string|system|type|";

/// Digits behind the name of a field that are more than a count of slots.
const A_NUMBER: usize = 5;

/// Letters of the longest of them.
const LONGEST: usize = 18;

/// Whatever marks and blanks stand between.
fn is_phrase(text: &str) -> bool {
    is_listed(PHRASES, &mut text.bytes().filter(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()))
}

/// The name of a field: words of which such names are made, numbers and single
/// letters. "Board Version" is one; "Version 2" and "DIMM_A1" say something.
fn is_field_name(text: &str) -> bool {
    let (mut words, mut fields) = (0, 0);
    if text.split(|c: char| !c.is_ascii_digit()).any(is_a_number) {
        return false; // "Serial Number 48213377" has one
    }
    let mut rest = text.as_bytes();
    while let Some(start) = rest.iter().position(u8::is_ascii_alphabetic) {
        let word = first_word(&rest[start..]);
        rest = &rest[start + word.len()..];
        if is_listed(FIELDS, &mut word.iter().copied()) {
            // This one says enough alone.
            words += if word.eq_ignore_ascii_case(b"manufacturer") { 2 } else { 1 };
            fields += 1;
        } else if is_listed(PLACES, &mut word.iter().copied()) {
            words += 1;
        } else if word.len() > 1 {
            return false;
        }
    }
    fields > 0 && words > 1 && text.is_ascii() && !text.contains('.')
}

/// Digits, and neither `00000` nor `12345`.
fn is_a_number(digits: &str) -> bool {
    let by = |step: u8| digits.as_bytes().windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step);
    digits.len() >= A_NUMBER && !by(0) && !by(1)
}

/// The letters at the beginning, up to a capital that follows a small one.
fn first_word(text: &[u8]) -> &[u8] {
    let ends = |pair: &[u8]| {
        !pair[1].is_ascii_alphabetic() || pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()
    };
    text.windows(2).position(ends).map_or(text, |last| &text[..=last])
}

/// Whether `list` has a word of these letters, large or small.
fn is_listed(list: &str, letters: &mut dyn Iterator<Item = u8>) -> bool {
    let mut word = [b'|'; LONGEST + 2];
    let mut length = 1;
    for letter in letters {
        if length > LONGEST {
            return false;
        }
        word[length] = letter.to_ascii_lowercase();
        length += 1;
    }
    length > 2 && std::str::from_utf8(&word[..=length]).is_ok_and(|word| list.contains(word))
}

#[cfg(test)]
mod tests {
    use super::is_placeholder;

    /// All of them stand in tables of real machines.
    const NOTHING: [&str; 70] = [
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
        "Serial Number 00000",
        "Asset Tag 12345",
        "A1_AssetTagNum3",
        "CPU1_Dimm3_PartNum",
    ];

    /// So do these, and they are names.
    const SOMETHING: [&str; 40] = [
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
        "Serial Number 48213377",
        "PART-NO-90001",
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
