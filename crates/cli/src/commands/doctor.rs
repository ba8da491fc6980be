//! `aethalloc doctor`: what this machine and kernel offer, what the options ask for, and what is active.
//!
//! The machine is asked by the same code as the library asks it (`aethalloc_sys::probe`), and judged by the same rules
//! (`aethalloc_base::safety`). Whether a mode is active is not concluded but seen: a trial process runs with the
//! library and these options, and reports.

use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use aethalloc_base::options::{Key, Options};
use aethalloc_base::safety::{self, BACKENDS, Backend, Facts, GuardPages, Profile, Verdict};
use aethalloc_sys::pressure::{Kind, Source};
use serde::Deserialize;

use super::run::{OPTIONS, PRELOAD, join, merged_options};
use crate::fail::{Failure, Outcome};
use crate::locate;
use crate::stats_file::StatsFile;
use crate::text;

/// Tell what this machine allows and what is active
///
/// For each safety backend: can the CPU do it, has the kernel enabled it, do the options want it, is it active, and
/// why (not). A trial process runs with the library and the options.
#[derive(clap::Args)]
pub struct Args {
    /// The library to ask [default: $AETHALLOC_LIB, else beside this command]
    #[arg(long, value_name = "PATH")]
    lib: Option<PathBuf>,
    /// Options for the library, added to those in $AETHALLOC_CONF
    #[arg(long, value_name = "KEY:VALUE,...")]
    conf: Vec<OsString>,
    /// Be the trial process
    #[arg(long, hide = true)]
    trial: bool,
}

/// What the trial process reported at its start.
#[derive(Deserialize)]
struct Trial {
    event: String,
    #[serde(default)]
    safety: String,
    #[serde(default)]
    guards: String,
}

/// Probes and prints.
pub fn run(args: Args) -> Outcome<ExitCode> {
    if args.trial {
        return Ok(ExitCode::SUCCESS);
    }
    let conf = merged_options(env::var_os(OPTIONS), &args.conf)?;
    let library = locate::library(args.lib.as_deref())?;
    let mut options = Options::new();
    options.parse(conf.as_bytes(), |_, _| ());
    let profile = Profile::of(options.get(Key::safety));
    let pages = GuardPages::of(options.get(Key::guard_pages));
    let facts = aethalloc_sys::probe::facts();
    let preload = library.preload_value(env::var_os(PRELOAD).as_deref());
    let trial = try_out(&conf, preload)?;
    print!("{}", report(&facts, profile, pages, &conf, trial.as_ref()));
    let source = Source::open(b"");
    print!("\n{}", memory(&source));
    source.close();
    Ok(ExitCode::SUCCESS)
}

/// Runs this command once more, with the library; what it reported, `None` if it did not.
fn try_out(conf: &OsString, preload: OsString) -> Outcome<Option<Trial>> {
    let failed = |error: std::io::Error| Failure::failed(format!("the trial process: {error}"));
    let file = StatsFile::create("".as_ref()).map_err(failed)?;
    let mut with_file = conf.clone();
    if let Some(option) = file.option() {
        join(&mut with_file, &option);
    }
    Command::new(env::current_exe().map_err(failed)?)
        .args(["doctor", "--trial"])
        .env(PRELOAD, preload)
        .env(OPTIONS, with_file)
        .stdout(Stdio::null())
        .status()
        .map_err(failed)?;
    let text = std::fs::read_to_string(file.path()).map_err(failed)?;
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find(|trial: &Trial| trial.event == "start"))
}

fn report(
    facts: &Facts,
    profile: Profile,
    pages: GuardPages,
    conf: &OsString,
    trial: Option<&Trial>,
) -> String {
    let mut out = String::new();
    let word = |yes| if yes { "yes" } else { "no" };
    let line = match trial {
        None => "the library was not active in a trial process".into(),
        Some(t) => format!(
            "the library was active in a trial process: safety:{}, guard pages: {}",
            t.safety, t.guards
        ),
    };
    let shown = match conf.is_empty() {
        true => "none, all defaults".into(),
        false => conf.display().to_string(),
    };
    let _ = write!(out, "options: {shown}\n{line}\n\n");
    let _ = writeln!(
        out,
        "{:<13} {:<7} {:<14} {:<13} {:<6}  reason",
        "backend", "CPU can", "kernel enabled", "options want", "active"
    );
    for backend in BACKENDS {
        let v = observed(
            backend,
            safety::verdict(backend, facts, profile, pages),
            trial,
        );
        let _ = writeln!(
            out,
            "{:<13} {:<7} {:<14} {:<13} {:<6}  {}",
            backend.name(),
            word(v.cpu),
            word(v.kernel),
            word(v.wanted),
            word(v.active),
            v.reason
        );
    }
    out.push_str("\nwhat each enforces:\n");
    for backend in BACKENDS {
        let _ = writeln!(out, "  {:<13} {}", backend.name(), backend.enforces());
    }
    out
}

