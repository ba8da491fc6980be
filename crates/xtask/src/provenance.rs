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
                Ok(text) => found.extend(judge(&path, &text)),
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
    fn there_is_none_now() {
        assert_eq!(check(), Ok(()));
    }
}
