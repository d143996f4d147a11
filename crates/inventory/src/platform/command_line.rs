//! The kernel's command line without what is nobody's business: it ends up in
//! inventories that are stored, shown and sent around.

use crate::Identifiers;

/// Longer values are ids more often than not.
const LONGEST_KEPT: usize = 16;

/// What stands for a secret.
const HIDDEN: &str = "******";

/// A parameter whose name has one of these in it holds a secret: `ipa-agent-token`,
/// `rd.iscsi.in.password`, `inst.sshkey`, `systemd.set_credential`.
const SECRET: [&str; 11] = [
    "auth",
    "chap",
    "credential",
    "key",
    "passphrase",
    "passwd",
    "password",
    "psk",
    "pwd",
    "secret",
    "token",
];
/// But not if it has one of these: `rd.vconsole.keymap`.
const HARMLESS: [&str; 3] = ["keyboard", "keymap", "keytable"];

/// `text` with secret values taken out: of parameters that are named so, of what stands
/// before the `@` of an address, and of what follows the `?` of a URL.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    words(text).into_iter().map(shown).collect::<Vec<_>>().join(" ")
}

/// A command line as recordings have it: without secrets, and, when identifiers are
/// replaced, without values that lead to somebody: addresses, URLs, ids, long words.
pub(crate) fn recorded(content: &[u8], identifiers: Identifiers) -> Vec<u8> {
    let text = without_secrets(&String::from_utf8_lossy(content));
    if identifiers == Identifiers::Keep {
        return text.into();
    }
    let kept = |word: &str| match word.split_once('=') {
        // A MAC, which gets its stand-in where all the others get theirs.
        Some(("BOOTIF", _)) | None => word.to_owned(),
        Some((_, value)) if says_nothing_of_anybody(value) => word.to_owned(),
        Some((name, _)) => format!("{name}={HIDDEN}"),
    };
    words(&text).into_iter().map(kept).collect::<Vec<_>>().join(" ").into()
}

/// `ttyS0,115200n8`, `on`, `2G!4G`; but not `10.0.0.1`, `UUID=1234-5678` or `/dev/sda1`.
fn says_nothing_of_anybody(value: &str) -> bool {
    let marks = value.chars().filter(|letter| matches!(letter, '.' | '-')).count();
    value.len() <= LONGEST_KEPT && marks < 2 && !value.contains(['/', ':', '@', '='])
}

/// The kernel's words: white space within quotes belongs to them (`next_arg`, lib/cmdline.c).
fn words(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let ends = |letter: char| {
        quoted ^= letter == '"';
        letter.is_whitespace() && !quoted
    };
    text.split(ends).filter(|word| !word.is_empty()).collect()
}

fn shown(word: &str) -> String {
    let Some((name, value)) = word.split_once('=') else { return word.to_owned() };
    // `systemd.setenv=API_TOKEN=…`, `rootflags=user=me,password=…`: names within.
    let within = value.split('?').next().and_then(|value| Some(value.rsplit_once('=')?.0));
    if is_secret(name) || within.is_some_and(is_secret) {
        return format!("{name}={HIDDEN}");
    }
    let (address, query) = match value.split_once('?') {
        Some((address, _)) => (address, format!("?{HIDDEN}")),
        None => (value, String::new()),
    };
    match address.rsplit_once('@') {
        // `https://user:password@host/`, `iscsi:user:password@host::::target`
        Some((before, after)) => {
            let kind = before.find("://").map(|at| at + 3).or(before.find(':').map(|at| at + 1));
            format!("{name}={}{HIDDEN}@{after}{query}", &before[..kind.unwrap_or(0)])
        }
        None => format!("{name}={address}{query}"),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let has_one_of = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    (has_one_of(&SECRET) || ["pass", "pw"].iter().any(|end| name.ends_with(end))) && !has_one_of(&HARMLESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_keeps_what_leads_to_nobody() {
        let line =
            b"quiet console=ttyS0,115200n8 ipa-api-url=http://10.0.0.1:6385 ip=10.0.0.7 root=UUID=1234-5678 \
            ipa-global-request-id=req-12345678-1234 BOOTIF=01-52-54-00-aa-bb-01 token=hunter2";
        let recorded = |identifiers| String::from_utf8(recorded(line, identifiers)).expect("text");
        assert_eq!(
            recorded(Identifiers::Replace),
            "quiet console=ttyS0,115200n8 ipa-api-url=****** ip=****** root=****** \
             ipa-global-request-id=****** BOOTIF=01-52-54-00-aa-bb-01 token=******"
        );
        let kept = recorded(Identifiers::Keep);
        assert!(kept.contains("http://10.0.0.1:6385") && !kept.contains("hunter2"), "{kept}");
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        for (line, want) in [
            ("quiet  ipa-agent-token=hunter2\tx=1", "quiet ipa-agent-token=****** x=1"),
            ("rd.iscsi.in.password=\"hun ter2\" ro", "rd.iscsi.in.password=****** ro"),
            ("Admin_PassWd=hunter2 rootpw=hunter2", "Admin_PassWd=****** rootpw=******"),
            ("inst.ks=https://me:hunter2@host/ks?token=hunter2", "inst.ks=https://******@host/ks?******"),
            ("netroot=iscsi:me:hunter2@10.0.0.1::::iqn.x", "netroot=iscsi:******@10.0.0.1::::iqn.x"),
            ("systemd.setenv=API_TOKEN=hunter2 ldap_pass=hunter2", "systemd.setenv=****** ldap_pass=******"),
            ("rootflags=username=me,password=hunter2,vers=3 root=UUID=1", "rootflags=****** root=UUID=1"),
            ("systemd.set_credential=a:hunter2", "systemd.set_credential=******"),
            ("a=hunter2@host", "a=******@host"),
            ("rd.vconsole.keymap=de console=ttyS0,115200n8", "rd.vconsole.keymap=de console=ttyS0,115200n8"),
            ("ipa-api-url=http://10.0.0.1:6385 BOOTIF=01-52-54-00-aa-bb-01", "="),
            ("sshkey=\"ssh-ed25519 hunter2 me", "sshkey=******"),
            ("", ""),
        ] {
            let found = without_secrets(line);
            assert_eq!(found, if want == "=" { line } else { want });
            assert!(!found.contains("hunter2") && !found.contains("ter2"), "{found}");
        }
    }
}
