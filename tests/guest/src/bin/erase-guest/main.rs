//! PID 1 of a guest that tests erasing: drivers, then the rows that the kernel
//! parameter `guest-rows` names.
//!
//! A row is a function that panics when something is not as it should be. Rows
//! of one kind of drive are one module of [`rows`].

mod bench;
mod rows;

use guest::{modules, programs};

use crate::{bench::Bench, rows::ROWS};

fn main() {
    guest::inside::main("erase-guest", Bench::new, ROWS);
}
