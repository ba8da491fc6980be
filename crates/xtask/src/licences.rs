//! Licences and minimum Rust versions: ours are stated, those we depend on are compatible.

use crate::{Findings, findings, metadata};

const OURS: &str = "MIT OR Apache-2.0";

/// Licences whose terms a binary under ours can meet by naming them.
const COMPATIBLE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Checks both; every crate that fails is one line.
pub fn check() -> Findings {
    let mut found = Vec::new();
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let text = std::fs::read_to_string(crate::root().join(file)).unwrap_or_default();
        if text.len() < 1000 {
            found.push(format!("{file}: missing or not a licence text"));
        }
    }
    let metadata = metadata::load().map_err(|e| vec![e])?;
    let minimum = metadata
        .packages
        .iter()
        .filter(|p| p.is_member())
        .find_map(|p| p.rust_version.as_deref());
    let Some(minimum) = minimum.map(version) else {
        return Err(vec!["no crate states a rust-version".into()]);
    };
    for package in &metadata.packages {
        let name = &package.name;
        let licence = package.license.as_deref().unwrap_or("none");
        let stated = package.rust_version.as_deref().map(version);
        if package.is_member() {
            if licence != OURS {
                found.push(format!("{name}: licence is {licence}, not {OURS}"));
            }
            if stated != Some(minimum) {
                found.push(format!("{name}: rust-version is not the workspace's"));
            }
        } else {
            if !allowed(licence) {
                found.push(format!("{name}: licence {licence} is not on the list"));
            }
            if stated.is_some_and(|v| v > minimum) {
                found.push(format!("{name}: needs a newer Rust than our rust-version"));
            }
        }
    }
    findings(found)
}

/// Whether an SPDX expression offers a choice of which every part is on the list.
fn allowed(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    // Parentheses only ever group choices in the crates of this graph: `(A OR B) AND C` must have C and
    // one of A, B on the list, which is what splitting by AND first asks for.
    if expression.contains('(') {
        return flat.split(" AND ").all(choice);
    }
    flat.split(" OR ").any(|c| c.split(" AND ").all(listed))
}

fn choice(expression: &str) -> bool {
    expression.split(" OR ").any(listed)
}

fn listed(licence: &str) -> bool {
    COMPATIBLE.contains(&licence.trim())
}

/// `1.88.0` as numbers; a part that is not a number counts as zero.
fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|p| p.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "MIT AND BSD-3-Clause",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in [
            "none",
            "GPL-3.0-only",
            "MIT AND GPL-2.0-only",
            "(MIT OR Apache-2.0) AND MPL-2.0",
        ] {
            assert!(!allowed(bad), "{bad}");
        }
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("1.9") < version("1.88"));
        assert_eq!(version("1.88"), version("1.88.0"));
    }
}
