//! The settings of a service, with the sections of this crate.

use std::time::Duration;

use serde::Deserialize;
use yima_service::admin::AdminConfig;
use yima_service::config::load;
use yima_service::http::HttpLimits;
use yima_service::jwt::JwtConfig;
use yima_service::lifecycle::LifecycleConfig;
use yima_service::rate_limit::RateConfig;
use yima_service::telemetry::TelemetryConfig;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Config {
    http: HttpLimits,
    admin: AdminConfig,
    jwt: JwtConfig,
    lifecycle: LifecycleConfig,
    display_rate: RateConfig,
    telemetry: TelemetryConfig,
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn all_sections_can_be_set() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[http]\nmax_in_flight = 7\nrequest_timeout_ms = 5000\n[jwt]\nissuer = \"idp\"\n")
        .unwrap();
    let given = env(&[
        ("YIMA_HTTP__MAX_IN_FLIGHT", "9"),
        ("YIMA_ADMIN__LISTEN", "127.0.0.1:0"),
        ("YIMA_LIFECYCLE__DRAIN_WAIT_MS", "0"),
        ("YIMA_DISPLAY_RATE__REQUESTS", "6"),
        ("YIMA_DISPLAY_RATE__WINDOW_S", "60"),
        ("YIMA_TELEMETRY__LOG_FORMAT", "json"),
    ]);
    let config: Config = load("", Some(file.path()), given).unwrap();
    assert_eq!((config.http.max_in_flight.get(), config.http.request_timeout), (9, Duration::from_secs(5)));
    assert_eq!((config.admin.listen.port(), config.jwt.issuer.as_str()), (0, "idp"));
    assert_eq!((config.display_rate.requests.get(), config.display_rate.window), (6, Duration::from_secs(60)));
    assert!(config.lifecycle.drain_wait.is_zero());
    assert_eq!(config.telemetry.log_format, yima_service::telemetry::LogFormat::Json);
}

#[test]
fn errors_of_all_sections_are_reported_together() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[http]\nmax_in_flight = 0\nmax_conections = 5\n[jwt]\nissuer = 5\n").unwrap();
    let given = env(&[("YIMA_ADMIN__LISTEN", "nowhere"), ("YIMA_HTTPS__PORT", "1"), ("YIMA_PORT", "1")]);
    let errors = load::<Config>("", Some(file.path()), given).err().unwrap();
    let mut keys: Vec<_> = errors.0.iter().map(|error| error.key.as_str()).collect();
    keys.sort_unstable();
    let wanted = ["", "admin.listen", "http.max_conections", "http.max_in_flight", "https", "jwt.issuer"];
    assert_eq!(keys, wanted, "{errors}");
    let of = |key: &str| errors.0.iter().find(|error| error.key == key).unwrap();
    assert_eq!(of("https").source, "YIMA_HTTPS__PORT");
    assert_eq!(of("http.max_in_flight").expected, "expected a whole number, 1 or more");
    assert!(of("http.max_conections").expected.contains("`max_connections`"), "{errors}");
}
