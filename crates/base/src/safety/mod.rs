//! The safety backends: what each enforces, and the three answers about each on a machine.
//!
//! "The CPU can", "the kernel has enabled it" and "the configuration wants it" are separate questions; only together
//! they make a backend active. The library and `aethalloc doctor` decide by this file, from facts that each reads for itself.

mod profile;

pub use profile::{GUARD_PAGES, GuardPages, MTE_MODES, PROFILES, Profile};

/// A means of enforcement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// Double, interior and foreign frees: always on.
    Checks,
    /// Pages that fault.
    Guard,
    /// Canaries, zeroed and delayed reuse: software, at every object.
    Hardened,
    /// Arm memory tagging.
    Mte,
    /// x86 protection keys on the allocator's own data.
    Pkey,
    /// Tags in pointer bits that the CPU ignores (LAM, UAI, TBI).
    PointerBits,
    /// CHERI capabilities.
    Bounds,
}

/// All of them, in the order in which they are shown.
pub const BACKENDS: [Backend; 7] = [
    Backend::Checks,
    Backend::Guard,
    Backend::Hardened,
    Backend::Mte,
    Backend::Pkey,
    Backend::PointerBits,
    Backend::Bounds,
];

impl Backend {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Checks => "checks",
            Backend::Guard => "guard",
            Backend::Hardened => "hardened",
            Backend::Mte => "mte",
            Backend::Pkey => "pkey",
            Backend::PointerBits => "pointer bits",
            Backend::Bounds => "bounds",
        }
    }

    /// What it really enforces, in a line.
    pub const fn enforces(self) -> &'static str {
        match self {
            Backend::Checks => "double, interior and foreign frees end the process",
            Backend::Guard => {
                "accesses behind large and around sampled objects fault, and after the free of sampled ones"
            }
            Backend::Hardened => {
                "writes behind objects and after free are found at free, reuse or exit; sizes and foreign frees are checked"
            }
            Backend::Mte => "accesses outside an object's granules, or after its free, fault",
            Backend::Pkey => "stray writes into the allocator's descriptors fault",
            Backend::PointerBits => {
                "stale and forged pointers are caught when they come back; no access is checked"
            }
            Backend::Bounds => "a capability covers its object and nothing else",
        }
    }
}

/// The answer of a kernel that was asked for a feature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// It does it.
    Works,
    /// It refused with this error number.
    Refused(i32),
    /// Nobody asked: there is no such interface on this architecture.
    None,
}

/// What was found out about a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Guard regions (`MADV_GUARD_INSTALL`).
    pub guard_install: Asked,
    /// The CPU has MTE.
    pub mte: bool,
    /// `PR_GET_TAGGED_ADDR_CTRL`.
    pub mte_control: Asked,
    /// The CPU has protection keys.
    pub pku: bool,
    /// `pkey_alloc`.
    pub pkey: Asked,
    /// The CPU has LAM.
    pub lam: bool,
    /// Pointer bits that the kernel lets LAM ignore (`ARCH_GET_MAX_TAG_BITS`).
    pub lam_bits: Asked,
    /// The CPU has UAI.
    pub uai: bool,
    /// The CPU ignores the top byte of a pointer: every aarch64 CPU. What the kernel says of it is `mte_control`.
    pub tbi: bool,
}

/// x86 LAM: CPUID leaf 7, subleaf 1, EAX bit 26.
pub const fn has_lam(leaf7_1_eax: u32) -> bool {
    leaf7_1_eax >> 26 & 1 == 1
}

/// AMD UAI: CPUID leaf 0x8000_0021, EAX bit 7.
pub const fn has_uai(leaf8000_0021_eax: u32) -> bool {
    leaf8000_0021_eax >> 7 & 1 == 1
}

/// x86 protection keys: CPUID leaf 7, subleaf 0, ECX bit 3.
pub const fn has_pku(leaf7_0_ecx: u32) -> bool {
    leaf7_0_ecx >> 3 & 1 == 1
}

/// Arm MTE: `HWCAP2_MTE`, bit 18 of AT_HWCAP2.
pub const fn has_mte(hwcap2: usize) -> bool {
    hwcap2 >> 18 & 1 == 1
}

/// The three answers about a backend, and what follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The CPU can.
    pub cpu: bool,
    /// The kernel has enabled it.
    pub kernel: bool,
    /// The configuration wants it.
    pub wanted: bool,
    /// It does its work.
    pub active: bool,
    /// Why, or why not.
    pub reason: &'static str,
}

