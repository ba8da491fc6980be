//! Interpreter scripts: what runs a file that is not an ELF program.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::fail::{Failure, Outcome};

/// As much of the file as the kernel looks at (`BINPRM_BUF_SIZE`).
const KERNEL_READS: usize = 256;

/// The programs that run `path` in turn: the interpreter, and what env starts if that is the interpreter. A file
/// without `#!` is run by `/bin/sh`, as execvp does.
pub fn interpreters(path: &Path, mut file: &File) -> Outcome<Vec<OsString>> {
    let mut start = Vec::with_capacity(KERNEL_READS);
    Read::by_ref(&mut file)
        .take(KERNEL_READS as u64)
        .read_to_end(&mut start)
        .map_err(|error| Failure::cannot_run(format!("{}: {error}", path.display())))?;
    let Some(line) = start.strip_prefix(b"#!") else {
        return Ok(vec!["/bin/sh".into()]);
    };
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.trim_ascii();
    let end = line.iter().position(|b| matches!(b, b' ' | b'\t'));
    let (interpreter, argument) = line.split_at(end.unwrap_or(line.len()));
    if interpreter.is_empty() {
        return Err(Failure::cannot_run(format!(
            "{}: its first line names no interpreter",
            path.display()
        )));
    }
    // The kernel does not search PATH for an interpreter: a bare name is a file in the current folder.
    let mut programs = vec![match interpreter.contains(&b'/') {
        true => OsStr::from_bytes(interpreter).to_owned(),
        false => Path::new(".").join(OsStr::from_bytes(interpreter)).into(),
    }];
    let name = interpreter.rsplit(|b| *b == b'/').next();
    if name == Some(b"env") {
        programs.extend(started_by_env(path, argument.trim_ascii())?);
    }
    Ok(programs)
}

/// The program that env starts. The kernel hands on everything behind the interpreter as one argument, which env
/// splits only if it begins with `-S`.
fn started_by_env(script: &Path, argument: &[u8]) -> Outcome<Option<OsString>> {
    let split = [&b"-S"[..], b"-vS", b"--split-string=", b"--split-string"]
        .iter()
        .find_map(|option| argument.strip_prefix(*option));
    let Some(words) = split else {
        let is_program = !argument.is_empty() && !argument.starts_with(b"-");
        return Ok(is_program.then(|| OsStr::from_bytes(argument).to_owned()));
    };
    for word in words
        .split(u8::is_ascii_whitespace)
        .filter(|w| !w.is_empty())
    {
        match word {
            b"-" | b"-i" | b"--ignore-environment" => {
                return Err(Failure::cannot_run(format!(
                    "{}: its first line makes env clear the environment, LD_PRELOAD with it",
                    script.display()
                )));
            }
            _ if word.starts_with(b"-") || word.contains(&b'=') => {}
            _ => return Ok(Some(OsStr::from_bytes(word).to_owned())),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    fn of(content: &str) -> Result<Vec<String>, u8> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file.rewind().unwrap();
        match interpreters(Path::new("s"), &file) {
            Ok(list) => Ok(list.iter().map(|s| s.display().to_string()).collect()),
            Err(failure) => Err(failure.code),
        }
    }

    #[test]
    fn the_first_line_is_read_as_the_kernel_and_env_do() {
        for (content, expected) in [
            ("echo hi\n", vec!["/bin/sh"]),
            ("", vec!["/bin/sh"]),
            ("#!/bin/sh\n", vec!["/bin/sh"]),
            ("#! \t/bin/bash -eu \nx", vec!["/bin/bash"]),
            ("#!/bin/sh", vec!["/bin/sh"]),
            ("#!python3\n", vec!["./python3"]),
            ("#!/usr/bin/env python3\n", vec!["/usr/bin/env", "python3"]),
            (
                "#!/usr/bin/env -S A=1 perl -w\n",
                vec!["/usr/bin/env", "perl"],
            ),
            ("#!/usr/bin/env -Snode --x\n", vec!["/usr/bin/env", "node"]),
            ("#!/usr/bin/env\n", vec!["/usr/bin/env"]),
        ] {
            let expected: Vec<String> = expected.into_iter().map(String::from).collect();
            assert_eq!(of(content), Ok(expected), "{content:?}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert_eq!(of("#!\n"), Err(Failure::CANNOT_RUN));
        assert_eq!(
            of("#!/usr/bin/env -S -i python3\n"),
            Err(Failure::CANNOT_RUN)
        );
    }
}
