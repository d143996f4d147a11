//! Programs that the test put into the initramfs.

use std::process::Command;

/// Where the kernel's and Debian's programs lie.
const PLACES: [&str; 2] = ["/usr/sbin", "/usr/bin"];

/// Run `name`, and have it succeed. What it printed is returned.
///
/// # Panics
/// When it is not there, or fails.
pub fn run(name: &str, arguments: &[&str]) -> Vec<u8> {
    let path = PLACES.map(|place| format!("{place}/{name}"));
    let path = path.iter().find(|path| std::path::Path::new(path).exists());
    let path = path.unwrap_or_else(|| panic!("{name} is not in this initramfs"));
    // Nobody answers for udev here.
    let output = Command::new(path).args(arguments).env("DM_DISABLE_UDEV", "1").output();
    let output = output.unwrap_or_else(|err| panic!("{path}: {err}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {}: {said}", output.status);
    output.stdout
}
