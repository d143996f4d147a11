//! PID 1 of a guest whose hardware is told: it arranges what QEMU cannot give (bonds,
//! arrays, processors turned off), and then asks udev and `billet-agent`.

mod arrange;
mod ask;

use init::Params;

fn main() {
    guest::inside::main("inventory-guest", |params: Params| params, &[arrange::ROWS, ask::ROWS]);
}
