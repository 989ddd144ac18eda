//! Phones with keys of their own, in one process: their codes need no service to be made, until the phone is ended.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use yima_harness::{Options, Yima, new_person, now};
use yima_schema::code::{PhoneKeyPair, TokenSecret};
use yima_schema::time::{HOUR, Time};

/// A token of a phone, with its key.
pub struct Token {
    pair: PhoneKeyPair,
    token: Vec<u8>,
    secret: TokenSecret,
    /// The first moment at which it cannot be shown.
    pub expires_at: Time,
}

/// A phone's tokens for a day.
pub struct Tokens(Vec<Token>);

/// Status and body of the answer of the read port.
pub fn send(yima: &Yima, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> (u16, Value) {
    let url = format!("{}{path}", yima.read_url());
    let reply = yima.http().send(method, &url, headers, body).expect("a whole answer");
    (reply.status, if reply.text().is_empty() { Value::Null } else { reply.json(reply.status) })
}

/// Registers a phone; returns its id.
pub fn register(yima: &Yima, session: &str) -> String {
    let bearer = format!("Bearer {session}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = json!({ "name": "Phone" }).to_string();
    let (status, phone) = send(yima, "POST", "/v1/phones", &headers, Some(body.as_bytes()));
    assert_eq!(status, 201, "{phone}");
    phone["id"].as_str().expect("an id").to_owned()
}

impl Token {
    /// The code at that moment.
    pub fn show_at(&self, at: Time) -> String {
        self.pair.show(&self.token, &self.secret, at)
    }
}

impl Tokens {
    /// A new batch, one token behind the other for a day.
    pub fn fetch(yima: &Yima, session: &str, phone: &str) -> Self {
        Self::fetch_with(yima, session, phone, &[])
    }

    /// The same with further header fields.
    pub fn fetch_with(yima: &Yima, session: &str, phone: &str, further: &[(&str, &str)]) -> Self {
        let pairs: Vec<_> = (0..5).map(|_| PhoneKeyPair::generate()).collect();
        let keys: Vec<_> = pairs.iter().map(|pair| URL_SAFE_NO_PAD.encode(pair.public().compressed())).collect();
        let keys = keys.join(",");
        let bearer = format!("Bearer {session}");
        let own = [("authorization", bearer.as_str()), ("yima-phone", phone), ("yima-token-keys", &keys)];
        let headers = [&own, further].concat();
        let (status, answer) = send(yima, "GET", "/v1/tokens", &headers, None);
        // In the first quarter of an hour of a slot, four slots are a whole day.
        let tokens = answer["tokens"].as_array().map_or(0, Vec::len);
        assert!(status == 200 && (4..=5).contains(&tokens), "{status} {answer}");
        let token = |(pair, token): (PhoneKeyPair, &Value)| {
            let text = |field: &str| token[field].as_str().expect("a text");
            let bytes = |field: &str| URL_SAFE_NO_PAD.decode(text(field)).expect("base64url");
            let secret = TokenSecret::from_bytes(bytes("secret").try_into().expect("32 bytes"));
            Token { pair, token: bytes("token"), secret, expires_at: text("expires_at").parse().expect("RFC 3339") }
        };
        Self(pairs.into_iter().zip(answer["tokens"].as_array().expect("an array")).map(token).collect())
    }

    /// The token that ends first, within six hours.
    pub fn first(&self) -> &Token {
        &self.0[0]
    }

    /// The code now.
    pub fn show(&self) -> String {
        self.show_at(now())
    }

    /// The code at a moment of the next day, or shortly before.
    pub fn show_at(&self, at: Time) -> String {
        self.0.iter().find(|token| at < token.expires_at).expect("a moment of the next day").show_at(at)
    }
}

#[test]
fn a_phones_codes_pass_until_it_is_ended_and_no_altered_byte_does() {
    let mut yima = Yima::start(Options::default().unlimited());
    let (person, guard) = (new_person(), yima.checkpoint_session());
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &person.test("t-1", "negative", HOUR)), "accepted");
    let session = yima.session_of(&person);
    let bearer = format!("Bearer {session}");
    let headers = [("authorization", bearer.as_str())];
    let id = &register(&yima, &session);
    let tokens = Tokens::fetch(&yima, &session, id);
    let reason = |yima: &Yima, code: &str| yima.scan(&guard, code)["reason"].as_str().expect("a reason").to_owned();

    let code = tokens.show();
    assert!(code.len() <= 535, "a QR code of version 12: {}", code.len());
    assert_eq!(reason(&yima, &code), "green");
    // In the first minute of a quarter of an hour the token is younger.
    let screenshot = reason(&yima, &tokens.show_at(now().minus(Duration::from_secs(90))));
    assert!(["stale_proof", "not_yet_valid"].contains(&screenshot.as_str()), "{screenshot}");
    let cbor = base45::decode(&code[4..]).expect("Base45");
    for at in 0..cbor.len() {
        let mut altered = cbor.clone();
        altered[at] ^= 1;
        let reason = reason(&yima, &format!("YM1:{}", base45::encode(altered)));
        assert!(["malformed", "unknown_issuer", "forged", "wrong_phone"].contains(&reason.as_str()), "{at}: {reason}");
    }

    yima.restart();
    assert_eq!(reason(&yima, &tokens.show()), "green");
    let (status, phones) = send(&yima, "GET", "/v1/phones", &headers, None);
    assert_eq!((status, phones["phones"][0]["id"].as_str()), (200, Some(id.as_str())));
    assert_eq!(send(&yima, "DELETE", &format!("/v1/phones/{id}"), &headers, None).0, 204);
    assert_eq!(reason(&yima, &tokens.show()), "phone_ended", "at once");
    yima.restart();
    assert_eq!(reason(&yima, &tokens.show()), "phone_ended");
    assert_eq!(send(&yima, "DELETE", &format!("/v1/phones/{id}"), &headers, None).0, 404);
}
