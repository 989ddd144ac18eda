//! `GET /v1/guidance`: the deployment's words for citizens.

use std::fs;

use yima_harness::Options;

use crate::shared;
use crate::start_stop::assert_refuses_start;

#[test]
fn guidance_is_public_and_any_cache_may_keep_it() {
    let (yima, url) = (shared(), format!("{}/v1/guidance", shared().read_url()));
    let reply = yima.http().get(&url, "");
    let guidance = reply.json(200);
    for lang in ["zh", "en"] {
        assert!(guidance["reasons"]["close_contact"]["name"][lang].is_string(), "{guidance}");
        let steps = guidance["reasons"]["close_contact"]["steps"]["yellow"][lang].as_array();
        assert!(steps.is_some_and(|steps| steps.len() >= 2), "{guidance}");
        assert!(guidance["colours"]["red"][lang].is_array(), "{guidance}");
    }
    assert_eq!(guidance["hotline"], "12345");
    assert!(reply.header("cache-control").starts_with("public, max-age="));
    let tag = [("if-none-match", reply.header("etag"))];
    assert_eq!(yima.http().get_with(&url, &tag).expect("a whole answer").status, 304);
}

#[test]
fn guidance_with_errors_refuses_the_start_and_names_each() {
    let options = Options::default();
    let path = options.directory().join("guidance.toml");
    let text = "hotline = \"\"\n[reasons.released]\nname = { zh = \"已解除\", en = \"a\\u202eb\" }\n\
        steps.yellow = { zh = [\"一\"], en = [] }\n";
    fs::write(&path, text).expect("a file");
    let options = options.env("YIMA_RULES__GUIDANCE_FILE", path.display());
    let keys = ["guidance: hotline: expected", "reasons.released.name.en: expected", "reasons.released.steps.yellow: "];
    assert_refuses_start(&options, &keys);
}
