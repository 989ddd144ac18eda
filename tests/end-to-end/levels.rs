//! Levels of degradation, set by hand: which routes are refused, which fields are left out, and what stays.

use serde_json::{Value, json};
use yima_harness::{Options, Reply, Yima, new_person};
use yima_schema::time::HOUR;

/// Sets the level at the admin port.
fn put(yima: &Yima, body: &Value) -> Reply {
    let json = [("content-type", "application/json")];
    let url = format!("{}/level", yima.admin_url());
    yima.http().send("PUT", &url, &json, Some(body.to_string().as_bytes())).expect("a whole answer")
}

fn set(yima: &Yima, level: u8) {
    assert_eq!(put(yima, &json!({"level": level, "for_s": 600, "why": "drill"})).json(200)["level"], level);
}

fn get(yima: &Yima, path: &str, session: &str, more: &[(&str, &str)]) -> Reply {
    let bearer = format!("Bearer {session}");
    let headers = [&[("authorization", &*bearer)], more].concat();
    yima.http().get_with(&format!("{}{path}", yima.read_url()), &headers).expect("a whole answer")
}

#[test]
fn each_level_leaves_out_what_it_says_and_verdicts_stay() {
    let yima = Yima::start(Options::default().unlimited().env("YIMA_READ_API__LIMITS__HISTORY__REQUESTS", 1_000));
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    yima.event(&lab, &person.test("l-1", "negative", HOUR));
    let (session, guard) = (yima.session_of(&person), yima.checkpoint_session());
    let full = yima.display(&session);
    let code = yima.code(&session);
    let scan = || {
        let url = format!("{}/v1/scan", yima.read_url());
        yima.http().post(&url, &guard, "application/json", json!({ "code": code }).to_string().as_bytes())
    };
    let verdict = scan().json(200);
    for level in (0..=8).chain((0..8).rev()) {
        set(&yima, level);
        // Routes, each with the first level that refuses it.
        for (path, refused_from) in
            [("/v1/history", 2), ("/v1/guardians", 3), ("/v1/phones", 3), ("/v1/results", 8), ("/v1/code", 8)]
        {
            let answer = get(&yima, path, &session, &[]);
            assert_eq!(answer.status, if level < refused_from { 200 } else { 503 }, "{path} at level {level}");
            assert_eq!(answer.header("yima-level"), if level == 0 { String::new() } else { level.to_string() });
        }
        // The same displays with hyper and without: that has a field that is not known.
        for more in [&[][..], &[("x-unknown", "1")]] {
            let shown = get(&yima, "/v1/display", &session, more);
            if level == 8 {
                assert_eq!((shown.status, shown.header("yima-level")), (503, "8"));
                let after: u32 = shown.header("retry-after").parse().expect("a number of seconds");
                assert!((10..=20).contains(&after), "{after}");
                continue;
            }
            let (shown, after) = (shown.json(200), shown.header("yima-refresh-after").parse::<u32>());
            let (after, least) =
                (after.expect("a number of seconds"), [0, 60, 120][usize::from(level > 4) + usize::from(level > 5)]);
            assert!((least..=240).contains(&after), "{after} at level {level}");
            let whole = full.json(200);
            assert_eq!((&shown["identity"], &shown["colour"]), (&whole["identity"], &whole["colour"]));
            assert_eq!((shown["vaccination"].is_null(), shown["tests"].is_null()), (level >= 6, level >= 7));
            // Who shows all of it needs nothing, with the tag of level 0.
            let tag = full.header("etag");
            let headers = [&[("if-none-match", tag)], more].concat();
            let unchanged = get(&yima, "/v1/display", &session, &headers);
            assert_eq!((unchanged.status, unchanged.header("etag")), (304, tag), "level {level}");
        }
        let scanned = scan();
        assert_eq!(scanned.header("yima-level"), if level == 0 { String::new() } else { level.to_string() });
        let scanned = scanned.json(200);
        for field in ["verdict", "reason", "instruction", "identity", "colour"] {
            assert_eq!(scanned[field], verdict[field], "{field} at level {level}");
        }
        assert_eq!((scanned["vaccination"].is_null(), scanned["tests"].is_null()), (level >= 6, level >= 7));
        for page in ["/", "/checkpoint", "/v1/keys", "/v1/guidance"] {
            assert_eq!(get(&yima, page, "", &[]).status, 200, "{page} at level {level}");
        }
    }
    // A phone that was shown less gets the rest once there is room for it.
    set(&yima, 7);
    let first_version = get(&yima, "/v1/display", &session, &[]);
    let tag = [("if-none-match", first_version.header("etag"))];
    assert_eq!(get(&yima, "/v1/display", &session, &tag).status, 304);
    set(&yima, 0);
    assert_eq!(get(&yima, "/v1/display", &session, &tag).json(200), full.json(200));
    // A change under way is in no tag of any level.
    set(&yima, 6);
    yima.event(&lab, &person.test("l-2", "positive", HOUR / 2));
    let red = get(&yima, "/v1/display", &session, &[("if-none-match", full.header("etag"))]).json(200);
    assert_eq!(red["colour"]["code"], "red");
    assert_eq!(scan().json(200)["verdict"], "stop");
}

