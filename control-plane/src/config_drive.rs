//! The config drive: an ISO 9660 image labelled `config-2`, built in process.

use std::io::{Cursor, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use hadris_iso::{
    joliet::JolietLevel,
    read::PathSeparator,
    rrip::RripOptions,
    sync::write::{
        InputEntry, InputTree, IsoImageWriter,
        options::{BaseIsoLevel, CreationFeatures, IsoFormatOptions},
    },
};
use serde_json::{Map, Value, json};

/// IPA's limit of an unpacked config drive, and ours of the parts.
const LIMIT: usize = 64 << 20;
/// ISO 9660's logical block.
const SECTOR: usize = 2048;
/// Room for descriptors, path tables and directories in both trees.
const OVERHEAD: usize = 1 << 20;
/// Where the primary volume descriptor keeps the size of the volume, in sectors.
const VOLUME_SIZE_AT: usize = 16 * SECTOR + 80;

/// Why there is no config drive.
#[derive(Debug, thiserror::Error)]
pub enum ConfigDriveError {
    /// Neither an object nor a text.
    #[error(
        "want an object with meta_data, network_data, user_data and vendor_data, or base64 of a gzipped image, or its URL"
    )]
    Shape,
    /// A part that no config drive has.
    #[error("{key} is not one of meta_data, network_data, user_data, vendor_data")]
    UnknownPart {
        /// The key.
        key: String,
    },
    /// A part holds something else.
    #[error("{key} is not {want}")]
    Part {
        /// The key.
        key: &'static str,
        /// What it should be.
        want: &'static str,
    },
    /// The text is no base64.
    #[error("the text is neither a URL nor base64")]
    Base64,
    /// More than an agent takes.
    #[error("it is larger than {LIMIT} bytes")]
    TooLarge,
    /// The image could not be built.
    #[error("the image could not be built: {reason}")]
    Build {
        /// Why.
        reason: String,
    },
}

/// The config drive a deployment asks for, as agents take it: base64 of a
/// gzipped image, or a URL. An empty object asks for none, as Metal3 does for
/// live images. `identity` is the node's UUID and name, for `meta_data` without.
///
/// # Errors
/// [`ConfigDriveError`].
pub fn from_request(given: &Value, identity: (&str, &str)) -> Result<Option<String>, ConfigDriveError> {
    match given {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => checked_text(text).map(Some),
        Value::Object(parts) if parts.is_empty() => Ok(None),
        Value::Object(parts) => build(parts, identity).map(|image| Some(pack(&image))),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(ConfigDriveError::Shape),
    }
}

fn checked_text(text: &str) -> Result<String, ConfigDriveError> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text.to_owned());
    }
    let compact: String = text.split_whitespace().collect();
    let image = STANDARD.decode(&compact).map_err(|_| ConfigDriveError::Base64)?;
    if image.len() > LIMIT { Err(ConfigDriveError::TooLarge) } else { Ok(compact) }
}

/// Gzip, then base64.
fn pack(image: &[u8]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(image).expect("a vector takes all bytes");
    STANDARD.encode(encoder.finish().expect("a vector takes all bytes"))
}

/// The files of `openstack/latest`, in order.
fn files(
    parts: &Map<String, Value>,
    (uuid, name): (&str, &str),
) -> Result<Vec<(&'static str, Vec<u8>)>, ConfigDriveError> {
    const KEYS: [&str; 4] = ["meta_data", "network_data", "user_data", "vendor_data"];
    if let Some(key) = parts.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(ConfigDriveError::UnknownPart { key: key.clone() });
    }
    let object = |key: &'static str| match parts.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map.clone())),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(ConfigDriveError::Part { key, want: "an object" })
        }
    };
    let mut meta = object("meta_data")?.unwrap_or_default();
    // Without an instance id cloud-init does not run.
    meta.entry("uuid").or_insert_with(|| uuid.into());
    meta.entry("name").or_insert_with(|| name.into());
    let mut files = vec![("meta_data.json", Value::Object(meta).to_string().into_bytes())];
    for (key, file) in [("network_data", "network_data.json"), ("vendor_data", "vendor_data.json")] {
        if let Some(map) = object(key)? {
            files.push((file, Value::Object(map).to_string().into_bytes()));
        }
    }
    match parts.get("user_data") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => files.push(("user_data", text.clone().into_bytes())),
        Some(data @ Value::Object(_)) => files.push(("user_data", data.to_string().into_bytes())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            return Err(ConfigDriveError::Part { key: "user_data", want: "a text or an object" });
        }
    }
    Ok(files)
}

/// The image itself.
///
/// # Errors
/// [`ConfigDriveError`].
pub fn build(parts: &Map<String, Value>, identity: (&str, &str)) -> Result<Vec<u8>, ConfigDriveError> {
    let files = files(parts, identity)?;
    let length: usize = files.iter().map(|(_, content)| content.len().next_multiple_of(SECTOR)).sum();
    if length > LIMIT {
        return Err(ConfigDriveError::TooLarge);
    }
    let latest = files.into_iter().map(|(name, content)| InputEntry::file(name, content)).collect();
    let tree = InputEntry::directory("openstack", vec![InputEntry::directory("latest", latest)]);
    let input = InputTree::new(PathSeparator::ForwardSlash, vec![tree]);
    let failed = |error: &dyn std::fmt::Display| ConfigDriveError::Build { reason: error.to_string() };
    let room = Cursor::new(vec![0; length + OVERHEAD]);
    let image = IsoImageWriter::create(room, input, options()).map_err(|error| failed(&error))?.into_inner();
    trimmed(image).ok_or_else(|| failed(&"the volume descriptor is damaged"))
}

