//! The layering of the crates and, inside `core`, of the folders: nothing uses what is above it.

use crate::{Findings, findings, metadata};
use proc_macro2::{TokenStream, TokenTree};
use std::path::{Path, PathBuf};

/// Layers of `crates/core/src`, lowest first; the modules of one line may use each other.
/// Modules not named here (shims, constants) may be used by all and may use only each other.
const LAYERS: &[&[&str]] = &[
    &["space"],
    &["pages"],
    &["span"],
    &["guard"],
    &["thread"],
    &["front", "support"],
    &["life", "stats", "heaps", "inspect"],
];

/// What each shipped crate may depend on inside the workspace. Crates not named here build or test
/// the others and may use anything.
const CRATES: &[(&str, &[&str])] = &[
    ("aethalloc-base", &[]),
    ("aethalloc-sys", &["aethalloc-base"]),
    ("aethalloc-core", &["aethalloc-base", "aethalloc-sys"]),
    (
        "aethalloc-abi",
        &["aethalloc-base", "aethalloc-sys", "aethalloc-core"],
    ),
    (
        "aethalloc",
        &["aethalloc-base", "aethalloc-sys", "aethalloc-core"],
    ),
];

/// Crates that must never link the allocator itself.
const OUTSIDE: &[&str] = &["aethalloc-cli", "aethalloc-view"];

/// Checks crates and folders; every exception is one line.
pub fn check() -> Findings {
    let mut found = Vec::new();
    crates(&mut found);
    let source = crate::root().join("crates/core/src");
    match rust_files(&source) {
        Ok(files) if files.is_empty() => found.push(format!("{}: empty", source.display())),
        Ok(files) => {
            for file in files {
                folder_uses(&source, &file, &mut found);
            }
        }
        Err(e) => found.push(format!("{}: {e}", source.display())),
    }
    findings(found)
}

fn crates(found: &mut Vec<String>) {
    let metadata = match metadata::load() {
        Ok(metadata) => metadata,
        Err(e) => return found.push(e),
    };
    for (name, _) in CRATES {
        if !metadata.packages.iter().any(|p| p.name == *name) {
            found.push(format!("{name}: no such crate"));
        }
    }
    for package in metadata.packages.iter().filter(|p| p.is_member()) {
        let allowed = CRATES.iter().find(|(name, _)| *name == package.name);
        for dependency in &package.dependencies {
            let ours = CRATES.iter().any(|(name, _)| *name == dependency.name);
            if !ours || dependency.kind.as_deref() == Some("dev") {
                continue;
            }
            let wrong = match allowed {
                Some((_, below)) => !below.contains(&dependency.name.as_str()),
                None => {
                    OUTSIDE.contains(&package.name.as_str())
                        && !["aethalloc-base", "aethalloc-sys"].contains(&dependency.name.as_str())
                }
            };
            if wrong {
                found.push(format!("crates: {} uses {}", package.name, dependency.name));
            }
        }
    }
}

/// The Rust sources in a folder and below it.
pub fn rust_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Adds a line for each use of an upper layer in `file`.
fn folder_uses(source: &Path, file: &Path, found: &mut Vec<String>) {
    let relative = file.strip_prefix(source).unwrap_or(file);
    let shown = relative.display();
    let Some(own) = module(relative) else {
        return; // lib.rs puts the layers together.
    };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) => return found.push(format!("{shown}: {e}")),
    };
    let tokens: TokenStream = match text.parse() {
        Ok(tokens) => tokens,
        Err(e) => return found.push(format!("{shown}: {e}")),
    };
    let depth = relative.components().count() - usize::from(relative.ends_with("mod.rs"));
    let mut uses = Vec::new();
    walk(tokens, depth, &mut uses);
    for (line, used) in uses {
        if used != own && upper(&own, &used) {
            found.push(format!("core/src/{shown}:{line}: {own} uses {used}"));
        }
    }
}

/// The module directly under the crate root that a file belongs to.
fn module(relative: &Path) -> Option<String> {
    let first = relative.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib").then(|| name.to_owned())
}

