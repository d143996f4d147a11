//! A verdict as one page that is printed and filed: nothing is loaded from elsewhere.

use serde_json::Value;

use super::{
    judge::Verdict,
    show::{columns, plain, summary},
};

/// More nesting than this is no certificate of ours.
const DEPTH_LIMIT: usize = 12;

const HEAD: &str = r#"<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>Evidence of erasure</title><style>
body{font:11pt/1.4 sans-serif;margin:2em auto;max-width:50em}table{border-collapse:collapse;margin:.3em 0}td,th{border:1px solid #999;padding:.1em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere}
.no{color:#a00;font-weight:bold}section{border-top:2px solid #000;margin-top:1.5em}@media print{body{margin:0}section{break-before:page}tr{break-inside:avoid}}
</style></head><body><h1>Evidence of erasure</h1>"#;

/// The page, made `at` this time.
pub(super) fn html(verdict: &Verdict, at: crate::timestamp::Timestamp) -> String {
    let mut out = HEAD.to_owned();
    let class = if verdict.holds() { "yes" } else { "no" };
    out += &format!("<p class={class}>{}</p>", escaped(&summary(verdict)));
    out += &format!("<p>Checked at {at:.0} by billet-agent {}.</p>", env!("CARGO_PKG_VERSION"));
    if !verdict.problems.is_empty() {
        out += "<ul class=no>";
        verdict.problems.iter().for_each(|problem| out += &format!("<li>{}</li>", escaped(problem)));
        out += "</ul>";
    }
    out += "<table>";
    for (at, finding) in verdict.findings.iter().enumerate() {
        let columns = columns(finding);
        let row = |cell: &str, texts: [&str; 8]| {
            let cells: String =
                texts.iter().map(|text| format!("<{cell}>{}</{cell}>", escaped(text))).collect();
            format!("<tr>{cells}</tr>")
        };
        if at == 0 {
            out += &row("th", columns.each_ref().map(|(name, _)| *name));
        }
        out += &row("td", columns.each_ref().map(|(_, text)| text.as_str()));
    }
    out += "</table>";
    for finding in &verdict.findings {
        let (from, digest) = (escaped(&finding.from), &finding.digest);
        out += &format!("<section><h2>{from}</h2><p>SHA-256 of the document: {digest}</p>");
        value(&finding.certificate, DEPTH_LIMIT, &mut out);
        if !finding.link.is_null() {
            let mut link = finding.link.clone();
            link["certificate"] = Value::Null; // shown above, and its signature is checked
            out += "<h3>Countersigned by billetd</h3>";
            value(&link, DEPTH_LIMIT, &mut out);
        }
        out += "</section>";
    }
    out + "</body></html>\n"
}

/// Any value, as tables in tables; what says nothing is left out.
fn value(shown: &Value, depth: usize, out: &mut String) {
    let mut rows = |rows: &mut dyn Iterator<Item = (String, &Value)>| {
        *out += "<table>";
        for (name, inner) in rows.filter(|(_, inner)| !inner.is_null()) {
            *out += &format!("<tr><th>{}</th><td>", escaped(&name));
            if depth > 0 {
                value(inner, depth - 1, out);
            }
            *out += "</td></tr>";
        }
        *out += "</table>";
    };
    match shown {
        Value::Object(fields) => {
            rows(&mut fields.iter().map(|(name, inner)| (name.replace('_', " "), inner)))
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            rows(&mut (1..).zip(items).map(|(at, inner): (usize, _)| (at.to_string(), inner)));
        }
        Value::Array(items) => {
            let texts: Vec<String> = items.iter().map(word).collect();
            *out += &escaped(&texts.join(", "));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => *out += &escaped(&word(shown)),
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn escaped(text: &str) -> String {
    plain(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
