//! The id that ties an answer to its log lines.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header field that carries it in both directions.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request if it is 1 to 64 of `A-Z a-z 0-9 . _ -`, else 16 random hex digits.
pub(super) fn of(headers: &HeaderMap) -> HeaderValue {
    match headers.get(X_REQUEST_ID) {
        Some(given) if is_id(given.as_bytes()) => given.clone(),
        Some(_) | None => random(),
    }
}

fn is_id(bytes: &[u8]) -> bool {
    (1..=64).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn random() -> HeaderValue {
    // Hex digits are always a header value.
    HeaderValue::from_bytes(&digits()).unwrap_or(HeaderValue::from_static("none"))
}

/// 16 random hex digits.
pub(super) fn digits() -> [u8; 16] {
    let bits: u64 = rand::random();
    std::array::from_fn(|at| b"0123456789abcdef"[usize::from((bits >> (4 * at)) as u8 & 0xf)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proper_id_is_kept_and_any_other_replaced() {
        let of_given = |id: &str| {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_str(id).unwrap())]);
            of(&headers).to_str().unwrap().to_owned()
        };
        assert_eq!(of_given("a-B_9."), "a-B_9.");
        for other in ["", "a b", "a\"", &"a".repeat(65)] {
            let id = of_given(other);
            assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        }
        assert_ne!(of(&HeaderMap::new()), of(&HeaderMap::new()));
    }
}
