//! Root device hints: which disk gets the image.
//!
//! `{"size": ">= 100", "rotational": false}` ──[`parse`]──▶ [`RootDeviceHints`] ──[`choose`]──▶ one disk
//!
//! The grammar and its edge cases are Ironic's, as measured (tests below):
//! every hint must match, text is compared without regard to case, a size is
//! in GiB and compared as a fraction, so a bare `465` matches only a disk of
//! exactly 465 GiB.

mod explain;
mod expression;
#[cfg(test)]
mod measured;

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;

pub use explain::{Explanation, Rule, Verdict, explain};
use expression::Expression;
pub use expression::Flaw;
pub use expression::HintValue;

use crate::{Bytes, inventory::Disk};

/// The smallest disk that is chosen when nobody gave a hint: what Ironic's
/// agent takes as room enough for an operating system.
pub const SMALLEST_ROOT_DISK: Bytes = Bytes(4 << 30);

/// What a disk must be to get the image. Made by [`parse`], or from JSON.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "BTreeMap<String, HintValue>")]
pub struct RootDeviceHints(Vec<(Hint, Expression)>);

/// Why hints cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HintError {
    /// No such hint.
    #[error("there is no root device hint {name:?}; use one of {}", Hint::names())]
    Unknown {
        /// As given.
        name: String,
    },
    /// The hint's value is not one.
    #[error("root device hint {hint} cannot be {value}: {flaw}")]
    Malformed {
        /// The hint's name.
        hint: &'static str,
        /// As given.
        value: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
}

/// Why no disk can take the image.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoSuitableDevice {
    /// No hints were given. The text is Ironic's agent's.
    #[error(
        "No suitable device was found for deployment - root device hints were not provided and all found \
         block devices are smaller than {}B.",
        SMALLEST_ROOT_DISK.0
    )]
    AllTooSmall,
    /// Nothing matches the hints.
    #[error(
        "No suitable device was found for deployment using these hints: {hints}; \
         compare root_device of the node with the disks of its inventory"
    )]
    NoneMatches {
        /// What was asked for.
        hints: RootDeviceHints,
    },
}

/// Read `root_device`, or one entry of `skip_block_devices`.
///
/// # Errors
/// [`HintError`] naming the first hint that is unknown or malformed.
pub fn parse(hints: &BTreeMap<String, HintValue>) -> Result<RootDeviceHints, HintError> {
    hints.iter().map(|(name, value)| parse_hint(name, value)).collect::<Result<_, _>>().map(RootDeviceHints)
}

fn parse_hint(name: &str, value: &HintValue) -> Result<(Hint, Expression), HintError> {
    let Some((hint, _, kind)) = HINTS.iter().find(|(_, known, _)| *known == name) else {
        return Err(HintError::Unknown { name: name.to_owned() });
    };
    let expression = match kind {
        Kind::Text => Expression::text(value),
        Kind::Gibibytes => Expression::positive_integer(value),
        Kind::Flag => Expression::flag(value),
    };
    let malformed = |flaw| HintError::Malformed { hint: hint.name(), value: value.to_string(), flaw };
    Ok((*hint, expression.map_err(malformed)?))
}

/// The disk that gets the image: the first in listing order that matches all
/// hints, or without hints the smallest of at least [`SMALLEST_ROOT_DISK`].
///
/// # Errors
/// [`NoSuitableDevice`] when there is none.
pub fn choose<'a>(
    disks: impl IntoIterator<Item = &'a Disk>,
    hints: Option<&RootDeviceHints>,
) -> Result<&'a Disk, NoSuitableDevice> {
    let mut disks = disks.into_iter();
    match hints.filter(|hints| !hints.0.is_empty()) {
        Some(hints) => disks
            .find(|disk| hints.match_disk(disk))
            .ok_or_else(|| NoSuitableDevice::NoneMatches { hints: hints.clone() }),
        None => disks
            .filter(|disk| disk.size >= SMALLEST_ROOT_DISK)
            .min_by(|a, b| (a.size, &a.name).cmp(&(b.size, &b.name)))
            .ok_or(NoSuitableDevice::AllTooSmall),
    }
}

/// `disks` without those that any entry of `skip_block_devices` matches.
pub fn without_skipped<'a>(disks: &'a [Disk], skip: &[RootDeviceHints]) -> Vec<&'a Disk> {
    disks.iter().filter(|disk| !skip.iter().any(|hints| hints.match_disk(disk))).collect()
}

impl RootDeviceHints {
    /// True when every hint matches `disk`. A property that the disk does not
    /// have matches nothing.
    #[must_use]
    pub fn match_disk(&self, disk: &Disk) -> bool {
        self.0.iter().all(|(hint, expression)| hint.holds(expression, disk))
    }

