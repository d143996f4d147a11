//! An image, and a server of it in every mood.

use std::{
    io::{BufRead, BufReader, Cursor, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use model::{Algorithm, Digest, Hasher};

/// A whole-disk image of `mib` MiB: a GPT with one partition full of bytes that
/// are nowhere zero.
///
/// # Panics
/// When the table cannot be made.
#[must_use]
pub fn gpt_image(mib: usize) -> Vec<u8> {
    let mut image = vec![0; mib << 20];
    // The rest of the backup table's sectors is zero, as everybody writes it.
    let backup = image.len() - 33 * 512;
    for (at, byte) in image[..backup].iter_mut().enumerate().skip(1 << 20) {
        *byte = u8::try_from(at % 251).expect("below 251") + 1;
    }
    let mut file = Cursor::new(&mut image[..]);
    let mut table = gptman::GPT::new_from(&mut file, 512, [7; 16]).expect("a table fits");
    table[1] = gptman::GPTPartitionEntry {
        partition_type_guid: [0xaf; 16],
        unique_partition_guid: [0x42; 16],
        starting_lba: 2048,
        ending_lba: table.header.last_usable_lba,
        attribute_bits: 0,
        partition_name: "root".into(),
    };
    gptman::GPT::write_protective_mbr_into(&mut file, 512).expect("an MBR fits");
    table.write_into(&mut file).expect("the table fits");
    image
}

/// The digest that a deployment names.
#[must_use]
pub fn digest(image: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(image);
    hasher.finish()
}

/// How an image server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Good,
    /// Promises twice what it sends, each time.
    Short,
    /// Dies for good in the middle.
    Dies,
}

/// Serve `image` in `mood`; the URL to ask for. HEAD is answered as GET is.
///
/// # Panics
/// When no port is free.
#[must_use]
pub fn serve(image: &[u8], mood: Mood) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/image.raw", listener.local_addr().expect("bound"));
    let image: Arc<[u8]> = image.into();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let asked_for_bytes = answer(client, &image, mood).unwrap_or(false);
            if mood == Mood::Dies && asked_for_bytes {
                return; // the listener closes: nobody is there any more
            }
        }
    });
    url
}

/// True when the body was asked for.
fn answer(client: TcpStream, image: &[u8], mood: Mood) -> std::io::Result<bool> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut client = client;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", image.len());
    client.write_all(head.as_bytes())?;
    let wants_bytes = request.starts_with("GET");
    if wants_bytes {
        let sent = if mood == Mood::Good { image.len() } else { image.len() / 2 };
        client.write_all(&image[..sent])?;
    }
    client.shutdown(Shutdown::Write)?;
    Ok(wants_bytes)
}
