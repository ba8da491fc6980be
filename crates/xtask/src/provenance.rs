//! Strict provenance: every pointer to memory of the allocator derives from what the kernel returned when it was mapped. Turning a number
//! into a pointer is allowed in two functions (`memory::fresh` for a new mapping, `space::pointer` for an address inside one); what
//! belongs to others (the loader's tables, a signal handler) is listed beside them. Anything else is a finding.

use crate::{Findings, findings, layers};

/// Ways to make a pointer of a number.
const WAYS: [&str; 3] = [
    "with_exposed_provenance",
    "usize as *",
    "ptr::from_exposed_addr",
];

/// File, how many such places it has, and why. Paths are below `crates`.
const ALLOWED: &[(&str, usize, &str)] = &[
    (
        "sys/src/memory.rs",
        1,
        "fresh: a mapping that the kernel just made",
    ),
    (
        "core/src/space/mod.rs",
        1,
        "pointer: an address inside a mapping",
    ),
    (
        "sys/src/signal.rs",
        1,
        "a handler's address, as the kernel keeps it",
    ),
    (
        "abi/src/deepbind/mod.rs",
        2,
        "a loaded library's own header",
    ),
    (
        "abi/src/deepbind/table.rs",
        5,
        "a loaded library's own tables",
    ),
];

/// Where objects are handed out: file, and how often a pointer is narrowed there (`space::narrow`, `space::object`): the seam of targets with
/// capabilities. One more or less is a finding: whoever adds a path has to narrow, and nobody can drop one unseen.
const NARROWED: &[(&str, usize)] = &[
    ("core/src/front/large.rs", 1),
    ("core/src/front/mod.rs", 1),
    ("core/src/front/spare.rs", 2),
    ("core/src/guard/fenced.rs", 1),
    ("core/src/guard/hardened/fast.rs", 1),
    ("core/src/guard/hardened/mod.rs", 1),
    ("core/src/guard/pointer_bits.rs", 1),
    ("core/src/guard/sampled.rs", 1),
    ("core/src/guard/tagged.rs", 1),
    ("core/src/thread/bins.rs", 1),
    ("core/src/thread/cold.rs", 3),
];

/// Crates that ship.
const CRATES: [&str; 5] = ["base", "sys", "core", "abi", "aethalloc"];

/// Checks every file of them.
pub fn check() -> Findings {
    let mut found = Vec::new();
    let root = crate::root().join("crates");
    for name in CRATES {
        let files = match layers::rust_files(&root.join(name).join("src")) {
            Ok(files) => files,
            Err(e) => {
                found.push(format!("{name}: {e}"));
                continue;
            }
        };
        for file in files {
            let path = file.strip_prefix(&root).unwrap_or(&file);
            let path = path.to_string_lossy().into_owned();
            match std::fs::read_to_string(&file) {
                Ok(text) => {
                    found.extend(judge(&path, &text));
                    found.extend(judge_narrowed(&path, &text));
                }
                Err(e) => found.push(format!("{path}: {e}")),
            }
        }
    }
    findings(found)
}

/// A finding about one file.
fn judge(path: &str, text: &str) -> Option<String> {
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    let places = code
        .filter(|line| WAYS.iter().any(|way| line.contains(way)))
        .count();
    let allowed = ALLOWED.iter().find(|(file, ..)| *file == path);
    let most = allowed.map_or(0, |(_, most, _)| *most);
    (places != most)
        .then(|| format!("{path}: {places} pointers made of numbers, {most} are allowed (crates/xtask/src/provenance.rs)"))
}

/// A finding about where one file hands out objects.
fn judge_narrowed(path: &str, text: &str) -> Option<String> {
    if path == "core/src/space/mod.rs" {
        return None;
    }
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    let places: usize = code
        .map(|line| line.matches("space::narrow(").count() + line.matches("space::object(").count())
        .sum();
    let expected = NARROWED.iter().find(|(file, _)| *file == path);
    let expected = expected.map_or(0, |(_, n)| *n);
    (places != expected)
        .then(|| format!("{path}: {places} pointers narrowed, {expected} expected (crates/xtask/src/provenance.rs)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_cast_is_a_finding() {
        let cast = "let p = core::ptr::with_exposed_provenance_mut(a);\n";
        assert!(judge("core/src/front/small.rs", cast).is_some());
        assert!(
            judge(
                "core/src/front/small.rs",
                "let p = (a as usize as *mut u8);\n"
            )
            .is_some()
        );
        assert_eq!(judge("core/src/space/mod.rs", cast), None);
        assert!(judge("core/src/space/mod.rs", &cast.repeat(2)).is_some());
        assert_eq!(
            judge("core/src/front/small.rs", "// as with_exposed_provenance\n"),
            None
        );
    }

    #[test]
    fn a_path_that_does_not_narrow_is_a_finding() {
        let narrows = "space::narrow(p, size)\n";
        assert_eq!(judge_narrowed("core/src/front/large.rs", narrows), None);
        assert!(judge_narrowed("core/src/front/large.rs", "p\n").is_some());
        assert!(judge_narrowed("core/src/front/fast.rs", narrows).is_some());
    }

    #[test]
    fn there_is_none_now() {
        assert_eq!(check(), Ok(()));
    }
}
