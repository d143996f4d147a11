//! `billet-agent`: PID 1 of a ramdisk that turns bare metal into running
//! machines, and a tool for hands on a machine that runs already.

mod api;
mod cli;
mod command;
mod json;
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
