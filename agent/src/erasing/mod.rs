//! Erasing disks of this machine, for the steps and for hands.
//!
//! ```text
//! disks ─look()─▶ Looked ─plan()─▶ groups ─carry_out()─▶ Erased ────▶ Papers ─▶ signed document
//!           └────────────────┴─▶ NotErased ──────┴─────▶ Papers ─▶ signed document
//! ```
//!
//! A [`Team`] does so for all disks at once, its [`Meter`] says how far they are.

mod crew;
mod look;
mod meter;
mod papers;
mod team;
mod worker;

pub(crate) use look::{Looked, Planned, Ready, Wish, look, plan};
pub(crate) use meter::{Meter, Stage};
pub(crate) use papers::Papers;
pub(crate) use team::{End, Event, Order, Team};
pub(crate) use worker::{NotErased, Writes};
