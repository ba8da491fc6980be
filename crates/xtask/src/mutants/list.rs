//! The bugs, by target. A text that is not found any more is an error: then the bug is to be planted anew.

use super::Mutant;

/// All of them, those of one target together.
pub const ALL: &[Mutant] = &[
    Mutant {
        target: "options",
        what: "numbers above the range are taken",
        file: "base/src/options.rs",
        find: "(d.range.0 <= v && v <= d.range.1).then_some(v)",
        replace: "(d.range.0 <= v).then_some(v)",
    },
    Mutant {
        target: "options",
        what: "a path behind another option lies a byte off",
        file: "base/src/options.rs",
        find: "start += piece.len() + 1;",
        replace: "start += piece.len();",
    },
    Mutant {
        target: "options",
        what: "a number that overflows wraps",
        file: "base/src/options.rs",
        find: "v.checked_mul(1 << shift)",
        replace: "Some(v.wrapping_mul(1 << shift))",
    },
    Mutant {
        target: "pages",
        what: "units that are taken stay dirty",
        file: "core/src/pages/region.rs",
        find: "let new = (now | bits as u64) & !((bits as u64) << 32);",
        replace: "let new = now | bits as u64;",
    },
    Mutant {
        target: "pages",
        what: "units that come back are not counted as dirty",
        file: "core/src/pages/heap.rs",
        find: "DIRTY.fetch_add(units, Relaxed);",
        replace: "DIRTY.fetch_add(units / 2 * 2, Relaxed);",
    },
    Mutant {
        target: "pages",
        what: "a run grows into a unit that it does not take",
        file: "core/src/pages/heap.rs",
        find: "match self.use_bits(r, bits) {",
        replace: "match self.use_bits(r, bits & !1) {",
    },
    Mutant {
        target: "regions",
        what: "the emptiest region is cut instead of the fullest",
        file: "core/src/pages/heap.rs",
        find: "self.bin_head(fits.trailing_zeros() as usize) as usize - 1;",
        replace: "self.bin_head(63 - fits.leading_zeros() as usize) as usize - 1;",
    },
    Mutant {
        target: "regions",
        what: "the newest dirty region is purged first",
        file: "core/src/pages/heap.rs",
        find: "let r = self.dirty_tail as usize - 1;",
        replace: "let r = self.dirty_head as usize - 1;",
    },
    Mutant {
        target: "front",
        what: "calloc trusts that used pages are zero",
        file: "core/src/front/large.rs",
        find: "if zeroed && !run.clean {",
        replace: "if zeroed && !run.clean && bytes < UNIT {",
    },
    Mutant {
        target: "front",
        what: "realloc leaves the last word behind",
        file: "core/src/front/fast.rs",
        find: "copy(ptr, new, old.min(size))",
        replace: "copy(ptr, new, old.min(size).saturating_sub(8))",
    },
    Mutant {
        target: "front",
        what: "a request at an alignment takes any class",
        file: "core/src/front/mod.rs",
        find: "            class::aligned(size, align)\n",
        replace: "            class::aligned(size, 16)\n",
    },
    Mutant {
        target: "front",
        what: "the unit that an alignment skips is lost",
        file: "core/src/front/large.rs",
        find: "pages::give(head);",
        replace: "core::mem::forget(head);",
    },
    Mutant {
        target: "front",
        what: "a thread that ends forgets what it stashed",
        file: "core/src/thread/exit.rs",
        find: "cold::unstash(cache, c);",
        replace: "let _ = (&mut *cache, c, cold::unstash as fn(&mut Cache, usize));",
    },
    Mutant {
        target: "front",
        what: "pages that objects lie in still count as empty",
        file: "core/src/span/slab.rs",
        find: "clean.store(clean.load(Relaxed) & !fresh, Relaxed);",
        replace: "clean.store(clean.load(Relaxed) & !(fresh & !4), Relaxed);",
    },
    Mutant {
        target: "front",
        what: "a stashed block is handed out and still says reserved",
        file: "core/src/thread/cold.rs",
        find: "state.store(OUT, Relaxed);",
        replace: "let _ = (state, OUT);",
    },
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_bug_can_be_planted() {
        let crates = crate::root().join("crates");
        for mutant in super::ALL {
            let text = std::fs::read_to_string(crates.join(mutant.file)).unwrap_or_default();
            let n = text.matches(mutant.find).count();
            assert_eq!(n, 1, "{}: {} times in {}", mutant.what, n, mutant.file);
        }
    }
}
