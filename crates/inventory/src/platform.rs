//! The kernel and what it stands on.

use model::inventory::Platform;

use crate::reader::Reader;

pub(crate) fn read(_reader: &Reader<'_>) -> Platform {
    Platform::default()
}
