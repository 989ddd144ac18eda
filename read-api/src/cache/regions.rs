//! How far this region has followed the other regions, as every answer states it.

use std::time::Duration;

use http::HeaderValue;
use yima_schema::time::Time;

/// The other regions as of the last complete poll; the header's value is made once, not per request.
#[derive(Default)]
pub(crate) struct Regions {
    /// Each region with the moment before which everything acknowledged there is in every answer; `None` as long as
    /// none is known.
    pub as_of: Vec<(String, Option<Time>)>,
    /// A dictionary of strings (RFC 9651 section 3.2): `chengdu="2026-11-25T07:30:00Z"`. `None` if there is no other
    /// region.
    pub header: Option<HeaderValue>,
}

impl Regions {
    /// The regions' names are of lower-case letters, digits and `_`.
    pub fn new(as_of: &[(String, Option<Time>)]) -> Self {
        let member = |(region, as_of): &(String, Option<Time>)| match as_of {
            Some(as_of) => format!("{region}=\"{as_of}\""),
            None => format!("{region}=\"\""),
        };
        let members: Vec<String> = as_of.iter().map(member).collect();
        let header = (!members.is_empty()).then(|| HeaderValue::try_from(members.join(", ")).ok()).flatten();
        Self { as_of: as_of.to_vec(), header }
    }

    /// Whether everything acknowledged in `region` up to `moment` is in every answer.
    pub fn has_passed(&self, region: &str, moment: Time) -> bool {
        self.as_of.iter().any(|(name, as_of)| name == region && as_of.is_some_and(|as_of| as_of > moment))
    }

    /// The regions that have not been heard for longer than `bound`, or never; none if `bound` is 0.
    pub fn silent(&self, bound: Duration, now: Time) -> impl Iterator<Item = &str> {
        let is_silent =
            move |as_of: Option<Time>| !bound.is_zero() && as_of.is_none_or(|as_of| now.since(as_of) > bound);
        self.as_of.iter().filter(move |(_, as_of)| is_silent(*as_of)).map(|(region, _)| region.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_one_member_per_region() {
        let regions = [("chengdu".to_owned(), Some(Time::from_secs(1_790_000_000))), ("xian".to_owned(), None)];
        let header = Regions::new(&regions).header.unwrap();
        assert_eq!(header, "chengdu=\"2026-09-21T14:13:20Z\", xian=\"\"");
        assert_eq!(Regions::new(&[]).header, None);
    }

    #[test]
    fn a_region_is_silent_beyond_the_bound_or_before_its_first_word() {
        let heard_at = Time::from_secs(1_790_000_000);
        let regions = Regions::new(&[("chengdu".to_owned(), Some(heard_at)), ("xian".to_owned(), None)]);
        let silent = |bound, after| -> Vec<String> {
            let (bound, now) = (Duration::from_secs(bound), heard_at.plus(Duration::from_secs(after)));
            regions.silent(bound, now).map(str::to_owned).collect()
        };
        assert_eq!(silent(60, 60), ["xian"]);
        assert_eq!(silent(60, 61), ["chengdu", "xian"]);
        assert!(silent(0, 61).is_empty());
    }
}
