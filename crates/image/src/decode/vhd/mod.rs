//! VHD, fixed and dynamic (Microsoft's "Virtual Hard Disk Image Format
//! Specification" 1.0).
//!
//! dynamic  footer's copy ─▶ header ─▶ block allocation table ─▶ blocks ─▶ footer
//! fixed    the disk as it is ─▶ footer
//!
//! Sector bitmaps in front of blocks are not looked at: a block that is there is
//! there whole, as it is to QEMU.

mod blocks;
mod footer;

pub(super) use blocks::open;
pub(super) use footer::{FOOTER, is_fixed};
