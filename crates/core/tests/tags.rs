//! `safety:tags` on any machine: tags are given and compared as on a CPU that ignores pointer bits; the test takes them off before it uses
//! a pointer. The test runs itself, because misuse ends a process.

mod common;

use aethalloc_base::tags::{LAM, TURNS};
use aethalloc_core::guard::{self, pointer_bits};
use aethalloc_core::{front, stats};
use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::Ordering::Relaxed;

const ROLE: &str = "AETHALLOC_TEST_TAGS";
/// Small ones of many classes, and large ones.
const SIZES: [usize; 9] = [0, 1, 16, 100, 1000, 5000, 32_000, 100_000, 3 << 20];

fn start() {
    pointer_bits::pretend();
    common::start_with("safety:tags");
    assert!(guard::is_tagging_pointers());
}

fn tag(p: *mut u8) -> usize {
    LAM.of(p.addr())
}

fn bare(p: *mut u8) -> *mut u8 {
    p.map_addr(|a| LAM.strip(a))
}

/// Objects are right; tags differ from the neighbours', and none comes back to a block within 31 frees.
fn well() {
    start();
    let mut random = common::Random::new(common::seed(), 0);
    // Of each address: how often a block there was freed, and at which number of frees each tag was seen.
    let mut frees: HashMap<usize, usize> = HashMap::new();
    let mut seen: HashMap<(usize, usize), usize> = HashMap::new();
    let mut live: Vec<(*mut u8, usize)> = Vec::new();
    let mut again = 0;
    // One size, so that no slab ends and is cut anew: half of the objects stay.
    let kept: Vec<*mut u8> = (0..2000).map(|_| front::allocate(48)).collect();
    for step in 0..60_000 {
        if live.len() < 200 && !random.once_in(3) {
            let p = front::allocate(48);
            let at = bare(p).addr();
            assert!(tag(p) != 0 && tag(p) < TURNS, "{p:p}");
            // SAFETY: an object of the test's.
            unsafe { bare(p).write_bytes(step as u8, 48) };
            let now = frees.get(&at).copied().unwrap_or(0);
            if let Some(before) = seen.insert((at, tag(p)), now) {
                assert!(now - before >= 31, "tag {} after {}", tag(p), now - before);
                again += 1;
            }
            live.push((p, step));
        } else if !live.is_empty() {
            let (p, made) = live.swap_remove(random.below(live.len()));
            *frees.entry(bare(p).addr()).or_insert(0) += 1;
            // SAFETY: an object of the test's; it ends here.
            unsafe {
                assert_eq!(bare(p).add(47).read(), made as u8);
                front::deallocate(p);
            }
        }
    }
    assert!(again > 0, "no tag came again");
    let at: HashMap<usize, usize> = kept.iter().map(|p| (bare(*p).addr(), tag(*p))).collect();
    let pairs = at
        .iter()
        .filter_map(|(a, tag)| Some((tag, at.get(&(a + 48))?)));
    let pairs: Vec<_> = pairs.collect();
    assert!(pairs.len() > 100, "{} neighbours", pairs.len());
    assert!(pairs.iter().all(|(a, b)| a != b), "neighbours with one tag");
    for p in kept.into_iter().chain(live.into_iter().map(|(p, _)| p)) {
        // SAFETY: an object of the test's.
        unsafe { front::deallocate(p) };
    }
    resizes(&mut random);
    assert!(guard::COUNTS.tagged.load(Relaxed) > 20_000);
    let s = stats::snapshot();
    assert!(
        s.allocations > 20_000 && s.allocations == s.deallocations,
        "{s:?}"
    );
}

/// Objects of all sizes are resized; what they hold stays.
fn resizes(random: &mut common::Random) {
    for size in SIZES {
        let p = front::allocate(size);
        let (mut p, mut size) = (p, size.max(1));
        // SAFETY: the test's object.
        unsafe {
            bare(p).write(7);
            for _ in 0..20 {
                assert!(front::usable_size(p) >= size && tag(p) != 0);
                size = 1 + random.below(size * 2);
                p = front::reallocate(p, size);
                assert_eq!(bare(p).read(), 7);
            }
            front::deallocate(p);
        }
    }
}

/// One misuse: `verb kind size`.
fn misuse(words: &str) {
    start();
    let words: Vec<&str> = words.split(' ').collect();
    let size: usize = words[2].parse().expect("a size");
    let p = front::allocate(size);
    let other = p.map_addr(|a| LAM.with(a, tag(p) ^ 2));
    let bad = match words[1] {
        "freed" => p,
        "stripped" => bare(p),
        _ => other,
    };
    // SAFETY: what is caught before it does harm.
    unsafe {
        if words[1] == "freed" {
            front::deallocate(p);
        }
        match words[0] {
            "free" => front::deallocate(bad),
            "sized" => front::deallocate_sized(bad, size),
            "realloc" => drop(front::reallocate(bad, size + 100)),
            _ => drop(front::usable_size(bad)),
        }
    }
}

#[test]
fn tags_are_given_and_compared() {
    match std::env::var(ROLE) {
        Err(_) => {}
        Ok(role) if role == "well" => return well(),
        Ok(role) => return misuse(&role),
    }
    let run = |role: &str| {
        let mut command = common::this_program();
        command.args(["--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).output().expect("it runs")
    };
    let out = run("well");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{text}");
    for verb in ["free", "sized", "realloc", "size"] {
        for kind in ["freed", "stripped", "forged"] {
            for size in SIZES {
                let role = format!("{verb} {kind} {size}");
                let out = run(&role);
                let text = String::from_utf8_lossy(&out.stderr);
                let line = match verb {
                    "free" | "sized" => "aethalloc: double free of 0x",
                    "realloc" => "aethalloc: invalid realloc of freed 0x",
                    _ => "aethalloc: invalid malloc_usable_size of freed 0x",
                };
                assert!(
                    out.status.signal() == Some(6) && text.contains(line),
                    "{role}: {:?} {text}",
                    out.status
                );
            }
        }
    }
}
