//! Sign-in at a real identity provider's own page, on all three pages, and what goes on when the provider is dead.

mod realm;
mod redirects;

use std::time::Duration;

use serde_json::{Value, json};
use yima_harness::{Keycloak, Options, Person, Yima, free_ports, new_person, until};
use yima_schema::time::HOUR;

use super::window::Window;
use super::{DESK, ENTER, PHONE, code};
use realm::{NAME, PASSWORD, SECRET, realm};
use redirects::{Begun, Jar, begin};

const MINUTE: Duration = Duration::from_secs(60);

/// A provider, and a service that signs people in there; the citizen's document is of `person`.
struct City {
    keycloak: Keycloak,
    yima: Yima,
    person: Person,
}

impl City {
    fn start() -> Self {
        let (keycloak, ports, person) = (Keycloak::start(), free_ports(), new_person());
        let [read, write] = [ports[0], ports[1]].map(|port| format!("http://127.0.0.1:{port}"));
        keycloak.create_realm(&realm([&read, &write], &person.document));
        let options = Options::default();
        let agencies = options.directory().join("agencies.toml");
        std::fs::write(&agencies, "[[agencies]]\nname = \"lab-7\"\nkinds = [\"test_result\"]\n").expect("a directory");
        let options = options
            .env("YIMA_IDENTITY_PROVIDER__ISSUER", keycloak.issuer(NAME))
            .env("YIMA_IDENTITY_PROVIDER__DISCOVERY", true)
            .env("YIMA_IDENTITY_PROVIDER__CLIENT_ID", "yima")
            .env("YIMA_IDENTITY_PROVIDER__CLIENT_SECRET", SECRET)
            .env("YIMA_IDENTITY_PROVIDER__DOCUMENT_TYPE", "cn_resident_id")
            .env("YIMA_IDENTITY_PROVIDER__CLAIMS__SCOPE", "roles")
            .env("YIMA_IDENTITY_PROVIDER__REFETCH_AFTER_S", 1)
            .env("YIMA_WRITER__AGENCIES_FILE", agencies.display())
            .env("YIMA_READ_API__PUBLIC_URL", &read)
            .env("YIMA_WRITER__PUBLIC_URL", &write);
        Self { keycloak, yima: Yima::start_on(ports, options), person }
    }

    /// Who a user is to the provider, from a token of theirs.
    fn sub(&self, user: &str) -> String {
        let claims = self.access_token(user).split('.').nth(1).map(decode).expect("claims");
        claims["sub"].as_str().expect("a name").to_owned()
    }

    fn access_token(&self, user: &str) -> String {
        let form = format!(
            "grant_type=password&client_id=yima&client_secret={}&scope=openid&username={user}&password={}",
            SECRET.replace(' ', "+"),
            PASSWORD.replace(' ', "+")
        );
        let tokens = self.keycloak.tokens(NAME, &form).json(200);
        tokens["access_token"].as_str().expect("a token").to_owned()
    }
}

