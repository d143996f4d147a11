//! How the seeds under `corpus/` were made: `cargo test -p fuzz --test seeds --
//! --ignored` makes them again, with qemu-img, sgdisk, gzip and zstd.

use std::{fs, path::Path, process::Command};

use fuzz::corpus;

/// Noise, text and holes, in little room.
fn content(length: usize) -> Vec<u8> {
    let mut noise = 7_u64;
    let mut bytes = vec![0; length];
    for (number, sector) in bytes.chunks_mut(512).enumerate() {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        match number % 97 {
            0 => sector[..64].fill_with(|| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                noise.to_be_bytes()[0]
            }),
            1 | 2 => sector.iter_mut().zip(b"billet ".iter().cycle()).for_each(|(to, from)| *to = *from),
            _ => {}
        }
    }
    bytes
}

fn run(dir: &Path, line: &str) {
    let output = Command::new("sh").args(["-c", line]).current_dir(dir).output().expect("sh runs");
    assert!(output.status.success(), "{line}: {output:?}");
}

/// Target, name and the commands that make `seed` of `disk.raw` (1 MiB and a
/// sector, or what the first command makes of it).
const SEEDS: &[(&str, &str, &str)] = &[
    ("qcow2", "v3-64k", "qemu-img convert -O qcow2 disk.raw seed"),
    ("qcow2", "v2-4k", "qemu-img convert -O qcow2 -o compat=0.10,cluster_size=4k disk.raw seed"),
    ("qcow2", "zlib-512", "qemu-img convert -c -O qcow2 -o cluster_size=512 disk.raw seed"),
    ("qcow2", "zlib-4k", "qemu-img convert -c -O qcow2 -o cluster_size=4k disk.raw seed"),
    (
        "qcow2",
        "zstd-4k",
        "qemu-img convert -c -O qcow2 -o cluster_size=4k,compression_type=zstd disk.raw seed",
    ),
    ("qcow2", "extended", "qemu-img convert -O qcow2 -o extended_l2=on,cluster_size=16k disk.raw seed"),
    (
        "qcow2",
        "snapshot",
        "qemu-img convert -O qcow2 -o cluster_size=4k disk.raw seed && qemu-img snapshot -c one seed \
         && qemu-io -f qcow2 -c 'write -P 7 64k 16k' seed && qemu-img bitmap --add -f qcow2 seed map",
    ),
    // vmdk/vmware-stream is as crates/image/tests/foreign/stream.rs makes them.
    ("vmdk", "sparse", "qemu-img convert -O vmdk disk.raw seed"),
    ("vmdk", "stream", "qemu-img convert -O vmdk -o subformat=streamOptimized disk.raw seed"),
    ("vmdk", "zeroed", "qemu-img convert -S 0 -O vmdk -o zeroed_grain=on disk.raw seed"),
    ("vhd", "dynamic", "qemu-img convert -O vpc -o force_size=on disk.raw seed"),
    ("vhd", "dynamic-geometry", "qemu-img convert -O vpc disk.raw seed"),
    ("vhd", "fixed", "qemu-img convert -O vpc -o subformat=fixed,force_size=on disk.raw seed"),
    ("vhdx", "dynamic", "qemu-img convert -O vhdx -o block_size=1M disk.raw seed"),
    ("vhdx", "fixed", "qemu-img convert -O vhdx -o block_size=1M,subformat=fixed disk.raw seed"),
    ("raw", "plain", "cp disk.raw seed"),
    ("raw", "gpt", "truncate -s 2M seed && sgdisk -a 1 -n 1:64:1024 seed"),
    ("raw", "mbr", "truncate -s 2M seed && sgdisk -a 1 -n 1:64:1024 seed && sgdisk -m 1 seed"),
    ("compressed", "gzip", "gzip -nc disk.raw > seed"),
    ("compressed", "gzip-members", "(head -c 9999 disk.raw | gzip -nc; gzip -nc < disk.raw) > seed"),
    ("compressed", "zstd", "zstd -q -c disk.raw > seed"),
    ("compressed", "zstd-long", "zstd -q --ultra -20 --check -c disk.raw > seed"),
    ("compressed", "zstd-frames", "(head -c 9999 disk.raw | zstd -q -c; zstd -q -c disk.raw) > seed"),
    ("compressed", "xz", "xz -c disk.raw > seed"),
    ("compressed", "xz-blocks", "xz -c --check=sha256 --block-size=100000 disk.raw > seed"),
    ("compressed", "xz-bcj", "xz -c --check=crc32 --x86 --lzma2=preset=1 disk.raw > seed"),
    ("compressed", "bzip2", "bzip2 -c disk.raw > seed"),
    ("compressed", "bzip2-streams", "(head -c 9999 disk.raw | bzip2 -c; bzip2 -1 -c disk.raw) > seed"),
    ("compressed", "lz4", "lz4 -q -c disk.raw > seed"),
    ("compressed", "lz4-dependent", "lz4 -q -BD -B4 --content-size -c disk.raw > seed"),
    ("compressed", "qcow2-gz", "qemu-img convert -O qcow2 disk.raw a && gzip -nc a > seed"),
    ("compressed", "qcow2-zst", "qemu-img convert -c -O qcow2 disk.raw a && zstd -q -c a > seed"),
    // The manifests are what `billet-image manifest` makes of raw/plain: as it is,
    // and with --pack.
    ("checksum", "coreutils", "cp disk.raw image.raw && sha256sum image.raw * > seed"),
    ("checksum", "bsd", "cp disk.raw image.raw && sha512sum --tag image.raw disk.raw > seed"),
    (
        "checksum",
        "both",
        "cp disk.raw image.raw && (sha256sum image.raw; md5sum --tag image.raw; echo '# x') > seed",
    ),
    ("checksum", "bare", "sha256sum < disk.raw | cut -c1-64 > seed"),
    (
        "http",
        "whole",
        r#"printf 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "a"\r\n\r\n0123456789' > seed"#,
    ),
    (
        "http",
        "ranges",
        r#"printf 'HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nContent-Length: 4\r\nETag: "a"\r\n\r\n0123' > seed"#,
    ),
    (
        "http",
        "part",
        r#"printf 'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n0123456789' > seed"#,
    ),
    (
        "http",
        "chunked",
        r#"printf 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n' > seed"#,
    ),
    ("http", "moved", r#"printf 'HTTP/1.1 302 Found\r\nLocation: /x?y\r\nContent-Length: 0\r\n\r\n' > seed"#),
    ("http", "busy", r#"printf 'HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n' > seed"#),
    (
        "http",
        "asks",
        r#"printf 'HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm="http://127.0.0.1:1/t",service="r"\r\n\r\n' > seed"#,
    ),
    ("gpt", "one", "truncate -s 2M seed && sgdisk -a 1 -n 1:64:1024 seed && truncate -s 32k seed"),
    (
        "gpt",
        "four",
        "truncate -s 9M seed && sgdisk -n 1::+1M -n 2::+1M -n 3::+1M -n 4 seed && truncate -s 32k seed",
    ),
    (
        "mbr",
        "one",
        "truncate -s 2M seed && sgdisk -a 1 -n 1:64:1024 seed && sgdisk -m 1 seed && truncate -s 512 seed",
    ),
    ("config-drive", "fat", "truncate -s 256k a && mkfs.vfat -n config-2 a && gzip -nc a > seed"),
    (
        "config-drive",
        "fat-text",
        "truncate -s 256k a && mkfs.vfat -n config-2 a && gzip -nc a | base64 > seed",
    ),
    // The first half is the start of a device of 80 MiB, the second half its end.
    ("signatures", "ext4", "truncate -s 4M seed && mkfs.ext4 -q seed && truncate -s 8k seed"),
    ("signatures", "minix", "truncate -s 4M seed && mkfs.minix seed && truncate -s 8k seed"),
    ("signatures", "fat", "truncate -s 4M seed && mkfs.vfat seed && truncate -s 4k seed"),
    ("signatures", "fat32", "truncate -s 40M seed && mkfs.vfat -F 32 seed && truncate -s 4k seed"),
    ("signatures", "swap", "truncate -s 4M seed && mkswap seed && truncate -s 8k seed"),
    ("signatures", "gpt", "truncate -s 80M a && sgdisk -n 1 a && (head -c 20k a; tail -c 20k a) > seed"),
    (
        "signatures",
        "far",
        r"truncate -s 268k seed && printf _BHRfS_M | dd of=seed bs=1 seek=65600 conv=notrunc \
          && printf '\001CD001' | dd of=seed bs=1 seek=32768 conv=notrunc",
    ),
    (
        "signatures",
        "raid",
        r"truncate -s 32k seed && printf '\374N+\251\001' | dd of=seed bs=1 seek=24576 conv=notrunc \
          && printf '\360\177\002' | dd of=seed bs=1 seek=24720 conv=notrunc",
    ),
    (
        "lldp",
        "switch",
        "echo 0180c200000e020000000001 88cc 020704020000000001 040705016574683031 06020078 0a0473773031 \
         0c06426f782031 0e0400140014 100c0501c0a80001020000000100 fe060080c2010064 fe0900120f01036c000010 0000 \
         | xxd -r -p > seed",
    ),
    (
        "command-line",
        "ironic",
        "echo 'BOOT_IMAGE=vmlinuz ipa-api-url=http://10.0.0.1:6385,http://[::1]:6385 ipa-agent-token=abc \
         ipa-insecure=1 ipa-inspection-callback-url=http://10.0.0.1:5050/v1/continue ipa-inspection-collectors=default,logs \
         ipa-inspection-dhcp-wait-timeout=60 ipa-collect-lldp=1 ipa-lldp-timeout=30 ipa-listen-port=9999 \
         ipa-advertise-host=10.0.0.2 ipa-ntp-server=10.0.0.3 BOOTIF=01-52-54-00-12-34-56 nofb' > seed",
    ),
    (
        "command",
        "prepare-image",
        r#"echo '{"name": "standby.prepare_image", "params": {"image_info": {"id": "1", "urls": ["http://h/i"],
          "checksum": "00", "os_hash_algo": "sha256", "os_hash_value": "00", "disk_format": "raw",
          "node_uuid": "2", "image_type": "whole-disk"}, "configdrive": "H4sI"}}' > seed"#,
    ),
    (
        "command",
        "clean-step",
        r#"echo '{"name": "clean.execute_clean_step", "params": {"step": {"step": "erase_devices",
          "interface": "deploy", "priority": 10, "args": {"a": [1, 2.5, null]}}, "node": {"uuid": "1",
          "properties": {"root_device": {"size": ">= 10"}}, "driver_internal_info": {}}, "ports": [],
          "clean_version": {"generic_hardware_manager": "1.1"}}}' > seed"#,
    ),
];

#[test]
#[ignore = "makes files of the repository"]
fn the_seeds_are_made() {
    let is_missing =
        |target: &str, name: &str| !corpus::directory(target).join(format!("{name}.zst")).exists();
    for (target, name, line) in SEEDS.iter().filter(|(target, name, _)| is_missing(target, name)) {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("disk.raw"), content((1 << 20) + 512)).expect("written");
        run(dir.path(), line);
        let seed = fs::read(dir.path().join("seed")).expect("made");
        corpus::keep(&corpus::directory(target), name, &seed).expect("kept");
    }
}

#[test]
fn every_target_has_seeds_and_they_are_small() {
    let mut total = 0;
    for target in fuzz::TARGETS {
        let kept = corpus::load(target.name).expect("the corpus can be read");
        let elsewhere = corpus::elsewhere(target.name);
        assert!(!kept.is_empty() || !elsewhere.is_empty(), "{} has no seeds", target.name);
        total += kept.iter().map(|kept| fs::metadata(&kept.path).expect("a file").len()).sum::<u64>();
    }
    assert!(total <= 1 << 20, "the corpus is {total} bytes");
}
