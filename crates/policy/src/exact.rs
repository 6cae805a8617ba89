//! Cedar's numbers, dates and addresses from text: exact, or an error that says why not.

use std::sync::LazyLock;

use cedar_policy_core::ast::{Name, PartialValue, Value};
use cedar_policy_core::extensions::Extensions;
use smol_str::SmolStr;

/// An integer that was written with a fraction or exponent: `5.0`, `1e3`.
pub(crate) fn long(text: &str) -> Option<i64> {
    scaled(text, 0)
}

/// A decimal: at most four digits behind the point, 64 bits in all.
pub(crate) fn decimal(text: &str) -> Result<Value, String> {
    const PROBLEM: &str = "cannot be held exactly: decimals have four digits behind the point and \
                           lie within ±922337203685477.5807";
    let scaled = scaled(text, 4).ok_or_else(|| PROBLEM.to_owned())?;
    let (sign, magnitude) = (if scaled < 0 { "-" } else { "" }, scaled.unsigned_abs());
    let canonical = format!("{sign}{}.{:04}", magnitude / 10_000, magnitude % 10_000);
    call(&DECIMAL, &[Value::from(SmolStr::from(canonical))])
}

/// `number × 10^digits` of a JSON number, where that is an integer of 64 bits.
fn scaled(text: &str, digits: i64) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut significant = format!("{whole}{fraction}");
    let exponent: i64 = exponent.parse().ok()?;
    let mut shift =
        exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(digits)?;
    while shift < 0 && significant.ends_with('0') && significant.len() > 1 {
        significant.pop();
        shift += 1;
    }
    let zero = significant.bytes().all(|b| b == b'0');
    let magnitude: i128 = match (zero, shift) {
        (true, _) => 0,
        (false, 0..=19) => {
            let factor = 10_i128.checked_pow(u32::try_from(shift).ok()?)?;
            significant.parse::<i128>().ok()?.checked_mul(factor)?
        }
        _ => return None,
    };
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// A point in time of RFC 3339, or a date.
pub(crate) fn datetime(text: &str) -> Result<Value, String> {
    let problem = || "is not a date and time that can be held exactly (RFC 3339, milliseconds)";
    let cedar = match text.split_once(['T', 't']) {
        None => text.to_owned(),
        Some((date, time)) => {
            let at = time.find(['Z', 'z', '+', '-']).ok_or_else(problem)?;
            let (clock, offset) = time.split_at_checked(at).ok_or_else(problem)?;
            let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
            let digits = fraction.trim_end_matches('0');
            if digits.len() > 3 {
                return Err(problem().into());
            }
            let fraction = if digits.is_empty() { String::new() } else { format!(".{digits:0<3}") };
            format!("{date}T{clock}{fraction}{}", offset.to_uppercase().replace(':', ""))
        }
    };
    call(&DATETIME, &[Value::from(SmolStr::from(cedar))]).map_err(|_| problem().to_owned())
}

/// A duration of ISO 8601 without years and months, whose length depends on when they are.
pub(crate) fn duration(text: &str) -> Result<Value, String> {
    let millis = iso_duration(text).ok_or_else(|| {
        "is not a duration that can be held exactly (ISO 8601 without years and months)".to_owned()
    })?;
    call(&DURATION, &[Value::from(SmolStr::from(format!("{millis}ms")))])
}

fn iso_duration(text: &str) -> Option<i64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = rest.strip_prefix('P')?;
    let (date, time) = rest.split_once('T').unwrap_or((rest, ""));
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = components(date, &[('W', 604_800_000), ('D', 86_400_000)])?;
    let clock = components(time, &[('H', 3_600_000), ('M', 60_000), ('S', 1000)])?;
    let millis = days.checked_add(clock)?;
    Some(if negative { -millis } else { millis })
}

/// Sums `1H30M` over units that must come in the given order.
fn components(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut sum = 0_i64;
    for (unit, millis) in units {
        let Some((number, rest)) = text.split_once(*unit) else {
            continue;
        };
        let thousandths = scaled(number, 3)?;
        let product = i128::from(thousandths) * i128::from(*millis);
        if thousandths < 0 || product % 1000 != 0 {
            return None;
        }
        sum = sum.checked_add(i64::try_from(product / 1000).ok()?)?;
        text = rest;
    }
    text.is_empty().then_some(sum)
}