fn decode(part: &str) -> Value {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Signs in at the provider's page.
fn sign_in(window: &Window, user: &str) {
    window.click("#redirect");
    window.type_into("#username", user);
    window.type_into("#password", &format!("{PASSWORD}{ENTER}"));
}

/// No cookie for scripts, no query, and nothing of the provider in the page.
#[track_caller]
fn assert_private(window: &Window, path: &str) {
    assert_eq!(window.evaluate("[location.pathname, location.search, document.cookie]"), json!([path, "", ""]));
    assert_eq!(window.evaluate("Object.values(sessionStorage).some((value) => value.includes('eyJ'))"), json!(false));
}

/// Signs out, at the provider too, which asks whether that is meant.
fn sign_out(window: &Window) {
    window.click("#sign-out");
    window.click("#kc-logout");
    window.see("#sign-in:not([hidden]) #redirect:not([hidden])");
    // The provider knows nobody any more.
    window.click("#redirect");
    window.see("#username");
}

#[test]
fn people_sign_in_at_the_providers_page_on_all_three_pages() {
    let mut city = City::start();
    let City { yima, person, .. } = &city;

    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("#redirect:not([hidden])");
    phone.see("#by-token[hidden]");
    phone.assert_accessible();
    phone.picture("citizen-redirect");
    sign_in(&phone, "anna");
    phone.see("#colour[data-colour='none']");
    code(&phone);
    assert_private(&phone, "/");
    phone.reopen(&yima.read_url());
    phone.see("#colour[data-colour='none']");
    let session = phone.evaluate("sessionStorage.getItem('yima.session.citizen')");
    let session = session.as_str().expect("a session").to_owned();
    assert_eq!(yima.display_now(&session).status, 200);

    let desk = Window::open(DESK, &format!("{}/checkpoint", yima.read_url()));
    sign_in(&desk, "anna");
    desk.see_xpath("//*[contains(., 'This account is not for this page')]");
    desk.see_xpath("//*[contains(., '此账号不适用于本页面')]");
    // The provider goes on with whom it knows; another browser has another person.
    let desk = Window::open(DESK, &format!("{}/checkpoint", yima.read_url()));
    sign_in(&desk, "guard");
    desk.see("#verdict[data-verdict='idle']");
    assert_eq!(desk.text("#post-name"), "gate-7");
    assert_private(&desk, "/checkpoint");
    desk.reopen(&format!("{}/checkpoint", yima.read_url()));
    desk.see("#verdict[data-verdict='idle']");
    desk.click("#no-code summary");
    desk.type_into("#document-number", &format!("{}{ENTER}", person.document));
    desk.see("#verdict[data-reason='not_registered']");

    let office = Window::open(DESK, &yima.writer_url());
    sign_in(&office, "clerk");
    office.see("#work:not([hidden])");
    assert_eq!(office.text("#who"), "lab-7");
    assert_private(&office, "/");
    office.reopen(&yima.writer_url());
    office.see("#work:not([hidden])");
    let kept = office.evaluate("fetch('/sign-in/agency').then((answer) => answer.json())");
    let clerk = kept["session"]["session"].as_str().expect("a session").to_owned();
    assert_eq!(yima.event(&clerk, &person.test("oidc-1", "negative", HOUR)), "accepted");
    // What the agency may do says the registry.
    let red = json!({"colour": "red", "reason": "quarantine"});
    let red = person.event("oidc-2", "colour_assignment", &yima_harness::now().to_string(), red);
    assert_eq!(yima.push(&clerk, "application/json", red.to_string().as_bytes()).status, 403);
    phone.see("#colour[data-colour='green']");

    // A copy of a session does not outlive the sign-out; a guard's and a clerk's nobody has seen.
    for window in [&phone, &desk, &office] {
        sign_out(window);
    }
    until("the end of the session", MINUTE, || yima.display_now(&session).status == 401);
    phone.go_to(&yima.read_url());
    phone.see("#sign-in:not([hidden]) #redirect:not([hidden])");

    let [guard, clerk] = ["guard", "clerk"].map(|user| city.sub(user));
    let audit = || yima.http().get(&format!("{}/audit", yima.admin_url()), "").text().to_owned();
    for (kind, operator) in [("operator_signed_in", &guard), ("operator_signed_in", &clerk), ("events_sent", &clerk)] {
        until("a record that names the person", MINUTE, || {
            audit().lines().any(|line| line.contains(kind) && line.contains(operator))
        });
    }
    assert!(!audit().contains(&city.sub("anna")) && !yima.stderr().contains(&city.sub("anna")));
    // The look-ups of the minute are reported at the latest at the stop.
    assert!(city.yima.stop().success());
    let log = city.yima.stderr();
    assert!(log.lines().any(|line| line.contains("document_lookups") && line.contains(&guard)), "{log}");
}

#[test]
fn only_the_sign_in_that_this_browser_began_ends_here_and_a_dead_provider_stops_nobody() {
    let mut city = City::start();
    let read = city.yima.read_url();
    let callback = |begun: &mut Begun| begun.jar.get(&begun.callback);

    let mut begun = begin(&read, "citizen", "anna");
    let asked: std::collections::HashMap<_, _> = begun.authorization.query_pairs().into_owned().collect();
    for (name, value) in [("response_type", "code"), ("code_challenge_method", "S256"), ("scope", "openid")] {
        assert_eq!(asked[name], value);
    }
    let code = begun.callback.split("code=").nth(1).expect("a code").to_owned();
    let done = callback(&mut begun);
    assert_eq!((done.status, done.header("location")), (303, "/"), "{}", done.text());
    assert_eq!((done.header("cache-control"), done.header("referrer-policy")), ("no-store", "no-referrer"));
    let cookies: Vec<_> = done.headers.get_all("set-cookie").iter().map(|one| one.to_str().unwrap()).collect();
    let kept = cookies.iter().find(|one| one.starts_with("__Host-yima-citizen=")).expect("a session");
    for attribute in ["; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=2592000"] {
        assert!(kept.contains(attribute), "{attribute}");
    }
    let citizen = begun.jar.value("__Host-yima-citizen").expect("a session").to_owned();
    assert_eq!(city.yima.display_now(&citizen).status, 200);

    // The same answer again; one that another browser began; another state; another issuer.
    assert_eq!(callback(&mut begun).status, 400);
    let mut stolen = begin(&read, "citizen", "anna");
    assert_eq!(Jar::default().get(&stolen.callback).status, 400);
    let other_state = stolen.callback.replace("state=", "state=A");
    assert_eq!(stolen.jar.get(&other_state).status, 400);
    let mut misled = begin(&read, "citizen", "anna");
    let other_issuer = misled.callback.replace("iss=http", "iss=https");
    assert_ne!(other_issuer, misled.callback, "Keycloak names itself");
    assert_eq!(misled.jar.get(&other_issuer).status, 403);
    // A code that is none of the provider's.
    let mut invented = begin(&read, "citizen", "anna");
    let (head, _) = invented.callback.split_once("code=").expect("a code");
    let other_code = format!("{head}code=invented");
    assert_eq!(invented.jar.get(&other_code).status, 403);
    assert_eq!(Jar::default().get(&format!("{read}/sign-in?page=//evil.example")).status, 400);

    // Other keys, of the two other algorithms.
    for (provider, algorithm, config) in [
        ("rsa-generated", "RS256", json!({ "algorithm": ["RS256"], "keySize": ["2048"] })),
        ("eddsa-generated", "EdDSA", json!({ "eddsaEllipticCurveKey": ["Ed25519"] })),
    ] {
        city.keycloak.rotate_keys(NAME, provider, &config);
        city.keycloak.change_realm(NAME, &json!({ "defaultSignatureAlgorithm": algorithm }));
        let token = city.access_token("anna");
        assert_eq!(decode(token.split('.').next().expect("a header"))["alg"], algorithm);
        let mut begun = begin(&read, "citizen", "anna");
        assert_eq!(callback(&mut begun).status, 303, "{algorithm}");
        assert_eq!(exchange(&city.yima, &token), 200, "{algorithm}");
    }

    let phone = Window::open(PHONE, &read);
    sign_in(&phone, "anna");
    phone.see("#colour[data-colour='none']");
    let token = city.access_token("anna");
    city.keycloak.kill9();
    assert_eq!(city.yima.display_now(&citizen).status, 200);
    city.yima.kill9();
    city.yima.start_again();
    // Its session and a token of the dead provider, by the keys on disk.
    phone.reopen(&read);
    phone.see("#colour[data-colour='none']");
    assert_eq!(city.yima.display_now(&citizen).status, 200);
    assert_eq!(exchange(&city.yima, &token), 200);
    let down = Jar::default().get(&format!("{read}/sign-in?page=citizen"));
    assert_eq!((down.status, down.header("retry-after")), (503, "1"));
    let other = Window::open(PHONE, &read);
    other.click("#redirect");
    other.see_xpath("//*[contains(., 'The identity service does not answer')]");
    other.see_xpath("//*[contains(., '身份认证服务没有回应')]");
    other.assert_accessible();
    other.picture("provider-down");

    let log = city.yima.stderr();
    for secret in [code.split('&').next().unwrap_or_default(), SECRET, "code=", "state=", &citizen, &token] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

/// The status of an exchange of an identity token for a session, once the key is known.
fn exchange(yima: &Yima, token: &str) -> u16 {
    let url = format!("{}/v1/sessions", yima.read_url());
    let mut status = 0;
    until("an answer by known keys", MINUTE, || {
        status = yima.http().post(&url, token, "application/json", b"").status;
        status != 503
    });
    status
}
