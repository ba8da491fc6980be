//! Builds one peer into `TARGET/peers/NAME.so`, once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Definition, Kind};
use crate::checkout::Checkout;

/// A peer that takes longer is recorded as failed.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// The library, from the store or built now. A failed build is remembered, with its reason, until the
/// definition or the lock file changes or `retry` is set.
pub fn library(
    checkout: &Checkout,
    definition: &Definition,
    retry: bool,
) -> Result<PathBuf, String> {
    let store = checkout.target_dir().join("peers");
    std::fs::create_dir_all(&store).map_err(|e| format!("{}: {e}", store.display()))?;
    let product = store.join(format!("lib{}.so", definition.name));
    let record = store.join(format!("{}.built", definition.name));
    let failure = store.join(format!("{}.failed", definition.name));
    let key = key(checkout, definition)?;
    if product.is_file() && std::fs::read_to_string(&record).is_ok_and(|k| k == key) {
        return Ok(product);
    }
    if let Ok(text) = std::fs::read_to_string(&failure)
        && let Some(reason) = text.strip_prefix(&key)
        && !retry
    {
        return Err(format!(
            "{} (remembered; --retry-peers builds again)",
            reason.trim()
        ));
    }
    eprintln!("building peer {} ...", definition.name);
    let start = Instant::now();
    let log = store.join(format!("{}.log", definition.name));
    let built = match definition.kind {
        Kind::Archive => from_archive(checkout, definition, &store, &log, &product),
        Kind::Cmake => from_cmake(checkout, definition, &store, &log, &product),
        _ => from_sources(checkout, definition, &log, &product),
    };
    match built {
        Ok(()) => {
            let _ = std::fs::remove_file(&failure);
            std::fs::write(&record, key).map_err(|e| format!("{}: {e}", record.display()))?;
            eprintln!(
                "built peer {} in {:.0} s",
                definition.name,
                start.elapsed().as_secs_f64()
            );
            Ok(product)
        }
        Err(reason) => {
            let _ = std::fs::write(&failure, format!("{key}{reason}"));
            Err(reason)
        }
    }
}