/// Why memory tagging cannot be used; `None` if it can.
pub const fn mte_missing(facts: &Facts) -> Option<&'static str> {
    if !facts.mte {
        Some("the CPU has no memory tagging")
    } else if !matches!(facts.mte_control, Asked::Works) {
        Some("the kernel has no memory tagging (Linux 5.10, CONFIG_ARM64_MTE)")
    } else {
        None
    }
}

/// Why tags in ignored pointer bits cannot be used; `None` if they can.
pub const fn tags_missing(facts: &Facts) -> Option<&'static str> {
    if facts.tbi {
        return match facts.mte_control {
            Asked::Works => None,
            _ => Some("the kernel takes no tagged addresses (Linux 5.4)"),
        };
    }
    if facts.lam {
        return match facts.lam_bits {
            Asked::Works => None,
            _ => Some(
                "the CPU has LAM, but the kernel has it off (Linux 6.4, CONFIG_ADDRESS_MASKING)",
            ),
        };
    }
    Some(if facts.uai {
        "the CPU has UAI, but Linux has no interface for it"
    } else {
        "the CPU ignores no pointer bits (LAM, UAI)"
    })
}

/// The verdict on `backend`.
pub const fn verdict(
    backend: Backend,
    facts: &Facts,
    profile: Profile,
    pages: GuardPages,
) -> Verdict {
    match backend {
        Backend::Checks => Verdict {
            cpu: true,
            kernel: true,
            wanted: true,
            active: true,
            reason: "in every profile; needs nothing",
        },
        Backend::Guard => {
            let wanted = matches!(profile, Profile::Guard | Profile::Hardened);
            let active = wanted && !matches!(pages, GuardPages::Off);
            let kernel = matches!(facts.guard_install, Asked::Works);
            Verdict {
                cpu: true,
                kernel,
                wanted,
                active,
                reason: match (active, kernel, pages) {
                    (true, true, GuardPages::Auto) => "by MADV_GUARD_INSTALL",
                    (true, false, GuardPages::Auto) => {
                        "by pages without access: the kernel has no MADV_GUARD_INSTALL (Linux 6.13)"
                    }
                    (true, ..) => "by pages without access, as guard_pages:protect asks",
                    (false, ..) if wanted => "guard_pages:off",
                    _ => "safety:guard or safety:hardened turns it on",
                },
            }
        }
        Backend::Hardened => {
            let wanted = matches!(profile, Profile::Hardened);
            Verdict {
                cpu: true,
                kernel: true,
                wanted,
                active: wanted,
                reason: if wanted {
                    "needs nothing; with guard pages as above"
                } else {
                    "safety:hardened turns it on"
                },
            }
        }
        Backend::Mte => {
            let wanted = matches!(profile, Profile::Mte);
            let why_not = mte_missing(facts);
            Verdict {
                cpu: facts.mte,
                kernel: matches!(facts.mte_control, Asked::Works),
                wanted,
                active: wanted && why_not.is_none(),
                reason: match why_not {
                    Some(reason) => reason,
                    None if wanted => "every object to 16 MiB has a tag",
                    None => "safety:mte turns it on",
                },
            }
        }
        Backend::Pkey => Verdict {
            cpu: facts.pku,
            kernel: matches!(facts.pkey, Asked::Works),
            wanted: false,
            active: false,
            reason: if !facts.pku {
                "the CPU has no protection keys"
            } else {
                "no profile of this version uses it"
            },
        },
        Backend::PointerBits => {
            let wanted = matches!(profile, Profile::Tags);
            let why_not = tags_missing(facts);
            Verdict {
                cpu: facts.lam || facts.uai || facts.tbi,
                kernel: why_not.is_none(),
                wanted,
                active: wanted && why_not.is_none(),
                reason: match why_not {
                    Some(reason) => reason,
                    None if wanted => "every pointer has a tag",
                    None => "safety:tags turns it on",
                },
            }
        }
        Backend::Bounds => Verdict {
            cpu: false,
            kernel: false,
            wanted: true,
            active: false,
            reason: "sizes and alignments are exact on every target; this one has no capabilities",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Facts = Facts {
        guard_install: Asked::Refused(22),
        mte: false,
        mte_control: Asked::None,
        pku: false,
        pkey: Asked::None,
        lam: false,
        lam_bits: Asked::None,
        uai: false,
        tbi: false,
    };

    #[test]
    fn feature_bits() {
        // Read from an Intel Xeon of model 207: protection keys, no LAM.
        assert!(has_pku(0x1b41_5fde) && !has_pku(0x1b41_5fde & !8));
        assert!(!has_lam(0x0000_1c30) && has_lam(0x0400_1c30));
        assert!(!has_uai(0x0000_0f4f) && has_uai(0x0000_0fcf));
        assert!(!has_mte(0x3_ffff) && has_mte(0x4_0000));
    }

    #[test]
    fn guard_is_active_when_wanted_whatever_the_kernel_has() {
        let v = |f: &Facts, profile, pages| verdict(Backend::Guard, f, profile, pages);
        let off = v(&NOTHING, Profile::Off, GuardPages::Auto);
        assert!(!off.active && !off.wanted && !off.kernel);
        let old = v(&NOTHING, Profile::Guard, GuardPages::Auto);
        assert!(old.active && !old.kernel && old.reason.contains("6.13"));
        let new = Facts {
            guard_install: Asked::Works,
            ..NOTHING
        };
        assert_eq!(
            v(&new, Profile::Guard, GuardPages::Auto).reason,
            "by MADV_GUARD_INSTALL"
        );
        assert!(
            v(&new, Profile::Guard, GuardPages::Protect)
                .reason
                .contains("guard_pages:protect")
        );
        let none = v(&new, Profile::Guard, GuardPages::Off);
        assert!(!none.active && none.wanted && none.reason == "guard_pages:off");
    }

    #[test]
    fn mte_needs_the_cpu_the_kernel_and_the_option() {
        let v = |f: &Facts, profile| verdict(Backend::Mte, f, profile, GuardPages::Auto);
        let cpu = Facts {
            mte: true,
            mte_control: Asked::Refused(22),
            ..NOTHING
        };
        let both = Facts {
            mte_control: Asked::Works,
            ..cpu
        };
        let no_cpu = v(&NOTHING, Profile::Mte);
        assert!(no_cpu.wanted && !no_cpu.active && no_cpu.reason.contains("CPU"));
        let no_kernel = v(&cpu, Profile::Mte);
        assert!(no_kernel.cpu && !no_kernel.active && no_kernel.reason.contains("kernel"));
        assert!(v(&both, Profile::Mte).active && !v(&both, Profile::Guard).active);
        assert!(!verdict(Backend::Guard, &both, Profile::Mte, GuardPages::Auto).wanted);
    }

    #[test]
    fn tags_need_bits_that_cpu_and_kernel_ignore() {
        let v = |f: &Facts, profile| verdict(Backend::PointerBits, f, profile, GuardPages::Auto);
        let lam = Facts {
            lam: true,
            lam_bits: Asked::Works,
            ..NOTHING
        };
        let on = v(&lam, Profile::Tags);
        assert!(on.cpu && on.kernel && on.wanted && on.active);
        assert!(!v(&lam, Profile::Off).active && !v(&lam, Profile::Hardened).wanted);
        // EINVAL, ENODEV and EBUSY all mean off.
        for errno in [22, 19, 16] {
            let refused = Facts {
                lam_bits: Asked::Refused(errno),
                ..lam
            };
            let v = v(&refused, Profile::Tags);
            assert!(v.cpu && !v.kernel && v.wanted && !v.active && v.reason.contains("LAM"));
        }
        let arm = Facts {
            tbi: true,
            mte_control: Asked::Works,
            ..NOTHING
        };
        assert!(v(&arm, Profile::Tags).active);
        let old = Facts {
            mte_control: Asked::Refused(22),
            ..arm
        };
        let old = v(&old, Profile::Tags);
        assert!(old.cpu && !old.active && old.reason.contains("5.4"));
        assert!(v(&NOTHING, Profile::Tags).reason.contains("CPU ignores no"));
    }

    #[test]
    fn a_kernel_without_the_cpu_and_the_reverse_are_told_apart() {
        let lam = Facts {
            lam: true,
            lam_bits: Asked::Refused(19),
            ..NOTHING
        };
        let v = verdict(Backend::PointerBits, &lam, Profile::Off, GuardPages::Auto);
        assert!(v.cpu && !v.kernel && !v.active);
        let uai = Facts {
            uai: true,
            ..NOTHING
        };
        let v = verdict(Backend::PointerBits, &uai, Profile::Off, GuardPages::Auto);
        assert!(v.cpu && !v.kernel && v.reason.contains("UAI"));
        for b in BACKENDS {
            let v = verdict(b, &NOTHING, Profile::Off, GuardPages::Auto);
            assert_eq!(v.active, b == Backend::Checks, "{b:?}");
            assert!(!v.reason.is_empty() && !b.name().is_empty() && !b.enforces().is_empty());
        }
    }
}
