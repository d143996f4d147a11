//! `write_image`: from a conductor's `image_info` to a disk that boots, or a
//! failure that says why not.
//!
//! ```text
//! image_info ─▶ Order (digests, format, request, config drive) ─▶ image::install ─▶ Prepared
//!      └─ refused before a byte is fetched or written
//! ```

use image::{Declared, Format, Formats, Options, Progress, Spill, Stage, WriteError, configdrive};
use model::{Bytes, Digest};
use serde_json::{Map, Value, json};
use wire::ipa::{ErrorClass, ImageInfo};

use super::{Machine, checksum, download, machine::Prepared};
use crate::command::{Failure, Outcome, Params, Reporter};
use fetch::{
    HttpSource, Request,
    checksum::{Expected, MAX_FILE, Md5, find},
    without_secrets,
};

/// The step's name, as conductors and progress reports have it.
const STEP: &str = "write_image";

/// Everything that is decided before the first byte.
struct Order {
    info: ImageInfo,
    options: Options,
    request: Request,
}

/// `deploy.write_image` as a step: `image_info` and `configdrive` are arguments.
pub(super) fn step(
    machine: &mut Machine,
    arguments: &Map<String, Value>,
    report: &Reporter,
) -> Result<Value, Failure> {
    let text = write(machine, arguments, report)?;
    Ok(json!({ "result": format!("prepare_image: {text}") }))
}

/// `standby.prepare_image`: the same as a command.
pub(super) fn prepare_image(
    machine: &mut Machine,
    params: &Params,
    report: &Reporter,
) -> Result<Outcome, Failure> {
    write(machine, params, report).map(Outcome::Text)
}

/// Refuse an `image_info` that cannot work.
pub(super) fn validate(params: &Params) -> Result<(), Failure> {
    let refused = |text: String| Failure::new(ErrorClass::InvalidCommandParams, text);
    let Some(Value::Object(info)) = params.get("image_info") else {
        return Err(refused("Image is missing: image_info must be an object.".to_owned()));
    };
    if let Some(missing) = ["id", "urls"].iter().find(|key| !info.contains_key(**key)) {
        return Err(refused(format!("Image is missing '{missing}' field.")));
    }
    let parsed = parse(params)?;
    if parsed.urls.is_empty() {
        return Err(refused("Image 'urls' must be a list with at least one element.".to_owned()));
    }
    // Whether MD5 is accepted is settled when the command runs.
    checksum::expected(&parsed, Md5::Accepted).map(|_| ()).map_err(|err| refused(err.to_string()))
}

fn parse(params: &Params) -> Result<ImageInfo, Failure> {
    let info = params.get("image_info").cloned().unwrap_or(Value::Null);
    serde_json::from_value(info).map_err(|err| {
        Failure::new(ErrorClass::InvalidCommandParams, format!("image_info is malformed: {}", told(&err)))
    })
}

/// `err` without the value that it repeats, which may be a password or a signed URL.
fn told(err: &serde_json::Error) -> String {
    let text = err.to_string();
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("a field is of the wrong kind, expected {expected}"),
        None => text,
    }
}

fn write(machine: &mut Machine, params: &Params, report: &Reporter) -> Result<String, Failure> {
    validate(params)?;
    let order = order(machine, params)?;
    let disk = machine.root_disk()?;
    let path = disk.path();
    let name = shown(&order.info);
    tracing::info!(image = name, disk = path, size = %disk.size, "writing");
    machine.prepared = None;
    let mut device = machine.open(&disk)?;
    let source =
        HttpSource::open(order.request).map_err(|err| Failure::of(ErrorClass::ImageDownload, &err))?;
    let progress = |progress: Progress| tell(report, &name, &path, progress);
    let written = image::install(source, &mut device, order.options, progress).map_err(|err| {
        Failure::new(class(&err), format!("image {name} onto {path}: {}", crate::command::chain(&err)))
    })?;
    if let Err(err) = device.reread_partitions() {
        tracing::warn!(disk = path, %err, "the kernel does not read the new partition table; harmless");
    }
    tracing::info!(
        image = name,
        disk = path,
        bytes = written.image_size.0,
        verified = written.verified.0,
        "written"
    );
    let root_uuid = written.disk_id.unwrap_or_default();
    let text = format!("image ({name}) written to device {path} root_uuid={root_uuid}");
    machine.prepared = Some(Prepared { device: path.into(), root_uuid });
    Ok(text)
}

/// The image's name for people. Conductors take whatever follows the last `/` of the
/// source, the signature of a signed URL included.
fn shown(info: &ImageInfo) -> String {
    let is_tail = |url: &String| url.contains('?') && url.ends_with(&info.id);
    if info.urls.first().is_some_and(is_tail) { download::file_name(&info.urls) } else { info.id.clone() }
}

