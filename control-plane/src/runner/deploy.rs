//! Deploying, as Ironic's direct deploy does it.

use std::time::Duration;

use bmc::PowerState;
use serde_json::{Map, Value, json};
use wire::ipa::{CommandResult, CommandStatus};

use super::{Inner, Outcome, clean::arguments, perform::EffectError, perform::event, power};
use crate::{node::Event, record::Node};

/// The step that every agent must have.
const WRITE_IMAGE: &str = "write_image";
/// How long a boot loader may take to be installed: Ironic's 100 polls of 6 s.
const BOOTLOADER_TIMEOUT: Duration = Duration::from_secs(600);

/// Ask for the deploy steps: the agent must know how to write an image.
pub(super) async fn fetch_steps(inner: &Inner, node: &Node) -> Result<Option<Outcome>, EffectError> {
    let result = inner.ask(node, "deploy.get_deploy_steps", arguments(inner, node).await?).await?;
    let steps = super::clean::steps_of(&result, "deploy_steps");
    if !steps.iter().any(|step| super::clean::step_name(step) == WRITE_IMAGE) {
        let what =
            format!("its agent has no step {WRITE_IMAGE}; boot the ramdisk that belongs to this billetd");
        return Err(EffectError::Refused { node: node.title(), what });
    }
    let version = super::clean::version_of(&result);
    inner
        .change(node.uuid, |node| {
            node.operation.version = version.clone();
            node.operation.seen = Some(result.id.clone());
        })
        .await?;
    Ok(event(Event::StepsKnown))
}

/// `image_info`, as Ironic's conductor builds it.
pub(crate) fn image_info(node: &Node) -> Result<Value, String> {
    let info = node.object("instance_info");
    let text = |key: &str| info.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let source =
        text("image_source").ok_or("instance_info has no image_source; set it to the image's URL")?;
    if !source.starts_with("http://") && !source.starts_with("https://") {
        return Err(format!("instance_info image_source {source:?} is not an http or https URL"));
    }
    let id = source.split(['?', '#']).next().and_then(|path| path.rsplit('/').next()).unwrap_or(source);
    let mut image = json!({
        "id": id, "urls": [source], "disk_format": text("image_disk_format"), "container_format": null,
        "stream_raw_images": true, "node_uuid": node.uuid.to_string(),
    });
    match (text("image_os_hash_algo"), text("image_os_hash_value"), text("image_checksum")) {
        (Some(algorithm), Some(value), checksum) => {
            image["os_hash_algo"] = algorithm.into();
            image["os_hash_value"] = value.into();
            if let Some(checksum) = checksum {
                image["checksum"] = checksum.into();
            }
        }
        (_, _, Some(checksum)) => image["checksum"] = checksum.into(),
        (_, _, None) => {
            return Err("instance_info has no image_checksum, and no image_os_hash_algo with image_os_hash_value; an image is never written unchecked".to_owned());
        }
    }
    Ok(image)
}

/// Start writing the image.
pub(super) async fn start_write(inner: &Inner, node: &Node) -> Result<Option<Outcome>, EffectError> {
    let refused = |what| EffectError::Refused { node: node.title(), what };
    let image = image_info(node).map_err(refused)?;
    let drive = inner.store.config_drive(node.uuid).await?;
    let mut params = arguments(inner, node).await?;
    params.insert(
        "step".to_owned(),
        json!({"interface": "deploy", "step": WRITE_IMAGE, "args": {"image_info": image, "configdrive": drive}}),
    );
    params.insert("deploy_version".to_owned(), node.operation.version.clone());
    let started = inner
        .agent(node)
        .await?
        .start("deploy.execute_deploy_step", &params, node.operation.seen.as_deref())
        .await
        .map_err(inner.agent_failed(node, WRITE_IMAGE))?;
    inner.change(node.uuid, |node| node.operation.command = Some(started.id.clone())).await?;
    Ok(event(Event::StepStarted))
}

/// Boot loader where one is needed, and the disk as boot device.
pub(super) async fn prepare_boot(inner: &Inner, node: &Node) -> Result<(), EffectError> {
    if power::is_uefi(inner, node).await? {
        install_bootloader(inner, node).await?;
    }
    power::boot_from_disk(node).await
}

