//! JSON from strangers: bounded in depth before it is parsed.

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
}
