//! FHIR R4 `Bundle` (section 2.36): many resources in one request.

use std::borrow::Cow;

use std::collections::{HashMap, HashSet, hash_map};
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use yima_schema::limits::MAX_EVENT_BYTES;
use yima_schema::problem::{FieldError, Problem, ProblemType};
use yima_service::http::body;
use yima_service::http::unique_members::{self, NotUnique};

use super::super::RawRow;
use super::{ID, Person, References, is_id};

/// Largest number of entries. An entry can be two bytes long, and its answer some hundred.
const MAX_ENTRIES: usize = 20_000;

/// The type of a Bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BundleType {
    /// Each entry by itself.
    Batch,
    /// All entries or none.
    Transaction,
    /// A message (section 2.4): its header and what it is about.
    Message,
    /// A set of resources.
    Collection,
    /// A document (section 2.3), such as a laboratory's report: its composition and what that refers to.
    Document,
}

impl BundleType {
    /// Whether an entry has to say what to do with its resource (`bdl-3`). Of the others each resource is stored.
    fn has_requests(self) -> bool {
        match self {
            Self::Batch | Self::Transaction => true,
            Self::Message | Self::Collection | Self::Document => false,
        }
    }
}

/// A Bundle whose resources are not decoded yet.
pub struct Bundle {
    /// Its type.
    pub kind: BundleType,
    /// Its entries, in order.
    pub entries: Vec<RawRow>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: BundleType,
    /// The raw entries, up to one more than [`MAX_ENTRIES`].
    #[serde(borrow, default, deserialize_with = "entries")]
    entry: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow)]
    full_url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    request: Option<Request<'a>>,
    /// The resource's header, if the resource has a type.
    #[serde(skip)]
    header: Option<Header<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    if_match: Option<IgnoredAny>,
    if_none_match: Option<IgnoredAny>,
    if_none_exist: Option<IgnoredAny>,
    if_modified_since: Option<IgnoredAny>,
}

/// The elements of a resource that make it a Bundle or the target of a reference.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    #[serde(borrow)]
    resource_type: Cow<'a, str>,
    /// Any value: an error in it must not hide the type. Null if the resource has none.
    #[serde(default)]
    id: Value,
    #[serde(borrow)]
    identifier: Option<&'a RawValue>,
}

impl Bundle {
    /// Reads a body as a Bundle; `None` if it is another resource.
    ///
    /// # Errors
    /// 400 if it is not JSON, has a member twice, or is a Bundle of another type; 413 over 20,000 entries.
    pub fn read(text: &Bytes) -> Result<Option<Self>, Problem> {
        // An entry that is nested too deep for this check is refused by itself.
        if let Err(NotUnique::Duplicate(pointer)) = unique_members::check(text) {
            return Err(unique_members::problem(pointer));
        }
        let header: Header<'_> = serde_json::from_slice(text).map_err(|error| {
            if error.is_data() {
                Problem::invalid(vec![FieldError::new("/resourceType", "expected a FHIR resource")])
            } else {
                body::malformed(&error)
            }
        })?;
        if header.resource_type != "Bundle" {
            return Ok(None);
        }
        let document: Document<'_> = serde_json::from_slice(text).map_err(|_| {
            let expected = "expected batch, transaction, message, collection or document, and a list of entries";
            Problem::invalid(vec![FieldError::new("/type", expected)])
        })?;
        if document.entry.len() > MAX_ENTRIES {
            let detail = format!("A Bundle may have up to {MAX_ENTRIES} entries");
            return Err(Problem::new(ProblemType::TooLarge, detail));
        }
        let entries: Vec<_> = document.entry.iter().map(|raw| Entry::read(raw.get())).collect();
        let ambiguous = ambiguous_urls(&entries);
        let mut references: HashMap<String, Option<Person>> = HashMap::new();
        for (urls, person) in entries.iter().flatten().filter_map(patient) {
            for url in urls.into_iter().flatten() {
                let known = references.entry(url).or_insert_with(|| person.clone());
                if *known != person {
                    *known = None;
                }
            }
        }
        references.extend(ambiguous.iter().map(|url| ((*url).to_owned(), None)));
        let references = Arc::new(References::of_patients(references));
        let row = |entry: &Option<Entry<'_>>| match entry {
            Some(entry) if entry.full_url.as_deref().is_some_and(|url| ambiguous.contains(url)) => {
                refused("/fullUrl", "expected one that stands for no other resource of the Bundle")
            }
            Some(entry) => entry_row(entry, document.kind, text, &references),
            None => refused("", "expected an entry with resource and request"),
        };
        Ok(Some(Self { kind: document.kind, entries: entries.iter().map(row).collect() }))
    }
}

