//! The agent is PID 1 of a ramdisk that holds no library: its ELF must need
//! none. Read from the file itself; `make dist` builds it.

use std::path::{Path, PathBuf};

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;

fn agent() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist/billet-agent")
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
    let elf = std::fs::read(agent()).expect("dist/billet-agent: run `make dist` first");
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

#[test]
fn the_agent_is_at_most_6_mib() {
    let bytes = std::fs::metadata(agent()).expect("dist/billet-agent: run `make dist` first").len();
    assert!(bytes <= 6 << 20, "billet-agent is {bytes} bytes");
}
