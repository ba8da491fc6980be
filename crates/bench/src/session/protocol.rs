//! Requests and answers of the servers, as far as the load needs them.

use std::io::{BufRead, Read};

use crate::rng::Rng;

/// How to talk to a server.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// Redis, RESP 2.
    Redis,
    /// memcached, the text protocol.
    Memcached,
    /// `bench-tokio`: frames of a length and bytes, answered by such a frame.
    Frames,
}

/// What of an answer goes into the checksum.
pub type Answer = Vec<u8>;

impl Protocol {
    /// By its name on the command line.
    pub fn named(name: &str) -> Result<Protocol, String> {
        match name {
            "redis" => Ok(Protocol::Redis),
            "memcached" => Ok(Protocol::Memcached),
            "frames" => Ok(Protocol::Frames),
            _ => Err(format!(
                "unknown protocol '{name}': redis, memcached or frames"
            )),
        }
    }

    /// Appends the next request. Each connection has keys of its own, so its answers do not depend on the others.
    pub fn request(self, out: &mut Vec<u8>, connection: u64, rng: &mut Rng) {
        let key = format!("k{connection}:{}", rng.below(20_000));
        let size = rng.octaves(16, 4096) as usize;
        let value = vec![b'a' + (size % 26) as u8; size];
        match self {
            Protocol::Redis => match rng.below(10) {
                0..4 => redis(out, &[b"SET", key.as_bytes(), &value]),
                4..7 => redis(out, &[b"GET", key.as_bytes()]),
                7 => redis(out, &[b"DEL", key.as_bytes()]),
                8 => redis(
                    out,
                    &[
                        b"LPUSH",
                        format!("l{connection}:{}", size % 64).as_bytes(),
                        &value,
                    ],
                ),
                _ => redis(
                    out,
                    &[b"RPOP", format!("l{connection}:{}", size % 64).as_bytes()],
                ),
            },
            Protocol::Memcached => match rng.below(10) {
                0..5 => {
                    out.extend_from_slice(format!("set {key} 0 0 {size}\r\n").as_bytes());
                    out.extend_from_slice(&value);
                    out.extend_from_slice(b"\r\n");
                }
                5..9 => out.extend_from_slice(format!("get {key}\r\n").as_bytes()),
                _ => out.extend_from_slice(format!("delete {key}\r\n").as_bytes()),
            },
            Protocol::Frames => {
                let words: String = (0..size / 8 + 1)
                    .map(|_| format!("word{} ", rng.below(500)))
                    .collect();
                out.extend_from_slice(&(words.len() as u32).to_le_bytes());
                out.extend_from_slice(words.as_bytes());
            }
        }
    }

    /// Reads one answer.
    pub fn answer(self, from: &mut impl BufRead) -> std::io::Result<Answer> {
        match self {
            Protocol::Redis => redis_answer(from),
            Protocol::Memcached => memcached_answer(from),
            Protocol::Frames => {
                let mut length = [0; 4];
                from.read_exact(&mut length)?;
                exactly(from, u32::from_le_bytes(length) as usize)
            }
        }
    }
}

fn redis(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn redis_answer(from: &mut impl BufRead) -> std::io::Result<Answer> {
    let line = line(from)?;
    match line.split_first() {
        Some((b'$', length)) if length != b"-1" => {
            let length: usize = std::str::from_utf8(length)
                .ok()
                .and_then(|t| t.parse().ok())
                .unwrap_or(0);
            let mut answer = exactly(from, length + 2)?;
            answer.truncate(length);
            Ok(answer)
        }
        Some((b'-', _)) => Err(std::io::Error::other(
            String::from_utf8_lossy(&line).into_owned(),
        )),
        _ => Ok(line),
    }
}

fn memcached_answer(from: &mut impl BufRead) -> std::io::Result<Answer> {
    let first = line(from)?;
    let text = String::from_utf8_lossy(&first).into_owned();
    if let Some(rest) = text.strip_prefix("VALUE ") {
        let length: usize = rest
            .split(' ')
            .nth(2)
            .and_then(|t| t.parse().ok())
            .unwrap_or(0);
        let mut answer = exactly(from, length + 2)?;
        answer.truncate(length);
        line(from)?;
        return Ok(answer);
    }
    match text.as_str() {
        "STORED" | "END" | "DELETED" | "NOT_FOUND" => Ok(first),
        _ => Err(std::io::Error::other(text)),
    }
}

fn line(from: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(std::io::Error::other("the server closed the connection"));
    }
    line.pop();
    Ok(line)
}

fn exactly(from: &mut impl Read, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_redis() -> std::io::Result<()> {
        let mut from = &b"+OK\r\n$5\r\nhello\r\n$-1\r\n:12\r\n-ERR no\r\n"[..];
        assert_eq!(redis_answer(&mut from)?, b"+OK");
        assert_eq!(redis_answer(&mut from)?, b"hello");
        assert_eq!(redis_answer(&mut from)?, b"$-1");
        assert_eq!(redis_answer(&mut from)?, b":12");
        assert!(redis_answer(&mut from).is_err());
        Ok(())
    }

    #[test]
    fn answers_of_memcached() -> std::io::Result<()> {
        let mut from =
            &b"STORED\r\nVALUE k1:1 0 3\r\nabc\r\nEND\r\nEND\r\nSERVER_ERROR out of memory\r\n"[..];
        assert_eq!(memcached_answer(&mut from)?, b"STORED");
        assert_eq!(memcached_answer(&mut from)?, b"abc");
        assert_eq!(memcached_answer(&mut from)?, b"END");
        assert!(memcached_answer(&mut from).is_err());
        Ok(())
    }
}
