//! How far this region has followed the others, and what answers say of it.

use http::HeaderValue;
use yima_schema::time::Time;

/// As the last complete poll told it; the header's value is made once, not per request.
#[derive(Default)]
pub(crate) struct Regions {
    /// Each region with the moment before which everything acknowledged there is in our answers; `None` before the first time.
    pub as_of: Vec<(String, Option<Time>)>,
    /// A dictionary of strings (RFC 9651 section 3.2): `chengdu="2026-11-25T07:30:00Z"`. `None` if there is no other region.
    pub header: Option<HeaderValue>,
}

impl Regions {
    /// Of regions whose names are lower-case letters, digits and `_`.
    pub fn new(as_of: &[(String, Option<Time>)]) -> Self {
        let member = |(region, as_of): &(String, Option<Time>)| match as_of {
            Some(as_of) => format!("{region}=\"{as_of}\""),
            None => format!("{region}=\"\""),
        };
        let members: Vec<String> = as_of.iter().map(member).collect();
        let header = (!members.is_empty()).then(|| HeaderValue::try_from(members.join(", ")).ok()).flatten();
        Self { as_of: as_of.to_vec(), header }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_member_a_region() {
        let regions = [("chengdu".to_owned(), Some(Time::from_secs(1_790_000_000))), ("xian".to_owned(), None)];
        let header = Regions::new(&regions).header.unwrap();
        assert_eq!(header, "chengdu=\"2026-09-21T14:13:20Z\", xian=\"\"");
        assert_eq!(Regions::new(&[]).header, None);
    }
}
