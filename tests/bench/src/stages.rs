//! The single stages of a write, each alone: no pipeline is faster than its
//! slowest stage, nor than all their processor time on all cores.

use std::{
    fs::File,
    io::{self, Read as _},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use disk::{Buffer, Device, Target as _};
use model::Bytes;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike as _},
};
use serde::{Deserialize, Serialize};

use crate::{
    forms::Made,
    measure::{self, Cost, LIMIT_S, medians},
    peers::World,
    target::Disk,
};

/// What one write or read of the device covers at most.
const PIECE: usize = 1 << 20;
/// A hole smaller than this is written as zeros.
const HOLE: usize = 64 << 10;
/// Writes or reads in flight.
const IN_FLIGHT: usize = 2;
/// The medians of more runs are the same.
const MOST_ROUNDS: usize = 3;

/// The stages that this program does itself.
#[derive(clap::Subcommand)]
pub(crate) enum Own {
    /// Unpack a gzip file, with the library that the agent has.
    Gunzip {
        /// The file.
        file: PathBuf,
    },
    /// Write what is not zero in an image to a device, and make the rest zero there.
    Write {
        /// The image, raw.
        image: PathBuf,
        /// The device.
        device: PathBuf,
    },
    /// Read what is not zero in an image from a device.
    Read {
        /// The image, raw.
        image: PathBuf,
        /// The device.
        device: PathBuf,
    },
}

/// Do one stage and print what it cost.
///
/// # Errors
/// When something cannot be read or written.
pub(crate) fn run(stage: &Own) -> Result<()> {
    let cost = match stage {
        Own::Gunzip { file } => {
            let file = File::open(file)?;
            cost_of(|| {
                io::copy(&mut flate2::read::MultiGzDecoder::new(file), &mut io::sink())?;
                Ok(())
            })?
        }
        Own::Write { image, device } => write(image, device)?,
        Own::Read { image, device } => read(image, device)?,
    };
    println(&cost)
}

fn println(cost: &Cost) -> Result<()> {
    serde_json::to_writer(io::stdout(), cost).context("cannot print")
}

/// What `work` costs this process.
fn cost_of(work: impl FnOnce() -> Result<()>) -> Result<Cost> {
    let used = || -> Result<TimeVal> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        Ok(usage.user_time() + usage.system_time())
    };
    let (start, before) = (Instant::now(), used()?);
    work()?;
    let s = start.elapsed().as_secs_f64();
    let spent = (used()? - before).num_microseconds();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    Ok(Cost { s, cpu_s: spent as f64 / 1e6, peak_rss_mib: 0.0 })
}

/// What an image holds.
#[derive(Debug, Default)]
struct Pieces {
    /// Where it is not zero, [`PIECE`] at a time.
    data: Vec<Range<u64>>,
    /// Where it is.
    holes: Vec<Range<u64>>,
}

fn pieces(image: &Path) -> Result<Pieces> {
    let mut file = File::open(image)?;
    let mut pieces = Pieces::default();
    let mut buffer = vec![0; HOLE];
    let mut at = 0;
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(pieces);
        }
        let end = at + length as u64;
        let is_hole = buffer[..length].iter().all(|&byte| byte == 0);
        let (list, longest) =
            if is_hole { (&mut pieces.holes, u64::MAX) } else { (&mut pieces.data, PIECE as u64) };
        match list.last_mut() {
            Some(last) if last.end == at && end - last.start <= longest => last.end = end,
            Some(_) | None => list.push(at..end),
        }
        at = end;
    }
}

fn write(image: &Path, device: &Path) -> Result<Cost> {
    let Pieces { data, holes } = pieces(image)?;
    let device = Device::open(device)?;
    let mut bytes = Buffer::zeroed(PIECE);
    File::open(image)?.read_exact_at(&mut bytes, data.first().map_or(0, |piece| piece.start))?;
    cost_of(|| {
        for hole in &holes {
            device.zero_at(Bytes(hole.start), Bytes(hole.end - hole.start))?;
        }
        each(&data, || (), |piece, ()| device.write_at(Bytes(piece.start), &bytes[..length(piece)]))?;
        Ok(device.sync()?)
    })
}

fn read(image: &Path, device: &Path) -> Result<Cost> {
    let Pieces { data, .. } = pieces(image)?;
    let device = Device::open(device)?;
    let buffer = || Buffer::zeroed(PIECE);
    cost_of(|| {
        each(&data, buffer, |piece, into| device.read_at(Bytes(piece.start), &mut into[..length(piece)]))
    })
}

fn length(piece: &Range<u64>) -> usize {
    usize::try_from(piece.end - piece.start).unwrap_or(PIECE).min(PIECE)
}

/// Do `work` on every piece, several at a time, each with something of its own.
fn each<Own>(
    pieces: &[Range<u64>],
    own: impl Fn() -> Own + Sync,
    work: impl Fn(&Range<u64>, &mut Own) -> io::Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let worker = || -> io::Result<()> {
        let mut own = own();
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(piece, &mut own)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..IN_FLIGHT).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            match worker.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a worker panicked"),
            }
        }
        Ok(())
    })
}

