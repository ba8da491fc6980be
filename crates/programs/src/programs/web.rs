//! Web servers on the loopback interface, under wrk, curl and each other.

use crate::data::Numbers;
use crate::launch::Running;
use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Two workers, files, compression and a reload under load.
pub const NGINX: Program = Program {
    name: "nginx",
    task: "wrk against two workers with gzip and keep-alive, reloaded meanwhile; pages compared",
    tools: &[tool("nginx", "nginx-light"), tool("wrk", "wrk")],
    from: Level::Normal,
    expected: processes(&["nginx", "wrk"]),
    note: "",
    task_fn: nginx,
};

fn nginx(run: &Run) -> Result<Facts, Failure> {
    let (server, port) = start_nginx(run)?;
    let load = start_wrk(run, port)?;
    std::thread::sleep(Duration::from_millis(500));
    server.signal(Signal::HUP)?;
    finish_wrk(load)?;
    let facts = pages(port)?;
    stop(server, Signal::QUIT, "nginx")?;
    Ok(facts)
}

/// Pages of 16 to 2048 words.
const PAGES: usize = 8;

/// nginx with two workers and [`PAGES`] pages, answering.
fn start_nginx(run: &Run) -> Result<(Running, u16), Failure> {
    let port = run.free_port()?;
    write_pages(run)?;
    let user = rustix::process::geteuid();
    let own_user = if user.is_root() { "user root;" } else { "" };
    let work = run.work().to_string_lossy().into_owned();
    let config = include_str!("../../data/nginx.conf")
        .replace("@USER@", own_user)
        .replace("@WORK@", &work)
        .replace("@PORT@", &port.to_string());
    run.write("nginx.conf", config)?;
    let mut server = run
        .launch("nginx")
        .args(["-c", &format!("{work}/nginx.conf"), "-p", &work])
        .start()?;
    server.wait_until("answering", || http(port, "0.txt").is_ok())?;
    run.must_be_active(&server)?;
    Ok((server, port))
}

fn write_pages(run: &Run) -> Result<(), Failure> {
    let mut numbers = Numbers(80);
    for page in 0..PAGES {
        run.write(&format!("pages/{page}.txt"), numbers.text(1 << (page + 4)))?;
    }
    Ok(())
}

/// wrk with 32 connections for some seconds.
fn start_wrk(run: &Run, port: u16) -> Result<Running, Failure> {
    run.launch("wrk")
        .args(["-t2", "-c32", &format!("-d{}s", run.size(1, 5))])
        .args(["-H", "Accept-Encoding: gzip"])
        .arg(format!("http://127.0.0.1:{port}/6.txt"))
        .start()
}

/// Waits for wrk, all of whose requests must have succeeded.
fn finish_wrk(load: Running) -> Result<(), Failure> {
    let load = load.wait()?;
    let report = String::from_utf8_lossy(&load.stdout).into_owned();
    if !load.status.success() || report.contains("Non-2xx") || !report.contains("requests in") {
        return Err(format!("wrk: {report}"));
    }
    Ok(())
}

/// Every page as the server sends it.
fn pages(port: u16) -> Result<Facts, Failure> {
    (0..PAGES)
        .map(|page| format!("{page}.txt"))
        .map(|name| Ok((name.clone(), http(port, &name)?)))
        .collect()
}

/// Ends a server, which must say that it ended well.
fn stop(server: Running, signal: Signal, name: &str) -> Result<(), Failure> {
    server.signal(signal)?;
    let output = server.wait()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{name}: {}", output.status))
    }
}

/// The client, against nginx.
pub const CURL: Program = Program {
    name: "curl",
    task: "fetches pages from nginx: compressed, in parallel, by ranges, with cookies and forms",
    tools: &[tool("curl", "curl"), tool("nginx", "nginx-light")],
    from: Level::Normal,
    expected: processes(&["curl", "nginx"]),
    note: "",
    task_fn: curl,
};

