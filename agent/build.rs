//! Links the agent of a ramdisk small: no unwind tables, relocations packed, what
//! is compiled to the same code kept once.

#![allow(clippy::print_stdout)] // how a build script speaks to cargo

use std::{env, path::Path};

/// The optimisation of the `dist` profile, which aborts on a panic; the others
/// unwind, and need the tables.
const DIST: &str = "z";

fn main() {
    println!("cargo::rerun-if-changed=no_unwind_tables.ld");
    if env::var("OPT_LEVEL").as_deref() != Ok(DIST) {
        return;
    }
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let script = Path::new(&here).join("no_unwind_tables.ld");
    for argument in
        ["--icf=all", "-z,pack-relative-relocs", "--no-eh-frame-hdr", &format!("-T,{}", script.display())]
    {
        println!("cargo::rustc-link-arg-bins=-Wl,{argument}");
    }
}
