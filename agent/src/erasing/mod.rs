//! Erasing disks of this machine, for the steps and for hands.
//!
//! ```text
//! disk ─look()─▶ Ready ─carry_out()─▶ Erased ─▶ Papers ─▶ signed document
//!                  └─▶ NotErased ──────┴──────▶ Papers ─▶ signed document, where there is something to sign
//! ```
//!
//! [`crew`] does so for all disks at once, [`Meter`] says how far they are.

mod crew;
mod meter;
mod papers;
mod worker;

pub(crate) use crew::{Lost, Patience, Turns, all};
pub(crate) use meter::{Meter, Stage};
pub(crate) use papers::Papers;
pub(crate) use worker::{Load, NotErased, Ready, Wish, carry_out, load, look};