/// Whether `own` must not use `used`.
fn upper(own: &str, used: &str) -> bool {
    let rank = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    match (rank(own), rank(used)) {
        (Some(own), Some(used)) => used > own,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

/// Collects the root modules that a file names: `crate::x`, `crate::{x, y::z}`, and `super::` chains that
/// leave the `depth` modules of the file. Inline `#[cfg(test)]` modules may use everything.
fn walk(tokens: TokenStream, depth: usize, uses: &mut Vec<(usize, String)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_module(&tokens[at..]) {
            at += 2;
            while !matches!(&tokens.get(at), None | Some(TokenTree::Group(_))) {
                at += 1;
            }
            at += 1;
            continue;
        }
        match &tokens[at] {
            TokenTree::Group(group) => {
                // An inline module adds a level; block bodies do not, and `super` in them is the file's.
                let inner = at >= 2 && ident(&tokens[at - 2]) == Some("mod".into());
                walk(group.stream(), depth + usize::from(inner), uses);
            }
            TokenTree::Ident(name) if name == "crate" => root_names(&tokens[at + 1..], uses),
            TokenTree::Ident(name) if name == "super" && !follows_path(&tokens[..at]) => {
                let mut level = 1;
                let mut rest = at + 1;
                while separator(&tokens[rest..])
                    && tokens.get(rest + 2).and_then(ident).as_deref() == Some("super")
                {
                    level += 1;
                    rest += 3;
                }
                if level >= depth {
                    root_names(&tokens[rest..], uses);
                }
                at = rest;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// The names after `::` that follow the crate root.
fn root_names(after: &[TokenTree], uses: &mut Vec<(usize, String)>) {
    if !separator(after) {
        return;
    }
    match after.get(2) {
        Some(TokenTree::Ident(name)) => {
            uses.push((name.span().start().line, name.to_string()));
        }
        Some(TokenTree::Group(group)) => {
            let mut first = true;
            for token in group.stream() {
                match &token {
                    TokenTree::Ident(name) if first => {
                        uses.push((name.span().start().line, name.to_string()));
                        first = false;
                    }
                    TokenTree::Punct(punct) if punct.as_char() == ',' => first = true,
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn ident(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(name) => Some(name.to_string()),
        _ => None,
    }
}

fn separator(tokens: &[TokenTree]) -> bool {
    let colon =
        |t: Option<&TokenTree>| matches!(t, Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(tokens.first()) && colon(tokens.get(1))
}

fn follows_path(before: &[TokenTree]) -> bool {
    before.len() >= 2 && separator(&before[before.len() - 2..])
}

/// `#[cfg(test)]` or `#[cfg(all(test, ..))]`, as two tokens `#` and `[..]`.
fn is_test_module(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(body), ..] = tokens else {
        return false;
    };
    let text = body.stream().to_string().replace(' ', "");
    hash.as_char() == '#' && (text == "cfg(test)" || text.starts_with("cfg(all(test,"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(text: &str, depth: usize) -> Vec<String> {
        let mut found = Vec::new();
        walk(text.parse().expect("tokens"), depth, &mut found);
        found.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn finds_root_paths() {
        assert_eq!(uses("use crate::span::Slab;", 2), ["span"]);
        assert_eq!(
            uses("use crate::{front, pages::{Run, Kind}};", 2),
            ["front", "pages"]
        );
        assert_eq!(uses("fn f() { crate::life::start(); }", 2), ["life"]);
        assert_eq!(uses("// crate::life\nfn f() {}", 2), [""; 0]);
    }

    #[test]
    fn follows_super_to_the_root() {
        assert_eq!(uses("use super::super::front::x;", 2), ["front"]);
        assert_eq!(uses("use super::sibling;", 2), [""; 0]);
        assert_eq!(uses("use super::front;", 1), ["front"]);
        assert_eq!(uses("mod inner { use super::sibling; }", 1), [""; 0]);
    }

    #[test]
    fn test_modules_are_free() {
        let text = "#[cfg(test)] mod tests { use crate::front; } use crate::span::D;";
        assert_eq!(uses(text, 2), ["span"]);
    }

    #[test]
    fn order() {
        assert!(upper("span", "front"));
        assert!(upper("sync", "span"), "a shim uses no layer");
        assert!(!upper("front", "span"));
        assert!(!upper("stats", "heaps"), "one line, one level");
        assert!(!upper("span", "sync"));
    }
}
