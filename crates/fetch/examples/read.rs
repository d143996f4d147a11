//! Reads what URLs give and throws it away: `time read URL… [--ca FILE]`, to
//! be compared with `time curl -o /dev/null URL`.

use std::io::Read as _;

use fetch::{HttpSource, Request, Trust};
use image::Source as _;

fn main() -> anyhow::Result<()> {
    let mut urls: Vec<String> = std::env::args().skip(1).collect();
    let trust = match urls.iter().position(|word| word == "--ca") {
        Some(at) => Trust::Bundle(urls.drain(at..).nth(1).unwrap_or_default().into()),
        None => Trust::system(),
    };
    let mut source = HttpSource::open(Request::new(urls, trust))?;
    let (mut piece, mut bytes) = (vec![0; 1 << 20], 0);
    loop {
        match source.read(&mut piece)? {
            0 => break,
            count => bytes += count,
        }
    }
    eprintln!("{bytes} bytes, {} retries, {} again", source.retries(), source.refetched().0);
    Ok(())
}