/// What the library was built from: the definition, the versions, the compilers.
fn key(checkout: &Checkout, definition: &Definition) -> Result<String, String> {
    let lock = checkout.peers_dir().join("Cargo.lock");
    let text = std::fs::read_to_string(&lock).map_err(|e| format!("{}: {e}", lock.display()))?;
    if definition.krate.is_empty() {
        let mut key = format!("{definition:?}\n");
        for source in &definition.sources {
            let path = checkout.peers_dir().join(source);
            key +=
                &std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        return Ok(key);
    }
    let package = format!("name = \"{}\"", definition.krate);
    let version = text
        .split("[[package]]")
        .find(|p| p.contains(&package))
        .unwrap_or("not in the lock file");
    Ok(format!("{definition:?}\n{}\n", version.trim()))
}

fn from_archive(
    checkout: &Checkout,
    definition: &Definition,
    store: &Path,
    log: &Path,
    product: &Path,
) -> Result<(), String> {
    let mut cargo = checkout.cargo();
    cargo
        .args([
            "build",
            "--release",
            "--message-format=json",
            "--features",
            &definition.name,
        ])
        .arg("--manifest-path")
        .arg(checkout.peers_dir().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(store.join("build"));
    let messages = run(&mut cargo, log)?;
    let out_dir = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|m| m["reason"] == "build-script-executed")
        .find(|m| {
            m["package_id"]
                .as_str()
                .is_some_and(|id| id.contains(&format!("#{}@", definition.krate)))
        })
        .and_then(|m| m["out_dir"].as_str().map(PathBuf::from))
        .ok_or_else(|| format!("cargo reported no build script of {}", definition.krate))?;
    let archive = find(&out_dir, &definition.archive)
        .ok_or_else(|| format!("{} is not below {}", definition.archive, out_dir.display()))?;
    let mut link = compiler(definition.cxx);
    link.arg("-shared").arg("-o").arg(product);
    link.args(definition.alias.iter().map(|a| format!("-Wl,--defsym={a}")));
    link.arg("-Wl,--whole-archive").arg(archive).args([
        "-Wl,--no-whole-archive",
        "-lpthread",
        "-ldl",
        "-lm",
    ]);
    if definition.cxx {
        link.args(["-static-libstdc++", "-static-libgcc"]);
    }
    run(&mut link, log).map(drop)
}

fn from_cmake(
    checkout: &Checkout,
    definition: &Definition,
    store: &Path,
    log: &Path,
    product: &Path,
) -> Result<(), String> {
    let source = crate_dir(checkout, definition, log)?.join(&definition.source);
    let build = store.join(format!("{}-cmake", definition.name));
    let mut configure = Command::new("cmake");
    configure
        .arg("-S")
        .arg(source)
        .arg("-B")
        .arg(&build)
        .arg("-DCMAKE_BUILD_TYPE=Release");
    configure.args(&definition.options);
    run(&mut configure, log)?;
    run(
        Command::new("cmake")
            .arg("--build")
            .arg(&build)
            .args(["--target", &definition.target]),
        log,
    )?;
    let made = find(&build, &definition.product)
        .ok_or_else(|| format!("cmake made no {}", definition.product))?;
    std::fs::copy(&made, product)
        .map(drop)
        .map_err(|e| format!("{}: {e}", made.display()))
}

fn from_sources(
    checkout: &Checkout,
    definition: &Definition,
    log: &Path,
    product: &Path,
) -> Result<(), String> {
    let dir = match definition.krate.as_str() {
        "" => checkout.peers_dir(),
        _ => crate_dir(checkout, definition, log)?,
    };
    let flags = definition
        .flags
        .iter()
        .map(|f| f.replace("{crate}", &dir.display().to_string()));
    let mut compile = compiler(definition.cxx);
    compile
        .args(["-O3", "-fPIC", "-shared", "-w", "-o"])
        .arg(product)
        .args(flags);
    compile.args(definition.sources.iter().map(|s| dir.join(s)));
    compile.args(["-lpthread", "-ldl"]);
    run(&mut compile, log).map(drop)
}

fn compiler(cxx: bool) -> Command {
    Command::new(if cxx { "c++" } else { "cc" })
}

/// The folder of the crate's sources, which cargo has downloaded.
fn crate_dir(checkout: &Checkout, definition: &Definition, log: &Path) -> Result<PathBuf, String> {
    let mut cargo = checkout.cargo();
    cargo
        .args([
            "metadata",
            "--format-version=1",
            "--features",
            &definition.name,
        ])
        .arg("--manifest-path")
        .arg(checkout.peers_dir().join("Cargo.toml"));
    let text = run(&mut cargo, log)?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["name"] == definition.krate.as_str())
        .and_then(|p| {
            Path::new(p["manifest_path"].as_str()?)
                .parent()
                .map(Path::to_path_buf)
        })
        .ok_or_else(|| format!("cargo knows no crate {}", definition.krate))
}

/// Runs a tool to its end, its errors into the log; returns its output. Ended after half an hour.
fn run(command: &mut Command, log: &Path) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let errors = std::fs::File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .env_remove("LD_PRELOAD")
        .env_remove("CARGO_TARGET_DIR")
        .spawn()
        .map_err(|e| format!("{name}: {e}"))?;
    let mut output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(pipe) = output.as_mut() {
            let _ = std::io::Read::read_to_string(pipe, &mut text);
        }
        text
    });
    let start = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if start.elapsed() > LONGEST => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name} did not end within half an hour"));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => return Err(format!("{name}: {error}")),
        }
    };
    let text = reader.join().unwrap_or_default();
    if status.success() {
        return Ok(text);
    }
    let errors = std::fs::read_to_string(log).unwrap_or_default();
    let line = errors
        .lines()
        .find(|l| l.contains("error"))
        .or_else(|| errors.lines().last())
        .unwrap_or("no message");
    Err(format!(
        "{name} failed: {} (all of it in {})",
        line.trim(),
        log.display()
    ))
}

/// A file by the end of its path, anywhere below `dir`.
fn find(dir: &Path, ending: &str) -> Option<PathBuf> {
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with(ending) {
                return Some(path);
            }
        }
    }
    None
}
