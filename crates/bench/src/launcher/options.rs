//! The launcher's command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What one invocation is to do.
pub struct Options {
    pub out: PathBuf,
    pub repeat: usize,
    /// Seconds after which a run is ended; 0 for never.
    pub timeout: u32,
    /// Replaces or, with an empty value, removes variables of the inherited environment.
    pub env: Vec<(OsString, OsString)>,
    pub cwd: Option<PathBuf>,
    pub stdin: PathBuf,
    pub stdout: PathBuf,
    pub stderr: PathBuf,
    pub command: Vec<OsString>,
}

/// Reads the command line; an error is one line for the caller to print.
pub fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Options, String> {
    let mut options = Options {
        out: PathBuf::new(),
        repeat: 1,
        timeout: 0,
        env: Vec::new(),
        cwd: None,
        stdin: "/dev/null".into(),
        stdout: "/dev/null".into(),
        stderr: "/dev/null".into(),
        command: Vec::new(),
    };
    while let Some(flag) = args.next() {
        if flag == "--" {
            options.command = args.collect();
            break;
        }
        let flag = flag.to_string_lossy().into_owned();
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--out" => options.out = value.into(),
            "--repeat" => options.repeat = number(&flag, &value)?,
            "--timeout" => options.timeout = number(&flag, &value)?,
            "--env" => options.env.push(variable(&value)?),
            "--cwd" => options.cwd = Some(value.into()),
            "--stdin" => options.stdin = value.into(),
            "--stdout" => options.stdout = value.into(),
            "--stderr" => options.stderr = value.into(),
            _ => return Err(format!("unknown option {flag}")),
        }
    }
    if options.out.as_os_str().is_empty() {
        return Err("--out FILE is missing".into());
    }
    if options.command.is_empty() {
        return Err("no program after --".into());
    }
    Ok(options)
}

fn number<T: std::str::FromStr>(flag: &str, value: &OsStr) -> Result<T, String> {
    let text = value.to_string_lossy();
    text.parse()
        .map_err(|_| format!("{flag}: not a number: {text}"))
}

fn variable(value: &OsStr) -> Result<(OsString, OsString), String> {
    let bytes = value.as_bytes();
    let split = bytes
        .iter()
        .position(|&b| b == b'=')
        .ok_or_else(|| format!("--env: no '=' in {}", value.to_string_lossy()))?;
    let part = |b: &[u8]| OsStr::from_bytes(b).to_owned();
    Ok((part(&bytes[..split]), part(&bytes[split + 1..])))
}
