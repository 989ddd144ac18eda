//! The classes of requests.

/// A class of requests: one route, one kind of person who asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// `GET /v1/display`, each with the session of another citizen.
    Display,
    /// `GET /v1/code`, likewise.
    Code,
    /// `POST /v1/scan` of a code that was issued during the run, each by another checkpoint.
    Scan,
    /// `POST /v1/sessions` with a citizen's identity token.
    SignIn,
    /// `POST /v1/events` at the writer: one negative test of a demo person.
    Upload,
    /// `GET /v1/display/events`, kept open for a while.
    LiveDisplay,
}

/// The connections that a class uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pool {
    /// Kept connections to the read service.
    Read,
    /// Kept connections to the writer.
    Writer,
    /// Connections to the read service, one for each live display.
    Live,
}

impl Pool {
    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::Writer, Self::Live];
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 6] = [Self::Display, Self::Code, Self::Scan, Self::SignIn, Self::Upload, Self::LiveDisplay];

    /// Its name in mix files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Display => "display",
            Self::Code => "code",
            Self::Scan => "scan",
            Self::SignIn => "sign_in",
            Self::Upload => "upload",
            Self::LiveDisplay => "live_display",
        }
    }

    /// The method and route of its requests.
    pub fn route(self) -> (&'static str, &'static str) {
        match self {
            Self::Display => ("GET", "/v1/display"),
            Self::Code => ("GET", "/v1/code"),
            Self::Scan => ("POST", "/v1/scan"),
            Self::SignIn => ("POST", "/v1/sessions"),
            Self::Upload => ("POST", "/v1/events"),
            Self::LiveDisplay => ("GET", "/v1/display/events"),
        }
    }

    /// The class of a request, if it has one.
    pub(crate) fn of(method: &str, route: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.route() == (method, route))
    }

    pub(crate) fn pool(self) -> Pool {
        match self {
            Self::Display | Self::Code | Self::Scan | Self::SignIn => Pool::Read,
            Self::Upload => Pool::Writer,
            Self::LiveDisplay => Pool::Live,
        }
    }
}
