//! What a citizen is told: what to do about a colour, in the deployment's words; why there is no code; no raw keys.

use std::fs;

use serde_json::{Value, json};
use yima_harness::{Options, Person, Yima, ago};
use yima_schema::time::HOUR;

use super::live_display::replace_fetch;
use super::window::Window;
use super::{PHONE, assert_clean};

/// A reason of the city's own, and what it means.
fn with_a_rule_of_the_city(options: Options) -> Options {
    let write = |name: &str, text: String| {
        let path = options.directory().join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let rules = include_str!("../../../schema/rules/default.toml");
    let rules = write("rules.toml", rules.replace("released = ", "city_rule_7 = [\"red\"]\nreleased = "));
    let guidance = include_str!("../../../schema/rules/guidance.toml");
    let of_the_city = "xian-cdc = { name = { zh = \"西安市疾控中心\", en = \"Xi'an CDC\" }, telephone = \"029-1234\" }\n\
        [reasons.city_rule_7]\nname = { zh = \"七号令\", en = \"Order 7\" }\n\
        steps.red = { zh = [\"致电街道办\"], en = [\"Call the sub-district office\"] }\n";
    let guidance = write("guidance.toml", format!("{guidance}{of_the_city}"));
    options.env("YIMA_RULES__FILE", rules).env("YIMA_RULES__GUIDANCE_FILE", guidance)
}

fn steps(phone: &Window) -> Value {
    phone.evaluate("[...document.querySelectorAll('#to-do:not([hidden]) li')].map((step) => step.textContent)")
}

#[test]
fn a_citizen_is_told_what_to_do_in_the_words_of_the_city() {
    let yima = Yima::start(with_a_rule_of_the_city(Options::default()));
    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("button[data-person='4']");
    // Nothing has the focus, and no part of the page is framed.
    assert_eq!(phone.evaluate("document.activeElement === document.body"), json!(true));
    for lang in ["zh-Hans", "en"] {
        phone.click("#lang");
        phone.see(&format!("html[lang='{lang}'] button[data-person='4']"));
        assert!(!phone.text("body").contains('_'), "a raw key: {}", phone.text("body"));
    }
    // The list follows a person's colour.
    let person = Person { document: phone.text("button[data-person='0'] small") };
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &person.test("told-1", "positive", HOUR)), "accepted");
    phone.see("button[data-person='0'][data-about='red']");
    assert_clean(&phone, &yima);

    phone.click("button[data-person='0']");
    phone.see("#colour[data-colour='red']");
    phone.see("#to-do:not([hidden]) li");
    assert!(steps(&phone)[0].as_str().is_some_and(|step| step.contains("room of your own")), "{}", steps(&phone));
    let assignment = json!({ "colour": "red", "reason": "city_rule_7", "until": null });
    let event = person.event("told-2", "colour_assignment", &ago(HOUR / 2), assignment);
    assert_eq!(yima.event(&yima.agency_token("xian-cdc"), &event), "accepted");
    phone.see_xpath("//*[@id='decision'][contains(., 'Order 7') and contains(., 'CDC')]");
    assert_eq!(steps(&phone), json!(["Call the sub-district office"]));
    assert_eq!(phone.attribute("#help a", "href"), "tel:0291234");
    phone.click("#history summary");
    phone.see_xpath("//*[@id='decisions']/li[contains(., 'Order 7')]");
    phone.assert_accessible();
    phone.picture("citizen-steps-en");
    phone.click("#lang");
    phone.see_xpath("//*[@id='steps'][contains(., '致电街道办')]");
    phone.picture("citizen-steps-zh");
    phone.click("#lang");

    // Why there is no code: the limit, a busy service, no connection.
    replace_fetch(
        &phone,
        "if (path === '/demo/token' && window.refusal === 502) return new Response('', { status: 502 });
         if (path !== '/v1/code' || !window.refusal) return asks(path, init);
         if (refusal === 'offline') throw new TypeError('offline');
         return new Response('', { status: refusal, headers: refusal === 429 ? { 'retry-after': '9' } : {} })",
    );
    for (refusal, words) in [("429", "Too many codes"), ("503", "The service is busy"), ("'offline'", "No connection")]
    {
        phone.evaluate(&format!("void (window.refusal = {refusal})"));
        // Signing in again requests a code.
        phone.click("#sign-out");
        phone.click("button[data-person='1']");
        phone.see_xpath(&format!("//*[@id='code-note'][contains(., '{words}')]"));
    }
    phone.picture("citizen-no-code");

    // A sign-in that failed is told until the next one, in either language.
    phone.evaluate("void (window.refusal = 502)");
    phone.click("#sign-out");
    phone.click("button[data-person='1']");
    for words in ["Signing in failed", "登录失败", "Signing in failed"] {
        phone.see_xpath(&format!("//*[@id='notice'][contains(., '{words}')]"));
        phone.click("#lang");
    }
}
