//! The two redirects of a sign-in: to the provider, and back with a code. Tokens of the provider stay here.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use url::Url;
use url::form_urlencoded::parse;
use yima_schema::problem::ProblemType;
use yima_schema::seal::SealKeys;
use yima_schema::time::Time;

use super::cookies::{self, SameSite};
use super::provider::RedeemError;
use super::transaction::{LIFETIME, Transaction};
use super::{Provider, Trouble};
use crate::jwt::{Claims, IdToken, Verifier};

/// Path of the provider's answer below the port's public address.
const CALLBACK: &str = "/sign-in/callback";
/// Where browsers say who has caused a request.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A page that people sign in to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// The citizen's.
    Citizen,
    /// The checkpoint's.
    Checkpoint,
    /// The agency's.
    Agency,
}

impl Page {
    /// The pages of the read service's port; the first is the one of an address that names none.
    pub const READING: &'static [Self] = &[Self::Citizen, Self::Checkpoint];
    /// The page of the writer's port.
    pub const WRITING: &'static [Self] = &[Self::Agency];

    /// Its name in addresses and cookies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Citizen => "citizen",
            Self::Checkpoint => "checkpoint",
            Self::Agency => "agency",
        }
    }

    /// Its path: the only places that a sign-in leads back to.
    pub fn path(self) -> &'static str {
        match self {
            Self::Citizen | Self::Agency => "/",
            Self::Checkpoint => "/checkpoint",
        }
    }

    fn session_cookie(self) -> String {
        format!("__Host-yima-{}", self.name())
    }

    fn transaction_cookie(self) -> String {
        format!("__Host-yima-sign-in-{}", self.name())
    }
}

/// Sign-in by redirect at one port.
pub struct SignIn {
    provider: Arc<Provider>,
    keys: SealKeys,
    /// Without a slash at its end.
    public_url: String,
    pages: &'static [Page],
    clock: fn() -> Time,
}

/// A person whom the provider has named.
pub struct Finished {
    /// The page that they signed in to.
    pub page: Page,
    /// Who they are.
    pub claims: Claims,
}

impl SignIn {
    /// `keys` seal what is under way: the same at every node. `public_url`: the port's address as browsers see it. The
    /// first of `pages` is the one that is meant without a name.
    pub fn new(
        provider: Arc<Provider>,
        keys: SealKeys,
        public_url: &str,
        pages: &'static [Page],
        clock: fn() -> Time,
    ) -> Self {
        Self { provider, keys, public_url: public_url.trim_end_matches('/').to_owned(), pages, clock }
    }

    /// Leads to the provider.
    ///
    /// # Errors
    /// It does not answer, or the query names no page of this port.
    pub async fn begin(&self, query: Option<&str>) -> Result<Response, Trouble> {
        let page = self.page(query).ok_or(Trouble::Unknown)?;
        // A browser that is led to a dead provider says nothing in the person's language.
        let metadata = self.provider.refresh(self.provider.config().refetch_after).await.ok_or_else(|| self.down())?;
        let transaction = Transaction::begin((self.clock)());
        // It was checked.
        let mut address = Url::parse(&metadata.authorization_endpoint).map_err(|_| self.down())?;
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", self.client_id())
            .append_pair("redirect_uri", &self.redirect_uri())
            .append_pair("scope", "openid")
            .append_pair("state", &transaction.state())
            .append_pair("nonce", &transaction.nonce())
            .append_pair("code_challenge", &transaction.challenge())
            .append_pair("code_challenge_method", "S256");
        let sealed = transaction.seal(&self.keys, page.name());
        let cookie = cookies::set(&page.transaction_cookie(), &sealed, LIFETIME, SameSite::Lax);
        Ok(redirect(address.as_str(), [cookie]))
    }

