//! Programs that lock themselves into a sandbox, which kills them for a system call that it does not expect.

use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;
use std::fmt::Write;

/// Every part of man's pipeline runs under a filter of system calls.
pub const MAN: Program = Program {
    name: "man",
    task: "formats a long page with tables for two kinds of terminal; its parts run in sandboxes",
    tools: &[tool("man", "man-db"), tool("groff", "groff-base")],
    from: Level::Normal,
    expected: processes(&["man", "tbl", "preconv", "troff", "grotty"]),
    note: "",
    task_fn: man,
};

fn man(run: &Run) -> Result<Facts, Failure> {
    let mut page = ".TH WORK 1\n.SH NAME\nwork \\- what is to be done\n".to_owned();
    for section in 0..run.size(40, 400) {
        let _ = write!(
            page,
            ".SH SECTION {section}\nWords in \\fBbold\\fR and \\fIitalic\\fR, number {section}.\n.TS\nbox; l r.\n"
        );
        for row in 0..10 {
            let _ = writeln!(page, "row {row}\t{}", row * section);
        }
        page.push_str(".TE\n");
    }
    let page = run.write("work.1", page)?;
    let page = page.to_string_lossy();
    let mut facts = Facts::new();
    for device in ["-Tutf8", "-Tascii"] {
        let out = run.launch("man").args(["-P", "cat", device, "-l", &page]);
        facts.push((device.into(), out.ok()?));
    }
    let names = run.launch("lexgrog").arg(&*page).ok()?;
    let names = String::from_utf8_lossy(&names).replace(&*page, "PAGE");
    facts.push(("names".into(), names.into_bytes()));
    Ok(facts)
}
