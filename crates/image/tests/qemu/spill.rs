//! Images that were changed in place keep data before the table that maps it.

use std::fs;

use disk::FakeDisk;
use image::{MemorySource, Options, Spill, WriteError, install};
use model::Bytes;

use super::{Random, chain, digest, qemu_img, qemu_io};

const MIB: u64 = 1 << 20;

/// 36 MiB whose table was copied behind them by a write after a snapshot.
fn changed_in_place(compressed: bool) -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = Random(5);
    // Half of it compresses.
    let noise =
        |at: u64, random: &mut Random| if at % 1024 < 512 { random.next().to_le_bytes()[0] } else { 7 };
    let raw: Vec<u8> = (0..36 * MIB).map(|at| noise(at, &mut random)).collect();
    fs::write(dir.path().join("disk.raw"), &raw).expect("written");
    let compress = if compressed { "-c" } else { "" };
    qemu_img(dir.path(), &format!("convert {compress} -f raw -O qcow2 disk.raw disk.qcow2"));
    qemu_img(dir.path(), "snapshot -c before disk.qcow2");
    qemu_io(dir.path(), &["write -P 9 1M 300k".to_owned()], "disk.qcow2");
    qemu_img(dir.path(), "convert -f qcow2 -O raw disk.qcow2 truth.raw");
    let read = |name: &str| fs::read(dir.path().join(name)).expect("made");
    (read("disk.qcow2"), read("truth.raw"))
}

fn put(image: &[u8], raw: &[u8], limit: Option<u64>) -> Result<(), WriteError> {
    let dir = tempfile::tempdir().expect("a directory");
    let spill = limit.map(|limit| Spill { dir: dir.path().to_owned(), limit: Bytes(limit) });
    let mut disk = FakeDisk::filled(0xaa, Bytes(64 * MIB), 512.try_into().expect("a block size"));
    let options = Options { digests: vec![digest(image)], spill, ..Options::default() };
    install(MemorySource::pipe(image.to_vec()), &mut disk, options, |_| {})?;
    assert!(disk.bytes()[..raw.len()] == *raw, "the content is right");
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0, "nothing is left");
    Ok(())
}

#[test]
fn data_before_its_table_is_spilled_up_to_a_limit() {
    for compressed in [false, true] {
        let (image, raw) = changed_in_place(compressed);
        put(&image, &raw, Some(64 * MIB)).expect("there is room");
        for limit in [None, Some(2 * MIB)] {
            let error = put(&image, &raw, limit).expect_err("there is none");
            let text = chain(&error);
            let kept = limit.map_or("12.0 MiB", |_| "2.0 MiB");
            assert!(error.is_refusal() && text.contains(kept) && text.contains("Range"), "{text}");
        }
    }
}

#[test]
fn an_image_in_order_is_not_spilled() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = Random(6);
    let raw: Vec<u8> =
        (0..36 * MIB).map(|at| if at % 64 < 32 { random.next().to_le_bytes()[0] } else { 7 }).collect();
    fs::write(dir.path().join("disk.raw"), &raw).expect("written");
    for how in ["", "-c", "-c -o compression_type=zstd", "-c -W -m 8"] {
        qemu_img(dir.path(), &format!("convert {how} -f raw -O qcow2 disk.raw disk.qcow2"));
        let image = fs::read(dir.path().join("disk.qcow2")).expect("made");
        let nowhere = Some(Spill { dir: "/nowhere".into(), limit: Bytes(64 * MIB) });
        let mut disk = FakeDisk::filled(0xaa, Bytes(64 * MIB), 512.try_into().expect("a block size"));
        let options = Options { digests: vec![digest(&image)], spill: nowhere, ..Options::default() };
        let report = install(MemorySource::pipe(image), &mut disk, options, |_| {});
        assert!(report.is_ok() && disk.bytes()[..raw.len()] == raw, "{how}: {report:?}");
    }
}
