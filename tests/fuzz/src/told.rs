//! What the agent is told: the kernel command line, and commands.

use init::Params;
use wire::ipa::{CommandRequest, ImageInfo, NodeView, StepCall};

/// The agent's own readers; the agent is a program, and no library.
#[allow(dead_code, reason = "the agent uses the rest")]
#[path = "../../../agent/src/config.rs"]
mod config;
#[allow(dead_code, reason = "the agent uses the rest")]
#[path = "../../../agent/src/json.rs"]
mod json;

/// A command line, read and followed.
pub(crate) fn command_line(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    match config::Config::from_params(&Params::parse(&text)) {
        Ok(_) => "a configuration".to_owned(),
        // Its words quote the parameter; its name is enough.
        Err(err) => format!("{err:?}").split(' ').next().unwrap_or_default().to_owned(),
    }
}

/// The body of a command, and what is in it.
pub(crate) fn command(data: &[u8]) -> String {
    let request: CommandRequest = match json::parse(data) {
        Ok(request) => request,
        Err(json::JsonError::TooDeep) => return "too deep".to_owned(),
        Err(json::JsonError::Malformed(err)) => return format!("{:?}", err.classify()),
    };
    let written = serde_json::to_vec(&request).expect("it came as JSON");
    assert_eq!(json::parse::<CommandRequest>(&written).expect("written by us"), request);
    let of = |name: &str| request.params.get(name).cloned().unwrap_or_default();
    let image = serde_json::from_value::<ImageInfo>(of("image_info")).is_ok();
    let node = serde_json::from_value::<NodeView>(of("node")).is_ok();
    let step = serde_json::from_value::<StepCall>(of("step")).is_ok();
    format!("a command, image {image}, node {node}, step {step}")
}
