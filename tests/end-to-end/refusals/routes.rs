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
fn other_methods_are_405_with_the_allowed_one() {
    let yima = shared();
    for (right, route) in ROUTES {
        let wrong = if right == "GET" { ["POST", "PUT"] } else { ["GET", "PUT"] };
        for method in wrong.into_iter().chain(["DELETE", "PATCH"]) {
            let body = ["POST", "PUT", "PATCH"].contains(&method).then_some(b"{}".as_slice());
            let reply = send(&yima, method, route, &[], body);
            problem(&reply, 405, "method-not-allowed");
            assert!(reply.header("allow").split(',').any(|allowed| allowed.trim() == right), "{method} {route}");
        }
    }
}
