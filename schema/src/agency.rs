//! Names of agencies.

use crate::limits::MAX_AGENCY_CHARS;

/// Whether `name` is an agency's name: 1 to 32 lower-case letters, digits and dashes, starting with a letter or digit.
pub fn is_agency_name(name: &str) -> bool {
    (1..=MAX_AGENCY_CHARS).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The sender of what citizens write about themselves: no agency can have this name.
pub const CITIZEN: &str = "~citizen";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_agency_is_called_as_citizens_are() {
        assert!(is_agency_name("lab-7") && !is_agency_name(CITIZEN));
    }
}
