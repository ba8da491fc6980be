//! The values of the options that turn safety modes on.

/// Values of option `safety`, in the order of [`Profile`].
pub const PROFILES: [&str; 5] = ["off", "guard", "hardened", "mte", "tags"];

/// Values of option `mte_mode`.
pub const MTE_MODES: [&str; 3] = ["sync", "asymm", "async"];

/// Values of option `guard_pages`, in the order of [`GuardPages`].
pub const GUARD_PAGES: [&str; 3] = ["auto", "protect", "off"];

/// What option `safety` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Profile {
    /// The default checks only.
    Off = 0,
    /// Guard pages behind sampled and large objects.
    Guard = 1,
    /// Every object checked.
    Hardened = 2,
    /// Every object tagged, each access checked by the CPU.
    Mte = 3,
    /// Every pointer tagged, and compared when it comes back.
    Tags = 4,
}

impl Profile {
    /// The profile with this position in [`PROFILES`].
    pub const fn of(value: usize) -> Profile {
        match value {
            1 => Profile::Guard,
            2 => Profile::Hardened,
            3 => Profile::Mte,
            4 => Profile::Tags,
            _ => Profile::Off,
        }
    }
}

/// What option `guard_pages` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum GuardPages {
    /// The kernel's guard regions if it has them, else pages without access.
    Auto = 0,
    /// Pages without access.
    Protect = 1,
    /// None.
    Off = 2,
}

impl GuardPages {
    /// The choice with this position in [`GUARD_PAGES`].
    pub const fn of(value: usize) -> GuardPages {
        match value {
            1 => GuardPages::Protect,
            2 => GuardPages::Off,
            _ => GuardPages::Auto,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_options_are_the_profiles() {
        for (i, name) in PROFILES.iter().enumerate() {
            assert_eq!(Profile::of(i) as usize, i, "{name}");
        }
        for (i, name) in GUARD_PAGES.iter().enumerate() {
            assert_eq!(GuardPages::of(i) as usize, i, "{name}");
        }
    }
}
