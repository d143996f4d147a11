//! The agent token: compared in constant time, never logged.

use std::collections::HashMap;

use axum::response::Response;
use model::Secret;

use super::fault;

/// Let pass who shows the token; without a token of our own, nobody.
#[expect(clippy::result_large_err, reason = "the error is the answer")]
pub(super) fn check(own: Option<&Secret>, query: &HashMap<String, String>) -> Result<(), Response> {
    let shown = query.get("agent_token").map_or("", String::as_str);
    if own.is_some_and(|own| same(own.expose().as_bytes(), shown.as_bytes())) {
        return Ok(());
    }
    Err(fault(401, "401 Unauthorized: Token invalid."))
}

/// Equality whose time tells nothing but the lengths.
fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |bits, (x, y)| bits | (x ^ y));
    std::hint::black_box(difference) == 0 && a.len() == b.len() && !a.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_passes() {
        for (a, b, want) in
            [("abc", "abc", true), ("abc", "abd", false), ("abc", "ab", false), ("", "", false)]
        {
            assert_eq!(same(a.as_bytes(), b.as_bytes()), want, "{a} {b}");
        }
    }
}
