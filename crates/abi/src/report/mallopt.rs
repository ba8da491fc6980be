//! `mallopt`: which of glibc's parameters mean something here.

use core::ffi::c_int;

const M_MXFAST: c_int = 1;
const M_TRIM_THRESHOLD: c_int = -1;
const M_TOP_PAD: c_int = -2;
const M_MMAP_THRESHOLD: c_int = -3;
const M_MMAP_MAX: c_int = -4;
const M_CHECK_ACTION: c_int = -5;
const M_PERTURB: c_int = -6;
const M_ARENA_TEST: c_int = -7;
const M_ARENA_MAX: c_int = -8;

/// Largest value that glibc takes for `M_MXFAST`.
const MAX_FAST: c_int = 80 * size_of::<usize>() as c_int / 4;

/// `int mallopt(int param, int value)`: 1 if the program gets what it asked for, 0 if not.
///
/// The tuning parameters steer mechanisms of glibc that do not exist here; they change no result, so they are accepted
/// and ignored. `M_CHECK_ACTION` too: detected misuse always ends the process. `M_PERTURB` is refused unless it is 0:
/// nothing is written into blocks.
#[unsafe(no_mangle)]
#[cold]
pub extern "C" fn mallopt(param: c_int, value: c_int) -> c_int {
    let honoured = match param {
        M_MXFAST => (0..=MAX_FAST).contains(&value),
        M_TRIM_THRESHOLD | M_TOP_PAD | M_MMAP_THRESHOLD | M_MMAP_MAX | M_CHECK_ACTION
        | M_ARENA_TEST | M_ARENA_MAX => true,
        M_PERTURB => value == 0,
        _ => false,
    };
    c_int::from(honoured)
}
