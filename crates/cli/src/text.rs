//! Numbers as people read them.

/// Bytes with three significant digits in binary units: `0 B`, `1.50 KiB`, `312 MiB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", significant(value), UNITS[unit])
}

/// A count with its thousands apart: `12 345 678`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A rate in millions with two decimals, `2.31 M`, or plain below ten thousand.
pub fn millions(n: f64) -> String {
    if n < 10_000.0 {
        format!("{n:.0}")
    } else {
        format!("{:.2} M", n / 1e6)
    }
}

/// Nanoseconds as `850 ns`, `12.3 us`, `4.56 ms`, `1.20 s`.
pub fn nanos(n: f64) -> String {
    if n < 999.5 {
        format!("{n:.0} ns")
    } else if n < 999_500.0 {
        format!("{} us", significant(n / 1e3))
    } else if n < 999_500_000.0 {
        format!("{} ms", significant(n / 1e6))
    } else {
        format!("{} s", significant(n / 1e9))
    }
}

/// Three significant digits, at least down to the units.
fn significant(value: f64) -> String {
    let decimals = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_three_digits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.50 KiB");
        assert_eq!(bytes(312 << 20), "312 MiB");
        assert_eq!(bytes(1024 * 1024 - 1), "1.00 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn counts_have_groups_of_three() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1 000");
        assert_eq!(count(12_345_678), "12 345 678");
    }

    #[test]
    fn rates_and_times() {
        assert_eq!(millions(9_999.0), "9999");
        assert_eq!(millions(2_314_000.0), "2.31 M");
        assert_eq!(nanos(850.0), "850 ns");
        assert_eq!(nanos(999.7), "1.00 us");
        assert_eq!(nanos(12_345.0), "12.3 us");
        assert_eq!(nanos(4_560_000.0), "4.56 ms");
        assert_eq!(nanos(1.2e9), "1.20 s");
    }
}
