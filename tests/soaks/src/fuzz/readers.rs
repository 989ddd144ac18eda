//! The readers, each with the properties that hold for whatever it is given: see [`super::events`],
//! [`super::codes`], [`super::foreign`] and [`super::tokens`].

use std::sync::Arc;

use yima_read_api::{ScanRequest, Scanned};
use yima_schema::subject::PseudonymKey;
use yima_service::http::body;
use yima_writer::decode::upload::MediaType;

use super::codes;
use super::corpus::Corpus;
use super::duplicates::has_duplicate;
use super::events::Decoder;
use super::foreign::Issuers;
use super::mutation::Encoding;
use super::tokens;

/// Reads an input; the error names a property that does not hold.
type Read = dyn Fn(&[u8]) -> Result<Outcome, String> + Send + Sync;

/// A reader of inputs.
pub(super) struct Reader {
    /// Its name, and its folder in the corpus.
    pub(super) name: &'static str,
    /// The form of its inputs.
    pub(super) encoding: Encoding,
    /// The reader itself.
    pub(super) read: Box<Read>,
}

/// What the reader said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    Refused,
}

/// All readers.
pub(super) fn readers(corpus: &Corpus) -> Vec<Reader> {
    let decoder = Arc::new(Decoder::new());
    let rows = |name, encoding, media_type| {
        let decoder = Arc::clone(&decoder);
        Reader { name, encoding, read: Box::new(move |input| decoder.read(media_type, input)) }
    };
    let issuers = Issuers::new();
    let (foreign, cose) = (Arc::clone(&issuers), issuers);
    vec![
        rows("event", Encoding::Json, MediaType::Json),
        rows("ndjson", Encoding::JsonLines, MediaType::Ndjson),
        rows("csv", Encoding::Text, MediaType::Csv),
        rows("fhir", Encoding::Json, MediaType::FhirJson),
        rows("fhir-ndjson", Encoding::JsonLines, MediaType::FhirNdjson),
        Reader { name: "scan", encoding: Encoding::Json, read: Box::new(scan) },
        text("code", Encoding::Base45, codes::codes(corpus)),
        text("foreign", Encoding::Base45, move |text| foreign.read(text)),
        Reader { name: "foreign-cose", encoding: Encoding::Text, read: Box::new(move |bytes| cose.read_cose(bytes)) },
        text("jwt", Encoding::Base64Url, tokens::identity_tokens(corpus)),
        text("session", Encoding::Base64Url, tokens::sessions(corpus)),
        text("freshness", Encoding::Base64Url, tokens::freshness(corpus)),
    ]
}

/// A reader of texts: header fields and JSON strings are never anything else.
fn text(
    name: &'static str,
    encoding: Encoding,
    read: impl Fn(&str) -> Result<Outcome, String> + Send + Sync + 'static,
) -> Reader {
    let read = move |input: &[u8]| std::str::from_utf8(input).map_or(Ok(Outcome::Refused), &read);
    Reader { name, encoding, read: Box::new(read) }
}

/// A scan request has no member twice, and its document has a pseudonym.
fn scan(input: &[u8]) -> Result<Outcome, String> {
    let Ok(request) = body::object::<ScanRequest>(input) else { return Ok(Outcome::Refused) };
    if has_duplicate(input) {
        return Err("a member twice in what was accepted".into());
    }
    match request.validate() {
        Ok(Scanned::Code(_)) => Ok(Outcome::Accepted),
        Ok(Scanned::Document(document)) => {
            PseudonymKey::from_bytes(&[1; 32]).subject(&document);
            let shown = document.masked();
            if shown.contains('*') { Ok(Outcome::Accepted) } else { Err("a document number is not masked".into()) }
        }
        Err(_) => Ok(Outcome::Refused),
    }
}
