//! A client that publishes any bytes: subjects, headers and payloads that no
//! library lets through.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::event::Raw;

/// How long the broker may take to acknowledge.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const INBOX: &str = "_INBOX.wire";

/// One connection that speaks the protocol by hand.
pub struct Wire {
    lines: BufReader<TcpStream>,
    /// The largest payload that the broker announced, in bytes.
    pub max_payload: usize,
}

impl Wire {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the broker accepts");
        stream
            .set_read_timeout(Some(ANSWER_WITHIN))
            .expect("a time-out");
        let mut wire = Self {
            lines: BufReader::new(stream),
            max_payload: 0,
        };
        let info = wire.line();
        let info = info.strip_prefix("INFO ").expect("the broker greets");
        let info: serde_json::Value = serde_json::from_str(info).expect("JSON");
        let max_payload = info["max_payload"].as_u64().expect("a limit");
        wire.max_payload = usize::try_from(max_payload).expect("fits into memory");
        wire.write(
            format!("CONNECT {{\"verbose\":false,\"headers\":true}}\r\nSUB {INBOX} 1\r\n")
                .as_bytes(),
        );
        wire
    }

    /// Publishes and waits until a stream has it; its sequence there.
    pub fn publish(&mut self, raw: &Raw) -> u64 {
        let answer = self.send(raw);
        assert!(answer["error"].is_null(), "not stored: {answer}");
        answer["seq"].as_u64().expect("a sequence")
    }

    /// Publishes what no stream takes; the broker's number for why not.
    pub fn refused(&mut self, raw: &Raw) -> u64 {
        let answer = self.send(raw);
        answer["error"]["err_code"]
            .as_u64()
            .unwrap_or_else(|| panic!("stored: {answer}"))
    }

    fn send(&mut self, raw: &Raw) -> serde_json::Value {
        let (block, payload) = (&raw.block(), &raw.payload);
        let total = block.len() + payload.len();
        let verb: &[u8] = if block.is_empty() { b"PUB " } else { b"HPUB " };
        let sizes = if block.is_empty() {
            format!("{total}")
        } else {
            format!("{} {total}", block.len())
        };
        let head = [
            verb,
            &raw.subject,
            format!(" {INBOX} {sizes}\r\n").as_bytes(),
        ]
        .concat();
        self.write(&[&head[..], block, payload, b"\r\n"].concat());
        self.answer()
    }

    /// The next message to the inbox.
    fn answer(&mut self) -> serde_json::Value {
        loop {
            let line = self.line();
            if let Some(sizes) = line
                .strip_prefix("MSG ")
                .or_else(|| line.strip_prefix("HMSG "))
            {
                let total = sizes
                    .trim()
                    .rsplit(' ')
                    .next()
                    .and_then(|size| size.parse().ok())
                    .expect("a size");
                let mut body = vec![0; total];
                self.lines.read_exact(&mut body).expect("the answer");
                self.line();
                return serde_json::from_slice(&body).unwrap_or_else(|_| {
                    panic!("nobody stores it: {}", String::from_utf8_lossy(&body))
                });
            }
            assert!(!line.starts_with("-ERR"), "refused: {line}");
            if line.starts_with("PING") {
                self.write(b"PONG\r\n");
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).expect("the broker answers");
        assert!(read > 0, "closed by the broker");
        line
    }

    fn write(&mut self, bytes: &[u8]) {
        self.lines
            .get_mut()
            .write_all(bytes)
            .expect("the broker reads");
    }
}
