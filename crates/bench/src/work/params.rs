//! `key=value` parameters. A wrong or unknown one ends the program: a workload that silently ran with
//! a default would be compared with one that did not.

/// The parameters of one run.
pub struct Params {
    pairs: Vec<(String, String, bool)>,
}

impl Params {
    /// Reads `key=value` words.
    pub fn parse(words: impl Iterator<Item = String>) -> Params {
        let pairs = words
            .map(|word| match word.split_once('=') {
                Some((key, value)) => (key.to_string(), value.to_string(), false),
                None => fail(&format!("'{word}' is not key=value")),
            })
            .collect();
        Params { pairs }
    }

    /// A number, with k, m, g (powers of 1024) behind it if wanted; `default` where it is not given.
    pub fn number(&mut self, key: &str, default: u64) -> u64 {
        match self.take(key) {
            Some(text) => number(key, &text),
            None => default,
        }
    }

    /// A number that must be given.
    pub fn need(&mut self, key: &str) -> u64 {
        match self.take(key) {
            Some(text) => number(key, &text),
            None => fail(&format!("{key}=N is missing")),
        }
    }

    /// Numbers separated by commas.
    pub fn list(&mut self, key: &str) -> Vec<u64> {
        match self.take(key) {
            Some(text) => text.split(',').map(|t| number(key, t)).collect(),
            None => fail(&format!("{key}=N,N,... is missing")),
        }
    }

    /// A word; `default` where it is not given.
    pub fn word(&mut self, key: &str, default: &str) -> String {
        self.take(key).unwrap_or_else(|| default.to_string())
    }

    /// Ends the program if a parameter was given that nobody asked for.
    pub fn done(&self) {
        if let Some((key, ..)) = self.pairs.iter().find(|(_, _, used)| !used) {
            fail(&format!("this workload has no parameter '{key}'"));
        }
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let pair = self.pairs.iter_mut().find(|(k, ..)| k == key)?;
        pair.2 = true;
        Some(pair.1.clone())
    }
}

fn number(key: &str, text: &str) -> u64 {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm') => (&text[..text.len() - 1], 1 << 20),
        Some(b'g') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    match digits.parse::<u64>() {
        Ok(n) => n * unit,
        Err(_) => fail(&format!("{key}: not a number: '{text}'")),
    }
}

/// Ends the program with one line.
pub fn fail(message: &str) -> ! {
    eprintln!("bench-work: {message}");
    std::process::exit(2)
}
