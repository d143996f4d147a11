//! What documents prove together: signatures, chains, times, and the last word
//! on every disk.

use std::{collections::BTreeMap, time::Duration};

use evidence::{
    CertificatePem, Signed,
    chain::{self, Head, Link, Signers},
};
use serde_json::Value;

use super::read::Document;
use crate::timestamp::Timestamp;

/// The newest version of certificates that is known.
const NEWEST: u64 = 2;
/// How far two clocks may be apart; a clock kept in local time is half a day off.
const CLOCK_TOLERANCE: Duration = Duration::from_hours(24);

/// One erasure, as a document tells it.
pub(super) struct Finding {
    /// The file it came from.
    pub(super) from: String,
    /// SHA-256 of the whole canonical document, in hex.
    pub(super) digest: String,
    /// Its link's body; null without one.
    pub(super) link: Value,
    /// The certificate's body; null where there is none that is whole.
    pub(super) certificate: Value,
    /// It says that the disk was erased, and its signature and times hold.
    pub(super) proven: bool,
}

/// A piece of a chain that holds.
pub(super) struct Piece {
    /// Whose erasures it is about.
    pub(super) node: String,
    /// Its first and last link.
    pub(super) links: (u64, u64),
    /// The signed head was there: nothing is missing before or behind.
    pub(super) whole: bool,
}

/// Everything that was found.
#[derive(Default)]
pub(super) struct Verdict {
    /// In the order of the files; links in the order of their chain.
    pub(super) findings: Vec<Finding>,
    /// The chains, by node.
    pub(super) chains: Vec<Piece>,
    /// Why not everything is proven.
    pub(super) problems: Vec<String>,
    /// Every outer signature was made by a key that the caller named.
    pub(super) pinned: bool,
}

impl Verdict {
    /// Every signature and chain holds, and every disk was erased last.
    pub(super) fn holds(&self) -> bool {
        self.problems.is_empty() && !self.findings.is_empty()
    }
}

/// Where a document was found, and its digest.
type Origin = (String, String);

/// A checked link and what it says.
type Linked = (Link, Finding);

/// Check `documents`; `now` is this machine's time.
pub(super) fn judge(documents: Vec<Document>, pinned: &[CertificatePem], now: Timestamp) -> Verdict {
    let mut verdict = Verdict { pinned: !pinned.is_empty(), ..Verdict::default() };
    let mut nodes: BTreeMap<String, (Vec<Linked>, Option<Head>)> = BTreeMap::new();
    for Document { from, signed } in documents {
        let mut problem = |text: String| verdict.problems.push(format!("{from}: {text}"));
        let digest = chain::digest(&signed).unwrap_or_default();
        let body = match verified(&signed, pinned) {
            Ok(body) => body,
            Err(error) => {
                problem(error);
                continue;
            }
        };
        if Head::claimed(&body) {
            match Head::of(&body) {
                Ok(head) => {
                    let known = &mut nodes.entry(head.node.clone()).or_default().1;
                    // Pages of an answer have one each: the longest knows of all links.
                    if known.as_ref().is_none_or(|known| known.length < head.length) {
                        *known = Some(head);
                    }
                }
                Err(error) => problem(error.to_string()),
            }
        } else if Link::claimed(&body) {
            match Link::of(&signed) {
                Ok(link) => {
                    let finding = of_link((from.clone(), digest), body, now, &mut problem);
                    nodes.entry(link.node.clone()).or_default().0.push((link, finding));
                }
                Err(error) => problem(error.to_string()),
            }
        } else {
            let at = verdict.findings.len();
            verdict.findings.push(alone((from.clone(), digest), body, now, &mut problem));
            say_unproven(&verdict.findings[at..], &mut verdict.problems);
        }
    }
    for (node, (links, head)) in nodes {
        one_chain(node, links, head, &mut verdict);
    }
    verdict
}

fn verified(signed: &Signed, pinned: &[CertificatePem]) -> Result<Value, String> {
    let body = evidence::verify(signed, None).map_err(|error| words(&error))?;
    let signer = signed.signature.certificate.parse::<CertificatePem>().ok();
    if pinned.is_empty() || signer.is_some_and(|signer| pinned.contains(&signer)) {
        return Ok(body);
    }
    Err(words(&evidence::VerifyError::NotPinned))
}

