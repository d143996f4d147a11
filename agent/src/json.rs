//! JSON from strangers, bounded in depth before it is parsed; and JSON for people.

/// The deepest nesting taken. Ironic's own limit is 25 below the body; node
/// objects reach 8.
const MAX_DEPTH: usize = 32;

/// Why bytes are not taken as JSON.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    /// A nesting bomb.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Not JSON.
    #[error("{0}")]
    Malformed(serde_json::Error),
}

/// Parse `bytes`, refusing what nests too deep.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    if depth(bytes) > MAX_DEPTH {
        return Err(JsonError::TooDeep);
    }
    serde_json::from_slice(bytes).map_err(JsonError::Malformed)
}

/// How deep brackets nest outside strings. Exact for valid JSON.
fn depth(bytes: &[u8]) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                now += 1;
                deepest = deepest.max(now);
            }
            (false, b']' | b'}') => now = now.saturating_sub(1),
            _ => (),
        }
    }
    deepest
}

/// `value` with a line for each field. As [`serde_json::to_string_pretty`], which the
/// compiler would make anew for every type: what is written compactly anyway is
/// broken into lines afterwards.
///
/// # Errors
/// As [`serde_json::to_vec`].
pub(crate) fn pretty<T: serde::Serialize>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string(value).map(|compact| indented(&compact))
}

/// Valid JSON without spaces, with them.
fn indented(compact: &str) -> String {
    let mut text = String::with_capacity(compact.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut before = ' ';
    for each in compact.chars() {
        let closes = !in_string && matches!(each, ']' | '}');
        if closes {
            depth = depth.saturating_sub(1);
        }
        // Nothing between brackets stays on their line.
        let begins = !in_string && matches!(before, '[' | '{') && !closes;
        let ends = closes && !matches!(before, '[' | '{');
        if begins || ends || (!in_string && before == ',') {
            text.push('\n');
            text.extend(std::iter::repeat_n("  ", depth));
        }
        text.push(each);
        match each {
            _ if escaped => escaped = false,
            '\\' => escaped = in_string,
            '"' => in_string = !in_string,
            ':' if !in_string => text.push(' '),
            '[' | '{' if !in_string => depth += 1,
            _ => (),
        }
        // What is inside a string is no bracket, and neither is its end.
        before = if in_string || each == '"' { ' ' } else { each };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_strings() {
        for (text, want) in
            [("1", 0), ("[]", 1), (r#"{"a":[{"b":1}]}"#, 3), (r#"["[[[[", "\"[[["]"#, 1), ("][[", 2)]
        {
            assert_eq!(depth(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn a_depth_bomb_is_refused_before_it_is_parsed() {
        let bomb = "[".repeat(1_000_000);
        assert!(matches!(parse::<serde_json::Value>(bomb.as_bytes()), Err(JsonError::TooDeep)));
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        parse::<serde_json::Value>(deep.as_bytes()).unwrap();
    }

    #[test]
    fn it_is_broken_into_lines_as_serde_json_does() {
        let text = r#"{"a":[],"b":{},"c":[1,-2.5e3,{"d":null}],"e":"[{,:}]\"\\","f,":{"\"{":["x","",[[]]]},"ü\n":true}"#;
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let machine = hardware_fixtures::machine("rack-nvme-sata");
        let inventory: serde_json::Value = serde_json::from_str(&machine.file("inventory.json")).unwrap();
        for value in
            [value, inventory, serde_json::json!([]), serde_json::json!("a"), serde_json::json!([{}])]
        {
            assert_eq!(pretty(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap());
        }
    }
}
