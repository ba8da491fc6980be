//! `safety:mte` in a Rust program: an access outside a box or after its end ends the process. aarch64 with memory tagging only; the test starts itself
//! again, because a fault ends it.
#![cfg(target_arch = "aarch64")]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

#[global_allocator]
static ALLOCATOR: aethalloc::Aethalloc = aethalloc::Aethalloc;

const ROLE: &str = "AETHALLOC_TEST_MTE";

fn misuse(kind: &str) {
    for size in [1usize, 100, 5000, 100_000] {
        let bytes = vec![1u8; size].into_boxed_slice();
        assert_eq!(bytes.iter().map(|b| *b as usize).sum::<usize>(), size);
        let p = Box::into_raw(bytes).cast::<u8>();
        // SAFETY: the box ends here; accesses outside it are what is tested.
        unsafe {
            let end = size.next_multiple_of(16);
            if kind == format!("overflow {size}") {
                p.wrapping_add(end).read_volatile();
            } else if kind == format!("underflow {size}") {
                p.wrapping_sub(1).write_volatile(2);
            }
            drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(p, size)));
            if kind == format!("after {size}") {
                p.read_volatile();
            }
        }
    }
}

fn child(kind: &str) -> Output {
    let me = std::env::current_exe().expect("this program");
    let emulator = std::env::var("AETHALLOC_EMULATOR").unwrap_or_default();
    let words = emulator.split_whitespace().map(std::ffi::OsString::from);
    let mut words = words.chain([me.into_os_string()]);
    let mut command = Command::new(words.next().expect("a program"));
    command
        .args(words)
        .args(["boxes_have_tags", "--nocapture"])
        .env(ROLE, kind)
        .env("AETHALLOC_CONF", "reserve:4g,safety:mte,safety_summary:on")
        .output()
        .expect("the child starts")
}

#[test]
fn boxes_have_tags() {
    if let Ok(kind) = std::env::var(ROLE) {
        return misuse(&kind);
    }
    let well = child("nothing");
    let text = String::from_utf8_lossy(&well.stderr).into_owned();
    assert!(well.status.success(), "{text}");
    if text.contains("safety:mte is not active: ") {
        return; // A CPU without tags: the line is what is to be seen.
    }
    let tagged = text
        .split("safety:mte: ")
        .nth(1)
        .and_then(|t| t.split(' ').next())
        .and_then(|n| n.parse::<u64>().ok());
    assert!(tagged.is_some_and(|n| n > 0), "{text}");
    for size in [1, 100, 5000, 100_000] {
        for kind in ["overflow", "underflow", "after"] {
            let out = child(&format!("{kind} {size}"));
            assert_eq!(out.status.signal(), Some(11), "{kind} {size}: {out:?}");
        }
    }
}