/// An IP address or range.
pub(crate) fn ip(text: &str) -> Result<Value, String> {
    call(&IP, &[Value::from(SmolStr::from(text))]).map_err(|_| "is not an IP address".to_owned())
}

/// A point in time, in milliseconds since 1970.
pub(crate) fn instant(millis: i64) -> Result<Value, String> {
    let offset = call(&DURATION, &[Value::from(SmolStr::from(format!("{millis}ms")))])?;
    match &*EPOCH {
        Ok(epoch) => call(&OFFSET, &[epoch.clone(), offset]),
        Err(problem) => Err(problem.clone()),
    }
}

fn call(function: &Option<Name>, arguments: &[Value]) -> Result<Value, String> {
    let name = function.as_ref().ok_or("is of a type that is not available")?;
    let function = Extensions::all_available().func(name).map_err(|error| error.to_string())?;
    match function.call(arguments).map_err(|error| error.to_string())? {
        PartialValue::Value(value) => Ok(value),
        PartialValue::Residual(_) => Err("is not known".into()),
    }
}

static DECIMAL: LazyLock<Option<Name>> = LazyLock::new(|| "decimal".parse().ok());
static DATETIME: LazyLock<Option<Name>> = LazyLock::new(|| "datetime".parse().ok());
static DURATION: LazyLock<Option<Name>> = LazyLock::new(|| "duration".parse().ok());
static OFFSET: LazyLock<Option<Name>> = LazyLock::new(|| "offset".parse().ok());
static IP: LazyLock<Option<Name>> = LazyLock::new(|| "ip".parse().ok());
static EPOCH: LazyLock<Result<Value, String>> =
    LazyLock::new(|| call(&DATETIME, &[Value::from(SmolStr::from("1970-01-01"))]));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_refused() {
        assert_eq!(long("5.0"), Some(5));
        assert_eq!(long("1e3"), Some(1000));
        assert_eq!(long("-12.50e1"), Some(-125));
        assert_eq!(long("0e999999999"), Some(0));
        for wrong in ["1.5", "1e19", "9223372036854775808", "1e-1", "1e99999999999999999999"] {
            assert_eq!(long(wrong), None, "{wrong}");
        }
        assert_eq!(decimal("1.5").unwrap().to_string(), r#"decimal("1.5000")"#);
        assert_eq!(decimal("-0.00010").unwrap().to_string(), r#"decimal("-0.0001")"#);
        assert_eq!(decimal("12e-1").unwrap().to_string(), r#"decimal("1.2000")"#);
        for wrong in ["0.00001", "922337203685477.5808", "1e300", "x", "1.23456"] {
            assert!(decimal(wrong).is_err(), "{wrong}");
        }
        assert!(decimal("-922337203685477.5808").is_ok());
    }

    #[test]
    fn dates_are_exact_or_refused() {
        for fits in ["2024-10-15", "2024-10-15T11:35:00Z", "2024-10-15T11:35:00.12+05:30"] {
            assert!(datetime(fits).is_ok(), "{fits}");
        }
        for wrong in ["2024-10-15T11:35:00.1234Z", "2024-10-15T11:35:00", "yesterday", "2024-13-01"]
        {
            assert!(datetime(wrong).is_err(), "{wrong}");
        }
        assert!(datetime("2024-10-15T11:35:00.123000Z").is_ok());
        let now = instant(1_709_210_096_789).unwrap();
        assert_eq!(now, datetime("2024-02-29T12:34:56.789Z").unwrap());
        assert!(instant(i64::MIN).is_ok() && instant(-1).is_ok());
    }

    #[test]
    fn durations_are_exact_or_refused() {
        assert_eq!(iso_duration("P1DT2H30M"), Some(95_400_000));
        assert_eq!(iso_duration("-PT0.5S"), Some(-500));
        for wrong in ["P1Y", "P1M", "PT", "P", "1H", "PT1M1H", "PT0.0001S", ""] {
            assert_eq!(iso_duration(wrong), None, "{wrong}");
        }
    }
}