fn words(error: &dyn std::error::Error) -> String {
    crate::command::chain(error)
}

/// A text of a document.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn says_erased(certificate: &Value) -> bool {
    matches!(text(certificate, "/result"), Some("clean" | "metadata-clean"))
}

/// A certificate without a link.
fn alone(
    (from, digest): Origin,
    certificate: Value,
    now: Timestamp,
    problem: &mut dyn FnMut(String),
) -> Finding {
    let wrong = objection(&certificate, &Value::Null, now);
    let proven = wrong.is_none() && says_erased(&certificate);
    wrong.into_iter().for_each(problem);
    Finding { from, digest, link: Value::Null, certificate, proven }
}

/// A link, whose signature holds. What billetd judged is judged again.
fn of_link((from, digest): Origin, link: Value, now: Timestamp, problem: &mut dyn FnMut(String)) -> Finding {
    let accepted = link.get("verified") == Some(&Value::Bool(true));
    let inner =
        serde_json::from_value::<Signed>(link["certificate"].clone()).map_err(|error| error.to_string());
    let inner = inner.and_then(|inner| evidence::verify(&inner, None).map_err(|error| words(&error)));
    let (certificate, mut objection) = match inner {
        Ok(certificate) => {
            let objection =
                other_subject(&link, &certificate).or_else(|| objection(&certificate, &link, now));
            (certificate, objection)
        }
        Err(error) => (Value::Null, Some(error)),
    };
    if accepted && objection.is_none() && !says_erased(&certificate) {
        objection = Some("its certificate does not say that the disk was erased".to_owned());
    }
    let proven = accepted && objection.is_none();
    // billetd's own objection is in the link; one that it did not have is news.
    if let (true, Some(objection)) = (accepted, objection) {
        problem(format!("the link says that billetd accepted this, and it does not hold: {objection}"));
    }
    Finding { from, digest, link, certificate, proven }
}

/// The certificate in a link is about what the link is about.
fn other_subject(link: &Value, certificate: &Value) -> Option<String> {
    let pairs = [("/node", "/node"), ("/operation", "/operation"), ("/device", "/device/path")];
    let other = pairs.iter().find(|(ours, theirs)| text(link, ours) != text(certificate, theirs))?;
    Some(format!("the certificate is about another {}", other.0.trim_start_matches('/')))
}

/// What a genuine certificate does not prove by itself.
fn objection(certificate: &Value, link: &Value, now: Timestamp) -> Option<String> {
    match certificate.get("v").and_then(Value::as_u64) {
        Some(1..=NEWEST) => wrong_time(certificate, link, now),
        Some(newer) => {
            Some(format!("it is of version {newer}, and this program knows {NEWEST}: use a newer one"))
        }
        None => Some("it is no certificate of an erasure: it has no version".to_owned()),
    }
}

/// A time that cannot be: in the future, or outside its operation.
fn wrong_time(certificate: &Value, link: &Value, now: Timestamp) -> Option<String> {
    let time =
        |value: &Value, pointer: &str| text(value, pointer).and_then(|text| text.parse::<Timestamp>().ok());
    let Some(issued) = time(certificate, "/issued_at") else {
        return Some("it does not say when it was issued".to_owned());
    };
    let after = |later: Timestamp, earlier: Timestamp| later.is_after(earlier, CLOCK_TOLERANCE);
    let received = time(link, "/received_at");
    for (limit, what) in [(Some(now), "this machine's clock"), (received, "billetd's clock when it came")] {
        if limit.is_some_and(|limit| after(issued, limit)) {
            return Some(format!(
                "it was issued at {issued}, which is in the future by {what}: one of the two clocks is wrong"
            ));
        }
    }
    if time(link, "/began_at").is_some_and(|began| after(began, issued)) {
        return Some(format!(
            "it was issued at {issued}, long before its operation began: the server's clock was wrong"
        ));
    }
    let attempts = certificate.get("attempts").and_then(Value::as_array);
    let late = attempts
        .into_iter()
        .flatten()
        .filter_map(|attempt| time(attempt, "/end"))
        .find(|end| after(*end, issued));
    late.map(|end| {
        format!("it was issued at {issued}, and an attempt ended at {end}: the clock was set in between")
    })
}