    /// Why `disk` does not match, hint by hint; empty when it does.
    #[must_use]
    pub fn misses(&self, disk: &Disk) -> Vec<String> {
        let missed = self.0.iter().filter(|(hint, expression)| !hint.holds(expression, disk));
        missed.map(|(hint, expression)| hint.miss(expression, disk)).collect()
    }
}

impl TryFrom<BTreeMap<String, HintValue>> for RootDeviceHints {
    type Error = HintError;

    fn try_from(hints: BTreeMap<String, HintValue>) -> Result<Self, HintError> {
        parse(&hints)
    }
}

impl fmt::Display for RootDeviceHints {
    /// `rotational false, size >= 100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (hint, expression)) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{} {expression}", hint.name())?;
        }
        Ok(())
    }
}

/// The properties a hint may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint {
    Size,
    Model,
    Vendor,
    Serial,
    Wwn,
    WwnWithExtension,
    WwnVendorExtension,
    Name,
    Hctl,
    ByPath,
    Transport,
    Rotational,
}

enum Kind {
    Text,
    Gibibytes,
    Flag,
}

const HINTS: [(Hint, &str, Kind); 12] = [
    (Hint::Size, "size", Kind::Gibibytes),
    (Hint::Model, "model", Kind::Text),
    (Hint::Vendor, "vendor", Kind::Text),
    (Hint::Serial, "serial", Kind::Text),
    (Hint::Wwn, "wwn", Kind::Text),
    (Hint::WwnWithExtension, "wwn_with_extension", Kind::Text),
    (Hint::WwnVendorExtension, "wwn_vendor_extension", Kind::Text),
    (Hint::Name, "name", Kind::Text),
    (Hint::Hctl, "hctl", Kind::Text),
    (Hint::ByPath, "by_path", Kind::Text),
    (Hint::Transport, "tran", Kind::Text),
    (Hint::Rotational, "rotational", Kind::Flag),
];

impl Hint {
    fn name(self) -> &'static str {
        HINTS.iter().find(|(hint, _, _)| *hint == self).map_or("", |(_, name, _)| name)
    }

    fn names() -> String {
        HINTS.map(|(_, name, _)| name).join(", ")
    }

    fn holds(self, expression: &Expression, disk: &Disk) -> bool {
        match self {
            Self::Size => expression.match_gibibytes(disk.size),
            Self::Rotational => expression.match_flag(disk.rotational),
            Self::Model
            | Self::Vendor
            | Self::Serial
            | Self::Wwn
            | Self::WwnWithExtension
            | Self::WwnVendorExtension
            | Self::Name
            | Self::Hctl
            | Self::ByPath
            | Self::Transport => self.texts(disk).iter().any(|text| expression.match_text(text)),
        }
    }

    /// What a hint is about, in words; one on text is compared with any of these.
    fn texts(self, disk: &Disk) -> Vec<String> {
        let wwn = disk.wwn.as_ref();
        let extended = wwn.and_then(|wwn| wwn.with_extension.clone());
        match self {
            Self::Size => vec![expression::in_gibibytes(disk.size)],
            Self::Rotational => vec![disk.rotational.to_string()],
            Self::Model => disk.model.clone().into_iter().collect(),
            Self::Vendor => disk.vendor.clone().into_iter().collect(),
            Self::Serial => disk.serial.iter().chain(&disk.serial_aliases).cloned().collect(),
            Self::Wwn => {
                let other = extended.filter(|extended| wwn.is_none_or(|wwn| wwn.id != *extended));
                wwn.map(|wwn| wwn.id.clone()).into_iter().chain(other).collect()
            }
            Self::WwnWithExtension => extended.into_iter().collect(),
            Self::WwnVendorExtension => {
                wwn.and_then(|wwn| wwn.vendor_extension.clone()).into_iter().collect()
            }
            Self::Name => vec![disk.path()],
            Self::Hctl => disk.hctl.clone().into_iter().collect(),
            Self::ByPath => disk.by_path.iter().chain(&disk.by_path_aliases).cloned().collect(),
            Self::Transport => disk.transport.iter().map(|transport| transport.as_str().to_owned()).collect(),
        }
    }

    /// Why `disk` does not fit `expression`, for people.
    fn miss(self, expression: &Expression, disk: &Disk) -> String {
        let name = self.name();
        let is = self.texts(disk).join(" or ");
        if is.is_empty() {
            format!("no {name}")
        } else {
            format!("{name} {is} is not {}", expression.wanted())
        }
    }
}
