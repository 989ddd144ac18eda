//! FHIR R4 `Bundle` (section 2.36): many resources in one request.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use yima_schema::limits::MAX_EVENT_BYTES;
use yima_schema::problem::{FieldError, Problem, ProblemType};
use yima_service::http::body;

use super::super::{Input, Row, RowError};
use super::{ID, Person, References, is_id};

/// Entries of one bundle. An entry can be two bytes, and its answer some hundred.
const MAX_ENTRIES: usize = 20_000;

/// What a bundle asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BundleType {
    /// Each entry by itself.
    Batch,
    /// All entries or none.
    Transaction,
}

/// A bundle, its resources not yet read.
pub struct Bundle {
    /// What it asks for.
    pub kind: BundleType,
    /// In the order of its entries.
    pub entries: Vec<Input>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: BundleType,
    /// Not read at once: see [`MAX_ENTRIES`].
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
    /// Of the resource, if it is one.
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

/// Of a resource, what makes it a bundle or something to refer to.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    #[serde(borrow)]
    resource_type: Cow<'a, str>,
    /// Any value: a fault of it is not one of the type.
    #[serde(default)]
    id: Value,
    #[serde(borrow)]
    identifier: Option<&'a RawValue>,
}

impl Bundle {
    /// Reads a body as a bundle; `None` if it is another resource.
    ///
    /// # Errors
    /// 400 when it is no JSON or no batch or transaction; 413 over 20,000 entries.
    pub fn read(text: &Bytes) -> Result<Option<Self>, Problem> {
        let header: Header<'_> = serde_json::from_slice(text).map_err(|fault| {
            if fault.is_data() {
                Problem::invalid(vec![FieldError::new("/resourceType", "expected a FHIR resource")])
            } else {
                body::malformed(&fault)
            }
        })?;
        if header.resource_type != "Bundle" {
            return Ok(None);
        }
        let document: Document<'_> = serde_json::from_slice(text).map_err(|_| {
            let expected = "expected batch or transaction, and a list of entries";
            Problem::invalid(vec![FieldError::new("/type", expected)])
        })?;
        if document.entry.len() > MAX_ENTRIES {
            let detail = format!("A Bundle may have up to {MAX_ENTRIES} entries");
            return Err(Problem::new(ProblemType::TooLarge, detail));
        }
        let entries: Vec<_> = document.entry.iter().map(|raw| Entry::read(raw.get())).collect();
        let unclear = unclear(&entries);
        let mut references = References::new();
        for (urls, person) in entries.iter().flatten().filter_map(patient) {
            for url in urls.into_iter().flatten() {
                let known = references.entry(url).or_insert_with(|| person.clone());
                if *known != person {
                    *known = None;
                }
            }
        }
        references.extend(unclear.iter().map(|url| ((*url).to_owned(), None)));
        let references = Arc::new(references);
        let input = |entry: &Option<Entry<'_>>| match entry {
            Some(entry) if entry.full_url.as_deref().is_some_and(|url| unclear.contains(url)) => {
                refused("/fullUrl", "expected one that stands for no other resource of the Bundle")
            }
            Some(entry) => read_entry(entry, text, &references),
            None => refused("", "expected an entry with resource and request"),
        };
        Ok(Some(Self { kind: document.kind, entries: entries.iter().map(input).collect() }))
    }
}

impl<'a> Entry<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let entry: Self = serde_json::from_str(text).ok()?;
        let header = entry.resource.and_then(|resource| serde_json::from_str(resource.get()).ok());
        Some(Self { header, ..entry })
    }
}

/// Every `fullUrl` that stands for two resources (`bdl-7` allows it for versions of one).
fn unclear<'a>(entries: &'a [Option<Entry<'a>>]) -> HashSet<&'a str> {
    let (mut first, mut unclear) = (HashMap::new(), HashSet::new());
    for entry in entries.iter().flatten() {
        let (Some(url), Some(Header { resource_type, id, .. })) = (entry.full_url.as_deref(), &entry.header) else {
            continue;
        };
        if *first.entry(url).or_insert((resource_type, id)) != (resource_type, id) {
            unclear.insert(url);
        }
    }
    unclear
}

/// One more than there may be at most; the rest is passed over.
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

/// The Patient of an entry: the references that stand for it, and who it is.
fn patient(entry: &Entry<'_>) -> Option<([Option<String>; 2], Option<Person>)> {
    let header = entry.header.as_ref().filter(|header| header.resource_type == "Patient")?;
    let id = header.id.as_str().filter(|id| is_id(id))?;
    // What is longer is no event, and not read: whom it stands for is not clear then, nor if the list cannot be read.
    let fits = entry.resource.is_some_and(|resource| resource.get().len() <= MAX_EVENT_BYTES);
    let identifiers = header.identifier.map(|list| serde_json::from_str::<Value>(list.get())).transpose();
    let person = identifiers.ok().filter(|_| fits).and_then(|list| Person::of_patient(id, list.as_ref()).ok());
    Some(([entry.full_url.as_deref().map(str::to_owned), Some(format!("Patient/{id}"))], person))
}

/// `PUT Type/id` and `POST Type` both bring a resource under its own id: an event's id is the sender's, so that sending it again changes nothing.
fn read_entry(entry: &Entry<'_>, text: &Bytes, references: &Arc<References>) -> Input {
    let Some(resource) = entry.resource else { return refused("/resource", "expected a resource") };
    let Some(header) = &entry.header else {
        return refused("/resource/resourceType", "expected a FHIR resource");
    };
    let Some(request) = &entry.request else {
        return refused("/request", "expected PUT Type/id or POST Type");
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
            let expected = "expected PUT or POST; to take something back, send it with status entered-in-error";
            return refused("/request/method", expected);
        }
    };
    if request.url != url {
        return refused("/request/url", "expected the resource's type with POST, its type/id with PUT");
    }
    Input::Entry { resource: text.slice_ref(resource.get().as_bytes()), references: references.clone() }
}

fn refused(pointer: &str, expected: &str) -> Input {
    let problem = Problem::invalid(vec![FieldError::new(pointer, expected)]);
    Input::Read(Row { id: None, event: Err(RowError::Rejected(problem)) })
}
