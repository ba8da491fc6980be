//! Running a model, and running it with one ordering weakened.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// `load`.
    Load,
    /// `store`.
    Store,
    /// A compare-and-swap that succeeds, or any other read-modify-write.
    Update,
    /// `fence`.
    Fence,
}

/// One change of the production source.
#[derive(Clone, Debug)]
pub struct Fault {
    file: &'static str,
    lines: Range<u32>,
    op: Op,
    from: Ordering,
}

impl Fault {
    /// In `function` of `source` (the text of a file whose path ends in `file`), operations `op` of ordering `from`
    /// become Relaxed (a fence: nothing).
    pub fn weaken(
        file: &'static str,
        source: &str,
        function: &str,
        op: Op,
        from: Ordering,
    ) -> Fault {
        Fault {
            file,
            lines: lines_of(source, function),
            op,
            from,
        }
    }
}

/// The lines of `fn function`: from its head to the closing brace of the same depth.
fn lines_of(source: &str, function: &str) -> Range<u32> {
    let heads = [format!("fn {function}("), format!("fn {function}<")];
    let mut lines = source.lines().enumerate();
    let (first, line) = lines
        .find(|(_, l)| heads.iter().any(|head| l.contains(head)))
        .unwrap_or_else(|| panic!("no function {function} in the source"));
    let indent = &line[..line.len() - line.trim_start().len()];
    let (last, _) = lines
        .find(|(_, l)| *l == format!("{indent}}}"))
        .expect("a function ends");
    first as u32 + 1..last as u32 + 2
}

thread_local! {
    static FAULT: RefCell<Option<Fault>> = const { RefCell::new(None) };
    static HITS: Cell<u64> = const { Cell::new(0) };
    static EXECUTION: Cell<u64> = const { Cell::new(0) };
}

fn matches(op: Op, at: &Location<'_>) -> Option<Fault> {
    FAULT
        .with_borrow(|f| f.clone())
        .filter(|f| f.op == op && at.file().ends_with(f.file) && f.lines.contains(&at.line()))
}

/// The ordering that the operation at `at` really gets.
pub fn ordering(op: Op, wanted: Ordering, at: &Location<'_>) -> Ordering {
    match matches(op, at) {
        Some(f) if f.from == wanted => {
            HITS.set(HITS.get() + 1);
            Ordering::Relaxed
        }
        _ => wanted,
    }
}

/// Number of the execution that runs on this thread: statics begin anew in each.
pub fn execution() -> u64 {
    EXECUTION.get()
}

/// One model at a time: production statics are shared by all of them.
static TURN: Mutex<()> = Mutex::new(());
static EXECUTIONS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

fn explore(bound: Option<usize>, model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 10_000;
    builder.check(move || {
        EXECUTION.set(EXECUTIONS.fetch_add(1, Ordering::Relaxed) + 1);
        model();
    });
}

/// The model holds in every execution (with at most `bound` preemptions, if there is a bound).
pub fn holds(bound: Option<usize>, model: fn()) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    explore(bound, model);
}

/// The model breaks in some execution once the source has `fault`.
pub fn breaks(bound: Option<usize>, fault: Fault, model: fn()) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let text = format!("{fault:?}");
    FAULT.set(Some(fault));
    HITS.set(0);
    let broke = catch_unwind(AssertUnwindSafe(|| explore(bound, model))).is_err();
    FAULT.set(None);
    assert!(
        HITS.get() > 0,
        "the source has no such operation any more: {text}"
    );
    assert!(broke, "loom found nothing wrong with {text}");
}
