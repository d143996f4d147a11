//! Writing the image; not built yet.

use serde_json::{Map, Value};
use wire::ipa::ErrorClass;

use super::Machine;
use crate::command::{Failure, Outcome, Params, Reporter};

pub(super) fn validate(_: &Params) -> Result<(), Failure> {
    Ok(())
}
pub(super) fn prepare_image(_: &mut Machine, _: &Params, _: &Reporter) -> Result<Outcome, Failure> {
    Err(Failure::new(ErrorClass::ImageWrite, "not built yet"))
}
pub(super) fn step(_: &mut Machine, _: &Map<String, Value>, _: &Reporter) -> Result<Value, Failure> {
    Err(Failure::new(ErrorClass::ImageWrite, "not built yet"))
}