async fn install_bootloader(inner: &Inner, node: &Node) -> Result<(), EffectError> {
    const STEP: &str = "install_bootloader";
    let agent = inner.agent(node).await?;
    let commands = agent.commands().await.map_err(inner.agent_failed(node, STEP))?;
    let earlier = commands.last().filter(|last| last.command_name == STEP);
    let started = match earlier {
        // A process that was killed started it. It is this deployment's: an
        // earlier one's would have this one's write_image behind it.
        Some(started) if started.command_status != CommandStatus::Failed => started.clone(),
        Some(_) | None => start_bootloader(inner, node).await?,
    };
    if started.command_status == CommandStatus::Succeeded {
        return Ok(());
    }
    let followed = tokio::time::timeout(BOOTLOADER_TIMEOUT, inner.follow(node, STEP, &started.id)).await;
    followed.unwrap_or_else(|_| {
        let details = format!("not done within {} s; see the agent's logs", BOOTLOADER_TIMEOUT.as_secs());
        Err(EffectError::Step { node: node.title(), step: STEP.to_owned(), details })
    })?;
    Ok(())
}

async fn start_bootloader(inner: &Inner, node: &Node) -> Result<CommandResult, EffectError> {
    let found = inner
        .ask(node, "standby.get_partition_uuids", Map::new())
        .await?
        .command_result
        .unwrap_or(Value::Null);
    let text = |key: &str| found.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let params = json!({
        "root_uuid": text("root uuid"), "efi_system_part_uuid": text("efi system partition uuid"),
        "prep_boot_part_uuid": text("PReP Boot partition uuid"), "target_boot_mode": "uefi",
    });
    let params = params.as_object().cloned().unwrap_or_default();
    let agent = inner.agent(node).await?;
    let started = agent.start("image.install_bootloader", &params, node.operation.seen.as_deref()).await;
    started.map_err(inner.agent_failed(node, "install_bootloader"))
}

/// Have the agent power off, so that its caches reach the disk; if it does not,
/// cut the power: the image was synced and read back before the step ended.
pub(super) async fn tear_down(inner: &Inner, node: &Node) -> Result<(), EffectError> {
    if let Some(agent) = inner.agent_now(node)? {
        if let Err(error) = agent.command("standby.power_off", Map::new(), false).await {
            tracing::info!(node = %node.title(), error = super::transition::chain(&error), "the agent does not power off; the BMC will");
        }
        power::wait(inner, node, PowerState::Off, inner.settings.soft_off_timeout).await?;
    }
    power::off(inner, node).await
}

/// Nothing of the tenant stays in the records.
pub(super) async fn forget_instance(inner: &Inner, node: uuid::Uuid) -> Result<(), EffectError> {
    inner.store.put_config_drive(node, None).await?;
    inner
        .change(node, |node| {
            for field in ["instance_info", "instance_uuid", "instance_name"] {
                node.declared.remove(field);
            }
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(info: Value) -> Node {
        let declared = json!({"driver": "redfish", "instance_info": info});
        Node::new(uuid::Uuid::nil(), declared.as_object().cloned().expect("an object"))
    }

    #[test]
    fn image_info_is_ironics() {
        let image = image_info(&node(
            json!({"image_source": "http://h/images/tinyos.raw?x=1", "image_checksum": "ab", "image_disk_format": "raw"}),
        ));
        let image = image.expect("complete");
        assert_eq!(image["id"], "tinyos.raw");
        assert_eq!(image["urls"], json!(["http://h/images/tinyos.raw?x=1"]));
        assert_eq!(image["checksum"], "ab");
        assert_eq!(image["disk_format"], "raw");
        assert!(image.get("os_hash_algo").is_none());
    }

    #[test]
    fn an_image_without_source_or_checksum_is_refused_by_name() {
        for (info, word) in [
            (json!({}), "image_source"),
            (json!({"image_source": "file:///etc/passwd", "image_checksum": "x"}), "http"),
            (json!({"image_source": "http://h/i"}), "image_checksum"),
            (json!({"image_source": "http://h/i", "image_os_hash_algo": "sha256"}), "image_os_hash_value"),
        ] {
            let error = image_info(&node(info)).expect_err(word);
            assert!(error.contains(word), "{error}");
        }
    }
}
