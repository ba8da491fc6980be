//! The checks on real programs of this system, on compiled ones and on patched ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;

use super::*;

struct Case {
    folder: TempDir,
    library: Library,
    identity: Identity,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = "#include <stddef.h>\nvoid *malloc(size_t n) { (void)n; return 0; }\nint x(void) { extern int puts(const char *); return puts(\"\"); }";
        let path = compile(
            &folder,
            "lib.so",
            text,
            &["-shared", "-fPIC", "-fno-builtin"],
        );
        Self {
            library: Library::open(&path).unwrap(),
            folder,
            identity: Identity::current(),
        }
    }

    fn check(&self, program: &Path) -> Outcome<Checked> {
        check(
            program.as_os_str(),
            &Surroundings {
                library: &self.library,
                identity: self.identity,
                search_path: Some(self.folder.path().as_os_str()),
            },
        )
    }

    #[track_caller]
    fn refused(&self, program: &Path, why: &str) {
        let failure = self.check(program).unwrap_err();
        assert_eq!(failure.code, Failure::CANNOT_RUN);
        assert!(failure.message.contains(why), "{}", failure.message);
        assert!(!failure.message.contains('\n'));
    }

    #[track_caller]
    fn fine(&self, program: &Path) {
        assert_eq!(self.check(program).unwrap().notes, Vec::<String>::new());
    }

    #[track_caller]
    fn noted(&self, program: &Path, what: &str) {
        let notes = self.check(program).unwrap().notes;
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains(what), "{notes:?}");
    }

    fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn compile(&self, name: &str, text: &str, flags: &[&str]) -> PathBuf {
        compile(&self.folder, name, text, flags)
    }
}

fn compile(folder: &TempDir, name: &str, text: &str, flags: &[&str]) -> PathBuf {
    let (source, out) = (folder.path().join("source.c"), folder.path().join(name));
    fs::write(&source, text).unwrap();
    let status = Command::new("cc")
        .arg("-o")
        .args([&out, &source])
        .args(flags)
        .status()
        .unwrap();
    assert!(status.success());
    out
}

const EMPTY: &str = "int main(void) { return 0; }";

#[test]
fn ordinary_programs_pass() {
    let case = Case::new();
    case.fine(Path::new("/bin/sh"));
    case.fine(Path::new("/usr/bin/env"));
    case.fine(&case.compile("pie", EMPTY, &[]));
    case.fine(&case.compile("fixed", EMPTY, &["-no-pie"]));
    case.fine(&case.compile("stripped", EMPTY, &["-s"]));
    // This very test contains the texts that are searched for only in halves.
    case.fine(&std::env::current_exe().unwrap());
}

#[test]
fn the_loader_as_a_program_passes() {
    let case = Case::new();
    let file = File::open("/bin/sh").unwrap();
    let loader = elf::read(&file).unwrap().unwrap().loader.unwrap();
    case.fine(&loader);
}

#[test]
fn programs_without_a_loader_are_refused() {
    let case = Case::new();
    case.refused(
        &case.compile("static", EMPTY, &["-static"]),
        "statically linked",
    );
    case.refused(
        &case.compile("static-pie", EMPTY, &["-static-pie"]),
        "statically linked",
    );
    case.refused(
        &case.compile("lib", "int x;", &["-shared", "-fPIC"]),
        "statically linked",
    );
}

#[test]
fn a_missing_loader_is_named() {
    let case = Case::new();
    let odd = case.compile("odd", EMPTY, &["-Wl,--dynamic-linker=/no/such/ld.so"]);
    case.refused(&odd, "needs the loader /no/such/ld.so, which is missing");
}

#[test]
fn a_musl_program_is_refused() {
    let case = Case::new();
    assert!(case.library.facts.needs("libc.so.6"));
    let loader = case.put("ld-musl-x86_64.so.1", b"");
    let flag = format!("-Wl,--dynamic-linker={}", loader.display());
    case.refused(
        &case.compile("musl", EMPTY, &[&flag]),
        "is linked against musl",
    );
}

#[test]
fn other_targets_are_named() {
    let case = Case::new();
    let mut file = fs::read("/bin/true").unwrap();
    // e_machine
    for (machine, name) in [
        (183u16, "aarch64 (64-bit)"),
        (243, "riscv (64-bit)"),
        (4711, "machine 4711 (64-bit)"),
    ] {
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        case.refused(
            &case.put("other", &file),
            &format!("is a program for {name}, the library"),
        );
    }
    // A 32-bit header alone, little-endian i386 and big-endian arm.
    for (order, machine, name) in [
        (1, [3, 0], "i386 (32-bit)"),
        (2, [0, 40], "arm (32-bit, big-endian)"),
    ] {
        let mut header = vec![0x7f, b'E', b'L', b'F', 1, order, 1];
        header.resize(52, 0);
        header[18..20].copy_from_slice(&machine);
        case.refused(
            &case.put("small", &header),
            &format!("is a program for {name}, the library"),
        );
    }
}

#[test]
fn damaged_files_are_refused_not_followed() {
    let case = Case::new();
    let file = fs::read("/bin/true").unwrap();
    case.refused(&case.put("cut", &file[..40]), "is not a valid ELF file");
    case.refused(&case.put("magic", b"\x7fELF"), "is not a valid ELF file");
    // Program headers behind the end of the file.
    let mut far = file.clone();
    far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
    case.refused(&case.put("far", &far), "is not a valid ELF file");
    // No section table: nothing is known about symbols, the rest still is.
    let mut bare = file;
    bare[40..48].fill(0);
    bare[60..64].fill(0);
    case.fine(&case.put("bare", &bare));
}

