//! Resident identity numbers of the People's Republic of China: GB 11643-1999, 18 characters.

use std::ops::Range;

use jiff::civil::Date;

/// No living person was born earlier.
pub const EARLIEST_BIRTH: Date = Date::constant(1850, 1, 1);

/// Why a text is not a resident identity number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResidentIdError {
    /// Not 17 digits followed by a digit or X.
    #[error("expected 17 digits followed by a digit or X")]
    Shape,
    /// Digits 7 to 14 are not a date from 1850 on.
    #[error("digits 7 to 14 must be a date of birth (YYYYMMDD)")]
    BirthDate,
    /// The check character does not match the other 17 (ISO 7064 MOD 11-2).
    #[error("the check character does not match the other 17 digits")]
    Checksum,
}

/// The check character of 17 digits: ISO 7064 MOD 11-2, as GB 11643 section 5 prescribes.
pub fn check_character(digits: &[u8; 17]) -> u8 {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(d, w)| u32::from(d - b'0') * w).sum();
    b"10X98765432"[(sum % 11) as usize]
}

/// Checks a number and returns it in canonical form (upper-case X).
///
/// # Errors
/// The first error: shape, then date of birth, then check character.
pub fn canonical(number: &str) -> Result<String, ResidentIdError> {
    let upper = number.trim().to_ascii_uppercase();
    let bytes: &[u8; 18] = upper.as_bytes().try_into().map_err(|_| ResidentIdError::Shape)?;
    let (digits, check) = (&bytes[..17], bytes[17]);
    if !digits.iter().all(u8::is_ascii_digit) || !(check.is_ascii_digit() || check == b'X') {
        return Err(ResidentIdError::Shape);
    }
    if birth_date(&upper).is_none_or(|date| date < EARLIEST_BIRTH) {
        return Err(ResidentIdError::BirthDate);
    }
    let digits: &[u8; 17] = digits.try_into().map_err(|_| ResidentIdError::Shape)?;
    if check_character(digits) != check {
        return Err(ResidentIdError::Checksum);
    }
    Ok(upper)
}

/// The date of birth in a number: digits 7 to 14.
pub fn birth_date(number: &str) -> Option<Date> {
    let field = |range: Range<usize>| number.get(range)?.parse::<i16>().ok();
    let (month, day) = (i8::try_from(field(10..12)?).ok()?, i8::try_from(field(12..14)?).ok()?);
    Date::new(field(6..10)?, month, day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_are_valid() {
        // GB 11643-1999 annex: 11010519491231002X and 440524188001010014.
        assert_eq!(canonical("11010519491231002x").unwrap(), "11010519491231002X");
        assert_eq!(canonical("440524188001010014").unwrap(), "440524188001010014");
    }

    #[test]
    fn each_kind_of_bad_number_has_its_error() {
        assert_eq!(canonical("110105194912310021"), Err(ResidentIdError::Checksum));
        assert_eq!(canonical("11010519491331002X"), Err(ResidentIdError::BirthDate));
        assert_eq!(canonical("11010519491231002"), Err(ResidentIdError::Shape));
        assert_eq!(canonical("1101051949123100２X"), Err(ResidentIdError::Shape));
    }

    #[test]
    fn every_single_digit_error_is_detected() {
        let good = b"440524188001010014";
        for at in 0..18 {
            for digit in b'0'..=b'9' {
                let mut bad = *good;
                bad[at] = digit;
                if bad != *good {
                    assert!(canonical(std::str::from_utf8(&bad).unwrap()).is_err());
                }
            }
        }
    }
}