fn curl(run: &Run) -> Result<Facts, Failure> {
    let (server, port) = start_nginx(run)?;
    let site = format!("http://127.0.0.1:{port}");
    let curl = |args: &[&str]| run.launch("curl").args(["-sS", "-q"]).args(args).ok();
    let mut facts = Facts::new();
    for round in 0..run.size(1, 3) {
        let name = format!("all{round}");
        curl(&[
            "--compressed",
            "-Z",
            "--parallel-max",
            "6",
            "-o",
            &format!("{name}-#1"),
            &format!("{site}/[0-7].txt?[1-40]"),
        ])?;
        for page in 0..PAGES {
            facts.push((
                format!("{name}-{page}"),
                run.read(&format!("{name}-{page}"))?,
            ));
        }
    }
    let page = format!("{site}/7.txt");
    for (name, args) in [
        ("range", &["-r", "100-5000", &page][..]),
        (
            "form",
            &[
                "-F",
                "a=b",
                "-F",
                "file=@all0-7",
                &page,
                "-w",
                "%{http_code}",
                "-o",
                "/dev/null",
            ],
        ),
        (
            "config",
            &[
                "--libcurl",
                "-",
                "-b",
                "a=1;b=2",
                "-c",
                "-",
                "-o",
                "/dev/null",
                &page,
            ],
        ),
    ] {
        let text = String::from_utf8_lossy(&curl(args)?).replace(&port.to_string(), "PORT");
        facts.push((name.into(), text.into_bytes()));
    }
    stop(server, Signal::QUIT, "nginx")?;
    Ok(facts)
}

/// Threads and pools.
pub const APACHE: Program = Program {
    name: "apache",
    task: "wrk against the event module's threads with deflate, restarted gracefully meanwhile; pages compared",
    tools: &[tool("apache2", "apache2-bin"), tool("wrk", "wrk")],
    from: Level::Full,
    expected: processes(&["apache2", "wrk"]),
    note: "",
    task_fn: apache,
};

fn apache(run: &Run) -> Result<Facts, Failure> {
    let port = run.free_port()?;
    write_pages(run)?;
    let work = run.work().to_string_lossy().into_owned();
    let config = include_str!("../../data/apache.conf")
        .replace("@WORK@", &work)
        .replace("@PORT@", &port.to_string());
    run.write("apache.conf", config)?;
    run.write("mime.types", "text/plain txt\n")?;
    let mut server = run
        .launch("apache2")
        .args([
            "-d",
            &work,
            "-f",
            &format!("{work}/apache.conf"),
            "-D",
            "FOREGROUND",
        ])
        .start()?;
    server.wait_until("answering", || http(port, "0.txt").is_ok())?;
    run.must_be_active(&server)?;
    let load = start_wrk(run, port)?;
    std::thread::sleep(Duration::from_millis(500));
    server.signal(Signal::USR1)?;
    finish_wrk(load)?;
    let facts = pages(port)?;
    stop(server, Signal::TERM, "apache2")?;
    Ok(facts)
}

/// A proxy with threads before nginx.
pub const HAPROXY: Program = Program {
    name: "haproxy",
    task: "wrk through a proxy with two threads, a cache and compression, to nginx; pages compared",
    tools: &[
        tool("haproxy", "haproxy"),
        tool("nginx", "nginx-light"),
        tool("wrk", "wrk"),
    ],
    from: Level::Full,
    expected: processes(&["haproxy", "nginx", "wrk"]),
    note: "",
    task_fn: haproxy,
};

fn haproxy(run: &Run) -> Result<Facts, Failure> {
    let (nginx, behind) = start_nginx(run)?;
    let port = run.free_port()?;
    let config = include_str!("../../data/haproxy.conf")
        .replace("@PORT@", &port.to_string())
        .replace("@BEHIND@", &behind.to_string());
    let config = run.write("haproxy.conf", config)?;
    let mut proxy = run
        .launch("haproxy")
        .args(["-db", "-f", &config.to_string_lossy()])
        .start()?;
    proxy.wait_until("answering", || http(port, "0.txt").is_ok())?;
    run.must_be_active(&proxy)?;
    finish_wrk(start_wrk(run, port)?)?;
    let facts = pages(port)?;
    stop(proxy, Signal::USR1, "haproxy")?;
    stop(nginx, Signal::QUIT, "nginx")?;
    Ok(facts)
}

/// The body of one page.
fn http(port: u16, path: &str) -> Result<Vec<u8>, Failure> {
    let answer = || -> std::io::Result<Vec<u8>> {
        let mut stream = connect(port)?;
        write!(
            stream,
            "GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = answer().map_err(|e| format!("{path}: {e}"))?;
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n");
    match head {
        Some(end) if answer.starts_with(b"HTTP/1.1 200") => Ok(answer[end + 4..].to_vec()),
        _ => Err(format!("{path}: no page")),
    }
}

/// A connection to a port of the loopback interface.
pub fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
