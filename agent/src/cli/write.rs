//! `billet-agent write`: an image onto a disk, by hand.

mod ask;
mod show;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use disk::{Device, OpenError, Target as _};
use image::{Declared, FileSource, Options, Source, Verify, WriteError, configdrive};
use model::{Bytes, Digest};

use fetch::{HttpSource, OpenImageError, Request, Trust};

/// Exit status for input that is refused; 1 is for what went wrong.
const REFUSED: u8 = 2;
/// The longest config drive file that is read: base64 of the largest, and line breaks.
const LONGEST_CONFIG_DRIVE: u64 = 96 << 20;

/// Arguments of `write`.
///
/// Exit status: 0 when the image is on the disk, read back and bootable as it
/// was meant; 2 when the input is refused; 1 when something failed. The disk
/// does not boot unless it is 0.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The image: a URL or a path. Several are equal mirrors, URLs all.
    #[arg(long, required = true, value_name = "URL|PATH")]
    image: Vec<String>,
    /// What the image as downloaded must hash to: sha256:HEX or sha512:HEX. Several must all match.
    #[arg(long, required = true, value_name = "ALGORITHM:HEX")]
    checksum: Vec<Digest>,
    /// The disk to write, or a regular file; one that is missing or empty gets the image's size.
    #[arg(long, value_name = "DEV|FILE")]
    target: PathBuf,
    /// auto, raw, raw.gz, raw.zst, qcow2, qcow2.gz or qcow2.zst; must be what the content is.
    #[arg(long, default_value = "auto")]
    format: Declared,
    /// Put this config drive on the disk: an ISO 9660 or FAT file system, or base64 of gzip of one.
    #[arg(long, value_name = "FILE")]
    config_drive: Option<PathBuf>,
    /// Read back all that was written, or a sample.
    #[arg(long, default_value = "full", value_parser = ["full", "sample"])]
    verify: String,
    /// Believe servers whose certificates are signed by these authorities (PEM).
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Believe any server.
    #[arg(long, conflicts_with = "ca_file")]
    insecure: bool,
    /// Do not ask before destroying what is on the disk.
    #[arg(long)]
    yes: bool,
    /// Print progress and the report as JSON, one object a line; the last line is the report.
    #[arg(long)]
    json: bool,
}

/// Why nothing, or nothing good, was written.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Fetch(#[from] OpenImageError),
    #[error("cannot open the image {}", path.display())]
    Image {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("cannot make the file {}", path.display())]
    Create {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("cannot read the config drive {}", path.display())]
    ReadConfigDrive {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("the config drive {} cannot be used", path.display())]
    ConfigDrive {
        path: PathBuf,
        #[source]
        err: configdrive::DecodeConfigDriveError,
    },
    #[error("several images are mirrors and must all be URLs")]
    Mirrors,
    #[error("not writing to {}: {why}", target.display())]
    NotAsked { target: PathBuf, why: &'static str },
    #[error("the image and the target are the same file")]
    SameFile,
}

impl Failure {
    fn is_refusal(&self) -> bool {
        match self {
            Failure::Write(err) => err.is_refusal(),
            Failure::Open(err) => match err {
                OpenError::Held { .. }
                | OpenError::ReadOnly { .. }
                | OpenError::NotADisk { .. }
                | OpenError::PartialSector { .. } => true,
                OpenError::Open { .. } | OpenError::Measure { .. } | OpenError::BlockSize { .. } => false,
            },
            Failure::ConfigDrive { .. } | Failure::Mirrors | Failure::NotAsked { .. } | Failure::SameFile => {
                true
            }
            Failure::Fetch(_)
            | Failure::Image { .. }
            | Failure::Create { .. }
            | Failure::ReadConfigDrive { .. } => false,
        }
    }
}

/// Write the image; the exit status says what became of it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut show = show::Show::new(args.json, io::stderr().is_terminal());
    match write(&args, &mut show) {
        Ok(report) => {
            show.written(&args, &report);
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            let refused = failure.is_refusal();
            show.failed(&args, &anyhow::Error::from(failure), refused);
            Ok(if refused { ExitCode::from(REFUSED) } else { ExitCode::FAILURE })
        }
    }
}

fn write(args: &Args, show: &mut show::Show) -> Result<image::Report, Failure> {
    let options = options(args)?;
    let source = open(args)?;
    let mut device = target(args)?;
    if !args.yes {
        ask::permission(&device).map_err(|why| Failure::NotAsked { target: args.target.clone(), why })?;
    }
    let report = image::install(source, &mut device, options, |progress| show.progress(progress))?;
    if let Err(err) = device.reread_partitions() {
        // A loop device without partitions says EINVAL; the disk is right all the same.
        tracing::info!(%err, disk = %args.target.display(), "the kernel did not read the partition table again");
    }
    Ok(report)
}

fn options(args: &Args) -> Result<Options, Failure> {
    let verify = if args.verify == "sample" { Verify::Sample } else { Verify::Full };
    let config_drive = args.config_drive.as_deref().map(config_drive).transpose()?;
    let digests = args.checksum.clone();
    Ok(Options { declared: args.format, digests, config_drive, verify, ..Options::default() })
}

fn config_drive(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = |err| Failure::ReadConfigDrive { path: path.to_owned(), err };
    let file = std::fs::File::open(path).map_err(read)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, LONGEST_CONFIG_DRIVE), &mut bytes).map_err(read)?;
    configdrive::from_bytes(&bytes).map_err(|err| Failure::ConfigDrive { path: path.to_owned(), err })
}

fn is_url(image: &str) -> bool {
    image.starts_with("http://") || image.starts_with("https://")
}

fn open(args: &Args) -> Result<Box<dyn Source>, Failure> {
    if args.image.iter().all(|image| is_url(image)) {
        let trust = match (&args.ca_file, args.insecure) {
            (_, true) => Trust::Anybody,
            (Some(path), false) => Trust::Bundle(path.clone()),
            (None, false) => Trust::system(),
        };
        return Ok(Box::new(HttpSource::open(Request::new(args.image.clone(), trust))?));
    }
    let [path] = &args.image[..] else { return Err(Failure::Mirrors) };
    let path = PathBuf::from(path);
    if std::fs::canonicalize(&path)
        .ok()
        .is_some_and(|path| std::fs::canonicalize(&args.target).ok() == Some(path))
    {
        return Err(Failure::SameFile);
    }
    Ok(Box::new(FileSource::open(&path).map_err(|err| Failure::Image { path, err })?))
}

/// The disk; a file that is missing or empty gets the size that the image
/// wants, which may take reading it once more.
fn target(args: &Args) -> Result<Device, Failure> {
    let size = match std::fs::metadata(&args.target) {
        Ok(metadata) if metadata.is_file() && metadata.len() == 0 => {
            image::measure(open(args)?, args.format)?
        }
        Err(err) if err.kind() == io::ErrorKind::NotFound && !args.target.starts_with("/dev") => {
            let size = image::measure(open(args)?, args.format)?;
            std::fs::File::create_new(&args.target)
                .map_err(|err| Failure::Create { path: args.target.clone(), err })?;
            size
        }
        Ok(_) | Err(_) => Bytes(0),
    };
    let mut device = Device::open(&args.target)?;
    if device.size() == Bytes(0) {
        device.grow_empty_file(size).map_err(|err| Failure::Create { path: args.target.clone(), err })?;
    }
    Ok(device)
}
