//! The patterns of `clean_uefi_nvram`: the part of Python's regular expressions
//! that rules about boot entries use, without regard to case.
//!
//! Literals, `.`, `[…]`, `\d \w \s` and their opposites, `^`, `$`, groups, `|`,
//! `*`, `+`, `?`. Anything else is refused, never taken for something else.

use std::{collections::BTreeSet, iter::Peekable, str::Chars};

use model::order;

/// The longest pattern taken, in characters.
const LONGEST: usize = 512;
/// How deep groups nest.
const DEEPEST: usize = 8;
/// How much of a text is looked at, in characters: device paths have a few hundred.
const LONGEST_TEXT: usize = 4096;

/// Why a pattern is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternError {
    /// It is longer than [`LONGEST`].
    #[error("it is longer than {LONGEST} characters")]
    TooLong,
    /// Its groups nest deeper than [`DEEPEST`].
    #[error("its groups nest deeper than {DEEPEST} levels")]
    TooDeep,
    /// It is no regular expression.
    #[error("{0}")]
    Malformed(&'static str),
    /// It is one, and uses more than this agent has.
    #[error("{0} is not supported here; use literals, classes, groups, | * + ?")]
    Unsupported(String),
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern(Node);

#[derive(Debug)]
enum Node {
    /// One character of (or outside of) some ranges.
    One {
        among: Vec<(char, char)>,
        negated: bool,
    },
    Start,
    End,
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    /// Once or not at all.
    Optional(Box<Node>),
    /// Once at least.
    Repeated(Box<Node>),
}

impl Pattern {
    /// Understand `pattern`.
    ///
    /// # Errors
    /// [`PatternError`].
    pub(super) fn parse(pattern: &str) -> Result<Self, PatternError> {
        if pattern.chars().count() > LONGEST {
            return Err(PatternError::TooLong);
        }
        let mut rest = pattern.chars().peekable();
        let node = either(&mut rest, 0)?;
        match rest.next() {
            None => Ok(Self(node)),
            Some(_) => Err(PatternError::Malformed("a ) without its (")),
        }
    }

    /// Whether some part of `text` matches.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().take(LONGEST_TEXT).collect();
        !self.0.ends(&text, &order::set(0..=text.len())).is_empty()
    }
}

impl Node {
    /// Where matches end that begin at one of `starts`. Sets, not backtracking:
    /// no pattern takes exponential time.
    fn ends(&self, text: &[char], starts: &BTreeSet<usize>) -> BTreeSet<usize> {
        let at = |wanted: usize| order::set(starts.iter().copied().filter(|start| *start == wanted));
        match self {
            Node::One { among, negated } => {
                let fits = |c: &char| is_among(*c, among) != *negated;
                let fitting = starts.iter().filter(|start| text.get(**start).is_some_and(fits));
                order::set(fitting.map(|start| start + 1))
            }
            Node::Start => at(0),
            Node::End => at(text.len()),
            Node::Sequence(nodes) => nodes.iter().fold(starts.clone(), |now, node| node.ends(text, &now)),
            Node::Either(nodes) => order::set(nodes.iter().flat_map(|node| node.ends(text, starts))),
            Node::Optional(node) => order::set(node.ends(text, starts).union(starts).copied()),
            Node::Repeated(node) => {
                let (mut all, mut fresh) = (BTreeSet::new(), node.ends(text, starts));
                // Each round adds a position of the text at least, or is the last.
                while !fresh.is_empty() {
                    all.extend(&fresh);
                    fresh = order::set(node.ends(text, &fresh).difference(&all).copied());
                }
                all
            }
        }
    }
}

/// ASCII letters without regard to case; that is what device paths hold.
fn is_among(c: char, ranges: &[(char, char)]) -> bool {
    let within = |c: char| ranges.iter().any(|(first, last)| (*first..=*last).contains(&c));
    within(c) || within(c.to_ascii_lowercase()) || within(c.to_ascii_uppercase())
}

type Rest<'a> = Peekable<Chars<'a>>;
/// From and to, both included.
type Ranges = Vec<(char, char)>;

fn either(rest: &mut Rest, depth: usize) -> Result<Node, PatternError> {
    if depth > DEEPEST {
        return Err(PatternError::TooDeep);
    }
    let mut branches = vec![sequence(rest, depth)?];
    while rest.next_if_eq(&'|').is_some() {
        branches.push(sequence(rest, depth)?);
    }
    Ok(Node::Either(branches))
}

fn sequence(rest: &mut Rest, depth: usize) -> Result<Node, PatternError> {
    let mut nodes = Vec::new();
    while let Some(c) = rest.next_if(|c| !matches!(c, '|' | ')')) {
        let node = atom(c, rest, depth)?;
        nodes.push(repeated(node, rest)?);
    }
    Ok(Node::Sequence(nodes))
}

fn atom(c: char, rest: &mut Rest, depth: usize) -> Result<Node, PatternError> {
    Ok(match c {
        '^' => Node::Start,
        '$' => Node::End,
        '.' => Node::One { among: vec![('\n', '\n')], negated: true },
        '(' => group(rest, depth)?,
        '[' => class(rest)?,
        '\\' => {
            let (among, negated) = escape(rest)?;
            Node::One { among, negated }
        }
        '*' | '+' | '?' => return Err(PatternError::Malformed("nothing to repeat")),
        '{' => return Err(PatternError::Unsupported("a counted repeat {…}".to_owned())),
        c => Node::One { among: vec![(c, c)], negated: false },
    })
}