/// What the support thread can go by to see that memory is short.
fn memory(source: &Source) -> String {
    let group = match (source.kind, source.limit) {
        (Kind::None, _) => "no memory controller is known".into(),
        (Kind::V1, 0) => "cgroup v1, no limit".into(),
        (Kind::V2, 0) => "cgroup v2, no limit".into(),
        (Kind::V1, n) => format!("cgroup v1, limit {}", text::bytes(n)),
        (Kind::V2, n) => format!("cgroup v2, limit {}", text::bytes(n)),
    };
    let figures = match source.stalls {
        true => "readable",
        false => "not available (CONFIG_PSI, or the kernel's psi=0)",
    };
    format!("this group's memory: {group}\npressure figures: {figures}\n")
}

/// The verdict, corrected by what was seen.
fn observed(backend: Backend, mut v: Verdict, trial: Option<&Trial>) -> Verdict {
    let seen = match (backend, trial) {
        (_, None) => false,
        (Backend::Checks, Some(_)) => true,
        (Backend::Guard, Some(t)) => t.safety != "off" && t.guards != "none",
        (Backend::Hardened, Some(t)) => t.safety == "hardened",
        (Backend::Mte, Some(t)) => t.safety == "mte",
        (Backend::PointerBits, Some(t)) => t.safety == "tags",
        _ => v.active,
    };
    if seen != v.active {
        v.active = seen;
        v.reason = match trial {
            None => "the library was not active",
            Some(_) => "the library in the trial process says otherwise than this machine's facts",
        };
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;
    use aethalloc_base::safety::Asked;

    fn facts(guard_install: Asked) -> Facts {
        Facts {
            guard_install,
            mte: false,
            mte_control: Asked::None,
            pku: true,
            pkey: Asked::Works,
            lam: false,
            lam_bits: Asked::None,
            uai: false,
            tbi: false,
        }
    }

    fn row(trial: Option<&Trial>, profile: Profile, backend: &str) -> String {
        let text = report(
            &facts(Asked::Works),
            profile,
            GuardPages::Auto,
            &OsString::new(),
            trial,
        );
        let line = text.lines().find(|l| l.starts_with(backend));
        line.unwrap_or_else(|| panic!("no row {backend} in {text}"))
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// What memory tagging needs is there, and the library says whether it used it.
    #[test]
    fn tags_are_active_when_the_library_says_so() {
        let tagging = Facts {
            mte: true,
            mte_control: Asked::Works,
            ..facts(Asked::Works)
        };
        let line = |safety: &str, facts: &Facts| {
            let trial = Trial {
                event: "start".into(),
                safety: safety.into(),
                guards: "none".into(),
            };
            let conf = OsString::new();
            let text = report(facts, Profile::Mte, GuardPages::Auto, &conf, Some(&trial));
            let line = text.lines().find(|l| l.starts_with("mte ")).unwrap_or("");
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            line("mte", &tagging),
            "mte yes yes yes yes every object to 16 MiB has a tag"
        );
        assert!(line("off", &tagging).starts_with("mte yes yes yes no the library in the trial"));
        assert_eq!(
            line("off", &facts(Asked::Works)),
            "mte no no yes no the CPU has no memory tagging"
        );
    }

    #[test]
    fn what_the_trial_says_counts() {
        let trial = |safety: &str, guards: &str| Trial {
            event: "start".into(),
            safety: safety.into(),
            guards: guards.into(),
        };
        let on = trial("guard", "install");
        assert_eq!(
            row(Some(&on), Profile::Guard, "guard"),
            "yes yes yes yes by MADV_GUARD_INSTALL"
        );
        let silent = trial("off", "none");
        assert!(row(Some(&silent), Profile::Guard, "guard").starts_with("yes yes yes no "));
        assert_eq!(
            row(Some(&silent), Profile::Off, "guard"),
            "yes yes no no safety:guard or safety:hardened turns it on"
        );
        assert_eq!(
            row(None, Profile::Guard, "checks"),
            "yes yes yes no the library was not active"
        );
    }
}
