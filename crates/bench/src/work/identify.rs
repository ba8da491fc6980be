//! Which malloc does this process have? Not a workload: the bench's proof that a preload took effect.

use std::ffi::{CStr, c_char, c_int, c_void};

/// Prints one JSON line.
pub fn print() {
    let jemalloc = jemalloc_version();
    println!(
        "{{\"malloc_from\":{:?},\"free_from\":{:?},\"mimalloc\":{},\"jemalloc\":{:?},\"glibc\":{:?}}}",
        file_of(c"malloc"),
        file_of(c"free"),
        mimalloc_version(),
        jemalloc,
        glibc_version()
    );
}

fn symbol(name: &CStr) -> *mut c_void {
    // SAFETY: the name ends with zero; RTLD_DEFAULT looks in load order, as a call does.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

fn file_of(name: &CStr) -> String {
    let at = symbol(name);
    // SAFETY: an all-zero Dl_info is valid; the file name lives as long as the object is loaded.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if at.is_null() || libc::dladdr(at, &mut info) == 0 || info.dli_fname.is_null() {
            return String::new();
        }
        CStr::from_ptr(info.dli_fname)
            .to_string_lossy()
            .into_owned()
    }
}

fn mimalloc_version() -> c_int {
    let at = symbol(c"mi_version");
    if at.is_null() {
        return 0;
    }
    // SAFETY: `int mi_version(void)`.
    unsafe { std::mem::transmute::<*mut c_void, extern "C" fn() -> c_int>(at)() }
}

/// `mallctl("version")` of jemalloc; other libraries with a mallctl answer with an error or their own text.
fn jemalloc_version() -> String {
    type Mallctl =
        extern "C" fn(*const c_char, *mut c_void, *mut usize, *mut c_void, usize) -> c_int;
    let at = symbol(c"mallctl");
    if at.is_null() {
        return String::new();
    }
    let mut text: *const c_char = std::ptr::null();
    let mut length = size_of::<*const c_char>();
    // SAFETY: the signature is jemalloc's; "version" yields a pointer to a static string.
    unsafe {
        let mallctl = std::mem::transmute::<*mut c_void, Mallctl>(at);
        let place = (&raw mut text).cast::<c_void>();
        if mallctl(
            c"version".as_ptr(),
            place,
            &mut length,
            std::ptr::null_mut(),
            0,
        ) != 0
            || text.is_null()
        {
            return String::new();
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

fn glibc_version() -> String {
    let at = symbol(c"gnu_get_libc_version");
    if at.is_null() {
        return String::new();
    }
    // SAFETY: `const char *gnu_get_libc_version(void)`, a static string.
    unsafe {
        let version = std::mem::transmute::<*mut c_void, extern "C" fn() -> *const c_char>(at)();
        CStr::from_ptr(version).to_string_lossy().into_owned()
    }
}
