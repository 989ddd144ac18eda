//! The parts of a full scan that need no store.

use super::*;

fn page(tokens: &[i64], upto: i64) -> Page {
    let subject = |token: &i64| (*token, SubjectId::from_bytes([token.unsigned_abs() as u8; 16]));
    Page { subjects: tokens.iter().map(subject).collect(), upto }
}

#[test]
fn the_union_of_pages_ends_with_the_shortest_page() {
    let merged = |pages| {
        let (subjects, upto) = union(pages);
        (subjects.iter().map(|s| i64::from(s.as_bytes()[0])).collect::<Vec<_>>(), upto)
    };
    assert_eq!(merged(vec![page(&[1, 4, 7], 8)]), (vec![1, 4, 7], 8));
    assert_eq!(merged(vec![page(&[1, 4], 5), page(&[1, 2, 6], 9)]), (vec![1, 2, 4], 5));
    // A subject that only the other region has, on the last page.
    assert_eq!(merged(vec![page(&[], i64::MAX), page(&[3], i64::MAX)]), (vec![3], i64::MAX));
}

#[test]
fn a_page_at_a_low_rate_is_small() {
    let rate = |n| Rate(NonZeroU32::new(n).unwrap());
    assert_eq!(rate(1_000_000).page(), PAGE);
    assert_eq!(rate(20).page(), 20);
    assert_eq!(rate(20).time_for(20), PAGE_TIME);
}
