//! What the kernel says about this process, read without allocating.

/// Figures of `/proc/self/smaps_rollup`, in KiB. Exact: the kernel walks the page tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident pages, shared ones in full.
    pub rss_kib: u64,
    /// Resident pages, shared ones by their share.
    pub pss_kib: u64,
    /// Pages only this process has and has written.
    pub private_dirty_kib: u64,
    /// Anonymous pages.
    pub anonymous_kib: u64,
    /// Pages mapped by transparent huge pages.
    pub huge_kib: u64,
}

/// Reads `/proc/self/smaps_rollup`; zeros where the file is missing.
pub fn memory() -> Memory {
    let mut buffer = [0u8; 4096];
    let text = read_file(c"/proc/self/smaps_rollup", &mut buffer);
    Memory {
        rss_kib: field(text, b"\nRss:"),
        pss_kib: field(text, b"\nPss:"),
        private_dirty_kib: field(text, b"\nPrivate_Dirty:"),
        anonymous_kib: field(text, b"\nAnonymous:"),
        huge_kib: field(text, b"\nAnonHugePages:"),
    }
}

fn read_file<'a>(path: &std::ffi::CStr, buffer: &'a mut [u8]) -> &'a [u8] {
    // SAFETY: the path ends with zero, the buffer is ours and its length is passed on.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return &[];
        }
        let mut length = 0;
        while length < buffer.len() {
            let got = libc::read(
                fd,
                buffer[length..].as_mut_ptr().cast(),
                buffer.len() - length,
            );
            if got <= 0 {
                break;
            }
            length += got as usize;
        }
        libc::close(fd);
        &buffer[..length]
    }
}

fn field(text: &[u8], name: &[u8]) -> u64 {
    let Some(at) = text.windows(name.len()).position(|w| w == name) else {
        return 0;
    };
    text[at + name.len()..]
        .iter()
        .skip_while(|b| **b == b' ')
        .take_while(|b| b.is_ascii_digit())
        .fold(0, |n, b| n * 10 + u64::from(b - b'0'))
}
