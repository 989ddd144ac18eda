//! The description of an API: OpenAPI 3.1 at `/openapi.json`, and a page to read and try it at `/docs/`.

use std::io::Write;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use utoipa::PartialSchema;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, ResponseBuilder,
};
use yima_schema::problem::{FieldError, Problem};

use super::docs;
use super::public::{Lifetime, Public};

const FHIR_JSON: &str = "application/fhir+json";

/// The bearer is a JWT of the identity provider.
pub const IDENTITY_TOKEN: &str = "identity_token";
/// The bearer is a session of `POST /v1/sessions`.
pub const SESSION: &str = "session";

/// The description changes with the program only.
const LIFETIME: Lifetime = Lifetime {
    everywhere: "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400",
    at_the_edge: "max-age=60, stale-while-revalidate=600, stale-if-error=86400",
};

/// The routes `/openapi.json` and `/docs/` of an API: every operation can also answer a problem document.
pub fn description(mut api: OpenApi, title: &str, description: &str) -> Router {
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new().title(title).version(env!("CARGO_PKG_VERSION")).description(Some(description));
    api.info = info.license(Some(license)).build();
    let bearer = |words: &str, format: &str| {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        (scheme.bearer_format, scheme.description) = (Some(format.to_owned()), Some(words.to_owned()));
        SecurityScheme::Http(scheme)
    };
    let mut components = ComponentsBuilder::from(api.components.take().unwrap_or_default())
        .security_scheme(IDENTITY_TOKEN, bearer("A token of the identity provider, with a scope", "JWT"))
        .schema("Problem", Problem::schema())
        .schema("FieldError", FieldError::schema())
        .build();
    let session = bearer("A session that POST /v1/sessions gave for an identity token", "opaque");
    components.add_security_scheme(SESSION, session);
    api.components = Some(components);
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let problem = ResponseBuilder::new()
        .description("A problem document (RFC 9457); `Retry-After` says when to try again")
        .content("application/problem+json", problem)
        .build();
    for item in api.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            let mut refused = problem.clone();
            if let Some(RefOr::T(body)) = &operation.request_body
                && body.content.contains_key(FHIR_JSON)
            {
                let outcome = ObjectBuilder::new().description(Some("An OperationOutcome (FHIR R4), for FHIR clients"));
                let outcome = ContentBuilder::new().schema(Some(outcome)).build();
                refused.content.insert(FHIR_JSON.into(), outcome.into());
            }
            operation.responses.responses.insert("default".into(), refused.into());
        }
    }
    let document = api.to_json().expect("a description consists of texts and always serialises");
    let gzipped = gzip(document.as_bytes());
    let document = Public::new(document.into(), "application/json", LIFETIME, docs::API_DOCS).with_gzip(gzipped);
    let document = get(async move |request: HeaderMap| document.respond(&request));
    docs::page(LIFETIME).route("/openapi.json", document)
}

/// With gzip, as small as it gets: this happens once.
fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("writing into memory does not fail").into()
}
