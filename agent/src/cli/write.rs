//! `billet-agent write`: an image onto a disk, by hand.
//!
//! ```text
//! args ─▶ digests, options, source, target ─▶ plan ─▶ (printed)
//!                                         └─▶ ask ─▶ image::install ─▶ report
//! ```

mod args;
mod ask;
mod digests;
mod disk;
mod failure;
mod network;
mod plan;
mod report;
mod show;
mod source;

use std::{
    fs::File,
    io::{self, IsTerminal},
    path::Path,
    process::ExitCode,
};

use ::disk::{Device, Target as _, gpt::GptError};
use fetch::{Request, chunks::HttpChunks, document, oci};
use image::{
    CommitError, Options, Report, Spill, WriteError, configdrive,
    manifest::{self, Accepted, FileChunks, LONGEST_DOCUMENT, install_chunks},
};
use model::{BlockSize, Bytes};

pub(crate) use args::Args;
use disk::Facts;
use failure::Failure;
use plan::Plan;
use show::Show;
use source::{Images, is_url};

/// Exit status for input that is refused; 1 is for what went wrong.
const REFUSED: u8 = 2;
/// The longest config drive file that is read: base64 of the largest, and line breaks.
const LONGEST_CONFIG_DRIVE: u64 = 96 << 20;
/// The sectors that nearly every image is made for.
const SMALL_SECTORS: u64 = 512;

/// Write the image; the exit status says what became of it.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut show = Show::new(args.json, io::stderr().is_terminal());
    match go(args, &mut show) {
        Ok(code) => Ok(code),
        Err(failure) => {
            let refused = failure.is_refusal();
            show.failed(args, &anyhow::Error::from(failure), refused);
            Ok(if refused { ExitCode::from(REFUSED) } else { ExitCode::FAILURE })
        }
    }
}

/// Everything that is decided before the disk is opened.
struct Order {
    images: Images,
    request: Request,
    options: Options,
    /// The image by chunks, when a manifest says what they are.
    accepted: Option<Accepted>,
}

fn go(args: &Args, show: &mut Show) -> Result<ExitCode, Failure> {
    let order = order(args)?;
    if args.plan {
        let plan = plan(args, &order);
        let text = plan.text(&args.shown_images().join(", "), &order.options);
        show.plan(&text, &plan.json(&args.shown_images(), &order.options));
        return Ok(if plan.is_refused() { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS });
    }
    let mut device = target(args, &order)?;
    refuse_other_sectors(&device, &order)?;
    if !args.yes {
        let asked = ask::permission(&Facts::of(&device));
        asked.map_err(|why| Failure::NotAsked { target: args.target.clone(), why })?;
    }
    let report = write(order, &mut device, show)?;
    if let Err(err) = device.reread_partitions() {
        // A loop device without partitions says EINVAL; the disk is right all the same.
        tracing::info!(%err, disk = %args.target.display(), "the kernel did not read the partition table again");
    }
    show.written(args, &report);
    Ok(ExitCode::SUCCESS)
}

fn order(args: &Args) -> Result<Order, Failure> {
    let images = Images::new(&args.image, &args.target)?;
    let mut request = network::request(&args.network, images.urls())?;
    if args.checksum.is_empty() && args.manifest_checksum.is_empty() && !source::are_pinned(&args.image) {
        return Err(WriteError::NoDigest.into());
    }
    let mut name = images.name();
    let mut digests = Vec::new();
    if request.urls.iter().any(|url| oci::is_reference(url)) {
        let resolved = oci::resolve(&request)?;
        digests.push(resolved.digest);
        (name, request) = (resolved.title.unwrap_or(name), resolved.request);
    }
    digests.extend(digests::expected(&args.checksum, &name, &request)?);
    let options = Options {
        declared: args.format,
        digests,
        content: args.content_checksum.clone(),
        config_drive: args.config_drive.as_deref().map(config_drive).transpose()?,
        verify: args.verify.into(),
        rewrite_sectors: args.rewrite_sectors,
        spill: args.spill.clone().map(|dir| Spill { dir, limit: mib(args.spill_limit) }),
        ..Options::default()
    };
    let options = Options {
        decoder_memory: args.decoder_memory.map_or(options.decoder_memory, mib),
        // A name is a demand, not a permission: it may come from whoever sent the image.
        permitted: args.permit.iter().fold(options.permitted, |formats, &format| formats.with(format)),
        ..options
    };
    if args.manifest.is_some() && images.is_spent_by_reading() {
        return Err(Failure::NotServed { what: "a manifest with an image from standard input" });
    }
    let accepted = match &args.manifest {
        Some(manifest) => Some(accept(manifest, args, &request, &options)?),
        None => None,
    };
    Ok(Order { images, request, options, accepted })
}

fn mib(count: u32) -> Bytes {
    Bytes(u64::from(count) << 20)
}

/// The manifest at `from`, believed.
fn accept(from: &str, args: &Args, request: &Request, options: &Options) -> Result<Accepted, Failure> {
    let limit = LONGEST_DOCUMENT as u64;
    let document = if is_url(from) {
        document(request.beside(from), limit)?
    } else {
        digests::file(Path::new(from), limit)?
    };
    Ok(manifest::accept(&document, &args.manifest_checksum, &options.digests)?)
}