    /// The person of the provider's answer (OpenID Connect Core 1.0 section 3.1.2.5).
    ///
    /// # Errors
    /// The page to go back to, and why nobody was signed in.
    pub async fn finish(
        &self,
        verifier: &Verifier,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Finished, (Page, Trouble)> {
        let home = self.pages[0];
        let answer = Answer::read(query.unwrap_or_default()).ok_or((home, Trouble::Unknown))?;
        let state = answer.state.as_deref().unwrap_or_default();
        let begun = self.pages.iter().find_map(|page| {
            let sealed = cookies::find(headers, &page.transaction_cookie())?;
            let transaction = Transaction::open(sealed, &self.keys, page.name())?;
            transaction.has_state(state).then_some((*page, transaction))
        });
        let (page, transaction) = begun.ok_or((home, Trouble::Unknown))?;
        let claims = self.claims(verifier, &transaction, &answer).await;
        claims.map(|claims| Finished { page, claims }).map_err(|trouble| (page, trouble))
    }

    async fn claims(&self, verifier: &Verifier, begun: &Transaction, answer: &Answer) -> Result<Claims, Trouble> {
        if begun.expires_at <= (self.clock)() {
            return Err(Trouble::Expired);
        }
        let metadata = self.provider.metadata().ok_or_else(|| self.down())?;
        // An answer of another provider (RFC 9207 section 2.4).
        let must_say = metadata.authorization_response_iss_parameter_supported;
        if answer.iss.as_ref().map_or(must_say, |issuer| *issuer != metadata.issuer) {
            return Err(Trouble::Refused);
        }
        if let Some(error) = &answer.error {
            return Err(if error == "access_denied" { Trouble::Denied } else { Trouble::Refused });
        }
        let code = answer.code.as_deref().ok_or(Trouble::Refused)?;
        let id_token = self.provider.redeem(code, &begun.verifier(), &self.redirect_uri()).await;
        let id_token = id_token.map_err(|error| match error {
            RedeemError::Down => self.down(),
            RedeemError::Refused => Trouble::Refused,
        })?;
        let nonce = begun.nonce();
        let is = IdToken { client_id: self.client_id(), nonce: &nonce };
        let mut checked = verifier.verify_id_token(&id_token, &is);
        if checked.as_ref().is_err_and(|refused| refused.problem().kind == ProblemType::Unavailable) {
            // The provider has signed it with a key that is newer than the last fetch.
            self.provider.refresh(Duration::ZERO).await.ok_or_else(|| self.down())?;
            checked = verifier.verify_id_token(&id_token, &is);
        }
        checked.map_err(|_| Trouble::Refused)
    }

    /// Leads to the page with a session that the browser keeps, unread by any script, until it ends.
    pub fn signed_in(&self, page: Page, session: &str, lifetime: Duration) -> Response {
        let kept = cookies::set(&page.session_cookie(), session, lifetime, SameSite::Strict);
        redirect(page.path(), [kept, cookies::remove(&page.transaction_cookie())])
    }

    /// The page that says why nobody was signed in.
    pub fn failed(&self, page: Page, trouble: Trouble, headers: &HeaderMap) -> Response {
        let mut response = trouble.page(page.path(), &Method::GET, headers);
        response.headers_mut().append(SET_COOKIE, cookies::remove(&page.transaction_cookie()));
        response
    }

    /// The session that the browser keeps for a page.
    pub fn kept_session<'h>(&self, page: Page, headers: &'h HeaderMap) -> Option<&'h str> {
        cookies::find(headers, &page.session_cookie())
    }

    /// `Set-Cookie` that forgets it.
    pub fn forget(&self, page: Page) -> HeaderValue {
        cookies::remove(&page.session_cookie())
    }

    /// Where the provider ends its own session (OpenID Connect RP-Initiated Logout 1.0), and then leads back.
    pub fn sign_out_address(&self, page: Page) -> Option<String> {
        let metadata = self.provider.metadata()?;
        let mut address = Url::parse(metadata.end_session_endpoint.as_deref()?).ok()?;
        let back = format!("{}{}", self.public_url, page.path());
        address
            .query_pairs_mut()
            .append_pair("client_id", self.client_id())
            .append_pair("post_logout_redirect_uri", &back);
        Some(address.into())
    }

    /// The page of `page=NAME`, or the first.
    pub fn page(&self, query: Option<&str>) -> Option<Page> {
        let Some(query) = query else { return Some(self.pages[0]) };
        let name = query.strip_prefix("page=")?;
        self.pages.iter().copied().find(|page| page.name() == name)
    }

    fn down(&self) -> Trouble {
        let pause = self.provider.config().refetch_after.as_secs();
        Trouble::ProviderDown { retry_after_s: u32::try_from(pause).unwrap_or(u32::MAX) }
    }

    fn client_id(&self) -> &str {
        self.provider.config().client_id.as_deref().unwrap_or_default()
    }

    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.public_url)
    }
}

/// Whether this host's own page sends the request, and no other site: browsers say so, and older ones nothing.
pub fn is_own_page(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_SITE).is_none_or(|site| site == "same-origin")
}

/// Leads to an address with no trace of this one; nobody keeps the answer.
pub fn redirect(address: &str, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    let address = HeaderValue::try_from(address).expect("an address is visible ASCII");
    headers.insert(LOCATION, address);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie);
    }
    response
}

/// The parameters of the provider's answer.
#[derive(Default)]
struct Answer {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

impl Answer {
    /// `None`: a parameter is there twice (RFC 6749 section 3.1), or is too long.
    fn read(query: &str) -> Option<Self> {
        let mut answer = Self::default();
        if query.len() > 8_192 {
            return None;
        }
        for (name, value) in parse(query.as_bytes()) {
            let field = match &*name {
                "state" => &mut answer.state,
                "code" => &mut answer.code,
                "error" => &mut answer.error,
                "iss" => &mut answer.iss,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(answer)
    }
}
