//! Printed codes: made from the keys while nothing else runs, read off the page, scanned and revoked.

use yima_harness::{Options, Yima, new_person};
use yima_schema::time::HOUR;

/// The text of each QR code on a page.
fn codes(page: &str) -> Vec<String> {
    page.split("<svg ").skip(1).map(read_qr).collect()
}

/// The text of a QR code whose dark modules are rows of a path, `M` column and row `h` length.
pub(crate) fn read_qr(svg: &str) -> String {
    const SCALE: usize = 8;
    let size = svg.split_once("viewBox=\"0 0 ").and_then(|(_, rest)| rest.split_once(' ')).expect("a view box").0;
    let size: usize = size.parse().expect("a number of modules");
    let mut dark = vec![false; size * size];
    let svg = svg.split("</svg>").next().unwrap_or_default();
    for (place, rest) in svg.split('M').skip(1).filter_map(|rest| rest.split_once('h')) {
        let Some((x, y)) = place.split_once([',', ' ']) else { continue };
        let length = rest.split('v').next().unwrap_or_default();
        let [x, y, length] = [x, y, length].map(|number| number.parse::<usize>().expect("a number"));
        dark[y * size + x..][..length].fill(true);
    }
    let grey = |x: usize, y: usize| if dark[y / SCALE * size + x / SCALE] { 0 } else { 255 };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(size * SCALE, size * SCALE, grey);
    let grids = image.detect_grids();
    grids.first().expect("a QR code").decode().expect("that can be read").1
}

#[test]
fn codes_are_printed_while_nothing_runs_and_scanned_and_revoked_when_it_does_again() {
    let mut yima = Yima::start(Options::default().unlimited());
    let [green, red] = [new_person(), new_person()];
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &green.test("t-1", "negative", HOUR)), "accepted");
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &red.test("t-2", "positive", HOUR)), "accepted");
    yima.kill9();
    let dir = tempfile::tempdir().expect("a directory");
    let (list, page) = (dir.path().join("list.csv"), dir.path().join("page.html"));
    let rows = [&green, &red].map(|person| format!("cn_resident_id,{},<b>Anna</b> Lee\n", person.document));
    std::fs::write(&list, format!("document_type,document_number,name\n{}", rows.concat())).expect("written");
    let [list, out] = [&list, &page].map(|path| path.to_str().expect("UTF-8"));
    let said = yima.command(&["paper", "--from", list, "--out", out, "--layout", "card"]);
    assert!(said[0].starts_with("2 codes, valid until "), "{said:?}");
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(!page.contains("Anna") && !page.contains("<b>"), "the name is masked");
    assert!(!page.contains(&green.document));
    assert!(["<script", "src=", "href="].iter().all(|outside| !page.contains(outside)), "nothing from elsewhere");
    let codes = codes(&page);
    assert_eq!(codes.len(), 2);

    yima.start_again();
    let guard = yima.checkpoint_session();
    let reason = |yima: &Yima, code: &str| yima.scan(&guard, code)["reason"].as_str().expect("a reason").to_owned();
    assert_eq!((reason(&yima, &codes[0]), reason(&yima, &codes[1])), ("paper_green".into(), "red".into()));

    // The number under the code revokes it.
    let number = page.split_once("class=\"number\">").and_then(|(_, rest)| rest.split_once('<')).expect("a number").0;
    let url = format!("{}/v1/papers/{}", yima.read_url(), number.replace(' ', ""));
    let bearer = format!("Bearer {}", yima.session_of(&green));
    let reply = yima.http().send("DELETE", &url, &[("authorization", &bearer)], None).expect("a whole answer");
    assert_eq!(reply.status, 204, "{}", reply.text());
    assert_eq!(reason(&yima, &codes[0]), "paper_ended");
    assert_eq!(reason(&yima, &codes[1]), "red");
}
