//! The little language of one hint: an operator, then one or more values.

use std::fmt;

use serde::{Deserialize, de::IgnoredAny};

use crate::Bytes;

/// A hint's value as it stands in JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum HintValue {
    /// `true`.
    Flag(bool),
    /// `465`.
    Integer(i64),
    /// `465.8`; no hint takes one.
    Fraction(f64),
    /// `">= 465"`.
    Text(String),
    /// Null, a list or an object; no hint takes one.
    Other(IgnoredAny),
}

impl fmt::Display for HintValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Fraction(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Other(_) => f.write_str("that"),
        }
    }
}

/// What is wrong with a hint's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// A number or flag where text belongs.
    #[error("want text in quotes")]
    NotText,
    /// Not a positive whole number.
    #[error("want a positive whole number of GiB")]
    NotPositiveInteger,
    /// Neither true nor false.
    #[error("want true or false")]
    NotFlag,
    /// A numeric operator before something that is no number.
    #[error("a numeric operator wants a number; compare text with s== s!= s< s<= s> s>= <in> or <or>")]
    NotNumber,
    /// An operator of the grammar that Ironic's agent does not evaluate.
    #[error("<all-in> and <range-in> are not supported; use <in>, <or> or a comparison")]
    UnsupportedOperator,
}

/// One hint, understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    Number(Comparison, f64),
    Text(Comparison, String),
    Contains(String),
    AnyOf(Vec<String>),
    Flag(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Longest spelling first: `<=` must not be read as `<`. In this grammar `=`
/// has always meant "at least".
const COMPARISONS: [(&str, Comparison); 7] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl Expression {
    /// A hint on text: bare text means equality.
    pub(crate) fn text(value: &HintValue) -> Result<Self, Flaw> {
        match value {
            HintValue::Text(text) => {
                let text = normalize(text);
                if text.is_empty() { Err(Flaw::Empty) } else { Self::parse(&text, Self::equal_to_text) }
            }
            HintValue::Flag(_) | HintValue::Integer(_) | HintValue::Fraction(_) | HintValue::Other(_) => {
                Err(Flaw::NotText)
            }
        }
    }

    /// A hint on a size: a bare number means equality.
    pub(crate) fn positive_integer(value: &HintValue) -> Result<Self, Flaw> {
        let text = match value {
            HintValue::Text(text) => normalize(text),
            HintValue::Integer(number) => number.to_string(),
            HintValue::Flag(_) | HintValue::Fraction(_) | HintValue::Other(_) => {
                return Err(Flaw::NotPositiveInteger);
            }
        };
        if text.is_empty() {
            return Err(Flaw::Empty);
        }
        let expression =
            Self::parse(&text, |bare| Ok(Self::Number(Comparison::Equal, positive_integer(bare)?)))?;
        expression.check_positive_integers()?;
        Ok(expression)
    }

    /// A hint on a yes-or-no property, in oslo's spellings.
    pub(crate) fn flag(value: &HintValue) -> Result<Self, Flaw> {
        let text = match value {
            HintValue::Flag(flag) => return Ok(Self::Flag(*flag)),
            HintValue::Integer(number) => number.to_string(),
            HintValue::Text(text) => normalize(text),
            HintValue::Fraction(_) | HintValue::Other(_) => return Err(Flaw::NotFlag),
        };
        match text.as_str() {
            "1" | "t" | "true" | "on" | "y" | "yes" => Ok(Self::Flag(true)),
            "0" | "f" | "false" | "off" | "n" | "no" => Ok(Self::Flag(false)),
            _ => Err(Flaw::NotFlag),
        }
    }

    fn parse(text: &str, bare: impl Fn(&str) -> Result<Self, Flaw>) -> Result<Self, Flaw> {
        if text.starts_with("<all-in>") || text.starts_with("<range-in>") {
            return Err(Flaw::UnsupportedOperator);
        }
        if let Some(part) = text.strip_prefix("<in>") {
            return Ok(Self::Contains(non_empty(part)?));
        }
        if text.starts_with("<or>") {
            let values: Vec<_> =
                text.split("<or>").map(str::trim).filter(|value| !value.is_empty()).collect();
            non_empty(&values.concat())?;
            return Ok(Self::AnyOf(values.into_iter().map(str::to_owned).collect()));
        }
        for (spelling, comparison) in COMPARISONS {
            let of_text = text.strip_prefix('s').and_then(|rest| rest.strip_prefix(spelling));
            if let Some(value) = of_text.filter(|_| spelling != "=") {
                return Ok(Self::Text(comparison, non_empty(value)?));
            }
            if let Some(value) = text.strip_prefix(spelling) {
                let number = non_empty(value)?.parse().map_err(|_| Flaw::NotNumber)?;
                return Ok(Self::Number(comparison, number));
            }
        }
        bare(text)
    }

    fn equal_to_text(text: &str) -> Result<Self, Flaw> {
        Ok(Self::Text(Comparison::Equal, text.to_owned()))
    }

    fn check_positive_integers(&self) -> Result<(), Flaw> {
        match self {
            Self::Number(_, number) => positive_integer(&number.to_string()).map(drop),
            Self::Text(_, text) | Self::Contains(text) => positive_integer(text).map(drop),
            Self::AnyOf(values) => values.iter().try_for_each(|value| positive_integer(value).map(drop)),
            Self::Flag(_) => Err(Flaw::NotPositiveInteger),
        }
    }

    /// True when a property that is text fits.
    pub(crate) fn match_text(&self, property: &str) -> bool {
        let property = normalize(property);
        match self {
            Self::Number(comparison, number) => {
                property.parse::<f64>().is_ok_and(|property| comparison.holds(&property, number))
            }
            Self::Text(comparison, text) => comparison.holds(&property, text),
            Self::Contains(part) => property.contains(part),
            Self::AnyOf(values) => values.contains(&property),
            Self::Flag(_) => false,
        }
    }

    /// True when a size fits, counted in GiB as a fraction.
    #[expect(
        clippy::cast_precision_loss,
        reason = "Ironic's agent divides as floats; so the same disks match"
    )]
    pub(crate) fn match_gibibytes(&self, size: Bytes) -> bool {
        let gibibytes = size.0 as f64 / f64::from(1 << 30);
        match self {
            Self::Number(comparison, number) => comparison.holds(&gibibytes, number),
            Self::Text(..) | Self::Contains(_) | Self::AnyOf(_) | Self::Flag(_) => {
                self.match_text(&format!("{gibibytes:?}"))
            }
        }
    }

    /// For a sentence that says what a property is not.
    pub(crate) fn wanted(&self) -> String {
        match self {
            Self::Text(Comparison::Equal, text) => text.clone(),
            Self::Number(..) | Self::Text(..) | Self::Contains(_) | Self::AnyOf(_) | Self::Flag(_) => {
                self.to_string()
            }
        }
    }

    /// True when a yes-or-no property fits.
    pub(crate) fn match_flag(&self, property: bool) -> bool {
        *self == Self::Flag(property)
    }
}

