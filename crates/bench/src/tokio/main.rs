//! A server on tokio for the bench: each request becomes a task of its own, so that what one worker thread
//! allocates another frees.
//!
//! `bench-tokio PORT`. Frames of a little-endian u32 length and text; answered by the counts of its words.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn main() {
    let port = std::env::args().nth(1).and_then(|a| a.parse::<u16>().ok());
    let Some(port) = port else {
        eprintln!("bench-tokio: PORT is missing");
        std::process::exit(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_io()
        .build();
    let outcome = runtime.and_then(|runtime| runtime.block_on(serve(port)));
    if let Err(error) = outcome {
        eprintln!("bench-tokio: {error}");
        std::process::exit(1);
    }
}

async fn serve(port: u16) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that goes away ends its connection, nothing else.
            let _ = connection(stream).await;
        });
    }
}

async fn connection(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let length = stream.read_u32_le().await?;
        let mut frame = vec![0; length as usize];
        stream.read_exact(&mut frame).await?;
        let answer = tokio::spawn(async move { count(&frame) })
            .await
            .unwrap_or_default();
        stream.write_u32_le(answer.len() as u32).await?;
        stream.write_all(answer.as_bytes()).await?;
    }
}

fn count(frame: &[u8]) -> String {
    let text = String::from_utf8_lossy(frame);
    let mut words: BTreeMap<String, u32> = BTreeMap::new();
    for word in text.split_whitespace() {
        *words.entry(word.to_string()).or_default() += 1;
    }
    let parts: Vec<String> = words
        .into_iter()
        .map(|(word, n)| format!("{word}={n}"))
        .collect();
    parts.join(",")
}