fn config_drive(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = digests::file(path, LONGEST_CONFIG_DRIVE)?;
    configdrive::from_bytes(&bytes).map_err(|err| Failure::ConfigDrive { path: path.to_owned(), err })
}

fn write(order: Order, device: &mut Device, show: &mut Show) -> Result<Report, Failure> {
    let Order { images, request, options, accepted } = order;
    let progress = |progress| show.progress(progress);
    let Some(accepted) = accepted else {
        return Ok(image::install(images.open(&request)?, device, options, progress)?);
    };
    match &images {
        Images::Urls(_) => {
            let chunks = HttpChunks::open(request, accepted.manifest().file().length)?;
            Ok(install_chunks(accepted, &chunks, device, options, progress)?)
        }
        Images::File(path) => {
            let chunks = FileChunks::open(path).map_err(|err| Failure::Read { path: path.clone(), err })?;
            Ok(install_chunks(accepted, &chunks, device, options, progress)?)
        }
        Images::Stdin => Err(Failure::NotServed { what: "a manifest with an image from standard input" }),
    }
}

/// The disk; a file that is missing or empty gets the size that the image
/// wants, which may take reading it once more.
fn target(args: &Args, order: &Order) -> Result<Device, Failure> {
    let is_empty = std::fs::metadata(&args.target).is_ok_and(|found| found.is_file() && found.len() == 0);
    if !is_empty && !is_to_be_made(&args.target) {
        return Ok(Device::open(&args.target)?);
    }
    let size = measured(order)?;
    let create = |err| Failure::Create { path: args.target.clone(), err };
    File::options().create(true).append(true).open(&args.target).map_err(create)?;
    let mut device = Device::open(&args.target)?;
    device.grow_empty_file(size).map_err(create)?;
    Ok(device)
}

/// True for the file that is made because there is nothing. Disks are not made.
fn is_to_be_made(target: &Path) -> bool {
    let is_missing = std::fs::metadata(target).is_err_and(|err| err.kind() == io::ErrorKind::NotFound);
    is_missing && !target.starts_with("/dev")
}

/// A table for other sectors is refused when all is written and read back, because an
/// image comes in any order. Disks of large sectors are worth asking before.
fn refuse_other_sectors(device: &Device, order: &Order) -> Result<(), Failure> {
    let disk = device.block().get();
    let unseen = order.accepted.is_some() || order.images.is_spent_by_reading();
    if disk == SMALL_SECTORS || unseen || order.options.rewrite_sectors {
        return Ok(());
    }
    let look = image::look(order.images.open(&order.request)?, &order.options)?;
    match look.made_for().map(BlockSize::get).filter(|&made_for| made_for != disk) {
        Some(made_for) => {
            let table = GptError::OtherSectors { made_for, disk };
            Err(WriteError::Commit(CommitError::Table(table)).into())
        }
        None => Ok(()),
    }
}

/// How large the disk in the image is.
fn measured(order: &Order) -> Result<Bytes, Failure> {
    if let Some(accepted) = &order.accepted {
        return Ok(accepted.manifest().size());
    }
    if order.images.is_spent_by_reading() {
        return Err(Failure::Unmeasured { what: "standard input" });
    }
    match image::look(order.images.open(&order.request)?, &order.options)?.size {
        Some(size) => Ok(size),
        None => Ok(image::measure(order.images.open(&order.request)?, order.options.declared)?),
    }
}

/// Look at both sides without writing anything.
fn plan(args: &Args, order: &Order) -> Plan {
    let path = || args.target.display().to_string();
    let mut refused = Vec::new();
    let mut note = |failure: Failure| refused.push(format!("{:#}", anyhow::Error::from(failure)));
    let target = if is_to_be_made(&args.target) {
        let folder = args.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(Err(err)) = folder.map(std::fs::metadata) {
            note(Failure::Create { path: args.target.clone(), err });
        }
        plan::Target::New { path: path() }
    } else {
        match Device::open(&args.target) {
            Ok(device) => plan::Target::Found(Facts::of(&device)),
            Err(err) => {
                note(err.into());
                plan::Target::Refused { path: path() }
            }
        }
    };
    let image = match seen(order) {
        Ok(image) => image,
        Err(failure) => {
            note(failure);
            plan::Image::Refused
        }
    };
    Plan::new(target, image, &order.options, refused)
}

fn seen(order: &Order) -> Result<plan::Image, Failure> {
    if let Some(accepted) = &order.accepted {
        let manifest = accepted.manifest();
        return Ok(plan::Image::Manifest {
            chunks: manifest.chunks().len(),
            size: manifest.size(),
            format: manifest.file().encoding.format(),
        });
    }
    if order.images.is_spent_by_reading() {
        return Ok(plan::Image::Unseen { why: "from standard input: it is looked at when it is written" });
    }
    Ok(plan::Image::Seen(image::look(order.images.open(&order.request)?, &order.options)?))
}
