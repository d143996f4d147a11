//! How udev spells what drives call themselves.

/// Letters that udev lets stand.
fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "#+-.:=@_".contains(letter) || !letter.is_ascii()
}

/// Everything that is not plain is an underscore (`udev_replace_chars`).
pub(super) fn replaced(text: &str) -> String {
    text.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect()
}

/// Blanks in a row are one underscore first, and none at the ends
/// (`udev_replace_whitespace`).
pub(super) fn collapsed(text: &str) -> String {
    replaced(&text.split_whitespace().collect::<Vec<_>>().join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_udev_does() {
        for (text, each, runs) in [
            ("Samsung SSD 870", "Samsung_SSD_870", "Samsung_SSD_870"),
            ("ST4000  NM/0035 (x)", "ST4000__NM_0035__x_", "ST4000_NM_0035__x_"),
            ("a#b+c-d.e:f=g@h_i", "a#b+c-d.e:f=g@h_i", "a#b+c-d.e:f=g@h_i"),
        ] {
            assert_eq!((replaced(text).as_str(), collapsed(text).as_str()), (each, runs));
        }
        assert_eq!(collapsed("  edge  "), "edge");
    }
}
