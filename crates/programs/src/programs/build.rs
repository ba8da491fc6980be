//! Tools of a C and C++ programmer beside gcc: clang, cmake with ninja, gdb.

use super::gcc::source;
use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;
use std::fmt::Write;

/// The compiler with allocators of its own on top of `malloc`.
pub const CLANG: Program = Program {
    name: "clang",
    task: "compiles template-heavy C++ at -O2, links and runs it; object and bitcode compared",
    tools: &[tool("clang++", "clang"), tool("g++", "g++")],
    from: Level::Full,
    expected: processes(&["clang", "big"]),
    note: "",
    task_fn: clang,
};

fn clang(run: &Run) -> Result<Facts, Failure> {
    run.write("big.cpp", source(run.size(1, 4)))?;
    let clang = |args: &[&str]| {
        run.launch("clang++")
            .args(["-std=c++17", "-O2"])
            .args(args)
            .ok()
    };
    clang(&["-c", "big.cpp", "-o", "big.o"])?;
    clang(&["-c", "-emit-llvm", "big.cpp", "-o", "big.bc"])?;
    clang(&["big.o", "-o", "big"])?;
    let big = run.path("big");
    Ok(vec![
        ("object".into(), run.read("big.o")?),
        ("bitcode".into(), run.read("big.bc")?),
        ("output".into(), run.launch(&big.to_string_lossy()).ok()?),
    ])
}

/// A build of many small processes.
pub const CMAKE: Program = Program {
    name: "cmake",
    task: "configures a project of three libraries, builds it with ninja and runs its tests",
    tools: &[
        tool("cmake", "cmake"),
        tool("ninja", "ninja-build"),
        tool("gcc", "gcc"),
    ],
    from: Level::Normal,
    expected: processes(&["cmake", "ninja", "ctest", "cc1", "main"]),
    note: "",
    task_fn: cmake,
};

fn cmake(run: &Run) -> Result<Facts, Failure> {
    const LIBRARIES: usize = 3;
    let files = run.size(2, 8);
    let mut lists = String::from(
        "cmake_minimum_required(VERSION 3.20)\nproject(work C)\nenable_testing()\nset(CMAKE_EXPORT_COMPILE_COMMANDS ON)\n",
    );
    let mut main = String::from("#include <stdio.h>\n");
    let mut sum = String::from("0");
    for library in 0..LIBRARIES {
        let names: Vec<String> = (0..files).map(|i| format!("l{library}/f{i}.c")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(lists, "add_library(l{library} STATIC {})", names.join(" "));
        for (i, name) in names.iter().enumerate() {
            let function = format!("int l{library}_f{i}(int n)");
            run.write(
                name,
                format!("{function} {{ return n < 2 ? {i} : n * 3 + {library}; }}\n"),
            )?;
            let _ = writeln!(main, "{function};");
            let _ = write!(sum, " + l{library}_f{i}(argc + {i})");
        }
    }
    let _ = writeln!(
        main,
        "int main(int argc, char **argv) {{ printf(\"%s %d\\n\", argv[argc - 1], {sum}); return 0; }}"
    );
    run.write("main.c", main)?;
    lists.push_str("add_executable(main main.c)\ntarget_link_libraries(main l0 l1 l2)\n");
    for i in 0..run.size(2, 10) {
        let _ = writeln!(
            lists,
            "add_test(NAME t{i} COMMAND main t{i})\nset_tests_properties(t{i} PROPERTIES PASS_REGULAR_EXPRESSION t{i})"
        );
    }
    run.write("CMakeLists.txt", lists)?;
    run.launch("cmake")
        .args(["-G", "Ninja", "-B", "build", "."])
        .ok()?;
    let targets = run
        .launch("ninja")
        .args(["-C", "build", "-t", "targets", "all"])
        .ok()?;
    run.launch("cmake")
        .args(["--build", "build", "-j", "2"])
        .ok()?;
    let tests = run
        .launch("ctest")
        .args([
            "--test-dir",
            "build",
            "-j",
            "2",
            "--output-junit",
            "junit.xml",
        ])
        .ok()?;
    if !String::from_utf8_lossy(&tests).contains("100% tests passed") {
        return Err("ctest: not all tests passed".into());
    }
    let main = run.path("build/main");
    let targets = String::from_utf8_lossy(&targets).replace(&*run.work().to_string_lossy(), "WORK");
    Ok(vec![
        ("targets".into(), targets.into_bytes()),
        (
            "output".into(),
            run.launch(&main.to_string_lossy()).arg("last").ok()?,
        ),
    ])
}

/// The debugger reads symbols; it does not start the program, since strace traces everything already.
pub const GDB: Program = Program {
    name: "gdb",
    task: "reads a C++ program with debug information: types, lines, disassembly, its own Python",
    tools: &[tool("gdb", "gdb"), tool("g++", "g++")],
    from: Level::Full,
    expected: processes(&["gdb"]),
    note: "",
    task_fn: gdb,
};

fn gdb(run: &Run) -> Result<Facts, Failure> {
    run.write("big.cpp", source(run.size(1, 2)))?;
    run.launch("g++")
        .args(["-std=c++17", "-g", "-O1", "big.cpp", "-o", "big"])
        .ok()?;
    run.write(
        "commands",
        "info functions work\nptype T0\ninfo line work0\ninfo scope work0\n\
         disassemble /s main\nprint sizeof(T0)\nprint 'work0'\n\
         python\ntable = {}\nfor i in range(200000): table[str(i)] = [i] * (i % 7)\n\
         print(len(table), sum(len(v) for v in table.values()))\n\
         for f in gdb.lookup_type('T0').fields(): print(f.name, f.type, f.bitpos)\nend\n",
    )?;
    let output = run
        .launch("gdb")
        .args([
            "-nx",
            "-batch",
            "-iex",
            "set debuginfod enabled off",
            "-x",
            "commands",
            "big",
        ])
        .ok()?;
    let text = String::from_utf8_lossy(&output).replace(&*run.work().to_string_lossy(), "WORK");
    Ok(vec![("output".into(), text.into_bytes())])
}
