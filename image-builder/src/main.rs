//! `billet-image`: builds ramdisks and whole-disk images.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("billet-image: {err:#}");
            ExitCode::FAILURE
        }
    }
}
