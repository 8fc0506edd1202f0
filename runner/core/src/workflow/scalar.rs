//! What the text of a scalar means to a field of a given type. Pure functions; the errors are the second half of a sentence
//! that begins "expected …, found …" and the advice to go with it.

use std::time::Duration;

/// Why a text is not what a field takes, and what to write instead, if that can be guessed.
pub type Refusal = Option<String>;

/// Integers are exact in JSON readers up to this size.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Reads an integer: decimal digits, `0x`, `0o`, or a number such as `1e3` without a fraction.
pub fn int(text: &str) -> Result<i128, Refusal> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(rest) = digits.strip_prefix(prefix).filter(|rest| rest.chars().all(|digit| digit.is_digit(radix))) {
            return i128::from_str_radix(rest, radix).map(|value| sign * value).map_err(|_| None);
        }
    }
    let decimal = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if decimal && digits.len() > 1 && digits.starts_with('0') {
        let bare = digits.trim_start_matches('0');
        return Err(Some(format!(
            "write `{}`, or `0o{bare}` if octal is meant",
            if bare.is_empty() { "0" } else { bare }
        )));
    }
    if decimal {
        return text.strip_prefix('+').unwrap_or(text).parse().map_err(|_| None);
    }
    match number(text) {
        Ok(value) if value.fract() == 0.0 && value.abs() <= EXACT_MAX && !digits.contains('_') => Ok(value as i128),
        Ok(_) => Err(None),
        Err(advice) => Err(advice),
    }
}

/// Reads a finite decimal number.
pub fn number(text: &str) -> Result<f64, Refusal> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let shaped = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    if !shaped {
        let digits = text.replace('_', "");
        let grouped = text.contains('_') && digits.parse::<f64>().is_ok_and(f64::is_finite);
        return Err(grouped.then(|| format!("write `{digits}`")));
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(None),
    }
}

/// Reads `true` or `false`.
pub fn bool(text: &str) -> Result<bool, Refusal> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        other => match other.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "1" => Err(Some("write `true`".to_owned())),
            "no" | "off" | "n" | "0" => Err(Some("write `false`".to_owned())),
            _ => Err(None),
        },
    }
}

/// Reads a duration: numbers with units `ms`, `s`, `m`, `h`, `d`, for example `90s` or `1h30m`; at most a year.
pub fn duration(text: &str) -> Result<Duration, Refusal> {
    const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;
    let mut rest = text;
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (count, after) = rest.split_at(digits);
        let unit_end = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => return Err(Some(format!("add a unit: `{text}s`, `{text}m` or `{text}h`"))),
            _ => return Err(None),
        };
        let count: u64 = count.parse().map_err(|_| None)?;
        total_ms = count
            .checked_mul(unit_ms)
            .and_then(|ms| total_ms.checked_add(ms))
            .filter(|ms| *ms <= YEAR_MS)
            .ok_or(None)?;
        rest = next;
    }
    if total_ms == 0 { Err(None) } else { Ok(Duration::from_millis(total_ms)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_what_people_mean_or_refused() {
        let read = |text| int(text).ok();
        assert_eq!(read("12"), Some(12));
        assert_eq!(read("-3"), Some(-3));
        assert_eq!(read("1e3"), Some(1000));
        assert_eq!(read("0x1F"), Some(31));
        assert_eq!(read("0o17"), Some(15));
        assert_eq!(read("18446744073709551616"), Some(18_446_744_073_709_551_616));
        for refused in ["0777", "1.5", "12:30", "no", "", "-", "+", ".", "e", "1e400", ".inf", "1_000", "0x", "--1"] {
            assert!(read(refused).is_none(), "{refused}");
        }
        assert_eq!(int("0777"), Err(Some("write `777`, or `0o777` if octal is meant".to_owned())));
        assert_eq!(int("1_000"), Err(Some("write `1000`".to_owned())));
    }

    #[test]
    fn numbers_are_finite() {
        assert_eq!(number("1e-4"), Ok(1e-4));
        assert_eq!(number(".5"), Ok(0.5));
        for refused in ["1e400", ".inf", "nan", "inf", "NaN", "", "1,5", "0x10"] {
            assert!(number(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("90"), Err(Some("add a unit: `90s`, `90m` or `90h`".to_owned())));
        for refused in ["", "h", "0s", "1w", "99999999999999999999s", "400d", "1.5h"] {
            assert!(duration(refused).is_err(), "{refused}");
        }
    }
}