impl Comparison {
    fn holds<T: PartialOrd>(self, property: &T, value: &T) -> bool {
        match self {
            Self::Equal => property == value,
            Self::NotEqual => property != value,
            Self::Less => property < value,
            Self::LessOrEqual => property <= value,
            Self::Greater => property > value,
            Self::GreaterOrEqual => property >= value,
        }
    }

    fn spelling(self) -> &'static str {
        COMPARISONS.iter().find(|(_, comparison)| *comparison == self).map_or("", |(spelling, _)| spelling)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(comparison, number) => write!(f, "{} {number}", comparison.spelling()),
            Self::Text(comparison, text) => write!(f, "s{} {text}", comparison.spelling()),
            Self::Contains(part) => write!(f, "<in> {part}"),
            Self::AnyOf(values) => write!(f, "<or> {}", values.join(" <or> ")),
            Self::Flag(flag) => flag.fmt(f),
        }
    }
}

/// As hints count a size: `465.76 GiB`.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn in_gibibytes(size: Bytes) -> String {
    format!("{:.2} GiB", size.0 as f64 / f64::from(1 << 30))
}

fn normalize(text: &str) -> String {
    text.trim().to_lowercase()
}

fn non_empty(text: &str) -> Result<String, Flaw> {
    let text = text.trim();
    if text.is_empty() { Err(Flaw::Empty) } else { Ok(text.to_owned()) }
}

fn positive_integer(text: &str) -> Result<f64, Flaw> {
    match text.parse::<u32>() {
        Ok(number) if number > 0 => Ok(number.into()),
        Ok(_) | Err(_) => Err(Flaw::NotPositiveInteger),
    }
}
