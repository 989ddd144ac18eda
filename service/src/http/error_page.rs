//! Problems as pages: who opens an address in a browser is told in Chinese and English what happened and what to do.
//! Clients of the API keep the problem document.

use std::fmt::Write;
use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::body::Body;
use axum::http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use base64::prelude::{BASE64_STANDARD, Engine};

/// In the page itself: an overloaded service may not be able to send another file.
const STYLE: &str = "body{margin:0;background:#f1f3f6;color:#16202b;font:100%/1.5 system-ui,-apple-system,\
    'PingFang SC','Noto Sans CJK SC','Microsoft YaHei',sans-serif}main{max-width:34rem;margin:0 auto;\
    padding:3rem 1rem}h1,h2{font-size:1.375rem;margin:1.5rem 0 .25rem}p{margin:.25rem 0}a{color:#0b4ea2}\
    .id{margin-top:2rem;color:#56616e;font-size:.875rem;overflow-wrap:anywhere}";

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("a policy of base64 and words is a header value")
});

/// The language that comes first on the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FirstLanguage {
    Chinese,
    English,
}

/// One language's words for what happened.
pub(crate) struct Words {
    pub title: &'static str,
    pub what: &'static str,
    /// Ends with the link. `{s}`: the seconds to wait.
    pub advice: &'static str,
    pub link: &'static str,
}

/// Where the link leads.
#[derive(Clone, Copy)]
enum Target {
    /// The page of this port.
    Start,
    /// The same address again.
    Again,
}

/// Whether the request is a browser's that opens an address, rather than an API client's: it is for `text/html`, and
/// for no kind of JSON as much (RFC 9110 section 12.5.1). `*/*` alone is an API client's.
pub(crate) fn first_language(method: &Method, headers: &HeaderMap) -> Option<FirstLanguage> {
    let accept = headers.get(ACCEPT)?.to_str().ok()?;
    if !accept.contains("text/html") || !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let weight_of = |is_meant: fn(&str) -> bool| {
        let ranges = accept.split(',').map(|range| range.split_once(';').unwrap_or((range, "")));
        let weights = ranges.filter(|(range, _)| is_meant(range.trim())).map(|(_, parameters)| weight(parameters));
        weights.fold(0.0, f32::max)
    };
    let (html, json) = (weight_of(|range| range == "text/html"), weight_of(|range| range.ends_with("json")));
    let languages = headers.get(ACCEPT_LANGUAGE).map_or(&b""[..], HeaderValue::as_bytes);
    let is_chinese = languages.get(..2).is_some_and(|tag| tag.eq_ignore_ascii_case(b"zh"));
    let first = if is_chinese { FirstLanguage::Chinese } else { FirstLanguage::English };
    (html > json).then_some(first)
}

/// The weight in the parameters of a media range; 1 without one.
fn weight(parameters: &str) -> f32 {
    let mut values = parameters.split(';').filter_map(|parameter| parameter.trim().strip_prefix("q="));
    values.next_back().map_or(1.0, |value| value.parse().unwrap_or(0.0))
}

/// Replaces a problem document by a page; any other answer stays. Status and header fields of the problem stay, such
/// as `Retry-After`, and `Cache-Control: no-store`.
pub(super) fn in_place_of_a_problem(answer: &mut Response, first: FirstLanguage, request_id: &str) {
    let headers = answer.headers();
    if headers.get(CONTENT_TYPE).is_none_or(|media_type| media_type != "application/problem+json") {
        return;
    }
    let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok());
    let page = page(answer.status().as_u16(), wait, first, request_id);
    *answer.body_mut() = Body::from(page);
    let headers = answer.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(CONTENT_ENCODING);
    describe(headers);
}

/// A page of its own, whose link leads to `address`.
pub(crate) fn respond(
    status: StatusCode,
    wait_s: Option<u32>,
    first: FirstLanguage,
    words: [Words; 2],
    address: &str,
) -> Response {
    let mut answer = Response::new(Body::from(render(status.as_u16(), wait_s, first, "", words, address)));
    *answer.status_mut() = status;
    describe(answer.headers_mut());
    answer
}

