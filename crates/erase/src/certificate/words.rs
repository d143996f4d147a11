//! What a method is called in the vocabulary of each standard, and the rule that
//! gives it that name. Techniques other than cryptographic erase are left to
//! IEEE 2883 by NIST SP 800-88r2 itself.

use serde_json::{Value, json};

use crate::{Level, Method, Sanitize, SecureErase, SecurityErase, SelfErase};

/// What the data was destroyed by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Technique {
    Crypto,
    Block,
    Overwrite,
    /// A firmware's own erase that says nothing of how.
    Vendor,
    None,
}

impl Technique {
    fn of(method: Method) -> Self {
        match method {
            Method::ByDrive(
                SelfErase::NvmeSanitize(sanitize)
                | SelfErase::AtaSanitize(sanitize)
                | SelfErase::ScsiSanitize(sanitize),
            ) => match sanitize {
                Sanitize::Crypto => Technique::Crypto,
                Sanitize::Block => Technique::Block,
                Sanitize::Overwrite => Technique::Overwrite,
            },
            Method::ByDrive(SelfErase::NvmeFormat(SecureErase::Cryptographic) | SelfErase::OpalRevert) => {
                Technique::Crypto
            }
            Method::ByDrive(
                SelfErase::NvmeFormat(SecureErase::UserData)
                | SelfErase::AtaSecurity(SecurityErase::Enhanced),
            ) => Technique::Vendor,
            Method::ByDrive(SelfErase::AtaSecurity(SecurityErase::Normal))
            | Method::ZeroOut
            | Method::Overwrite => Technique::Overwrite,
            Method::Metadata => Technique::None,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Technique::Crypto => Some("cryptographic erase"),
            Technique::Block => Some("block erase"),
            Technique::Overwrite => Some("overwrite"),
            Technique::Vendor => Some("vendor specific"),
            Technique::None => None,
        }
    }
}

/// The sanitization method, in the word that both standards use.
fn word(method: Method) -> Option<&'static str> {
    match method.level().0 {
        Level::None => None,
        Level::Clear => Some("Clear"),
        Level::Purge => Some("Purge"),
    }
}

/// In the words of NIST SP 800-88r2. Its *verification* is ours, done by reading
/// back; its *validation* is for whoever accepts the certificate.
pub(super) fn nist(method: Method) -> Value {
    let technique = Technique::of(method);
    let rule = match technique {
        Technique::Crypto => {
            "SP 800-88r2 takes cryptographic erase where all data was encrypted and every copy of the key is gone; both are the drive's word"
        }
        Technique::Block | Technique::Overwrite | Technique::Vendor => {
            "SP 800-88r2 leaves the technique to IEEE 2883 and its level to the rule there"
        }
        Technique::None => "the data is still there",
    };
    json!({"method": word(method), "technique": technique.name(), "rule": rule})
}

/// In the words of IEEE 2883-2022.
pub(super) fn ieee(method: Method) -> Value {
    json!({"method": word(method), "technique": Technique::of(method).name(), "rule": method.level().1})
}
