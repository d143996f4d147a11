//! The nouns of provisioning: sizes, digests, addresses, hardware, hints. Data
//! only: nothing here opens a file, a socket or a device.

mod digest;
pub mod hints;
pub mod inventory;
mod mac;
pub mod order;
mod secret;
mod units;

pub use digest::{Algorithm, Digest, Hasher, ParseDigestError};
pub use mac::{Mac, ParseMacError};
pub use secret::Secret;
pub use units::{BlockSize, Bytes, NotABlockSize};