impl<'a> Entry<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let entry: Self = serde_json::from_str(text).ok()?;
        let header = entry.resource.and_then(|resource| serde_json::from_str(resource.get()).ok());
        Some(Self { header, ..entry })
    }
}

/// Every `fullUrl` of two different resources (`bdl-7` allows one for several versions of a resource, by its id).
fn ambiguous_urls<'a>(entries: &'a [Option<Entry<'a>>]) -> HashSet<&'a str> {
    let (mut first, mut ambiguous) = (HashMap::new(), HashSet::new());
    for entry in entries.iter().flatten() {
        let (Some(url), Some(Header { resource_type, id, .. })) = (entry.full_url.as_deref(), &entry.header) else {
            continue;
        };
        match first.entry(url) {
            hash_map::Entry::Vacant(new) => {
                new.insert((resource_type, id));
            }
            hash_map::Entry::Occupied(known) if id.is_null() || *known.get() != (resource_type, id) => {
                ambiguous.insert(url);
            }
            hash_map::Entry::Occupied(_) => {}
        }
    }
    ambiguous
}

/// Reads one entry more than [`MAX_ENTRIES`] and skips the rest.
fn entries<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<&'de RawValue>, D::Error> {
    struct Bounded;
    impl<'de> Visitor<'de> for Bounded {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while entries.len() <= MAX_ENTRIES {
                let Some(entry) = list.next_element()? else { return Ok(entries) };
                entries.push(entry);
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(entries)
        }
    }
    list.deserialize_seq(Bounded)
}

/// The Patient of an entry: the references to it, and its person if that is certain.
fn patient(entry: &Entry<'_>) -> Option<([Option<String>; 2], Option<Person>)> {
    let header = entry.header.as_ref().filter(|header| header.resource_type == "Patient")?;
    let id = header.id.as_str().filter(|id| is_id(id));
    if id.is_none() && !header.id.is_null() {
        return None;
    }
    // A longer resource is rejected as an event: its person stays uncertain, as it does if its identifiers cannot be
    // read.
    let fits = entry.resource.is_some_and(|resource| resource.get().len() <= MAX_EVENT_BYTES);
    let identifiers = header.identifier.map(|list| body::value(list.get().as_bytes())).transpose();
    let person = identifiers.ok().filter(|_| fits).and_then(|list| Person::of_patient(id, list.as_ref()).ok());
    let person = person.filter(Person::is_known);
    Some(([entry.full_url.as_deref().map(str::to_owned), id.map(|id| format!("Patient/{id}"))], person))
}

/// The row of an entry. `PUT Type/id` and `POST Type` both store a resource under its own id: an event's id is the
/// sender's, so sending it again changes nothing.
fn entry_row(entry: &Entry<'_>, kind: BundleType, text: &Bytes, references: &Arc<References>) -> RawRow {
    let Some(resource) = entry.resource else { return refused("/resource", "expected a resource") };
    let Some(header) = &entry.header else {
        return refused("/resource/resourceType", "expected a FHIR resource");
    };
    let row = RawRow::Entry { resource: text.slice_ref(resource.get().as_bytes()), references: references.clone() };
    let Some(request) = &entry.request else {
        return if kind.has_requests() { refused("/request", "expected PUT Type/id or POST Type") } else { row };
    };
    let conditions = [
        ("ifMatch", request.if_match),
        ("ifNoneMatch", request.if_none_match),
        ("ifNoneExist", request.if_none_exist),
        ("ifModifiedSince", request.if_modified_since),
    ];
    if let Some((name, _)) = conditions.into_iter().find(|(_, condition)| condition.is_some()) {
        return refused(&format!("/request/{name}"), "expected none: conditions are not supported here");
    }
    let url = match &*request.method {
        "PUT" => {
            let Some(id) = header.id.as_str() else { return refused("/resource/id", ID) };
            format!("{}/{id}", header.resource_type)
        }
        "POST" => header.resource_type.clone().into_owned(),
        _ => {
            let expected = "expected PUT or POST; to retract a resource, send it with status entered-in-error";
            return refused("/request/method", expected);
        }
    };
    if request.url != url {
        return refused("/request/url", "expected the resource's type with POST, its type/id with PUT");
    }
    row
}

fn refused(pointer: &str, expected: &str) -> RawRow {
    RawRow::Rejected(Problem::invalid(vec![FieldError::new(pointer, expected)]))
}