#[test]
fn live_displays_end_and_are_refused_from_level_1_on() {
    let options = Options::default().env("YIMA_READ_API__LIVE_DISPLAYS__REPORT_EVERY_MS", 200);
    let yima = Yima::start(options.env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2));
    let session = yima.session_of(&new_person());
    let mut events = yima.events(&session).expect("a live display");
    assert_eq!(events.next().expect("an event at once").name, "display");
    set(&yima, 1);
    // It ends by itself, after its next report.
    assert!(events.all(|event| event.name != "display"));
    assert_eq!(yima.events(&session).err(), Some(503));
    assert_eq!(yima.metric("http_requests_refused_total", &["class=\"live_display\"", "reason=\"level\""]), 1.0);
    set(&yima, 0);
    assert!(yima.events(&session).is_ok());
}

#[test]
fn a_level_is_set_by_command_for_a_time_and_recorded_with_who_and_why() {
    let yima = Yima::start(Options::default());
    let levels = || (yima.metric("level", &[]), yima.metric("level_by_hand", &[]));
    assert_eq!(levels(), (0.0, 0.0));
    for wrong in [
        ["level", "set", "9", "--for", "1h", "--why", "w"],
        ["level", "set", "3", "--for", "73h", "--why", "w"],
        ["level", "set", "3", "--for", "1h", "--why", ""],
    ] {
        let refused = yima.options().command().args(wrong).output().expect("yima can be run");
        assert!(
            !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains(": expected"),
            "{wrong:?}"
        );
    }
    let printed = yima.command(&["level", "set", "6", "--for", "2h", "--why", "演练"]);
    assert!(printed[0].starts_with("level 6 (no vaccination), set by hand until ") && printed[0].contains("演练"));
    assert_eq!(levels(), (6.0, 1.0));
    let shown = yima.http().get(&format!("{}/level", yima.admin_url()), "").json(200);
    assert_eq!(
        (&shown["level"], &shown["automatic"], &shown["by_hand"]["why"]),
        (&json!(6), &json!(0), &json!("演练"))
    );
    assert_eq!(yima.command(&["level", "status"])[0].split(',').next(), printed[0].split(',').next());
    assert!(yima.command(&["level", "automatic"])[0].starts_with("level 0 (normal); utilization "));
    assert_eq!(levels(), (0.0, 0.0));
    assert_eq!(yima.metric("level_changes_total", &["direction=\"up\""]), 1.0);

    for (body, pointer) in [
        (json!({"level": 9, "for_s": 60, "why": "w"}), "/level"),
        (json!({"level": 1, "why": "w"}), "/for_s"),
        (json!({"level": 1, "for_s": 60}), "/why"),
        (json!({"level": "high", "for_s": 60, "why": "w"}), "/level"),
        (json!({"level": 1, "for": 60, "why": "w"}), "/for"),
    ] {
        assert_eq!(put(&yima, &body).json(400)["errors"][0]["pointer"], pointer, "{body}");
    }
    set(&yima, 8);
    assert_eq!(put(&yima, &json!({"level": null})).json(200)["by_hand"], Value::Null);
    let audit = yima.http().get_with(&format!("{}/audit", yima.admin_url()), &[]).expect("a whole answer");
    let lines = audit.text().lines().filter(|line| line.contains("\"level_"));
    let kept: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let kinds: Vec<_> = kept.iter().map(|record| record["kind"].as_str().expect("a text")).collect();
    assert_eq!(kinds, ["level_set", "level_released", "level_set", "level_released"]);
    assert_eq!((&kept[0]["level"], &kept[0]["why"]), (&json!(6), &json!("演练")));
    assert!(kept[0]["by"].as_str().is_some_and(|by| by.starts_with("user ")) && kept[0]["until"].is_string());
    assert_eq!(kept[2]["by"], "admin port");
}
