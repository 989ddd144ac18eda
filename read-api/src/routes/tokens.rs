//! `GET /v1/tokens`: a batch of signed tokens for a phone, each for a key of its own. With them the phone shows codes
//! for a day without this service.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::code::{Claims, Handle, PhoneClaims, PhoneKey, Snapshot, Validity};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::time::{HOUR, Time};
use yima_service::http::ProblemResponse;
use yima_service::levels::Level;

use super::phones::{hex_id, unknown_phone};
use crate::app::App;
use crate::cache::Answer;
use crate::headers::private;
use crate::presenter::Presenter;

/// The phone that asks.
const YIMA_PHONE: HeaderName = HeaderName::from_static("yima-phone");
/// Its new public keys, one for each token: compressed points of P-256 in base64url, commas between. In a header, so
/// that no URL has them and the request stays one that changes nothing.
const YIMA_TOKEN_KEYS: HeaderName = HeaderName::from_static("yima-token-keys");
/// Until when the phone has tokens; without it has none.
const YIMA_TOKENS_UNTIL: HeaderName = HeaderName::from_static("yima-tokens-until");
/// From level 4 on a phone that has tokens for longer is refused.
const ENOUGH: Duration = HOUR;
/// After this, and up to twice as long, it may ask again.
const RETURN_AFTER_S: u32 = 60;

/// A batch of tokens. `docs/code-format.md` says what a phone does with them.
#[derive(Serialize, ToSchema)]
struct TokensBody {
    /// The server's time, by which the phone corrects its own.
    now: Time,
    /// One behind the other in time, in the order of the keys; fewer than those if fewer cover the lifetime.
    tokens: Vec<TokenBody>,
    /// When to ask for the next batch, with new keys; another moment for each phone.
    refresh_at: Time,
}

#[derive(Serialize, ToSchema)]
struct TokenBody {
    /// COSE_Sign1 in base64url.
    token: String,
    /// 32 bytes in base64url: the key of the codes' MAC. To be kept where it cannot be read out.
    secret: String,
    valid_from: Time,
    expires_at: Time,
}

/// Tokens for a phone.
///
/// # Errors
/// 400, 401, 403, 404, 429, 503.
#[utoipa::path(
    get,
    path = "/v1/tokens",
    operation_id = "tokens",
    tag = "citizen",
    security(("session" = [])),
    params(
        ("Yima-Phone" = String, Header, description = "The phone's id"),
        ("Yima-Token-Keys" = String, Header,
            description = "Public keys that were never sent before, one for each token: compressed points of P-256 in \
                base64url, commas between"),
        ("Yima-Tokens-Until" = Option<String>, Header, description = "Until when the phone has tokens: a busy service \
             gives new ones first to those that have none"),
        ("Yima-For" = Option<String>, Header, description = "The `ward` whose code it is; without it the own"),
        ("Yima-At-Least-As-Fresh" = Option<String>, Header, description = "The `freshness` of a phone or an event"),
    ),
    responses((status = 200, body = TokensBody))
)]
pub async fn tokens(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let presenter = app.presenter(&request, now)?;
    let remaining = app.limits.token.take(presenter.limit_key(), 1)?;
    let phone = one(&request, &YIMA_PHONE).and_then(hex_id).ok_or_else(|| {
        Problem::new(ProblemType::Invalid, "Yima-Phone: expected the id of a phone, 16 hexadecimal digits")
    })?;
    let keys = keys(&request, app.phones.max_batch)?;
    let has_enough = tokens_until(&request)?.is_some_and(|until| until.since(now) >= ENOUGH);
    if has_enough && app.levels.in_force().leaves_out(Level::OwnCodes) {
        let detail = "The service is too busy for phones that have tokens left: go on with those";
        let after = RETURN_AFTER_S + rand::random_range(0..=RETURN_AFTER_S);
        return Err(Problem::new(ProblemType::Unavailable, detail).retry_after(after).into());
    }
    let answer = app.look_up_shown(&presenter, &request).await?;
    let tokens = issue(&app, &presenter, &answer, phone, &keys, now)?;
    metrics::counter!("tokens_issued_total").increment(tokens.len() as u64);
    let last = tokens.last().map_or(now, |token| token.expires_at);
    let body = TokensBody { now, refresh_at: refresh_at(now, last, rand::random()), tokens };
    let mut response = axum::Json(body).into_response();
    app.as_of.describe(&app.views, &answer, now, response.headers_mut());
    Ok(private(&app.limits.token, remaining, response))
}

