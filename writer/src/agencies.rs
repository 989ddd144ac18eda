//! The agency registry: which rights each agency has. Data of the operator, read when a row is admitted and never when
//! a view is derived: what was accepted stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::tz::{Offset, TimeZone};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use yima_schema::agency::is_agency_name;
use yima_schema::event::{Colour, EventKind};
use yima_schema::subject::DocumentType;
use yima_service::config::{self, Checks, ConfigErrors};

/// The agencies with their rights, by name. Without any, every agency has every right.
#[derive(Clone, Debug, Default)]
pub struct Agencies(BTreeMap<String, Rights>);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    agencies: Vec<Rights>,
}

/// The rights of one agency.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rights {
    /// The agency's name, as its token has it.
    name: String,
    /// The kinds of events that it may send.
    pub kinds: Vec<EventKind>,
    /// The colours that it may assign.
    #[serde(default)]
    pub colours: BTreeSet<Colour>,
    /// The reasons that it may give for an assignment.
    #[serde(default)]
    pub reasons: BTreeSet<String>,
    /// The documents by which it may name a person.
    #[serde(default = "all_documents")]
    pub document_types: Vec<DocumentType>,
    /// Whether it may close a code, by reporting a death.
    #[serde(default)]
    pub closes_codes: bool,
    /// A negative result whose sample is older than this may not end another agency's positive.
    #[serde(default = "backdate_h")]
    pub backdate_h: u32,
    /// Events that restrict a person which each writer takes from it in a minute.
    #[serde(default = "restrictions_per_minute")]
    pub restrictions_per_minute: u32,
    /// The time zone of its dates without a time.
    #[serde(default, deserialize_with = "zone")]
    pub zone: Option<TimeZone>,
}

/// Which rights an agency has.
pub(crate) enum Right<'a> {
    /// There is no registry: every right.
    Every,
    /// Those of the registry.
    Some(&'a Rights),
    /// The registry does not name it: none.
    None,
}

impl Agencies {
    /// Reads the registry; without a file every agency has every right. Waits for the file system.
    ///
    /// # Errors
    /// All errors of the file.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigErrors> {
        let document = config::load_checked::<Document>("", file, [], Document::check)?;
        Ok(Self(document.agencies.into_iter().map(|rights| (rights.name.clone(), rights)).collect()))
    }

    /// The rights of an agency.
    pub(crate) fn rights(&self, agency: &str) -> Right<'_> {
        match self.0.get(agency) {
            Some(rights) => Right::Some(rights),
            None if self.0.is_empty() => Right::Every,
            None => Right::None,
        }
    }

    /// The time zone of an agency's dates without a time, if the registry has one.
    pub(crate) fn zone(&self, agency: &str) -> Option<&TimeZone> {
        self.0.get(agency)?.zone.as_ref()
    }
}

impl Document {
    fn check(&self, checks: &mut Checks<'_>) {
        let names: BTreeSet<_> = self.agencies.iter().map(|rights| &rights.name).collect();
        let are_names = names.iter().all(|name| is_agency_name(name));
        let expected = "expected names of 1 to 32 lower-case letters, digits and dashes";
        checks.expect(are_names, "agencies", &[], expected);
        checks.expect(names.len() == self.agencies.len(), "agencies", &[], "expected each name once");
        let assignable = self.agencies.iter().all(|rights| rights.colours.iter().all(|colour| colour.is_assignable()));
        checks.expect(assignable, "agencies", &[], "expected colours among green, yellow and red");
    }
}

fn all_documents() -> Vec<DocumentType> {
    DocumentType::ALL.to_vec()
}

/// Below the 24 h that two clearing negatives are apart: the earlier one cannot be invented together with the later.
fn backdate_h() -> u32 {
    12
}

fn restrictions_per_minute() -> u32 {
    600
}

/// An IANA name, of the system's database, or an offset such as `+08:00`.
fn zone<'de, D: Deserializer<'de>>(name: D) -> Result<Option<TimeZone>, D::Error> {
    let name = String::deserialize(name)?;
    let fixed = || {
        let (sign, digits) = (name.get(..1)?, name.get(1..)?.split_once(':')?);
        let number = |digits: &str, most: i32| digits.parse::<i32>().ok().filter(|n| digits.len() == 2 && *n <= most);
        let seconds = number(digits.0, 14)? * 3600 + number(digits.1, 59)? * 60;
        let seconds = if sign == "-" { -seconds } else { seconds };
        let offset = Offset::from_seconds(seconds).ok().filter(|_| ["+", "-"].contains(&sign))?;
        Some(TimeZone::fixed(offset))
    };
    let zone = fixed().or_else(|| TimeZone::get(&name).ok());
    let expected = "expected an offset such as +08:00, or the IANA name of a time zone that this system knows";
    zone.map(Some).ok_or_else(|| D::Error::custom(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Agencies, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Agencies::load(Some(file.path())).map_err(|errors| errors.to_string())
    }

    #[test]
    fn an_agency_has_the_rights_that_the_registry_gives() {
        let text = "[[agencies]]\nname = \"lab-7\"\nkinds = [\"test_result\"]\nzone = \"+08:00\"\n\
            [[agencies]]\nname = \"cdc\"\nkinds = [\"colour_assignment\"]\ncolours = [\"red\"]\nreasons = [\"quarantine\"]\n";
        let agencies = load(text).unwrap();
        let Right::Some(lab) = agencies.rights("lab-7") else { panic!("it is in the registry") };
        assert_eq!((lab.kinds.as_slice(), lab.closes_codes), (&[EventKind::TestResult][..], false));
        assert!(lab.colours.is_empty() && lab.document_types.len() == 4);
        assert!(agencies.zone("lab-7").is_some() && agencies.zone("cdc").is_none());
        assert!(matches!(agencies.rights("lab-8"), Right::None));
        assert!(matches!(load("").unwrap().rights("lab-8"), Right::Every));
    }

    #[test]
    fn a_registry_with_an_error_is_refused() {
        let agency = |more: &str| format!("[[agencies]]\nname = \"lab-7\"\nkinds = [\"test_result\"]\n{more}\n");
        for (text, expected) in [
            (agency("colour = \"red\""), "colour"),
            (agency("colours = [\"none\"]"), "green, yellow and red"),
            (agency("zone = \"Asia/Nowhere\""), "zone"),
            (agency("zone = \"+25:00\""), "zone"),
            (agency("zone = \"8:00\""), "zone"),
            (agency("backdate_h = -1"), "backdate_h"),
            (agency("") + &agency(""), "each name once"),
            ("[[agencies]]\nname = \"Lab 7\"\nkinds = []\n".to_owned(), "lower-case letters"),
            ("[[agencies]]\nname = \"lab-7\"\n".to_owned(), "kinds"),
            ("[agency]\n".to_owned(), "agency"),
            (agency("closes_codes = false\ncloses_codes = true"), "line 5)"),
        ] {
            let error = load(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
