//! One byte sequence for one JSON value.
//!
//! Objects are sorted by the bytes of their keys, there is no white space, text
//! is UTF-8 escaped as serde_json does (`\"`, `\\`, control characters, nothing
//! else), numbers are integers between -2^63 and 2^64-1. A fraction has many
//! spellings, so it has no place in evidence: write a text, or a smaller unit.

use serde_json::Value;

/// The largest canonical form, in bytes. An erase certificate is some 3 KiB.
pub const SIZE_LIMIT: usize = 1 << 20;
/// The deepest nesting of arrays and objects.
pub const DEPTH_LIMIT: usize = 32;

/// Why a value has no canonical form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// Longer than evidence may be.
    #[error("the document is larger than {SIZE_LIMIT} bytes; it is not evidence of one device")]
    TooLarge,
    /// Nested deeper than evidence may be.
    #[error("the document is nested deeper than {DEPTH_LIMIT} levels")]
    TooDeep,
    /// A number with a fraction or an exponent.
    #[error("{number} is not an integer; evidence holds integers and texts only")]
    Fraction {
        /// The number.
        number: String,
    },
}

/// The canonical form of `value`.
///
/// # Errors
/// [`CanonicalError`] when it has none.
pub fn canonical(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::new();
    write(value, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    if depth > DEPTH_LIMIT {
        return Err(CanonicalError::TooDeep);
    }
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(number) if number.is_f64() => {
            return Err(CanonicalError::Fraction { number: number.to_string() });
        }
        Value::Number(number) => out.extend(number.to_string().bytes()),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => write_list(items, b"[]", out, |item, out| write(item, depth + 1, out))?,
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| key.as_bytes());
            write_list(fields, b"{}", out, |(key, value), out| {
                write_text(key, out);
                out.push(b':');
                write(value, depth + 1, out)
            })?;
        }
    }
    if out.len() > SIZE_LIMIT { Err(CanonicalError::TooLarge) } else { Ok(()) }
}

fn write_list<T>(
    items: impl IntoIterator<Item = T>,
    brackets: &[u8; 2],
    out: &mut Vec<u8>,
    mut write_one: impl FnMut(T, &mut Vec<u8>) -> Result<(), CanonicalError>,
) -> Result<(), CanonicalError> {
    out.push(brackets[0]);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_one(item, out)?;
    }
    out.push(brackets[1]);
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // serde_json's Display of a text is its escaped JSON form.
    out.extend(Value::from(text).to_string().bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_level_and_there_is_no_space() {
        let value =
            json!({"b": [1, {"z": null, "é": true, "a": "x\"\n\u{1}ü"}], "a": u64::MAX, "A": i64::MIN});
        assert_eq!(
            String::from_utf8(canonical(&value).expect("canonical")).expect("UTF-8"),
            r#"{"A":-9223372036854775808,"a":18446744073709551615,"b":[1,{"a":"x\"\n\u0001ü","z":null,"é":true}]}"#
        );
    }

    #[test]
    fn what_has_many_spellings_or_no_end_has_no_canonical_form() {
        assert_eq!(canonical(&json!([1.5])), Err(CanonicalError::Fraction { number: "1.5".into() }));
        let deep = (0..=DEPTH_LIMIT + 1).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(canonical(&deep), Err(CanonicalError::TooDeep));
        assert_eq!(canonical(&json!("x".repeat(SIZE_LIMIT))), Err(CanonicalError::TooLarge));
    }
}
