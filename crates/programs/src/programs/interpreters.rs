//! Interpreters that run one script, which prints what it computed.

use crate::program::{Expected, Facts, Failure, Level, Program, Tool, processes, tool};
use crate::run::Run;

/// JavaScript with workers.
pub const NODE: Program = Program {
    name: "node",
    task: "a script with worker threads, JSON, buffers, maps, zlib and crypto",
    tools: &[tool("node", "nodejs")],
    expected: processes(&["node"]),
    task_fn: |run| script(run, "node", include_str!("../../data/node.js"), [2, 12]),
    ..interpreter(Level::Quick)
};

/// Strings, hashes, closures, regular expressions.
pub const PERL: Program = Program {
    name: "perl",
    task: "a script with hashes, strings, sorting, regular expressions and children",
    tools: &[tool("perl", "perl")],
    expected: processes(&["perl"]),
    task_fn: |run| script(run, "perl", include_str!("../../data/perl.pl"), [1, 10]),
    ..interpreter(Level::Quick)
};

/// The shell itself, without other programs.
pub const BASH: Program = Program {
    name: "bash",
    task: "a script with arrays, substitutions, functions and 200 subshells",
    tools: &[tool("bash", "bash")],
    expected: processes(&["bash"]),
    task_fn: |run| script(run, "bash", include_str!("../../data/bash.sh"), [1, 10]),
    ..interpreter(Level::Normal)
};

/// Tables, closures, coroutines.
pub const LUA: Program = Program {
    name: "lua",
    task: "a script with tables, closures, coroutines and string patterns",
    tools: &[tool("lua5.4", "lua5.4")],
    expected: processes(&["lua5.4"]),
    task_fn: |run| script(run, "lua5.4", include_str!("../../data/lua.lua"), [1, 12]),
    ..interpreter(Level::Normal)
};

/// Objects, threads, compaction of its own heap.
pub const RUBY: Program = Program {
    name: "ruby",
    task: "a script with hashes, symbols, threads, fork and `GC.compact`",
    tools: &[tool("ruby", "ruby")],
    expected: processes(&["ruby3.1"]),
    task_fn: |run| script(run, "ruby", include_str!("../../data/ruby.rb"), [1, 10]),
    ..interpreter(Level::Normal)
};

/// PHP with its own allocator switched off, so that every value comes from `malloc`, and with extensions in files of
/// their own: it opens them with `RTLD_DEEPBIND`, so that they bind to glibc's functions before ours.
pub const PHP: Program = Program {
    name: "php",
    task: "a script with arrays, objects, preg, JSON, and the extensions mbstring, DOM and SQLite (`USE_ZEND_ALLOC=0`)",
    tools: &[
        tool("php", "php-cli"),
        tool("/usr/lib/php/20220829/mbstring.so", "php-mbstring"),
        tool("/usr/lib/php/20220829/dom.so", "php-xml"),
        tool("/usr/lib/php/20220829/pdo_sqlite.so", "php-sqlite3"),
    ],
    expected: processes(&["php8.2"]),
    note: "its extensions are opened with `RTLD_DEEPBIND`: what they take by `malloc` themselves is glibc's, except \
           under `safety:hardened`",
    task_fn: |run| script(run, "php", include_str!("../../data/php.php"), [1, 10]),
    ..interpreter(Level::Normal)
};

/// Threads that each copy the whole interpreter.
pub const PERL_THREADS: Program = Program {
    name: "perl-threads",
    task: "four interpreter threads at a time, fed by queues",
    tools: &[tool("perl", "perl")],
    expected: processes(&["perl"]),
    task_fn: |run| script(run, "perl", include_str!("../../data/threads.pl"), [1, 6]),
    ..interpreter(Level::Normal)
};

/// Light processes on a scheduler per CPU, with allocators of its own above `mmap` and `malloc`.
pub const ERLANG: Program = Program {
    name: "erlang",
    task: "eight processes pass maps and binaries; tables, terms packed and unpacked",
    tools: &[tool("erl", "erlang-base")],
    expected: Expected {
        processes: &["beam.smp"],
        own_allocator: &[],
        silent: &["erl_child_setup", "beam.smp", "inet_gethost"],
    },
    note: "its values live in carriers that it maps itself; what its C code takes by `malloc` is the library's",
    task_fn: erlang,
    ..interpreter(Level::Full)
};

fn erlang(run: &Run) -> Result<Facts, Failure> {
    run.write("work.erl", include_str!("../../data/work.erl"))?;
    run.launch("erlc").arg("work.erl").ok()?;
    let start = format!("work:main({}).", run.size(2, 30));
    let output = run.launch("erl").args(["-noshell", "-eval", &start]).ok()?;
    Ok(vec![("output".into(), output)])
}

/// Strings that are lists that are dictionaries.
pub const TCL: Program = Program {
    name: "tcl",
    task: "a script with dictionaries, lists, regular expressions and namespaces",
    tools: &[tool("tclsh", "tcl")],
    expected: processes(&["tclsh8.6"]),
    task_fn: |run| script(run, "tclsh", include_str!("../../data/tcl.tcl"), [1, 25]),
    ..interpreter(Level::Normal)
};

/// Columns and associative arrays.
pub const AWK: Program = Program {
    name: "gawk",
    task: "counts, joins and sorts words of a text",
    tools: &[tool("gawk", "gawk")],
    expected: processes(&["gawk"]),
    task_fn: |run| script(run, "gawk", include_str!("../../data/words.awk"), [1, 10]),
    ..interpreter(Level::Normal)
};

const NO_TOOLS: &[Tool] = &[];

/// What the interpreters have in common.
const fn interpreter(from: Level) -> Program {
    Program {
        name: "",
        task: "",
        tools: NO_TOOLS,
        from,
        expected: processes(&[]),
        note: "",
        task_fn: |_| Err("no task".into()),
    }
}

/// Runs `text`, which gets its number of rounds (`[quick, normal]`) as argument.
fn script(run: &Run, name: &str, text: &str, rounds: [usize; 2]) -> Result<Facts, Failure> {
    run.write("script", text)?;
    let before: &[&str] = match name {
        "gawk" => &["-f"],
        _ => &[],
    };
    let output = run
        .launch(name)
        .args(before)
        .args(["script", &run.size(rounds[0], rounds[1]).to_string()])
        .env("USE_ZEND_ALLOC", "0")
        .ok()?;
    Ok(vec![("output".into(), output)])
}
