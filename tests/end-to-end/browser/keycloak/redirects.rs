//! The redirects of a sign-in, one request after the other, where a browser would hide them.

use std::collections::BTreeMap;

use url::Url;
use url::form_urlencoded::Serializer;
use yima_harness::{Http, Reply};

use super::realm::PASSWORD;

/// Cookies by name, without a thought for whom they are of.
#[derive(Default)]
pub struct Jar(BTreeMap<String, String>);

impl Jar {
    /// Sends a request with the cookies, and takes those of the answer.
    #[track_caller]
    pub fn send(&mut self, method: &str, url: &str, body: Option<&str>) -> Reply {
        let cookies: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let fields = [
            ("cookie", cookies.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("accept", "text/html"),
            ("accept-language", "en"),
        ];
        let reply = Http::default().send(method, url, &fields, body.map(str::as_bytes)).expect("an answer");
        for cookie in reply.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().expect("visible ASCII");
            let (name, rest) = cookie.split_once('=').expect("a name and a value");
            match rest.split(';').next().unwrap_or_default() {
                "" => _ = self.0.remove(name),
                value => _ = self.0.insert(name.to_owned(), value.to_owned()),
            }
        }
        reply
    }

    pub fn get(&mut self, url: &str) -> Reply {
        self.send("GET", url, None)
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// What a sign-in has led to, short of the answer to the callback.
pub struct Begun {
    pub jar: Jar,
    /// The provider's page, as yima has named it.
    pub authorization: Url,
    /// Where the provider leads back to.
    pub callback: String,
}

/// Begins a sign-in at a port and signs in at the provider.
#[track_caller]
pub fn begin(port: &str, page: &str, user: &str) -> Begun {
    let mut jar = Jar::default();
    let led = jar.get(&format!("{port}/sign-in?page={page}"));
    assert_eq!(led.status, 303, "{}", led.text());
    let authorization = Url::parse(led.header("location")).expect("an address");
    let form = jar.get(authorization.as_str());
    assert_eq!(form.status, 200, "{}", form.text());
    let action = form.text().split("action=\"").nth(1).and_then(|rest| rest.split('"').next());
    let action = action.expect("a form").replace("&amp;", "&");
    let fields =
        Serializer::new(String::new()).append_pair("username", user).append_pair("password", PASSWORD).finish();
    let back = jar.send("POST", &action, Some(&fields));
    assert_eq!(back.status, 302, "{}", back.text());
    Begun { jar, authorization, callback: back.header("location").to_owned() }
}
