//! What a number as spelled becomes without losing a digit.

/// Which shape holds a number without loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// A whole number that is exact as a float too.
    Integer,
    /// A whole number of 64 bits that a float would round.
    WideInteger,
    /// A number that a float gives back digit by digit.
    Float,
    /// Only its spelling holds it.
    Text,
}

/// Whole numbers up to here are exact as floats.
const EXACT: u64 = 1 << 53;

/// Which shape holds `spelled`.
pub(super) fn fit(spelled: &str) -> Fit {
    match spelled.parse::<i64>() {
        Ok(value) if value.unsigned_abs() <= EXACT => Fit::Integer,
        Ok(_) => Fit::WideInteger,
        Err(_) if exact_float(spelled).is_some() => Fit::Float,
        Err(_) => Fit::Text,
    }
}

/// The float that gives `spelled` back, if there is one: of 0.1 the nearest float will do, of the 20 digits of an
/// identifier it will not.
pub(super) fn exact_float(spelled: &str) -> Option<f64> {
    let value: f64 = match spelled {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ => spelled.parse().ok()?,
    };
    // Fifteen digits always survive; an exponent may be out of range.
    let short = spelled.len() <= 16 && !spelled.bytes().any(|byte| matches!(byte, b'e' | b'E'));
    (short || (value.is_finite() && significant(spelled) == significant(&format!("{value:e}")))).then_some(value)
}

/// The digits from the first to the last that is not zero, and the power of ten of the first.
fn significant(spelled: &str) -> (String, i64) {
    let (mantissa, exponent) = spelled.split_once(['e', 'E']).unwrap_or((spelled, "0"));
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let kept = digits.trim_matches('0').to_owned();
    if kept.is_empty() {
        return (kept, 0);
    }
    let shift = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_sub(i64::try_from(leading).unwrap_or(i64::MAX));
    (kept, exponent.parse::<i64>().unwrap_or(i64::MAX).saturating_add(shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_where_it_loses_no_digit() {
        for (spelled, expected) in [
            ("0", Fit::Integer),
            ("-12", Fit::Integer),
            ("9007199254740992", Fit::Integer),
            ("9007199254740993", Fit::WideInteger),
            ("9223372036854775807", Fit::WideInteger),
            ("9223372036854775808", Fit::Text),
            ("10000000000000000000000", Fit::Float),
            ("0.1", Fit::Float),
            ("5.8750", Fit::Float),
            ("1e3", Fit::Float),
            ("0.1000000000000000055511151231257827", Fit::Text),
            ("3.141592653589793", Fit::Float),
            ("3.14159265358979312", Fit::Text),
            ("1e400", Fit::Text),
            ("1e-400", Fit::Text),
            ("0e99999", Fit::Float),
            ("NaN", Fit::Float),
        ] {
            assert_eq!(fit(spelled), expected, "{spelled}");
        }
    }
}