/// The stages of one form on one disk, each measured alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stages {
    /// The file over HTTP into nothing, with what nginx spends on it.
    pub(crate) network: Cost,
    /// Unpacking alone, by the fastest program here.
    pub(crate) decompress: Option<Cost>,
    /// sha256 of the file.
    pub(crate) digest: Cost,
    /// Everything onto the device: data with several writes in flight, zeros by the kernel.
    pub(crate) write: Cost,
    /// The data read back from the device. Not part of the limit.
    pub(crate) read: Cost,
}

impl Stages {
    /// Seconds of the perfect pipeline on `cores`.
    pub(crate) fn limit_s(&self, cores: usize) -> f64 {
        let stages = [Some(self.network), self.decompress, Some(self.digest), Some(self.write)];
        let slowest = stages.iter().flatten().map(|cost| cost.s).fold(0.0, f64::max);
        let processor: f64 = stages.iter().flatten().map(|cost| cost.cpu_s).sum();
        let cores = u32::try_from(cores).unwrap_or(1);
        slowest.max(processor / f64::from(cores))
    }
}

/// Programs that unpack a form into nothing; the fastest counts.
fn unpackers(form: &str) -> &'static [&'static str] {
    match form {
        "raw.gz" => &["$BENCH stage gunzip $FILE > /dev/null", "pigz -dc $FILE > /dev/null"],
        "raw.zst" => &["zstd -q -dc $FILE > /dev/null"],
        "raw.xz" => &["xz -T0 -dc $FILE > /dev/null"],
        "qcow2-zlib" | "qcow2-zstd" => {
            &["qemu-img convert -n -W -m 4 -f qcow2 --target-image-opts $FILE driver=null-co,size=$SIZE"]
        }
        _ => &[],
    }
}

/// Measure every stage alone, `rounds` times at most.
///
/// # Errors
/// When one fails.
pub(crate) fn measured(world: &World<'_>, made: &Made, disk: &Disk, rounds: usize) -> Result<Stages> {
    let bench = std::env::current_exe()?.display().to_string();
    let size = std::fs::metadata(world.images.join("disk.raw"))?.len();
    let rounds = rounds.min(MOST_ROUNDS);
    let alone = |script: &str| -> Result<Cost> {
        let script = format!("export BENCH='{bench}' SIZE={size}; {script}");
        let costs: Result<Vec<Cost>> =
            (0..rounds).map(|_| world.run(&script, made, &disk.device, LIMIT_S)).collect();
        Ok(medians(&costs?))
    };
    let nginx = world.server.cpu_s();
    let mut network = alone("curl -sSf $URL > /dev/null")?;
    network.cpu_s += (world.server.cpu_s() - nginx) / f64::from(u32::try_from(rounds)?);
    let unpacked: Result<Vec<Cost>> = unpackers(made.form.name).iter().map(|script| alone(script)).collect();
    let decompress = unpacked?.into_iter().min_by(|a, b| a.s.total_cmp(&b.s));
    let digest = alone("openssl dgst -sha256 $FILE > /dev/null")?;
    let own = |stage: &str, costs: &mut Vec<Cost>| -> Result<()> {
        disk.reset()?;
        costs.push(own_stage(stage, &world.images.join("disk.raw"), &disk.device)?);
        Ok(())
    };
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        own("write", &mut writes)?;
        own("read", &mut reads)?;
    }
    Ok(Stages { network, decompress, digest, write: medians(&writes), read: medians(&reads) })
}

/// One of this program's own stages on a device, with the cost it tells itself.
fn own_stage(stage: &str, image: &Path, device: &Path) -> Result<Cost> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    let said = crate::program::run(command.args(["stage", stage]).arg(image).arg(device))?;
    serde_json::from_str::<measure::Cost>(&said).context("no measurement")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(s: f64, cpu_s: f64) -> Cost {
        Cost { s, cpu_s, peak_rss_mib: 0.0 }
    }

    #[test]
    fn the_limit_is_the_slowest_stage_or_all_processor_time_on_all_cores() {
        let mut stages = Stages {
            network: cost(2.0, 1.0),
            decompress: Some(cost(3.0, 3.0)),
            digest: cost(1.0, 1.0),
            write: cost(2.0, 0.5),
            read: cost(9.0, 9.0),
        };
        assert!((stages.limit_s(2) - 3.0).abs() < 1e-9);
        stages.decompress = Some(cost(3.0, 6.0));
        assert!((stages.limit_s(2) - 4.25).abs() < 1e-9);
    }

    #[test]
    fn pieces_are_short_and_holes_are_long() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8 << 20).unwrap();
        file.as_file().write_all_at(&vec![1; (1 << 20) + 10], 1 << 20).unwrap();
        let Pieces { data, holes } = pieces(file.path()).unwrap();
        let mib = 1_u64 << 20;
        assert_eq!(data, [mib..2 * mib, 2 * mib..2 * mib + HOLE as u64]);
        assert_eq!(holes, [0..mib, 2 * mib + HOLE as u64..8 * mib]);
    }
}