/// Linux shows Rock Ridge names, so they keep their case; it is written only
/// when the base level says so too. Joliet is for everybody else.
fn options() -> IsoFormatOptions {
    let filenames = BaseIsoLevel::Level1 { supports_lowercase: false, supports_rrip: true };
    IsoFormatOptions {
        volume_name: "config-2".to_owned(),
        system_id: None,
        volume_set_id: None,
        publisher_id: None,
        preparer_id: None,
        application_id: None,
        sector_size: SECTOR,
        path_separator: PathSeparator::ForwardSlash,
        features: CreationFeatures {
            filenames,
            joliet: Some(JolietLevel::Level3),
            rock_ridge: Some(RripOptions::default()),
            ..CreationFeatures::default()
        },
        strict_charset: false,
    }
}

/// The writer leaves its buffer as long as it was; the volume knows its length.
fn trimmed(mut image: Vec<u8>) -> Option<Vec<u8>> {
    let sectors: [u8; 4] = image.get(VOLUME_SIZE_AT..VOLUME_SIZE_AT + 4)?.try_into().ok()?;
    let length = usize::try_from(u32::from_le_bytes(sectors)).ok()?.checked_mul(SECTOR)?;
    if length > image.len() {
        return None;
    }
    image.truncate(length);
    Some(image)
}

/// What Metal3 sends, for tests of other rooms.
#[must_use]
pub fn example() -> Value {
    json!({
        "meta_data": {"uuid": "11111111-2222-3333-4444-555555555555", "name": "node-0", "local-hostname": "node-0"},
        "network_data": {"links": [], "networks": [], "services": []},
        "user_data": "#cloud-config\nhostname: node-0\n",
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, process::Command};

    use super::*;

    const WHO: (&str, &str) = ("5d3a0d6e-0000-4000-8000-000000000001", "node-0");

    #[test]
    fn texts_pass_and_nonsense_does_not() {
        for (given, result) in [
            (json!(null), Some(None)),
            (json!({}), Some(None)),
            (json!(""), Some(None)),
            (json!("http://h/drive"), Some(Some("http://h/drive"))),
            (json!("SGVs\nbG8="), Some(Some("SGVsbG8="))),
            (json!("not base64!"), None),
            (json!([1]), None),
            (json!({"meta_data": "text"}), None),
            (json!({"user_data": 7}), None),
            (json!({"passwd": {}}), None),
        ] {
            let built = from_request(&given, WHO).ok();
            assert_eq!(built, result.map(|text| text.map(str::to_owned)), "{given}");
        }
    }

    #[test]
    fn the_packed_image_is_a_volume_of_its_own_length() {
        let packed = from_request(&example(), WHO).expect("builds").expect("a drive");
        let gzip = STANDARD.decode(packed).expect("base64");
        let mut image = Vec::new();
        flate2::read::GzDecoder::new(gzip.as_slice()).read_to_end(&mut image).expect("gzip");
        assert_eq!(&image[16 * SECTOR + 40..16 * SECTOR + 48], b"config-2");
        assert_eq!(image.len() % SECTOR, 0);
        assert!(image.len() < 1 << 20, "{}", image.len());
    }

    /// Linux' own driver is the judge of names and contents.
    #[test]
    fn linux_mounts_it_and_names_keep_their_case() {
        let folder = tempfile::tempdir().expect("a folder");
        let (image, mount) = (folder.path().join("drive.iso"), folder.path().join("mount"));
        let parts = example().as_object().cloned().expect("an object");
        std::fs::write(&image, build(&parts, WHO).expect("builds")).expect("written");
        let label = Command::new("blkid").args(["-p", "-o", "export"]).arg(&image).output();
        if let Ok(label) = label.as_ref().map(|output| String::from_utf8_lossy(&output.stdout)) {
            assert!(label.contains("LABEL=config-2") && label.contains("TYPE=iso9660"), "{label}");
        }
        std::fs::create_dir(&mount).expect("a folder");
        let mounted = Command::new("mount").args(["-o", "loop,ro"]).arg(&image).arg(&mount).status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: needs root and a loop device to mount the config drive");
            return;
        }
        let latest = mount.join("openstack/latest");
        let mut names: Vec<String> = std::fs::read_dir(&latest)
            .map(|entries| {
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            })
            .unwrap_or_default();
        names.sort();
        let meta = std::fs::read_to_string(latest.join("meta_data.json"));
        let user = std::fs::read_to_string(latest.join("user_data"));
        let unmounted = Command::new("umount").arg(&mount).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
        assert_eq!(names, ["meta_data.json", "network_data.json", "user_data"]);
        assert!(meta.expect("readable").contains("local-hostname"));
        assert_eq!(user.expect("readable"), "#cloud-config\nhostname: node-0\n");
    }
}
