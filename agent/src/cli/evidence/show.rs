//! A verdict for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::judge::{Finding, Verdict, text};

/// Without anything that a terminal or a reader could take for something else:
/// documents come from anybody.
pub(super) fn plain(text: &str) -> String {
    let odd = |char: char| {
        char.is_control()
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.replace(odd, "?")
}

/// The columns of one erasure.
pub(super) fn columns(finding: &Finding) -> [(&'static str, String); 8] {
    let Finding { link, certificate, proven, .. } = finding;
    let known = |text: Option<&str>| plain(text.unwrap_or("-"));
    let number = link.get("sequence").map_or_else(|| "-".to_owned(), Value::to_string);
    let device = text(link, "/device").or_else(|| text(certificate, "/device/path"));
    [
        ("link", number),
        ("device", known(device)),
        ("model", known(text(certificate, "/device/model"))),
        ("serial", known(text(certificate, "/device/serial"))),
        ("result", if *proven { known(text(certificate, "/result")) } else { "NOT PROVEN".to_owned() }),
        ("level", known(text(certificate, "/level"))),
        ("method", known(text(certificate, "/method"))),
        ("at", known(text(certificate, "/issued_at").or_else(|| text(link, "/received_at")))),
    ]
}

/// One line for everything.
pub(super) fn summary(verdict: &Verdict) -> String {
    let mut line = match (verdict.holds(), verdict.pinned) {
        (true, true) => "Proven, signed by the pinned key.".to_owned(),
        (true, false) => {
            "Proven by the key inside, which was not pinned: give --key to know whose it is.".to_owned()
        }
        (false, _) => format!("NOT PROVEN: {} problems.", verdict.problems.len()),
    };
    for piece in &verdict.chains {
        let ends =
            if piece.whole { "the whole chain" } else { "a piece of the chain, without its signed head" };
        let _ = write!(
            line,
            " Links {} to {} of node {}: {ends}.",
            piece.links.0,
            piece.links.1,
            plain(&piece.node)
        );
    }
    line
}

/// For a terminal.
pub(super) fn table(verdict: &Verdict) -> String {
    let rows: Vec<[String; 8]> =
        verdict.findings.iter().map(|finding| columns(finding).map(|(_, text)| text)).collect();
    let mut out = String::new();
    if let Some(first) = verdict.findings.first() {
        let head = columns(first).map(|(name, _)| name.to_uppercase());
        let width =
            |at: usize| rows.iter().chain([&head]).map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: [usize; 8] = std::array::from_fn(width);
        for row in [&head].into_iter().chain(&rows) {
            let line: Vec<String> =
                row.iter().zip(widths).map(|(text, width)| format!("{text:width$}")).collect();
            let _ = writeln!(out, "{}", line.join("  ").trim_end());
        }
    }
    out + &summary(verdict) + "\n"
}

/// For programs.
pub(super) fn json(verdict: &Verdict) -> Value {
    let finding = |finding: &Finding| json!({"from": finding.from, "sha256": finding.digest, "proven": finding.proven, "link": finding.link, "certificate": finding.certificate});
    let chain = |piece: &super::judge::Piece| json!({"node": piece.node, "first": piece.links.0, "last": piece.links.1, "whole": piece.whole});
    json!({
        "ok": verdict.holds(),
        "pinned": verdict.pinned,
        "problems": verdict.problems,
        "chains": verdict.chains.iter().map(chain).collect::<Vec<_>>(),
        "documents": verdict.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}
