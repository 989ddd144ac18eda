//! Routes: unknown paths, and methods that a route does not have.

use super::{ROUTES, problem, send};
use crate::shared;

#[test]
fn unknown_paths_are_404_and_are_not_repeated() {
    let yima = shared();
    for base in [yima.read_url(), yima.writer_url()] {
        for path in [
            "/v1/nothing",
            "/v1/display/",
            "/v1//display",
            "/v1/display/110105199001010013",
            "/v2/scan",
            "/%00",
            "/../etc/passwd",
        ] {
            let reply = yima.http().send("GET", &format!("{base}{path}"), &[], None).expect("a whole answer");
            let text = problem(&reply, 404, "not-found").to_string();
            assert!(!text.contains("110105199001010013"));
        }
    }
}

#[test]
fn a_browser_that_opens_an_address_gets_a_page_and_other_clients_the_problem() {
    let yima = shared();
    let [read, write] = [yima.read_url(), yima.writer_url()];
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let ask = |accept: &str, url: &str| {
        yima.http().get_with(url, &[("accept", accept), ("accept-language", "zh-CN,zh;q=0.9")]).expect("a whole answer")
    };
    for (url, status, slug) in [
        (format!("{read}/chekpoint"), 404, "not-found"),
        (format!("{write}/agency"), 404, "not-found"),
        (format!("{read}/v1/display"), 401, "unauthenticated"),
        (format!("{read}/v1/history"), 401, "unauthenticated"),
        (format!("{read}/v1/scan"), 405, "method-not-allowed"),
    ] {
        let page = ask(browser, &url);
        assert_eq!((page.status, page.header("content-type")), (status, "text/html; charset=utf-8"), "{url}");
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{url}");
        let text = page.text();
        for part in ["<section lang=\"zh-Hans\"><h1>", "<section lang=\"en\"><h2>", page.header("x-request-id")] {
            assert!(text.contains(part), "{url}: {text}");
        }
        for accept in ["*/*", "application/json", "application/problem+json, text/html;q=0.5"] {
            problem(&ask(accept, &url), status, slug);
        }
    }
}

#[test]
fn other_methods_are_405_with_the_allowed_one() {
    let yima = shared();
    for (right, route) in ROUTES {
        let wrong = if right == "GET" { ["POST", "PUT"] } else { ["GET", "PUT"] };
        // Sessions can be ended.
        let deletes = (route != "/v1/sessions").then_some("DELETE");
        for method in wrong.into_iter().chain(deletes).chain(["PATCH"]) {
            let body = ["POST", "PUT", "PATCH"].contains(&method).then_some(b"{}".as_slice());
            let reply = send(&yima, method, route, &[], body);
            problem(&reply, 405, "method-not-allowed");
            assert!(reply.header("allow").split(',').any(|allowed| allowed.trim() == right), "{method} {route}");
        }
    }
}

#[test]
fn routes_without_a_token_refuse_host_names_of_other_sites() {
    let yima = shared();
    let [read, write, admin] = [yima.read_url(), yima.writer_url(), yima.admin_url()];
    let ask = |method: &str, url: &str, host: &str| {
        let headers = [("host", host), ("content-type", "application/json")];
        let body = (method == "POST").then_some(b"{}".as_slice());
        yima.http().send(method, url, &headers, body).expect("a whole answer")
    };
    for (method, url) in [
        ("GET", format!("{admin}/health/live")),
        ("GET", format!("{admin}/health/ready")),
        ("GET", format!("{admin}/metrics")),
        ("GET", format!("{admin}/cache")),
        ("GET", format!("{admin}/audit")),
        ("GET", format!("{admin}/level")),
        ("GET", format!("{admin}/status/nodes")),
        ("GET", format!("{admin}/")),
        ("GET", format!("{read}/demo/people")),
        ("POST", format!("{read}/demo/token")),
        ("GET", format!("{write}/demo/agency")),
        ("POST", format!("{write}/demo/token")),
    ] {
        let refused = ask(method, &url, "attacker.example:9090").json(421);
        assert_eq!(refused["type"], "https://yima.dev/problems/misdirected", "{url}");
        for host in ["localhost:9090", "127.0.0.1"] {
            assert!([200, 400].contains(&ask(method, &url, host).status), "{url} {host}");
        }
    }
    assert_eq!(ask("GET", &format!("{read}/v1/keys"), "codes.example").status, 200, "a public name of the service");
}
