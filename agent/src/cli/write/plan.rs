//! What a write would do, and what would be refused; nothing is written.

use image::{Look, Options};
use model::Bytes;
use serde_json::{Value, json};

use super::disk::Facts;

/// What would be done.
pub(super) struct Plan {
    target: Target,
    image: Image,
    /// Why it would be refused; empty when nothing seen so far speaks against it.
    refused: Vec<String>,
}

/// The disk.
pub(super) enum Target {
    /// It is there.
    Found(Facts),
    /// A file that would be made.
    New { path: String },
    /// It cannot be had.
    Refused { path: String },
}

/// The image.
pub(super) enum Image {
    /// What its first bytes say.
    Seen(Look),
    /// It is read once only, and that when it is written.
    Unseen { why: &'static str },
    /// A manifest says it.
    Manifest { chunks: usize, size: Bytes, format: &'static str },
    /// It cannot be had.
    Refused,
}

impl Plan {
    /// Hold the image against the disk. `refused` is what spoke against either alone.
    pub(super) fn new(target: Target, image: Image, options: &Options, refused: Vec<String>) -> Self {
        let mut plan = Self { target, image, refused };
        plan.compare(options);
        plan
    }

    fn compare(&mut self, options: &Options) {
        let Target::Found(facts) = &self.target else { return };
        let size = match &self.image {
            Image::Seen(look) => look.size,
            Image::Manifest { size, .. } => Some(*size),
            Image::Unseen { .. } | Image::Refused => None,
        };
        // An empty file becomes as large as the image.
        let capacity = facts.size();
        if let Some(size) = size.filter(|&size| capacity > Bytes(0) && size > capacity) {
            self.refused.push(format!("the image is {size} and the disk {capacity}; pick a larger disk"));
        }
        let made_for = match &self.image {
            Image::Seen(look) => look.made_for().map(model::BlockSize::get),
            Image::Unseen { .. } | Image::Manifest { .. } | Image::Refused => None,
        };
        if let Some(made_for) = made_for.filter(|&made_for| made_for != facts.block())
            && !options.rewrite_sectors
        {
            self.refused.push(format!(
                "the GPT was made for {made_for}-byte sectors and the disk has {}-byte sectors; use an image made for such disks, or --rewrite-sectors",
                facts.block()
            ));
        }
    }

    /// True when the write would be refused for what is seen here.
    pub(super) fn is_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// For people.
    pub(super) fn text(&self, image: &str, options: &Options) -> String {
        let mut lines = vec![format!("target: {}", self.target_text())];
        if let Target::Found(facts) = &self.target {
            lines.extend(facts.holds.iter().map(|line| format!("        {line} (would be destroyed)")));
        }
        lines.push(format!("image:  {image}"));
        lines.push(format!("        {}", self.image_text()));
        lines.extend(options.digests.iter().map(|digest| format!("        must be {digest}")));
        if let Some(drive) = &options.config_drive {
            lines.push(format!("        with a config drive of {}", Bytes(drive.len() as u64)));
        }
        if self.refused.is_empty() {
            lines.push("Nothing seen so far speaks against it. Nothing was written.".to_owned());
        }
        lines.extend(self.refused.iter().map(|why| format!("REFUSED: {why}")));
        lines.join("\n") + "\n"
    }

    fn target_text(&self) -> String {
        match &self.target {
            Target::Found(facts) => facts.title(),
            Target::New { path } => {
                format!("{path} (a file that would be made, as large as the image's disk)")
            }
            Target::Refused { path } => path.clone(),
        }
    }

    fn image_text(&self) -> String {
        match &self.image {
            Image::Seen(look) => {
                let size =
                    look.size.map_or("of a size known at its end".to_owned(), |size| format!("of {size}"));
                format!("{}{}, a disk {size}", look.format, look.compression.suffix())
            }
            Image::Unseen { why } => (*why).to_owned(),
            Image::Manifest { chunks, size, format } => {
                format!(
                    "{format}, a disk of {size} in {chunks} chunks; those that the target holds are not fetched"
                )
            }
            Image::Refused => "cannot be used".to_owned(),
        }
    }

    /// For programs.
    pub(super) fn json(&self, image: &[String], options: &Options) -> Value {
        let target = match &self.target {
            Target::Found(facts) => facts.json(),
            Target::New { path } => json!({"path": path, "new": true}),
            Target::Refused { path } => json!({"path": path}),
        };
        let (format, size) = match &self.image {
            Image::Seen(look) => (format!("{}{}", look.format, look.compression.suffix()), look.size),
            Image::Manifest { size, format, .. } => ((*format).to_owned(), Some(*size)),
            Image::Unseen { .. } | Image::Refused => (String::new(), None),
        };
        json!({
            "ok": self.refused.is_empty(),
            "plan": true,
            "refused": self.refused,
            "target": target,
            "image": {"from": image, "format": format, "bytes": size.map(|size| size.0)},
            "digests": options.digests.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "config_drive_bytes": options.config_drive.as_ref().map(Vec::len),
        })
    }
}