/// A token for each key.
///
/// # Errors
/// 403: not the guardian. 404: the view does not have the phone. 503: no token can be signed now.
fn issue(
    app: &App,
    presenter: &Presenter,
    answer: &Answer,
    phone: u64,
    keys: &[PhoneKey],
    now: Time,
) -> Result<Vec<TokenBody>, Problem> {
    let view = answer.entry.view();
    let guardianship = presenter.guardianship(&view, now)?;
    let found = guardianship.map_or_else(|| view.phones.find(phone), |guardian| guardian.phone(phone));
    found.ok_or_else(unknown_phone)?;
    let handle = Handle { subject: presenter.subject(), version: answer.entry.version(), phone: Some(phone) };
    let keyring = app.keyring.load();
    let batch = Validity::of_batch(now, presenter.lifetime(&view, app.phones.token_lifetime, now)?, keys.len());
    let token = |(validity, key): (Validity, &PhoneKey)| {
        let denial_tag = app.tokens.denial_tag(handle.subject, phone, validity.slot(), view.phones.worsenings);
        let claims = Claims {
            issuer: app.region.clone(),
            validity,
            phone: Some(PhoneClaims { key: *key, denial_tag }),
            snapshot: Some(Snapshot::of(&view, Validity::quarter(answer.as_of), now, &validity)),
            paper: None,
            guardian: guardianship.is_some(),
        };
        let issued = app.signed_tokens.issue(&keyring, &claims, &handle, &app.tokens)?;
        Ok(TokenBody {
            token: URL_SAFE_NO_PAD.encode(&issued.token),
            secret: URL_SAFE_NO_PAD.encode(issued.secret.as_bytes()),
            valid_from: validity.valid_from,
            expires_at: validity.expires_at,
        })
    };
    batch.into_iter().zip(keys).map(token).collect()
}

/// After a quarter to half of the batch's time: a phone that was online within the rest of it has a code, and phones
/// that got theirs together do not come back together.
fn refresh_at(now: Time, last: Time, random: f64) -> Time {
    let whole = last.since(now);
    now.plus(Duration::from_secs_f64(whole.as_secs_f64() * (1.0 + random) / 4.0))
}

/// The value of a field that is there once.
fn one<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<&'r str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Until when the phone has tokens.
///
/// # Errors
/// 400.
fn tokens_until(headers: &HeaderMap) -> Result<Option<Time>, Problem> {
    if !headers.contains_key(YIMA_TOKENS_UNTIL) {
        return Ok(None);
    }
    let until = one(headers, &YIMA_TOKENS_UNTIL).and_then(|text| text.parse().ok());
    until.map(Some).ok_or_else(|| {
        let detail = "Yima-Tokens-Until: expected one time, such as 2026-11-22T07:30:00Z";
        Problem::new(ProblemType::Invalid, detail)
    })
}

/// The keys, of which no two are equal.
///
/// # Errors
/// 400.
fn keys(headers: &HeaderMap, most: usize) -> Result<Vec<PhoneKey>, Problem> {
    let read = |text: &str| PhoneKey::from_compressed(&URL_SAFE_NO_PAD.decode(text.trim()).ok()?);
    let keys: Option<Vec<_>> =
        one(headers, &YIMA_TOKEN_KEYS).and_then(|keys| keys.split(',').take(most + 1).map(read).collect());
    let differ = |keys: &Vec<PhoneKey>| keys.iter().enumerate().all(|(n, key)| !keys[..n].contains(key));
    keys.filter(|keys| (1..=most).contains(&keys.len()) && differ(keys)).ok_or_else(|| {
        let expected = "different compressed points of P-256, 33 bytes each in base64url, commas between";
        Problem::new(ProblemType::Invalid, format!("Yima-Token-Keys: expected 1 to {most} {expected}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use yima_schema::time::DAY;

    #[test]
    fn phones_come_back_apart_while_most_of_their_batch_is_left() {
        let (now, last) = (Time::from_secs(0), Time::default().plus(DAY));
        let after = |random| refresh_at(now, last, random).as_secs();
        assert_eq!([0.0, 0.5, 1.0].map(after), [21_600, 32_400, 43_200]);
    }
}
