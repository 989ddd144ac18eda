//! What the citizen's page says and shows at a level of degradation.

use yima_harness::{Options, Yima};

use super::{PHONE, checkpoint, demo_codes, phone, scan};

fn set(yima: &Yima, level: &str) {
    yima.command(&["level", "set", level, "--for", "1h", "--why", "test"]);
}

#[test]
fn a_page_says_what_is_left_out_keeps_what_it_shows_and_offers_the_rest() {
    // A page without a live display asks each second.
    let yima = Yima::start(Options::default().unlimited().env("YIMA_READ_API__LIVE_DISPLAYS__MAX_OPEN", 0));
    let early = phone(&yima, PHONE, 0);
    early.see("#colour[data-colour='green']");
    early.see("#level[hidden]");
    early.see("#results[hidden]");
    set(&yima, "1");
    early.see_xpath("//*[@id='level'][not(@hidden)][contains(., 'some features pause')]");
    set(&yima, "7");
    early.see_xpath("//*[@id='level'][contains(., 'only name and colour')]");
    // What it shows is proved to be right still.
    early.see("#tests .test");
    early.see("#code[data-live='true']");

    let late = phone(&yima, PHONE, 0);
    late.see("#colour[data-colour='green']");
    late.see_xpath("//*[@id='tests'][contains(., 'Not shown while the service is busy')]");
    late.see_xpath("//*[@id='vaccination'][contains(., 'Not shown while the service is busy')]");
    late.click("#results summary");
    late.see("#results-list .test");
    late.assert_accessible();
    late.picture("citizen-level-7");
}

#[test]
fn a_guard_reads_what_a_busy_service_leaves_out_beside_the_verdict() {
    let yima = Yima::start(Options::default().unlimited());
    let code = &demo_codes(&yima)[0];
    let desk = checkpoint(&yima);
    let pass = || desk.see("#verdict[data-verdict='pass']");
    scan(&desk, code);
    pass();
    assert!(!desk.text("#person").contains("busy"), "{}", desk.text("#person"));
    for (level, says) in [("3", "no look-ups by document"), ("7", "tests or vaccinations may be missing")] {
        set(&yima, level);
        scan(&desk, code);
        desk.see_xpath(&format!("//*[@id='person']//*[contains(., '{says}')]"));
        pass();
    }
    desk.assert_accessible();
}
