//! A name server with a few names, which records its queries.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::{Arc, Mutex};

/// Length of a message's header, after which the question begins.
const HEADER: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];

/// Answers on port 53 of this address, in a thread, for as long as the process runs: each of `names` is 127.0.0.1,
/// every other name does not exist.
///
/// # Panics
/// When the port is not available.
#[must_use]
pub fn serve(address: Ipv4Addr, names: &[&str]) -> Arc<Mutex<Vec<String>>> {
    let socket = UdpSocket::bind(SocketAddrV4::new(address, 53)).expect("port 53 of a namespace of our own");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let remembered = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let Some((name, end)) = question(&buffer[..length]) else { continue };
            let answer = answer(&buffer[..end], names.contains(&name));
            remembered.lock().expect("never poisoned").push(name);
            // The client may be gone.
            let _ = socket.send_to(&answer, from);
        }
    });
    asked
}

/// Returns the name of the one question, and where the question ends.
fn question(message: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_lowercase());
        at += length;
    }
    message.get(at..at + 4)?;
    Some((labels.join("."), at + 4))
}

/// Returns the answer. RFC 1035, 4.1: the question again, and an A record where the name is known and its address was
/// requested.
fn answer(question: &[u8], known: bool) -> Vec<u8> {
    let wants_address = question[question.len() - 4..question.len() - 2] == TYPE_A;
    let has_record = known && wants_address;
    let mut message = question.to_vec();
    let no_such_name = if known { 0 } else { 3 };
    message[2..HEADER].copy_from_slice(&[
        0x81,
        0x80 | no_such_name,
        0,
        1,
        0,
        u8::from(has_record),
        0,
        0,
        0,
        0,
    ]);
    if has_record {
        // The name is that of the question; type A, class IN, a minute, four bytes.
        message.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    message
}
