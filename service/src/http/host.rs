//! The check of `Host` for routes without a token: the admin port and the demo's.
//!
//! A page of any site can let its own name resolve to a loopback or private address (DNS rebinding). A browser then
//! takes these routes for the page's own, sends it their answers, and puts the page's name into `Host`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use yima_schema::problem::{Problem, ProblemType};

use super::ProblemResponse;

/// The host names that routes without a token answer to.
#[derive(Clone, Debug)]
pub struct HostNames(Arc<[String]>);

impl HostNames {
    /// `localhost` and these names.
    pub fn new(names: &[String]) -> Self {
        Self(names.iter().cloned().chain(["localhost".to_owned()]).collect())
    }

    /// Answers 421 to requests for other hosts, before the router's routes.
    pub fn guard(&self, router: Router) -> Router {
        router.route_layer(middleware::from_fn_with_state(self.clone(), check))
    }

    /// Whether a request may be answered. One without `Host` may: browsers always send it.
    fn allow(&self, headers: &HeaderMap) -> bool {
        headers.get_all(HOST).iter().all(|host| self.contain(host).unwrap_or(false))
    }

    /// Whether a `Host` field (RFC 9110 section 7.2) has one of these names, or an IP address, which is no name that a
    /// site could let resolve to another address. `None`: the field is malformed.
    fn contain(&self, host: &HeaderValue) -> Option<bool> {
        let authority = Authority::try_from(host.as_bytes()).ok()?;
        let host = authority.host().trim_end_matches('.');
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(address.parse::<IpAddr>().is_ok() || self.0.iter().any(|name| name.eq_ignore_ascii_case(host)))
    }
}

async fn check(State(names): State<HostNames>, request: Request, next: Next) -> Response {
    if names.allow(request.headers()) {
        return next.run(request).await;
    }
    let detail = "This route answers requests for localhost, an IP address or a name in the setting admin.host_names";
    ProblemResponse::from(Problem::new(ProblemType::Misdirected, detail)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn status(hosts: &[&str]) -> u16 {
        let router = HostNames::new(&["yima.internal".into()]).guard(Router::new().route("/", get(async || "here")));
        let request = hosts.iter().fold(Request::get("/"), |request, host| request.header(HOST, *host));
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn routes_answer_loopback_names_addresses_and_configured_names_only() {
        for host in [
            "localhost",
            "LOCALHOST:9090",
            "localhost.",
            "127.0.0.1:9090",
            "[::1]:9090",
            "10.0.0.5",
            "yima.internal",
            "Yima.Internal:80",
        ] {
            assert_eq!(status(&[host]).await, 200, "{host}");
        }
        for host in [
            "attacker.example",
            "attacker.example:9090",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example",
            "attacker.example#localhost",
            "localhost@attacker.example",
            "yima",
            "",
            "local host",
        ] {
            assert_eq!(status(&[host]).await, 421, "{host}");
        }
        assert_eq!(status(&["localhost", "attacker.example"]).await, 421);
        assert_eq!(status(&["attacker.example", "localhost"]).await, 421);
        assert_eq!(status(&[]).await, 200, "a health check by HTTP/1.0");
    }
}
