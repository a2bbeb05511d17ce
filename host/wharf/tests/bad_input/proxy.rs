//! A man in the middle that makes a server look older than it is: everything
//! goes through to a real one, and what that says of its version is changed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// What is shown instead.
#[derive(Debug, Clone)]
pub struct Older {
    pub version: &'static str,
    pub api_level: u32,
}

/// Listens, and serves each connection until either side closes it. Returns
/// the port; the threads end with the test's process.
pub fn before(server: u16, older: Older) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let older = older.clone();
            std::thread::spawn(move || serve(client, server, &older));
        }
    });
    port
}

fn serve(client: TcpStream, server: u16, older: &Older) -> std::io::Result<()> {
    let upstream = TcpStream::connect(("127.0.0.1", server))?;
    let (mut from, mut to) = (client.try_clone()?, upstream.try_clone()?);
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let (mut lines, mut client) = (BufReader::new(upstream), client);
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let mut body = vec![0; body_bytes(&line)];
        lines.read_exact(&mut body)?;
        if line.starts_with(b"INFO ") {
            line = changed(&line, "version", &format!("\"{}\"", older.version));
        }
        // One digit for one digit: the length in the line before stays true.
        let body = changed(&body, "level", &older.api_level.to_string());
        client.write_all(&[line, body].concat())?;
    }
}

/// What follows a protocol line, its line end included.
fn body_bytes(line: &[u8]) -> usize {
    let line = String::from_utf8_lossy(line);
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["MSG" | "HMSG", .., total] => total.parse::<usize>().expect("a size") + 2,
        _ => 0,
    }
}

/// With another value for a member of a JSON text, wherever it stands.
fn changed(bytes: &[u8], member: &str, value: &str) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return bytes.to_vec();
    };
    let name = format!("\"{member}\":");
    let Some(at) = text.find(&name).map(|at| at + name.len()) else {
        return bytes.to_vec();
    };
    let end = text[at..]
        .find([',', '}'])
        .map_or(text.len(), |end| at + end);
    [&text[..at], value, &text[end..]].concat().into_bytes()
}
