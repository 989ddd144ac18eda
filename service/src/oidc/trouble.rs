//! Why nobody was signed in, as a page: a redirect has no script that could say it.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::Response;

use crate::http::error_page::{self, Words};

/// What came in between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The provider does not answer; when to try again.
    ProviderDown {
        /// In seconds.
        retry_after_s: u32,
    },
    /// Too many sign in; when to try again.
    Busy {
        /// In seconds.
        retry_after_s: u32,
    },
    /// This browser has begun no such sign-in, or it has ended already.
    Unknown,
    /// It took too long.
    Expired,
    /// The person has broken it off at the provider.
    Denied,
    /// The provider, or its token, refuses it.
    Refused,
    /// Whom the provider has named may not use this page.
    WrongRole,
}

impl Trouble {
    fn status(self) -> StatusCode {
        match self {
            Self::ProviderDown { .. } | Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unknown | Self::Expired | Self::Denied => StatusCode::BAD_REQUEST,
            Self::Refused | Self::WrongRole => StatusCode::FORBIDDEN,
        }
    }

    /// In Chinese and English.
    fn words(self) -> [Words; 2] {
        let say = |title, what, advice, link| Words { title, what, advice, link };
        match self {
            Self::ProviderDown { .. } => [
                say("暂时无法登录", "身份认证服务没有回应。已登录的人不受影响。", "请等待 {s} 秒后", "重新登录"),
                say(
                    "Signing in is not possible now",
                    "The identity service does not answer. Who is signed in stays so.",
                    "Wait {s} s, then ",
                    "sign in again",
                ),
            ],
            Self::Busy { .. } => [
                say("登录人数过多", "现在登录的人太多，本次未处理。", "请等待 {s} 秒后", "重新登录"),
                say("Many are signing in", "Too many people sign in at once.", "Wait {s} s, then ", "sign in again"),
            ],
            Self::Unknown => [
                say("此登录已结束", "此登录不是在本浏览器中开始的，或已经完成。", "请", "回到页面"),
                say(
                    "This sign-in is over",
                    "It was not begun in this browser, or has been finished already.",
                    "",
                    "Go back to the page",
                ),
            ],
            Self::Expired => [
                say("登录超时", "登录用时过长。", "请", "重新登录"),
                say("The sign-in took too long", "It has to end within ten minutes.", "Please ", "sign in again"),
            ],
            Self::Denied => [
                say("未登录", "登录已取消。", "您可以", "重新登录"),
                say("Not signed in", "The sign-in was cancelled.", "You can ", "sign in again"),
            ],
            Self::Refused => [
                say("登录失败", "身份认证服务未确认此登录。", "请", "重新登录"),
                say("Signing in failed", "The identity service did not confirm it.", "Please ", "sign in again"),
            ],
            Self::WrongRole => [
                say("无权使用此页面", "此账号不适用于本页面。", "请换用其他账号：", "回到页面"),
                say(
                    "Not for this page",
                    "This account is not for this page.",
                    "Use another one: ",
                    "go back to the page",
                ),
            ],
        }
    }

    /// The page. Its link leads to `home`, where a sign-in begins.
    pub(super) fn page(self, home: &'static str, method: &Method, headers: &HeaderMap) -> Response {
        let wait_s = match self {
            Self::ProviderDown { retry_after_s } | Self::Busy { retry_after_s } => Some(retry_after_s),
            Self::Unknown | Self::Expired | Self::Denied | Self::Refused | Self::WrongRole => None,
        };
        let first = error_page::first_language(method, headers).unwrap_or(error_page::FirstLanguage::English);
        let mut response = error_page::respond(self.status(), wait_s, first, self.words(), home);
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = wait_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
