//! The management controller, by IPMI from inside.

use model::inventory::Bmc;

use crate::reader::Reader;

pub(crate) fn read(_reader: &Reader<'_>) -> Option<Bmc> {
    None
}
