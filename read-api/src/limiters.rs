//! The rate limiters of the read service, one for each quota of [`Limits`]. A new limit is a field there, its name
//! here, and its use in a route.

use yima_service::rate_limit::RateLimiter;

use crate::config::Limits;

/// Defines the limiters: the name of each in [`Limits`], and in header fields.
macro_rules! limiters {
    ($($name:ident: $policy:literal),+ $(,)?) => {
        /// Rate limiters by the requests that they limit.
        pub(crate) struct Limiters {
            $(pub $name: RateLimiter,)+
        }

        impl Limiters {
            pub(crate) fn new(limits: &Limits) -> Self {
                Self { $($name: RateLimiter::new($policy, &limits.$name),)+ }
            }

            /// Forgets the keys that have their whole quota again. To be called about once a minute.
            pub(crate) fn sweep(&self) {
                $(self.$name.sweep();)+
            }
        }
    };
}

limiters! {
    display: "display",
    code: "code",
    history: "history",
    live_display: "live_display",
    scan: "scan",
    foreign: "foreign",
    bypass: "bypass",
    document: "document",
    session: "session",
    session_end: "session_end",
    phone: "phone",
    guardianship: "guardianship",
    token: "token",
    paper: "paper",
    sign_in: "sign-in",
}
