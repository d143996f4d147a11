//! The agent as the first process of somebody else's namespace: a container, a
//! lab. It is no ramdisk's init there.

use std::process::Command;

#[test]
fn the_first_process_of_a_namespace_keeps_to_its_arguments() {
    let agent = env!("CARGO_BIN_EXE_billet-agent");
    let ran = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", agent])
        .args(["inventory", "--json", "--only-disk", "/dev/billet-no-such-disk"])
        .output();
    match ran {
        Ok(ran) if String::from_utf8_lossy(&ran.stderr).starts_with("unshare:") => {
            eprintln!("SKIPPED: no namespaces (needs root): {}", String::from_utf8_lossy(&ran.stderr));
        }
        Ok(ran) => {
            let inventory = String::from_utf8_lossy(&ran.stdout);
            assert!(ran.status.success() && inventory.contains("\"disks\": []"), "{ran:?}");
        }
        Err(err) => eprintln!("SKIPPED: no unshare: {err}"),
    }
}
