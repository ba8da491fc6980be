//! `aethalloc doctor` on this machine, with the real library.

mod common;

fn doctor(conf: &str) -> String {
    let out = common::aethalloc()
        .args(["doctor", "--conf", conf])
        .output()
        .expect("the command runs");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).expect("text")
}

fn row(text: &str, backend: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.starts_with(backend));
    let line = line.unwrap_or_else(|| panic!("no row {backend} in {text}"));
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn says_what_is_active_here() {
    let off = doctor("safety:off");
    assert_eq!(row(&off, "checks")[1..5], ["yes"; 4]);
    assert_eq!(row(&off, "guard")[3..5], ["no", "no"]);
    assert_eq!(row(&off, "mte")[4], "no");
    assert!(off.contains("active in a trial process: safety:off, guard pages: none"));

    let on = doctor("safety:guard");
    assert_eq!(row(&on, "guard")[3..5], ["yes", "yes"]);
    // Both ways to make guards exist; which one this kernel has, it says.
    let installs = row(&on, "guard")[2] == "yes";
    let means = if installs { "install" } else { "protect" };
    assert!(
        on.contains(&format!("safety:guard, guard pages: {means}")),
        "{on}"
    );

    let forced = doctor("safety:guard,guard_pages:protect");
    assert!(forced.contains("guard pages: protect"), "{forced}");
    let without = doctor("safety:guard,guard_pages:off");
    assert_eq!(row(&without, "guard")[3..5], ["yes", "no"], "{without}");

    // Whether this machine ignores pointer bits: the library and the command say the same.
    let tags = doctor("safety:tags");
    let bits = row(&tags, "pointer bits");
    let can = bits[2] == "yes" && bits[3] == "yes";
    assert_eq!(
        bits[4..6],
        ["yes", if can { "yes" } else { "no" }],
        "{tags}"
    );
    assert_eq!(tags.contains("trial process: safety:tags"), can, "{tags}");

    // Of this test's own group the command says what the kernel says.
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let has = |what: &str| own.lines().any(|l| l.split(':').nth(1) == Some(what));
    let kind = match (has("memory"), has("")) {
        (true, _) => "cgroup v1",
        (false, true) => "cgroup v2",
        _ => "no memory controller",
    };
    let line = off.lines().find(|l| l.starts_with("this group's memory: "));
    assert!(line.is_some_and(|l| l.contains(kind)), "{kind}: {off}");
    let readable = std::path::Path::new("/proc/pressure/memory").exists();
    assert_eq!(off.contains("pressure figures: readable"), readable);
}