fn describe(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// The page of a status. `wait_s`: from `Retry-After`. An empty `request_id` is left out.
pub(super) fn page(status: u16, wait_s: Option<u32>, first: FirstLanguage, request_id: &str) -> String {
    let (chinese, english, target) = words(status);
    let address = match target {
        Target::Start => "/",
        Target::Again => "",
    };
    render(status, wait_s, first, request_id, [chinese, english], address)
}

fn render(
    status: u16,
    wait_s: Option<u32>,
    first: FirstLanguage,
    request_id: &str,
    [chinese, english]: [Words; 2],
    address: &str,
) -> String {
    let section = |lang, heading, words: &Words| {
        let Words { title, what, advice, link } = words;
        let advice = advice.replace("{s}", &wait_s.unwrap_or(1).max(1).to_string());
        format!(
            "<section lang=\"{lang}\"><{heading}>{title}</{heading}><p>{what}</p><p>{advice}\
             <a href=\"{address}\">{link}</a></p></section>"
        )
    };
    let (lang, title, sections) = match first {
        FirstLanguage::Chinese => {
            ("zh-Hans", chinese.title, section("zh-Hans", "h1", &chinese) + &section("en", "h2", &english))
        }
        FirstLanguage::English => {
            ("en", english.title, section("en", "h1", &english) + &section("zh-Hans", "h2", &chinese))
        }
    };
    let mut page = format!(
        "<!doctype html><html lang=\"{lang}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><main>{sections}"
    );
    if !request_id.is_empty() {
        // At the hotline it finds the line in the service's log.
        let _infallible = write!(page, "<p class=\"id\">{status} · {request_id}</p>");
    }
    page.push_str("</main></body></html>\n");
    page
}

/// What happened and what to do, in Chinese and English.
fn words(status: u16) -> (Words, Words, Target) {
    let zh = |title, what, advice, link| Words { title, what, advice, link };
    let en = zh;
    match status {
        401 => (
            zh("请先登录", "此地址需要登录，或登录已结束。", "请重新登录：", "打开首页"),
            en(
                "Please sign in",
                "This address needs a session, or your session has ended.",
                "Sign in again: ",
                "open the start page",
            ),
            Target::Start,
        ),
        403 => (
            zh("无权访问", "您的登录无权打开此地址。", "请换用有权限的账号登录：", "打开首页"),
            en(
                "Not allowed",
                "Your session does not allow this address.",
                "Sign in with one that does: ",
                "open the start page",
            ),
            Target::Start,
        ),
        404 | 405 => (
            zh("没有此页面", "此地址没有页面，可能输错了。", "请核对地址，或", "打开首页"),
            en(
                "There is no page here",
                "This address has no page. It may have a typing error.",
                "Check the address, or ",
                "open the start page",
            ),
            Target::Start,
        ),
        429 => (
            zh("请求过于频繁", "短时间内请求太多，本次未处理。", "请等待 {s} 秒后", "重试"),
            en(
                "Too many requests",
                "There were too many requests in a short time. This one was refused.",
                "Wait {s} s, then ",
                "try again",
            ),
            Target::Again,
        ),
        503 => (
            zh("系统暂时繁忙", "服务繁忙或正在重启，暂时无法回应。", "请等待 {s} 秒后", "重试"),
            en(
                "The service is busy",
                "The service is busy or restarting, and could not answer.",
                "Wait {s} s, then ",
                "try again",
            ),
            Target::Again,
        ),
        500.. => (
            zh("系统出错", "服务处理本次请求时出错，已记录。", "请", "重试"),
            en("Something went wrong", "The service failed at this request, and has logged it.", "", "Try again"),
            Target::Again,
        ),
        _ => (
            zh("无法处理此请求", "服务无法理解浏览器的请求。", "请核对地址，或", "打开首页"),
            en(
                "This cannot be opened",
                "The service could not understand the browser's request.",
                "Check the address, or ",
                "open the start page",
            ),
            Target::Start,
        ),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::response::IntoResponse;
    use yima_schema::problem::{Problem, ProblemType};

    use super::super::ProblemResponse;
    use super::*;

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

    fn asked(method: Method, fields: &[(axum::http::HeaderName, &str)]) -> Option<FirstLanguage> {
        first_language(&method, &fields.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect())
    }

    #[test]
    fn only_a_browser_that_opens_an_address_gets_a_page() {
        for accept in [BROWSER, "text/html", "application/json;q=0.5, text/html;q=0.9", "text/html;level=1;q=0.4"] {
            assert!(asked(Method::GET, &[(ACCEPT, accept)]).is_some(), "{accept}");
        }
        for accept in [
            "*/*",
            "application/json",
            "application/problem+json, text/html;q=0.9",
            "application/json, text/html",
            "text/html;q=0",
            "text/html;q=x",
            "text/*",
            "",
        ] {
            assert_eq!(asked(Method::GET, &[(ACCEPT, accept)]), None, "{accept}");
        }
        assert_eq!(asked(Method::GET, &[]), None);
        assert_eq!(asked(Method::POST, &[(ACCEPT, BROWSER)]), None);
        assert!(asked(Method::HEAD, &[(ACCEPT, BROWSER)]).is_some());
    }

    #[test]
    fn the_browsers_language_comes_first() {
        for (languages, first) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", FirstLanguage::Chinese),
            ("ZH", FirstLanguage::Chinese),
            ("en-GB,zh;q=0.9", FirstLanguage::English),
            ("", FirstLanguage::English),
        ] {
            assert_eq!(asked(Method::GET, &[(ACCEPT, BROWSER), (ACCEPT_LANGUAGE, languages)]), Some(first));
        }
        let page = page(404, None, FirstLanguage::Chinese, "");
        assert!(page.find("没有此页面").unwrap() < page.find("There is no page here").unwrap(), "{page}");
    }

    #[tokio::test]
    async fn every_problem_becomes_a_page_in_two_languages_with_its_status_and_wait() {
        for kind in ProblemType::ALL {
            let problem = Problem::new(*kind, "for developers").retry_after(7);
            let mut answer = ProblemResponse::from(problem).into_response();
            in_place_of_a_problem(&mut answer, FirstLanguage::English, "id-1");
            assert_eq!(answer.status(), kind.status());
            assert_eq!(answer.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
            assert_eq!(answer.headers()["cache-control"], "no-store");
            assert_eq!(answer.headers()[RETRY_AFTER], "7");
            let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
            assert!(policy.contains("style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
            let page = String::from_utf8(to_bytes(answer.into_body(), 1 << 16).await.unwrap().to_vec()).unwrap();
            for part in ["lang=\"zh-Hans\"", "lang=\"en\"", "<h1>", "<a href=", "id-1"] {
                assert!(page.contains(part), "{kind:?}: {page}");
            }
            assert!(!page.contains("for developers") && !page.contains("{s}"), "{kind:?}: {page}");
            assert_eq!(page.contains("7 s"), matches!(kind.status(), 429 | 503), "{kind:?}: {page}");
        }
    }

    #[tokio::test]
    async fn answers_other_than_problems_stay() {
        let mut answer = (StatusCode::NOT_FOUND, "other").into_response();
        in_place_of_a_problem(&mut answer, FirstLanguage::English, "id-1");
        assert_eq!(to_bytes(answer.into_body(), 16).await.unwrap(), "other");
    }
}
