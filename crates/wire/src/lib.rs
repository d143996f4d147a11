//! The JSON of Ironic and of its deploy agent, exactly: what travels between a
//! ramdisk and a control plane. Each type names the section of Ironic's
//! contract it is, and golden files made from captured exchanges hold it there.

pub mod ipa;
pub mod ironic;
