//! Counts tests from the lines that test programs print, as cargo and libtest write them.

use std::fmt;

/// How many passed, failed and were skipped, with a line for each of the latter two.
#[derive(Default)]
pub struct Tally {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that did not run.
    pub skipped: usize,
    /// `name: reason` of what did not run.
    pub skips: Vec<String>,
    /// Names of what failed.
    pub failures: Vec<String>,
}

impl Tally {
    /// One test that passed.
    pub fn pass() -> Self {
        Tally {
            passed: 1,
            ..Tally::default()
        }
    }

    /// One test that failed.
    pub fn fail(line: String) -> Self {
        Tally {
            failed: 1,
            failures: vec![line],
            ..Tally::default()
        }
    }

    /// One test that did not run.
    pub fn skip(line: String) -> Self {
        Tally {
            skipped: 1,
            skips: vec![line],
            ..Tally::default()
        }
    }

    /// Both together.
    pub fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.skips.extend(other.skips);
        self.failures.extend(other.failures);
    }

    /// The figures without the lines.
    pub fn counts(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            passed,
            failed,
            skipped,
            ..
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Follows the output of `cargo test` or of a test program.
#[derive(Default)]
pub struct Counter {
    tally: Tally,
    /// The test program that runs now, and whether it has reported its result.
    current: Option<(String, bool)>,
    /// Whether any result line was seen.
    any: bool,
}

impl Counter {
    /// Takes one line of output.
    pub fn line(&mut self, line: &str) {
        let line = line.trim_end();
        let text = line.trim_start();
        if let Some(result) = text.strip_prefix("test result: ") {
            self.result(result);
        } else if let Some(test) = text.strip_prefix("test ") {
            self.test(test);
        } else if let Some(program) = text.strip_prefix("Running ") {
            self.next(program);
        } else if let Some(program) = text.strip_prefix("Doc-tests ") {
            self.next(program);
        } else if line.starts_with("error: test failed")
            || line.starts_with("error: doctest failed")
        {
            self.died();
        }
    }

    /// Ends the output: `success` is the exit status of the command named `name`. A command that printed no
    /// result at all counts as one test.
    pub fn finish(mut self, name: &str, success: bool) -> Tally {
        self.close();
        if success && !self.any && self.tally.failed == 0 && self.tally.passed == 0 {
            return Tally::pass();
        }
        if !success && self.tally.failed == 0 {
            self.tally
                .add(Tally::fail(format!("{name}: the command failed")));
        }
        self.tally
    }

    /// `ok. 3 passed; 0 failed; 1 ignored; ...`
    fn result(&mut self, text: &str) {
        let number = |word: &str| {
            text.split([';', '.'])
                .filter_map(|part| part.trim().strip_suffix(word))
                .find_map(|n| n.trim().parse::<usize>().ok())
                .unwrap_or(0)
        };
        self.tally.passed += number("passed");
        self.tally.failed += number("failed");
        self.tally.skipped += number("ignored");
        self.any = true;
        if let Some((_, reported)) = &mut self.current {
            *reported = true;
        }
    }

    /// `name ... ok`, `name ... FAILED`, `name ... ignored, reason`.
    fn test(&mut self, text: &str) {
        let Some((name, outcome)) = text.split_once(" ... ") else {
            return;
        };
        let place = self.current.as_ref().map_or("", |(program, _)| program);
        let place = place.split(" (").next().unwrap_or(place);
        if outcome.starts_with("FAILED") {
            let line = format!("{place} {name}");
            self.tally.failures.push(line.trim_start().to_owned());
        } else if let Some(reason) = outcome.strip_prefix("ignored") {
            let reason = reason.trim_start_matches(", ");
            let reason = if reason.is_empty() { "ignored" } else { reason };
            let line = format!("{place} {name}: {reason}");
            self.tally.skips.push(line.trim_start().to_owned());
        }
    }

    fn next(&mut self, program: &str) {
        self.close();
        self.current = Some((program.to_owned(), false));
    }

    /// A test program without libtest's harness that ended well is one test.
    fn close(&mut self) {
        if let Some((_, reported)) = self.current.take() {
            self.any = true;
            self.tally.passed += usize::from(!reported);
        }
    }

    /// cargo says that the current test program failed: if it could not even report, it is one failure.
    fn died(&mut self) {
        if let Some((program, reported)) = self.current.take() {
            self.any = true;
            if !reported {
                self.tally.add(Tally::fail(format!("{program} died")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str, success: bool) -> Tally {
        let mut counter = Counter::default();
        text.lines().for_each(|line| counter.line(line));
        counter.finish("step", success)
    }

    fn figures(t: &Tally) -> [usize; 3] {
        [t.passed, t.failed, t.skipped]
    }

    #[test]
    fn adds_up_test_programs() {
        let tally = count(
            "     Running unittests src/lib.rs (target/debug/deps/a-1)\n\
             test x ... ok\ntest y ... ignored, needs cgroups\n\
             test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
             \x20  Doc-tests a\n\
             test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
            true,
        );
        assert_eq!(figures(&tally), [3, 0, 1]);
        assert_eq!(tally.skips, ["unittests src/lib.rs y: needs cgroups"]);
    }

    #[test]
    fn names_what_failed() {
        let tally = count(
            "     Running tests/a.rs (target/debug/deps/a-1)\n\
             test one ... FAILED\n\
             test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n\
             error: test failed, to rerun pass `-p a --test a`\n",
            false,
        );
        assert_eq!(figures(&tally), [0, 1, 0]);
        assert_eq!(tally.failures, ["tests/a.rs one"]);
    }

    #[test]
    fn a_test_program_that_dies_is_a_failure() {
        let tally = count(
            "     Running tests/a.rs (target/debug/deps/a-1)\n\
             error: test failed, to rerun pass `-p a --test a`\n\
             \x20    Running tests/b.rs (target/debug/deps/b-1)\n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
            false,
        );
        assert_eq!(figures(&tally), [1, 1, 0]);
    }

    #[test]
    fn a_test_program_without_harness_is_one_test() {
        let tally = count("     Running tests/a.rs (target/debug/deps/a-1)\n", true);
        assert_eq!(figures(&tally), [1, 0, 0]);
    }

    #[test]
    fn a_plain_command_is_one_test() {
        assert_eq!(figures(&count("Checking a\n", true)), [1, 0, 0]);
        assert_eq!(figures(&count("error: no\n", false)), [0, 1, 0]);
    }

    #[test]
    fn a_suite_that_does_not_compile_is_a_failure() {
        let text = "error: could not compile `a`\n";
        assert_eq!(figures(&count(text, false)), [0, 1, 0]);
    }
}
