//! Text without `core::fmt`: bytes and decimal numbers through a small buffer.

/// Where text goes.
pub trait Sink {
    /// Takes `bytes`, which a zero byte follows in memory. `false`: an error, nothing more is sent.
    fn put(&mut self, bytes: &[u8]) -> bool;
}

const CAPACITY: usize = 1024;

/// A buffered writer onto a sink.
pub struct Text<S: Sink> {
    sink: S,
    // One byte more, so that a zero can always follow.
    buffer: [u8; CAPACITY + 1],
    length: usize,
    ok: bool,
}

impl<S: Sink> Text<S> {
    pub fn new(sink: S) -> Self {
        Self {
            sink,
            buffer: [0; CAPACITY + 1],
            length: 0,
            ok: true,
        }
    }

    /// Appends text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for &byte in text.as_bytes() {
            self.byte(byte);
        }
        self
    }

    /// Appends a number in decimal.
    pub fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        self.padded(number, 1)
    }

    /// Appends a number in decimal, right-aligned in `width` columns.
    pub fn padded(&mut self, number: impl Into<u64>, width: usize) -> &mut Self {
        let mut digits = [b' '; 20];
        let mut rest = number.into();
        let mut used = 0;
        for slot in digits.iter_mut().rev() {
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        for _ in used..width {
            self.byte(b' ');
        }
        for &digit in digits.iter().skip(20 - used) {
            self.byte(digit);
        }
        self
    }

    /// Sends what is buffered. `false` if anything could not be written.
    pub fn finish(mut self) -> bool {
        self.flush();
        self.ok
    }

    fn byte(&mut self, byte: u8) {
        if self.length == CAPACITY {
            self.flush();
        }
        if let Some(slot) = self.buffer.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    fn flush(&mut self) {
        let length = core::mem::take(&mut self.length);
        if let Some(end) = self.buffer.get_mut(length) {
            *end = 0;
        }
        if let Some(bytes) = self.buffer.get(..length) {
            self.ok = self.ok && (bytes.is_empty() || self.sink.put(bytes));
        }
    }
}