fn repeated(node: Node, rest: &mut Rest) -> Result<Node, PatternError> {
    let node = Box::new(node);
    let node = match rest.next_if(|c| matches!(c, '*' | '+' | '?')) {
        None => return Ok(*node),
        Some('+') => Node::Repeated(node),
        Some('*') => Node::Optional(Box::new(Node::Repeated(node))),
        Some(_) => Node::Optional(node),
    };
    // Lazy or not changes what is matched, never whether something is.
    rest.next_if_eq(&'?');
    match rest.peek() {
        Some('*' | '+' | '?') => Err(PatternError::Malformed("a repeat of a repeat")),
        Some(_) | None => Ok(node),
    }
}

fn group(rest: &mut Rest, depth: usize) -> Result<Node, PatternError> {
    if rest.next_if_eq(&'?').is_some() && rest.next_if_eq(&':').is_none() {
        return Err(PatternError::Unsupported("(?…) other than (?:…)".to_owned()));
    }
    let node = either(rest, depth + 1)?;
    match rest.next() {
        Some(_) => Ok(node),
        None => Err(PatternError::Malformed("a ( without its )")),
    }
}

/// Behind `[`.
fn class(rest: &mut Rest) -> Result<Node, PatternError> {
    let open = PatternError::Malformed("a [ without its ]");
    let negated = rest.next_if_eq(&'^').is_some();
    let mut among = Vec::new();
    loop {
        let Some(c) = rest.next() else { return Err(open) };
        let first = match c {
            ']' if !among.is_empty() => return Ok(Node::One { among, negated }),
            '\\' => match escape(rest)? {
                (_, true) => return Err(PatternError::Unsupported("an opposite within […]".to_owned())),
                (some, false) if some.len() == 1 && some[0].0 == some[0].1 => some[0].0,
                (some, false) => {
                    among.extend(some);
                    continue;
                }
            },
            c => c,
        };
        among.push((first, range_end(first, rest)?));
    }
}

/// The end of a range that begins with `first`: itself, but for `a-z`.
fn range_end(first: char, rest: &mut Rest) -> Result<char, PatternError> {
    let mut ahead = rest.clone();
    if ahead.next() != Some('-') || matches!(ahead.peek(), None | Some(']')) {
        return Ok(first);
    }
    rest.next();
    match rest.next() {
        Some('\\') => Err(PatternError::Unsupported("an escape at the end of a range".to_owned())),
        Some(last) if first <= last => Ok(last),
        Some(_) | None => Err(PatternError::Malformed("a range that ends before it begins")),
    }
}

/// Behind `\`.
fn escape(rest: &mut Rest) -> Result<(Ranges, bool), PatternError> {
    let word = vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')];
    let space = vec![(' ', ' '), ('\t', '\r')];
    Ok(match rest.next() {
        None => return Err(PatternError::Malformed("a \\ at the end")),
        Some('d') => (vec![('0', '9')], false),
        Some('D') => (vec![('0', '9')], true),
        Some('w') => (word, false),
        Some('W') => (word, true),
        Some('s') => (space, false),
        Some('S') => (space, true),
        Some(c) if c.is_ascii_alphanumeric() => return Err(PatternError::Unsupported(format!("\\{c}"))),
        Some(c) => (vec![(c, c)], false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line was compared with Python 3.11's `re.search(…, re.IGNORECASE)`.
    #[test]
    fn patterns_find_what_pythons_find() {
        let path = r"HD(1,GPT,deadbeef-0201,0x800,0x113000)/File(\EFI\debian\SHIMx64.efi)";
        for (pattern, text, found) in [
            (r"^HD\(", path, true),
            (r"^HD\(", "PciRoot(0x0)/HD(1)", false),
            (r"shim.*\.efi", path, true),
            (r"grub.*\.efi", path, false),
            (r"grub.*\.efi", r"File(\EFI\fedora\grubx64.efi)", true),
            (r"shimx64\.efi\)$", path, true),
            (r"shimx64\.efi$", path, false),
            (r"(grub|shim)x(32|64)", path, true),
            (r"(?:a|b)c|zz?", "xxz", true),
            (r"0x[0-9a-f]+,0x1", path, true),
            (r"\\efi\\d[a-z]*", path, true),
            (r"^(ab)+$", "ABabab", true),
            (r"^(ab)+$", "ababa", false),
            (r"^a*$", "", true),
            (r"^a+?b??$", "aa", true),
            (r"[^a-z,()]\d", "gpt,9", false),
            (r"[]x]", "a]", true),
            (r"[a-]", "-", true),
            (r"[\d_]\s\S\W", "_ x.", true),
            (r"a.c", "a\nc", false),
            ("", "anything", true),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().is_in(text), found, "{pattern} in {text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for pattern in [
            "(", ")", "a)", "[a", "[", "*a", "a**", "a|+", "\\", r"\b", r"(?i)a", r"(?=a)", r"\1", "a{2}",
            "[z-a]", r"[\D]", r"[a-\]]",
        ] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
        assert_eq!(Pattern::parse(&"a".repeat(LONGEST + 1)).unwrap_err(), PatternError::TooLong);
        assert_eq!(Pattern::parse(&"(".repeat(LONGEST)).unwrap_err(), PatternError::TooDeep);
    }

    /// A backtracking matcher takes 2^30 steps here.
    #[test]
    fn no_pattern_takes_forever() {
        let text = "a".repeat(30) + "!";
        assert!(!Pattern::parse("^(a|a)*$|^(a*)*$").unwrap().is_in(&text));
    }
}