/// Check one node's links, and say what its disks' last words are.
fn one_chain(node: String, linked: Vec<Linked>, head: Option<Head>, verdict: &mut Verdict) {
    let signers = if verdict.pinned { Signers::Pinned } else { Signers::One };
    let links = linked.iter().map(|(link, _)| link.clone()).collect();
    let mut by_digest = model::order::map(linked.into_iter().map(|(link, finding)| (link.digest, finding)));
    let ordered = match chain::check(links, head.as_ref(), signers) {
        Ok(ordered) => ordered,
        Err(error) => {
            verdict.problems.push(error.to_string());
            verdict.findings.extend(by_digest.into_values());
            return;
        }
    };
    let at = verdict.findings.len();
    verdict.findings.extend(ordered.iter().filter_map(|link| by_digest.remove(&link.digest)));
    say_unproven(&verdict.findings[at..], &mut verdict.problems);
    if let (Some(first), Some(last)) = (ordered.first(), ordered.last()) {
        let links = (first.sequence, last.sequence);
        let whole = head.is_some_and(|head| head.length == last.sequence);
        verdict.chains.push(Piece { node, links, whole });
    }
}

/// Which disks were not erased by the last that `findings` say of them. What ended
/// without certificates is unproven until a later operation proves something.
fn say_unproven(findings: &[Finding], problems: &mut Vec<String>) {
    let mut disks: BTreeMap<String, Vec<&Finding>> = BTreeMap::new();
    let mut nothing: Vec<&Finding> = Vec::new();
    for finding in findings {
        match identity(finding) {
            Some(disk) => {
                if finding.proven {
                    nothing.retain(|nothing| operation(nothing) == operation(finding));
                }
                last_word(disks.entry(disk).or_default(), finding);
            }
            None => nothing.push(finding),
        }
    }
    for finding in disks.into_values().flatten().chain(nothing).filter(|finding| !finding.proven) {
        problems.push(format!("{}: {}", finding.from, not_erased(finding)));
    }
}

fn operation(finding: &Finding) -> Option<&str> {
    text(&finding.link, "/operation")
}

/// `finding` takes the place of what was known of its disk. `known` are those of
/// one identity: mostly one disk, whose name may change from one operation to the
/// next, but some bridges give all their disks one serial number.
fn last_word<'a>(known: &mut Vec<&'a Finding>, finding: &'a Finding) {
    let name = |finding: &'a Finding| {
        text(&finding.link, "/device").or_else(|| text(&finding.certificate, "/device/path"))
    };
    let same = known.iter().position(|other| name(other) == name(finding));
    let renamed = matches!(known.as_slice(), [one] if operation(one) != operation(finding));
    match known.get_mut(same.unwrap_or(if renamed { 0 } else { usize::MAX })) {
        Some(place) => *place = finding,
        None => known.push(finding),
    }
}

/// Which disk a finding is about; `None` when it is about a whole node, or what
/// came about a disk is no certificate.
fn identity(finding: &Finding) -> Option<String> {
    let device = &finding.certificate["device"];
    ["wwn", "serial", "path"].iter().find_map(|key| device.get(key)?.as_str()).map(str::to_owned)
}

fn not_erased(finding: &Finding) -> String {
    let said = text(&finding.certificate, "/result").unwrap_or("nothing");
    let reason = text(&finding.link, "/reason").or_else(|| text(&finding.certificate, "/reason"));
    match identity(finding) {
        None => match text(&finding.link, "/device") {
            None => format!("the cleaning ended without proof: {}", reason.unwrap_or("no reason")),
            Some(device) => {
                format!("{device} has no certificate that holds: {}", reason.unwrap_or("no reason"))
            }
        },
        Some(disk) => format!(
            "{disk} is not proven erased: it says {said}{}",
            reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
        ),
    }
}
