//! Target `options`: kept inputs and random ones. One target a process, because it owns the allocator's state.

#[test]
fn kept_and_random_inputs() {
    aethalloc_fuzz::corpus::replay_and_explore(aethalloc_fuzz::options::TARGET);
}