fn order(machine: &Machine, params: &Params) -> Result<Order, Failure> {
    let info = parse(params)?;
    if info.image_type.as_deref() == Some("partition") {
        let text = "partition images are not served by this agent; use a whole-disk image";
        return Err(Failure::new(ErrorClass::InvalidImage, text));
    }
    let declared = declared(info.disk_format.as_deref(), &machine.settings.formats)?;
    let request = download::request(&info, machine)?;
    let options = Options {
        declared,
        permitted: permitted(&machine.settings.formats),
        digests: vec![digest(&info, machine, &request)?],
        config_drive: config_drive(&info, params, machine)?,
        spill: spill(machine),
        ..Options::default()
    };
    Ok(Order { info, options, request })
}

/// Where data goes that a server without ranges sends before its table: `/tmp`, which
/// is memory in our ramdisk, and a quarter of it at most.
fn spill(machine: &Machine) -> Option<Spill> {
    /// Of the memory, a little less than the file system would take.
    const SHARE: u64 = 5;
    let total = machine.inventory().memory.total?;
    Some(Spill { dir: std::env::temp_dir(), limit: Bytes(total.0 / SHARE) })
}

/// The formats that the control plane names; what it says nothing about is what
/// is permitted anyway.
fn permitted(names: &[String]) -> Formats {
    if names.is_empty() {
        return Formats::DEFAULT;
    }
    names.iter().filter_map(|name| name.parse::<Format>().ok()).collect()
}

/// What the image is said to be, within what the control plane permits.
fn declared(told: Option<&str>, permitted: &[String]) -> Result<Declared, Failure> {
    let refused = |text: String| Failure::new(ErrorClass::InvalidImage, text);
    let allows =
        |names: &[&str]| permitted.is_empty() || permitted.iter().any(|name| names.contains(&name.as_str()));
    let (raw, qcow2) = (allows(&["raw", "gpt", "mbr"]), allows(&["qcow2"]));
    let permits_others =
        permitted.iter().any(|name| matches!(name.parse(), Ok(Format::Vmdk | Format::Vhd | Format::Vhdx)));
    let format = match told {
        None | Some("unknown" | "auto" | "") => match (raw, qcow2) {
            (true, true) => None,
            (true, false) => Some(Format::Raw),
            (false, true) => Some(Format::Qcow2),
            // Others are recognized by their content, within what is permitted.
            (false, false) if permits_others => None,
            (false, false) => {
                return Err(refused(format!("no format that this agent writes is permitted: {permitted:?}")));
            }
        },
        Some(text) => {
            let declared: Declared =
                text.parse().map_err(|err| Failure::of(ErrorClass::InvalidImage, &err))?;
            declared.format
        }
    };
    let permitted_format = match format {
        Some(Format::Raw) => raw,
        Some(Format::Qcow2) => qcow2,
        Some(Format::Vmdk) => allows(&["vmdk"]),
        Some(Format::Vhd) => allows(&["vhd", "vpc"]),
        Some(Format::Vhdx) => allows(&["vhdx"]),
        None => true,
    };
    if !permitted_format {
        let told = told.unwrap_or("unknown");
        return Err(refused(format!("images of format {told} are not permitted here: only {permitted:?}")));
    }
    // Conductors declare formats, never compression: that is left to the content.
    Ok(Declared { format, compression: None })
}

/// The digest the image must have, fetched if it is in a file.
fn digest(info: &ImageInfo, machine: &Machine, request: &Request) -> Result<Digest, Failure> {
    let md5 = if machine.settings.md5 { Md5::Accepted } else { Md5::Refused };
    let unsure = |err: checksum::UnsureError| Failure::of(ErrorClass::ImageChecksum, &err);
    match checksum::expected(info, md5).map_err(unsure)? {
        Expected::Digest(digest) => Ok(digest),
        Expected::File { url, algorithm } => {
            let name = download::file_name(&request.urls);
            let bytes = download::small(request.beside(&url), MAX_FILE)?;
            find(&bytes, &without_secrets(&url), &name, algorithm, md5).map_err(|err| unsure(err.into()))
        }
    }
}