#[test]
fn allocators_that_a_program_brings_along_are_noted() {
    let case = Case::new();
    let malloc = "#include <stddef.h>\nvoid *malloc(size_t n) { (void)n; return 0; }\nvoid free(void *p) { (void)p; }\nint main(void) { return 0; }";
    let exported = ["-rdynamic", "-fno-builtin"];
    case.noted(
        &case.compile("own", malloc, &exported),
        "defines malloc itself",
    );
    let marked = format!("{malloc}\nvoid je_malloc(void) {{}}");
    case.noted(
        &case.compile("je", &marked, &exported),
        "has jemalloc linked in as its malloc",
    );
    let beside = "void mi_malloc(void) {}\nint main(void) { return 0; }";
    case.noted(
        &case.compile("mi", beside, &[]),
        "has mimalloc linked in: what it allocates",
    );
    // Stripped of its symbols, only the texts are left.
    let text = "#include <stdio.h>\nint main(void) { puts(\"<jemal\" \"loc>: \"); return 0; }";
    case.noted(
        &case.compile("text", text, &["-s"]),
        "has jemalloc linked in: what it allocates",
    );
    // A program that only calls an allocator does not bring it.
    case.fine(&case.compile(
        "user",
        "void *malloc(unsigned long);\nint main(void) { return !malloc(1); }",
        &["-fno-builtin"],
    ));
}

#[test]
fn scripts_are_followed_to_what_runs_them() {
    let case = Case::new();
    let fixed = case.compile("fixed", EMPTY, &["-static"]);
    case.fine(&case.put("plain", b"echo hi\n"));
    case.fine(&case.put("sh", b"#!/bin/sh\necho hi\n"));
    let by = |line: &str| case.put("script", format!("{line}\n").as_bytes());
    case.refused(
        &by(&format!("#!{}", fixed.display())),
        "is statically linked",
    );
    case.refused(&by("#!/usr/bin/env fixed"), "is statically linked");
    case.refused(
        &by("#!/usr/bin/env -S A=b fixed -x"),
        "is statically linked",
    );
    case.refused(&by("#!/usr/bin/env -S -i fixed"), "clear the environment");
    case.refused(
        &by("#!/usr/bin/env no-such-program"),
        "script: no-such-program: not found in PATH",
    );
    case.refused(
        &by("#!/no/such/thing"),
        "script: /no/such/thing: no such file",
    );
    // A script that runs itself.
    let own = case.folder.path().join("script");
    case.refused(&by(&format!("#!{}", own.display())), "too many levels");
}

#[test]
fn set_id_bits_count_for_those_who_gain_by_them() {
    let mut case = Case::new();
    let tool = case.compile("tool", EMPTY, &[]);
    let nosuid = crate::sys::on_nosuid_mount(&tool);
    let mode = |bits| fs::set_permissions(&tool, fs::Permissions::from_mode(bits)).unwrap();
    let me = Identity::current();
    let other = Identity {
        uid: me.uid + 1,
        euid: me.uid + 1,
        gid: me.gid + 1,
        egid: me.gid + 1,
        ..me
    };

    for (bits, kind) in [(0o4755, "is setuid"), (0o2755, "is setgid")] {
        mode(bits);
        case.identity = me;
        case.noted(&tool, kind);
        case.identity = other;
        if nosuid {
            case.noted(&tool, "which has no effect here");
        } else {
            case.refused(&tool, &format!("{kind}: the loader ignores LD_PRELOAD"));
        }
        case.identity = Identity {
            no_new_privs: true,
            ..other
        };
        case.noted(&tool, "which has no effect here");
    }
    // Without group execution the bit means something else.
    mode(0o2745);
    case.identity = other;
    case.fine(&tool);
    // On a script the kernel ignores the bits.
    let script = case.put("script", b"#!/bin/sh\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o4755)).unwrap();
    case.fine(&script);
}

#[test]
fn file_capabilities_count_for_those_who_are_not_root() {
    let mut case = Case::new();
    let tool = case.compile("tool", EMPTY, &[]);
    // VFS_CAP_REVISION_2 with the effective flag; CAP_NET_RAW permitted.
    let mut value = [0u8; 20];
    value[..4].copy_from_slice(&0x0200_0001u32.to_le_bytes());
    value[4..8].copy_from_slice(&(1u32 << 13).to_le_bytes());
    let path = std::ffi::CString::new(tool.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: both strings are NUL-terminated, the value has the length that is given.
    let rc = unsafe {
        libc::setxattr(
            path.as_ptr(),
            c"security.capability".as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    let user = Identity {
        uid: 1000,
        euid: 1000,
        gid: 1000,
        egid: 1000,
        no_new_privs: false,
    };
    case.identity = user;
    if rc != 0 {
        // Only root may set them; then at least nobody is told that there are any.
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        return case.fine(&tool);
    }
    if crate::sys::on_nosuid_mount(&tool) {
        return case.noted(&tool, "which has no effect here");
    }
    case.refused(
        &tool,
        "has file capabilities: the loader ignores LD_PRELOAD",
    );
    case.identity = Identity {
        no_new_privs: true,
        ..user
    };
    case.noted(&tool, "which has no effect here");
    case.identity = Identity {
        uid: 0,
        euid: 0,
        gid: 0,
        egid: 0,
        no_new_privs: false,
    };
    case.noted(&tool, "gives you nothing that you do not have");
}
