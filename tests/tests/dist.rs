//! What `make dist` leaves: small, and with nothing to find at run time. The agent
//! is PID 1 of a ramdisk that holds no library, so its ELF must need none; that is
//! read from the file itself.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;

fn dist(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist").join(name)
}

fn bytes(name: &str) -> u64 {
    let path = dist(name);
    std::fs::metadata(&path)
        .unwrap_or_else(|err| panic!("{}: {err}; run `make dist` first", path.display()))
        .len()
}

fn u16_at(elf: &[u8], at: usize) -> usize {
    u16::from_le_bytes(elf[at..at + 2].try_into().expect("two bytes")).into()
}

fn u64_at(elf: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(elf[at..at + 8].try_into().expect("eight bytes"))
}

/// Type, file offset and file size of each program header (ELF64, `<elf.h>`).
fn segments(elf: &[u8]) -> Vec<(u32, usize, usize)> {
    let table = usize::try_from(u64_at(elf, 0x20)).expect("in the file");
    let (size, count) = (u16_at(elf, 0x36), u16_at(elf, 0x38));
    (0..count)
        .map(|index| table + index * size)
        .map(|at| {
            let kind = u32::from_le_bytes(elf[at..at + 4].try_into().expect("four bytes"));
            let offset = usize::try_from(u64_at(elf, at + 8)).expect("in the file");
            let length = usize::try_from(u64_at(elf, at + 32)).expect("in the file");
            (kind, offset, length)
        })
        .collect()
}

#[test]
fn the_agent_needs_no_interpreter_and_no_library() {
    let elf = std::fs::read(dist("billet-agent")).expect("dist/billet-agent: run `make dist` first");
    assert_eq!(&elf[..5], b"\x7fELF\x02", "a 64-bit ELF");
    for (kind, offset, length) in segments(&elf) {
        assert_ne!(kind, PT_INTERP, "the agent asks for a dynamic loader");
        if kind == PT_DYNAMIC {
            let needed =
                elf[offset..offset + length].chunks_exact(16).any(|entry| u64_at(entry, 0) == DT_NEEDED);
            assert!(!needed, "the agent needs a shared library");
        }
    }
}

/// Linked without unwind tables, it would abort if anything captured a backtrace.
#[test]
fn the_agent_fails_in_words_and_not_by_aborting() {
    let output = Command::new(dist("billet-agent"))
        .args(["evidence", "verify", "/nonexistent"])
        .env("RUST_BACKTRACE", "1")
        .output()
        .expect("dist/billet-agent: run `make dist` first");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent"), "{output:?}");
}

/// What a server downloads; the limits are the promise of the README.
#[test]
fn nothing_is_larger_than_promised() {
    for (what, files, most_mib) in [
        ("billet-agent", &["billet-agent"][..], 6),
        ("the ramdisk for real servers", &["ramdisk/vmlinuz", "ramdisk/initramfs"], 30),
        ("the ramdisk for virtual servers", &["ramdisk-vm/vmlinuz", "ramdisk-vm/initramfs"], 12),
    ] {
        let bytes: u64 = files.iter().map(|file| bytes(file)).sum();
        assert!(bytes <= most_mib << 20, "{what} is {bytes} bytes, promised are {most_mib} MiB");
    }
}
