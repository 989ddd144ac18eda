//! What needs no store.

use super::*;

fn page(places: &[i64], upto: i64) -> Page {
    let subject = |place: &i64| (*place, SubjectId::from_bytes([place.unsigned_abs() as u8; 16]));
    Page { subjects: places.iter().map(subject).collect(), upto }
}

#[test]
fn a_union_ends_where_the_first_page_ends() {
    let places = |pages| {
        let (subjects, upto) = union(pages);
        (subjects.iter().map(|s| i64::from(s.as_bytes()[0])).collect::<Vec<_>>(), upto)
    };
    assert_eq!(places(vec![page(&[1, 4, 7], 8)]), (vec![1, 4, 7], 8));
    assert_eq!(places(vec![page(&[1, 4], 5), page(&[1, 2, 6], 9)]), (vec![1, 2, 4], 5));
    // Somebody whom only the other region has, also at the end.
    assert_eq!(places(vec![page(&[], i64::MAX), page(&[3], i64::MAX)]), (vec![3], i64::MAX));
}

#[test]
fn a_page_at_a_slow_rate_is_small() {
    let rate = |n| Rate(NonZeroU32::new(n).unwrap());
    assert_eq!(rate(1_000_000).page(), PAGE);
    assert_eq!(rate(20).page(), 20);
    assert_eq!(rate(20).time_for(20), PAGE_TIME);
}
