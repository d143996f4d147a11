//! Disks of every kind: what udev calls them and where they are, what they say of
//! their health and how they erase themselves. Trees of our own, and what smartctl
//! printed of real drives.

mod health;
mod identity;
mod path;
mod place;
mod smartctl;
mod tree;
