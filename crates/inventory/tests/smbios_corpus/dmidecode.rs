//! What `dmidecode` printed, as blocks of keys and values.

/// One structure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    pub(crate) kind: u8,
    pub(crate) handle: u16,
    pub(crate) values: Vec<(String, String)>,
}

impl Block {
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// `Handle 0x0001, DMI type 1, 27 bytes`, a title, `\tKey: value`, and lists below
/// a key, which are left out.
pub(crate) fn parse(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("Handle 0x") {
            let (handle, rest) = head.split_once(", DMI type ").expect("a handle");
            let kind = rest.split(',').next().expect("a type").parse().expect("a number");
            blocks.push(Block {
                kind,
                handle: u16::from_str_radix(handle, 16).expect("hex"),
                values: Vec::new(),
            });
        } else if let (Some(block), Some((key, value))) = (blocks.last_mut(), field(line)) {
            block.values.push((key.to_owned(), value.to_owned()));
        }
    }
    blocks
}

/// `\tKey: value`, and nothing further in.
fn field(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix('\t').filter(|field| !field.starts_with('\t'))?.split_once(':')?;
    Some((key, value.strip_prefix(' ').unwrap_or(value)))
}

/// A number with its unit as a plain number: bytes, bits, MHz, MT/s, rack units.
pub(crate) fn number(value: &str) -> Option<String> {
    let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        "" | "bytes" | "bits" | "MHz" | "MT/s" | "U" => 1,
        other => panic!("unit {other:?} of {value:?}"),
    };
    Some((number * factor).to_string())
}
