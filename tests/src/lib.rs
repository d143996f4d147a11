//! What tests across rooms need: the real programs on this machine, loop devices
//! for disks, an image server of every mood. No virtual machine.

pub mod disk;
pub mod images;
pub mod memory;
pub mod programs;
pub mod write;

/// These tests attach loop devices. Says so loudly where that cannot be done.
#[must_use]
pub fn can_use_loop_devices() -> bool {
    let can = std::path::Path::new("/dev/loop-control").exists()
        && std::fs::File::options().read(true).write(true).open("/dev/loop-control").is_ok();
    if !can {
        eprintln!("SKIPPED: this test needs root and /dev/loop-control; nothing was tested");
    }
    can
}
