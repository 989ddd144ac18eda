//! The class of each route: who is refused first.

use yima_service::levels::Class;

use super::DISPLAY;

/// The class of a route by its method and pattern. Whatever is not listed is the same for everybody: pages, keys, the
/// offline bundle, the API's description.
pub(crate) fn class_of(method: &str, route: &str) -> Class {
    match (method, route) {
        (_, DISPLAY) => Class::Display,
        (_, "/v1/display/events") => Class::LiveDisplay,
        (_, "/v1/history") => Class::History,
        (_, "/v1/results") => Class::Results,
        (_, "/v1/scan" | "/v1/scans") => Class::Scan,
        // What takes rights away is for the day on which a phone is lost.
        ("DELETE", _) => Class::Code,
        (_, "/v1/sessions" | "/v1/code" | "/v1/tokens") => Class::Code,
        (_, "/sign-in" | "/sign-in/callback" | "/sign-in/{page}" | "/sign-out") => Class::Code,
        // A guardian without keys of a ward on the phone shows the ward's code by what this lists.
        ("GET" | "HEAD", "/v1/wards") => Class::Code,
        (_, "/v1/wards" | "/v1/phones" | "/v1/guardians" | "/v1/guardians/invitations" | "/v1/paper") => Class::Errand,
        (_, _) => Class::Public,
    }
}
