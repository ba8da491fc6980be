//! Linker options of `libaethalloc.so` that no attribute in the source can ask for.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Programs linked with -laethalloc must record the plain name, not the path they were built with.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libaethalloc.so");
    // An allocator with live objects can never be unmapped: dlclose leaves it in place.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // Cold functions (misuse lines, safety modes, reports) in a section of their own: a program that needs none of them
    // does not have their pages in its resident size. Linkers that do not know the word do so anyway.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,keep-text-section-prefix");
    // Where they end, see `cold`.
    println!("cargo::rustc-cdylib-link-arg=-Wl,--defsym=aethalloc_cold_end=etext");
    // An unoptimised build keeps unwind tables of `core` that name this routine. Nothing of ours unwinds: null is right.
    println!("cargo::rustc-cdylib-link-arg=-Wl,--defsym=rust_eh_personality=0");
}
