//! What counts as erased, and what is found that does not.

use disk::FakeDisk;

use super::*;
use crate::plan::tests::subject;

const MIB: usize = 1 << 20;
const SIZE: usize = 64 * MIB;
const TEXT: &[u8] = b"the tenant's plain text, again and again, in sentences that say the same; ";

/// A drive after a crypto erase: noise, and its unwritten part blank.
fn noise() -> FakeDisk {
    let mut disk = FakeDisk::filled(0, Bytes(SIZE as u64), 512.try_into().expect("a block size"));
    Seed(11).draw().fill(&mut disk.bytes_mut()[..48 * MIB]);
    disk
}

fn search(disk: &FakeDisk, verify: Verify, expectation: Expectation) -> Result<Proof, Unproven> {
    search_except(disk, verify, expectation, &BadBlocks::default())
}

fn search_except(
    disk: &FakeDisk,
    verify: Verify,
    expectation: Expectation,
    except: &BadBlocks,
) -> Result<Proof, Unproven> {
    let zones = Zones::whole(&subject("sda"));
    let (canaries, memory) = (Canaries::default(), Memory::default());
    let search = Search {
        zones: &zones,
        unit: UNIT,
        verify,
        expectation,
        seed: Seed(4),
        canaries: &canaries,
        memory: &memory,
        except,
    };
    search.run(disk, &mut |_, _, _| Ok(()))
}

fn place(outcome: Result<Proof, Unproven>) -> Bytes {
    let Err(Unproven::StillThere { at }) = outcome else { panic!("{outcome:?}") };
    at
}

/// A drive that hangs in its first read must be known to be read by then, or
/// it counts as erasing itself for ever.
#[test]
fn that_it_is_read_back_is_told_before_the_first_read() {
    let disk = noise();
    let zones = Zones::whole(&subject("sda"));
    let memory = Memory::of(&disk, &zones, UNIT, Seed(5));
    let search = Search {
        zones: &zones,
        unit: UNIT,
        verify: Verify::Sample,
        expectation: Expectation::Decorrelated,
        seed: Seed(4),
        canaries: &Canaries::default(),
        memory: &memory,
        except: &BadBlocks::default(),
    };
    let mut told = Vec::new();
    let outcome = search.run(&disk, &mut |phase, done, _| {
        told.push((phase, done));
        Ok(())
    });
    assert!(matches!(outcome, Err(Unproven::StillThere { .. })), "the first block read is an old one");
    assert_eq!(told, [(Phase::Verify, Bytes(0))]);
}

#[test]
fn noise_and_blank_sectors_are_what_a_crypto_erase_leaves() {
    let mut disk = noise();
    // One sector of a block that was never written.
    disk.bytes_mut()[5 * MIB + 512..5 * MIB + 1024].fill(0xff);
    for verify in [Verify::Sample, Verify::Full] {
        let proof = search(&disk, verify, Expectation::Decorrelated).expect("nothing is left");
        assert_eq!(proof.expectation, Expectation::Decorrelated);
    }
}

#[test]
fn plain_text_after_a_crypto_erase_is_found() {
    let mut disk = noise();
    let text: Vec<u8> = TEXT.iter().copied().cycle().take(MIB).collect();
    disk.bytes_mut()[30 * MIB..30 * MIB + 512].copy_from_slice(&text[..512]);
    // A single sector of it, by reading everything.
    let found = place(search(&disk, Verify::Full, Expectation::Decorrelated));
    assert_eq!(found, Bytes(30 * MIB as u64));
    // A mebibyte of it, by the sample.
    disk.bytes_mut()[30 * MIB..31 * MIB].copy_from_slice(&text);
    let found = place(search(&disk, Verify::Sample, Expectation::Decorrelated));
    assert!((30 * MIB as u64..31 * MIB as u64).contains(&found.0), "{found}");
}

#[test]
fn one_byte_in_any_sector_is_no_zero() {
    for at in [0, 511, 4096, 9 * MIB + 7, SIZE - 1] {
        let mut disk = FakeDisk::filled(0, Bytes(SIZE as u64), 512.try_into().expect("a block size"));
        disk.bytes_mut()[at] = 1;
        let found = place(search(&disk, Verify::Full, Expectation::Zeros));
        assert_eq!(found, Bytes(at as u64 / 512 * 512));
    }
    let full = FakeDisk::filled(0xff, Bytes(SIZE as u64), 512.try_into().expect("a block size"));
    assert_eq!(place(search(&full, Verify::Full, Expectation::Zeros)), Bytes(0), "blank is not zero");
    assert!(search(&full, Verify::Full, Expectation::Blank).is_ok());
}

#[test]
fn blocks_that_were_not_erased_are_not_asked_and_not_counted() {
    let mut disk = FakeDisk::filled(0, Bytes(SIZE as u64), 512.try_into().expect("a block size"));
    disk.bytes_mut()[MIB..9 * MIB].fill(7);
    let mut except = BadBlocks::default();
    except.add(Piece { at: MIB as u64, length: 8 * MIB as u64 });
    let proof = search_except(&disk, Verify::Full, Expectation::Zeros, &except).expect("the rest is zero");
    assert_eq!(proof.bytes, Bytes((SIZE - 8 * MIB) as u64));
    let proof = search_except(&disk, Verify::Sample, Expectation::Zeros, &except).expect("the rest is zero");
    assert!(proof.blocks < 4700, "{} of 5,002, an eighth is left out", proof.blocks);
}

#[test]
fn a_canary_in_a_block_that_was_not_erased_is_not_missed() {
    let disk = noise();
    let zones = Zones::whole(&subject("sda"));
    let canaries = Canaries::place(&disk, &zones, UNIT, &mut Seed(5).draw()).expect("healthy");
    disk.zero_at(Bytes(UNIT), Bytes(SIZE as u64 - UNIT)).expect("zeroed");
    let memory = Memory::default();
    let search = |except: &BadBlocks| {
        let (verify, expectation) = (Verify::Sample, Expectation::Zeros);
        let (canaries, memory) = (&canaries, &memory);
        Search { zones: &zones, unit: UNIT, verify, expectation, seed: Seed(4), canaries, memory, except }
            .run(&disk, &mut |_, _, _| Ok(()))
    };
    let mut except = BadBlocks::default();
    assert!(matches!(search(&except), Err(Unproven::CanaryFound { at: Bytes(0) })));
    except.add(Piece { at: 512, length: 512 });
    assert!(search(&except).is_ok());
}

#[test]
fn what_cannot_be_read_is_listed_to_the_block_and_a_dead_disk_is_called_that() {
    let mut disk = FakeDisk::filled(0, Bytes(SIZE as u64), 512.try_into().expect("a block size"));
    disk.unreadable = 3 * MIB as u64 - 1..3 * MIB as u64 + 513;
    let Err(Unproven::Unreadable { blocks, .. }) = search(&disk, Verify::Full, Expectation::Zeros) else {
        panic!("it was read")
    };
    assert_eq!(blocks.bytes(), Bytes(3 * 512));
    disk.vanishes_after = Some(0);
    let gone = search(&disk, Verify::Full, Expectation::Zeros).expect_err("gone");
    assert!(matches!(gone, Unproven::Gone { .. }), "{gone}");
}
