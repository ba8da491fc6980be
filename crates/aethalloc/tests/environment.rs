//! What happens before `main` and after it: `AETHALLOC_CONF` is read, a report is written. The test starts itself again.

use std::process::{Command, Output};

#[global_allocator]
static ALLOCATOR: aethalloc::Aethalloc = aethalloc::Aethalloc;

const CHILD: &str = "AETHALLOC_TEST_CHILD";

fn child(conf: &str) -> Output {
    child_of("print_options", conf)
}

/// Runs test `name` of this program in a child.
fn child_of(name: &str, conf: &str) -> Output {
    let me = std::env::current_exe().expect("this program");
    // On an emulator the child runs there too.
    let emulator = std::env::var("AETHALLOC_EMULATOR").unwrap_or_default();
    let words = emulator.split_whitespace().map(std::ffi::OsString::from);
    let mut words = words.chain([me.into_os_string()]);
    let conf = match emulator.as_str() {
        "" => conf.to_owned(),
        _ => format!("{conf},reserve:4g"),
    };
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words);
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command
        .env(CHILD, "1")
        .env("AETHALLOC_CONF", conf)
        .output()
        .expect("the child starts")
}

/// In the child: prints its options. Alone: nothing.
#[test]
fn print_options() {
    if std::env::var_os(CHILD).is_some() {
        println!();
        for o in aethalloc::options() {
            println!("{}={}", o.key, o.value);
        }
    }
}

/// Objects at more than a page's alignment keep it when they are resized, also where large objects begin at pages (`safety:guard`).
#[test]
fn resized_objects_stay_aligned() {
    use std::alloc::{Layout, alloc, dealloc, realloc};
    if std::env::var_os(CHILD).is_none() {
        // The mode is the same code everywhere; on an emulator it was not tried with this program.
        let emulated = std::env::var_os("AETHALLOC_EMULATOR").is_some_and(|e| !e.is_empty());
        let confs = ["safety:off", "safety:guard"];
        for conf in confs.iter().take(if emulated { 1 } else { 2 }) {
            let output = child_of("resized_objects_stay_aligned", conf);
            assert!(output.status.success(), "{conf}: {output:?}");
        }
        return;
    }
    for align in [32, 4096, 8192, 64 << 10] {
        let layout = |size| Layout::from_size_align(size, align).expect("a layout");
        // Several, one behind the other: most have no room to grow where they are.
        // SAFETY: live objects of these layouts, sizes that are not zero.
        unsafe {
            let mut all = [std::ptr::null_mut(); 8];
            all.fill_with(|| alloc(layout(1000)));
            let mut size = 1000;
            for next in [100_000, 70_000, 200_000, 3 << 20, 300_000, 500] {
                for p in &mut all {
                    *p = realloc(*p, layout(size), next);
                    let aligned = !p.is_null() && p.addr().is_multiple_of(align);
                    assert!(aligned, "{next} at {align}: {p:p}");
                }
                size = next;
            }
            for p in all {
                dealloc(p, layout(size));
            }
        }
    }
}

#[test]
fn options_are_read_before_main_and_a_report_is_written_at_the_end() {
    let file =
        std::env::temp_dir().join(format!("aethalloc-environment-{}.json", std::process::id()));
    let path = file.to_str().expect("a path of text");
    let output = child(&format!("retain:3m,cache:off,stats_file:{path}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let report = std::fs::read_to_string(&file).expect("the report");
    std::fs::remove_file(&file).expect("removed");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    for line in [
        "retain=3m",
        "cache=off",
        "retain_share=10",
        &format!("stats_file={path}"),
    ] {
        assert!(text.lines().any(|l| l == line), "no line {line}: {text}");
    }
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines.len(), 2, "{report}");
    assert!(
        lines[0].starts_with("{\"event\":\"start\",")
            && lines[1].starts_with("{\"event\":\"exit\",")
    );
    let count = lines[1]
        .split("\"allocations\":")
        .nth(1)
        .and_then(|s| s.split(',').next());
    assert!(
        count.is_some_and(|n| n.parse::<u64>().is_ok_and(|n| n > 0)),
        "{report}"
    );
}

#[test]
fn a_bad_option_costs_one_line() {
    let output = child("retain:much,remap:off");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "aethalloc: bad value in AETHALLOC_CONF, the default stays: retain:much\n"
    );
    assert!(
        text.lines().any(|l| l == "retain=2m") && text.lines().any(|l| l == "remap=off"),
        "{text}"
    );
}
