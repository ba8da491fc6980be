//! A rule of the allocator's structures that does not hold: what the checks of `inspect`, and of the parts that it
//! asks, return. Checks read only, never panic and never allocate.

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken {
    /// The rule, in words.
    pub rule: &'static str,
    /// Where: a region, unit, class, owner id or address, as the rule says.
    pub at: usize,
    /// What was found.
    pub found: usize,
    /// What should be there.
    pub wanted: usize,
}

/// The result of a check.
pub type Checked = Result<(), Broken>;

/// `found` must equal `wanted`.
pub const fn equal(rule: &'static str, at: usize, found: usize, wanted: usize) -> Checked {
    if found == wanted {
        Ok(())
    } else {
        Err(Broken {
            rule,
            at,
            found,
            wanted,
        })
    }
}

/// `condition` must be true.
pub const fn holds(rule: &'static str, at: usize, condition: bool) -> Checked {
    equal(rule, at, condition as usize, 1)
}
