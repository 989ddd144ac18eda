//! How far this region has followed the other regions, as every answer states it.

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
}
