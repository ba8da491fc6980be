//! Compilers and virtual machines: each builds a small program and runs it.

use crate::program::{Expected, Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;

/// The JVM: its heap is its own, its compiler threads and class data use `malloc`.
pub const JAVA: Program = Program {
    name: "java",
    task: "javac of a program with records, streams and threads; packs it with `jar`, runs it with two collectors and interpreted",
    tools: &[tool("javac", "openjdk-17-jdk-headless")],
    from: Level::Full,
    expected: processes(&["javac", "java"]),
    note: "Java objects live in the JVM's own heap; the JVM's native memory is the library's",
    task_fn: java,
};

fn java(run: &Run) -> Result<Facts, Failure> {
    run.write("Work.java", include_str!("../../data/Work.java"))?;
    run.launch("javac").args(["-g:none", "Work.java"]).ok()?;
    run.launch("jar")
        .args(["cfe", "work.jar", "Work"])
        .args(["-C", ".", "."])
        .ok()?;
    let rounds = run.size(2, 20).to_string();
    let jvm = |options: &[&str]| {
        run.launch("java")
            .args(options)
            .args(["-cp", "work.jar", "Work", &rounds])
            .ok()
    };
    Ok(vec![
        ("classes".into(), run.read("Work.class")?),
        ("output".into(), jvm(&["-Xmx512m"])?),
        (
            "output, parallel GC".into(),
            jvm(&["-Xmx256m", "-XX:+UseParallelGC"])?,
        ),
        ("output, interpreter".into(), jvm(&["-Xint", "-Xmx256m"])?),
    ])
}

/// Go allocates for itself; C called from it uses `malloc`.
pub const GO: Program = Program {
    name: "go",
    task: "builds a program with cgo; goroutines allocate and free C strings",
    tools: &[tool("go", "golang-go"), tool("gcc", "gcc")],
    from: Level::Full,
    expected: Expected {
        processes: &["work"],
        own_allocator: &[
            "go", "compile", "asm", "link", "cgo", "buildid", "vet", "pack",
        ],
        silent: &[
            "go", "compile", "asm", "link", "cgo", "buildid", "vet", "pack", "work",
        ],
    },
    note: "Go values live in Go's own heap; only what C code allocates is the library's. Go's compiler and linker are linked statically",
    task_fn: go,
};

fn go(run: &Run) -> Result<Facts, Failure> {
    run.write("work.go", include_str!("../../data/work.go"))?;
    run.launch("go")
        .args(["build", "-o", "work", "work.go"])
        .env("GOFLAGS", "-mod=mod")
        .env("GO111MODULE", "off")
        .env("GOCACHE", &run.path("cache").to_string_lossy())
        .env("CGO_ENABLED", "1")
        .ok()?;
    let work = run.path("work");
    let rounds = run.size(20, 300).to_string();
    let output = run.launch(&work.to_string_lossy()).arg(rounds).ok()?;
    Ok(vec![("output".into(), output)])
}

/// The toolchain that built this program builds another.
pub const CARGO: Program = Program {
    name: "cargo",
    task: "builds a small crate, optimised, without network; the program compared and run",
    tools: &[tool("gcc", "gcc")],
    from: Level::Full,
    expected: Expected {
        processes: &["cargo", "rustc"],
        own_allocator: &["rustc", "rustdoc", "rust-lld", "cargo"],
        silent: &["rust-lld"],
    },
    note: "rustc from rust-lang.org defines `malloc` itself (jemalloc), which goes before any preload; cargo and the \
           linker use the library",
    task_fn: cargo,
};

fn cargo(run: &Run) -> Result<Facts, Failure> {
    run.write(
        "small/Cargo.toml",
        "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
    )?;
    run.write("small/src/main.rs", include_str!("../../data/small.rs"))?;
    let bin = std::path::Path::new(env!("CARGO")).with_file_name("rustc");
    let cargo = |args: &[&str]| {
        run.launch(env!("CARGO"))
            .folder("small")
            .args(args)
            .env("RUSTC", &bin.to_string_lossy())
            .env("CARGO_HOME", &run.path("home").to_string_lossy())
            .ok()
    };
    let remap = format!("--remap-path-prefix={}=.", run.work().display());
    cargo(&[
        "rustc",
        "--offline",
        "--quiet",
        "--release",
        "--",
        "-Cstrip=debuginfo",
        &remap,
    ])?;
    let small = run.path("small/target/release/small");
    Ok(vec![
        ("program".into(), run.read("small/target/release/small")?),
        ("output".into(), run.launch(&small.to_string_lossy()).ok()?),
    ])
}
