//! The same workload with other constants: `--scale 0.5` or `2`.
//!
//! Sizes and live sets are multiplied, and lengths of queues and batches with them; the amount of work, the number
//! of threads and the waiting times are not, so that a run still takes seconds and means the same: where the work is
//! so many live sets, one after the other, there are fewer larger ones or more smaller ones. An allocator whose
//! good figures hang on a benchmark's constants loses them here.

use crate::definitions::Workload;

/// What happens to a parameter.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A size in bytes, or a number of things alive at once: multiplied, at least 1.
    Scaled,
    /// How often a live set is built and dropped, or handled as a whole: divided, at least 1.
    Repeated,
    /// Operations: kept, but where each of them is a batch, divided.
    Operations,
    /// The depth of a tree: one more per doubling.
    Logarithm,
    /// Work, threads, time, words: as it is.
    Kept,
}

/// Every parameter of every workload; one that is missing here is an error, so that none is forgotten.
const PARAMETERS: &[(&str, Kind)] = &[
    ("low", Kind::Scaled),
    ("high", Kind::Scaled),
    ("size", Kind::Scaled),
    ("sizes", Kind::Scaled),
    ("bytes", Kind::Scaled),
    ("slots", Kind::Scaled),
    ("shared", Kind::Scaled),
    ("blocks", Kind::Scaled),
    ("live", Kind::Scaled),
    ("objects", Kind::Scaled),
    ("queue", Kind::Scaled),
    ("batch", Kind::Scaled),
    ("batches", Kind::Kept),
    ("keys", Kind::Scaled),
    ("distinct", Kind::Scaled),
    ("window", Kind::Scaled),
    ("sessions", Kind::Scaled),
    ("roots", Kind::Scaled),
    ("bodies", Kind::Scaled),
    ("cubes", Kind::Scaled),
    ("depth", Kind::Logarithm),
    ("ops", Kind::Operations),
    ("rounds", Kind::Repeated),
    ("generations", Kind::Kept),
    ("words", Kind::Kept),
    ("terms", Kind::Kept),
    ("messages", Kind::Kept),
    ("requests", Kind::Kept),
    ("days", Kind::Kept),
    ("steps", Kind::Repeated),
    ("passes", Kind::Repeated),
    ("variables", Kind::Kept),
    ("writes", Kind::Kept),
    ("threads", Kind::Kept),
    ("at_once", Kind::Kept),
    ("owners", Kind::Kept),
    ("producers", Kind::Kept),
    ("consumers", Kind::Kept),
    ("pairs", Kind::Kept),
    ("stack", Kind::Kept),
    ("load", Kind::Kept),
    ("passive", Kind::Kept),
    ("order", Kind::Kept),
    ("mix", Kind::Kept),
    ("mode", Kind::Kept),
    ("keep", Kind::Kept),
    ("wait", Kind::Kept),
    ("idle", Kind::Kept),
    ("pause", Kind::Kept),
];

/// The workload with its constants multiplied. Its checksum is not known then; an error says why it has none to
/// multiply.
pub fn scaled(workload: &Workload, by: f64) -> Result<Workload, String> {
    if by == 1.0 {
        return Ok(workload.clone());
    }
    if workload.program != "bench-work" {
        return Err("has no constants to scale".into());
    }
    let batches = workload.args.iter().any(|arg| arg.starts_with("batch="));
    let args: Vec<String> = workload
        .args
        .iter()
        .map(|arg| one(arg, by, batches))
        .collect::<Result<_, _>>()?;
    if args == workload.args {
        return Err("has no constants to scale".into());
    }
    Ok(Workload {
        args,
        checksum: None,
        ..workload.clone()
    })
}

fn one(arg: &str, by: f64, batches: bool) -> Result<String, String> {
    let Some((key, value)) = arg.split_once('=') else {
        return Ok(arg.to_string());
    };
    let kind = PARAMETERS
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, kind)| *kind)
        .ok_or_else(|| format!("parameter '{key}' is not in the table of scale.rs"))?;
    let values = value.split(',').map(|number| match kind {
        Kind::Kept => Ok(number.to_string()),
        Kind::Scaled => multiplied(number, by),
        Kind::Operations if !batches => Ok(number.to_string()),
        Kind::Repeated | Kind::Operations => multiplied(number, 1.0 / by),
        Kind::Logarithm => {
            let depth: f64 = number.parse().map_err(|_| not_a_number(arg))?;
            Ok(format!("{}", (depth + by.log2()).round().max(1.0)))
        }
    });
    let values: Vec<String> = values.collect::<Result<_, String>>()?;
    Ok(format!("{key}={}", values.join(",")))
}

fn multiplied(text: &str, by: f64) -> Result<String, String> {
    let digits = text.trim_end_matches(['k', 'm', 'g']);
    let unit = match &text[digits.len()..] {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(not_a_number(text)),
    };
    let number: f64 = digits.parse().map_err(|_| not_a_number(text))?;
    Ok(format!("{:.0}", (number * unit * by).max(1.0)))
}

fn not_a_number(text: &str) -> String {
    format!("not a number: '{text}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_live_sets_change_and_work_does_not() {
        let in_batches = |arg: &str, by| super::one(arg, by, true).unwrap_or_else(|e| e);
        let one = |arg: &str, by| one(arg, by, false).unwrap_or_else(|e| e);
        assert_eq!(one("slots=1001", 0.5), "slots=500");
        assert_eq!(one("high=16k", 2.0), "high=32768");
        assert_eq!(one("bytes=600m", 0.5), "bytes=314572800");
        assert_eq!(one("sizes=16,64", 2.0), "sizes=32,128");
        assert_eq!(one("ops=7", 2.0), "ops=7");
        assert_eq!(in_batches("ops=8", 2.0), "ops=4");
        assert_eq!(one("rounds=60", 2.0), "rounds=30");
        assert_eq!(one("steps=1", 2.0), "steps=1");
        assert_eq!(one("depth=20", 0.5), "depth=19");
        assert_eq!(one("order=fifo", 2.0), "order=fifo");
        assert_eq!(one("larson", 2.0), "larson");
        assert!(one("fancy=3", 2.0).contains("not in the table"));
    }

    /// A new workload with a parameter that the table lacks is found here.
    #[test]
    fn every_workload_of_ours_can_be_scaled_or_has_nothing_to_scale() -> Result<(), String> {
        let checkout = crate::checkout::Checkout::open(false)?;
        let mut scaled_ones = 0;
        for workload in crate::definitions::all(&checkout)? {
            for by in [0.5, 2.0] {
                match scaled(&workload, by) {
                    Ok(other) => {
                        assert!(other.checksum.is_none() && other.args != workload.args);
                        scaled_ones += 1;
                    }
                    Err(why) => assert_eq!(why, "has no constants to scale", "{}", workload.name),
                }
            }
        }
        assert!(scaled_ones > 100, "{scaled_ones}");
        Ok(())
    }
}
