//! The load: connections that send requests in small pipelines and hash the answers.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use crate::protocol::Protocol;
use crate::rng::Rng;

/// Requests sent before their answers are read.
const PIPELINE: u64 = 16;

/// Drives the server over all connections at once; returns the sum of their hashes.
pub fn drive(
    port: u16,
    protocol: Protocol,
    connections: u64,
    requests: u64,
) -> Result<u64, String> {
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..connections)
            .map(|connection| scope.spawn(move || one(port, protocol, connection, requests)))
            .collect();
        handles
            .into_iter()
            .try_fold(0u64, |sum, handle| match handle.join() {
                Ok(Ok(hash)) => Ok(sum.wrapping_add(hash)),
                Ok(Err(error)) => Err(format!("the server answered: {error}")),
                Err(_) => Err("a connection's thread panicked".to_string()),
            })
    })
}

fn one(port: u16, protocol: Protocol, connection: u64, requests: u64) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::with_capacity(1 << 16, stream.try_clone()?);
    let mut rng = Rng::new(20, connection);
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut batch = Vec::new();
    let mut left = requests;
    while left > 0 {
        let now = left.min(PIPELINE);
        batch.clear();
        (0..now).for_each(|_| protocol.request(&mut batch, connection, &mut rng));
        stream.write_all(&batch)?;
        for _ in 0..now {
            for byte in protocol.answer(&mut answers)? {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        left -= now;
    }
    Ok(hash)
}