/// The config drive: the command's own argument, else the image's copy of it.
fn config_drive(info: &ImageInfo, params: &Params, machine: &Machine) -> Result<Option<Vec<u8>>, Failure> {
    let given = match params.get("configdrive") {
        None | Some(Value::Null) => info.configdrive.as_ref().map(|drive| drive.expose().to_owned()),
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            let text = "configdrive must be a string: base64 of gzip, or a URL";
            return Err(Failure::new(ErrorClass::InvalidCommandParams, text));
        }
    };
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    let drive = if text.starts_with("http://") || text.starts_with("https://") {
        let mut request = Request::new(vec![text], machine.trust.clone());
        request.pace = machine.downloads;
        configdrive::from_bytes(&download::small(request, download::MAX_CONFIG_DRIVE)?)
    } else {
        configdrive::decode(&text)
    };
    drive.map(Some).map_err(|err| Failure::of(ErrorClass::ConfigDrive, &err))
}

fn tell(report: &Reporter, image: &str, disk: &str, progress: Progress) {
    let message = match progress.stage {
        Stage::Compare => format!("reading what {disk} holds"),
        Stage::Write => format!("writing {image} to {disk}"),
        Stage::Verify => format!("reading {disk} back"),
        Stage::Commit => format!("making {disk} bootable"),
    };
    let busiest = progress.utilisation.bottleneck();
    let waits = busiest.map(|part| format!(" (waits for {})", part.name())).unwrap_or_default();
    report.report(STEP, progress.done, progress.total, &(message + &waits));
}

/// What a conductor calls it.
fn class(err: &WriteError) -> ErrorClass {
    match err {
        WriteError::NoDigest
        | WriteError::WrongImage { .. }
        | WriteError::WrongContent { .. }
        | WriteError::Confused { .. } => ErrorClass::ImageChecksum,
        WriteError::Image(_) if err.is_refusal() => ErrorClass::InvalidImage,
        WriteError::Image(_) | WriteError::Source { .. } => ErrorClass::ImageDownload,
        WriteError::Scattered { .. } | WriteError::Gap => ErrorClass::InvalidImage,
        WriteError::TooLarge { .. }
        | WriteError::Disk { .. }
        | WriteError::Sync(_)
        | WriteError::DiskLies { .. }
        | WriteError::Commit(_)
        | WriteError::Broken { .. } => ErrorClass::ImageWrite,
        WriteError::NotCleared { cause, .. } => class(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_image_info_is_refused_without_its_secrets() {
        for (field, value) in [
            ("urls", json!("https://h/x?temp_url_sig=5ecret")),
            ("image_server_password", json!(["5ecret"])),
            ("image_server_password", json!(5)),
            ("proxies", json!("http://u:5ecret, expected@h")),
        ] {
            let mut info = json!({"id": "x", "urls": ["http://h/x"]});
            info[field] = value;
            let mut params = Params::new();
            params.insert("image_info".to_owned(), info);
            let Err(failure) = parse(&params) else { panic!("{field} is malformed") };
            assert!(
                !failure.details.contains('5') && failure.details.contains("expected"),
                "{}",
                failure.details
            );
        }
    }

    #[test]
    fn an_image_is_named_without_the_signature_of_its_url() {
        for (id, url, want) in [
            ("x.raw", "https://h/a/x.raw", "x.raw"),
            ("x.raw?sig=5ecret", "https://h/a/x.raw?sig=5ecret", "x.raw"),
            ("5ecret==", "https://h/a/x.raw?sig=a/5ecret==", "x.raw"),
            ("0f3c", "https://swift/glance/0f3c?temp_url_sig=5ecret", "0f3c"),
        ] {
            let info = json!({"id": id, "urls": [url]});
            assert_eq!(shown(&serde_json::from_value(info).unwrap()), want);
        }
    }

    #[test]
    fn formats_are_what_was_declared_and_permitted() {
        let all: Vec<String> = ["raw", "gpt", "qcow2", "iso"].map(str::to_owned).to_vec();
        let qcow2 = vec!["qcow2".to_owned()];
        let format = |told, permitted: &[String]| declared(told, permitted).map(|declared| declared.format);
        for told in [None, Some("unknown")] {
            assert_eq!(format(told, &all).unwrap(), None);
            assert_eq!(format(told, &[]).unwrap(), None);
            assert_eq!(
                format(told, &qcow2).unwrap(),
                Some(Format::Qcow2),
                "what is permitted is all it may be"
            );
            assert!(format(told, &["iso".to_owned()]).is_err());
            assert_eq!(format(told, &["vmdk".to_owned()]).unwrap(), None, "told by its content");
        }
        assert_eq!(format(Some("gpt"), &all).unwrap(), Some(Format::Raw));
        assert_eq!(format(Some("raw"), &qcow2).unwrap_err().class, ErrorClass::InvalidImage);
        assert_eq!(format(Some("vmdk"), &all).unwrap_err().class, ErrorClass::InvalidImage);
        assert_eq!(declared(Some("raw"), &all).unwrap().compression, None, "raw.zst is raw to a conductor");
    }
}
