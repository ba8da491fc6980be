//! Input for the tasks: the same on every machine and in every run.

/// A generator of numbers (splitmix64).
pub struct Numbers(pub u64);

impl Numbers {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A text of `words` words, in lines.
    pub fn text(&mut self, words: usize) -> String {
        let mut text = String::with_capacity(words * 7);
        for i in 1..=words {
            let letters = 2 + self.below(9);
            for _ in 0..letters {
                let letter = self.below(26).min(self.below(26)) as u8;
                text.push(char::from(b'a' + letter));
            }
            text.push(if i % 11 == 0 { '\n' } else { ' ' });
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_every_time() {
        assert_eq!(Numbers(1).next(), 0x910a_2dec_8902_5cc1);
        assert_eq!(Numbers(7).text(50), Numbers(7).text(50));
    }
}
