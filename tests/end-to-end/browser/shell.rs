//! The shell: pages open without the service, say so, and show nothing as fresh; other addresses get a page of ours.

use serde_json::{Value, json};
use yima_harness::{Options, Yima};

use super::window::Window;
use super::{DESK, PHONE, assert_clean, assert_storage_empty, code, phone};

/// Opens a page and waits until its service worker keeps it.
fn open_and_keep(window: &Window, url: &str) {
    window.go_to(url);
    wait_until_kept(window);
}

pub(super) fn wait_until_kept(window: &Window) {
    window.until("navigator.serviceWorker.ready.then(({ active }) => active.state === 'activated')");
}

#[test]
fn pages_open_without_the_service_and_show_no_colour_as_fresh() {
    let mut yima = Yima::start(Options::default());
    let (read, write) = (yima.read_url(), yima.writer_url());
    let phone = Window::open(PHONE, &format!("{read}/checkpoint"));
    wait_until_kept(&phone);
    open_and_keep(&phone, &format!("{write}/"));
    open_and_keep(&phone, &format!("{read}/"));
    phone.click("button[data-person='0']");
    phone.see("#colour[data-colour='green']");
    code(&phone);
    // A cache of an earlier version of the page goes when a new version takes over.
    wait_until_kept(&phone);
    phone.evaluate(
        "caches.open('yima.citizen.0').then((cache) => cache.put('/assets/old.js', new Response('old')))
            .then(() => navigator.serviceWorker.getRegistration('/')).then((one) => one.unregister()).then(() => null)",
    );
    phone.reload();
    code(&phone);
    wait_until_kept(&phone);
    phone.until("caches.has('yima.citizen.0').then((has) => !has)");
    let names =
        phone.evaluate("caches.keys().then((names) => names.map((name) => name.replace(/[0-9a-f]+$/, '')).sort())");
    assert_eq!(names, json!(["yima.checkpoint.", "yima.citizen."]));
    assert_clean(&phone, &yima);

    for (url, heading) in
        [(format!("{read}/chekpoint"), "There is no page here"), (format!("{read}/v1/display"), "sign in")]
    {
        phone.go_to(&url);
        assert!(phone.text("h1").contains(heading), "{url}: {}", phone.text("body"));
        assert!(phone.text("body").contains("首页"), "{url}");
    }
    phone.assert_accessible();
    phone.picture("error-page");

    yima.kill9();
    phone.go_to(&format!("{write}/"));
    phone.see("#sign-in:not([hidden])");
    phone.go_to(&format!("{write}/mistyped"));
    assert_eq!(phone.text("h2"), "No connection");
    phone.go_to(&format!("{read}/v1/display"));
    assert_eq!(phone.text("h2"), "No connection");
    phone.assert_accessible();
    phone.picture("offline-page");
    // The session is the tab's; the display and the code are nowhere.
    phone.go_to(&format!("{read}/"));
    phone.see_xpath("//*[@id='code-note'][contains(., 'No connection')]");
    phone.see_xpath("//*[@id='banner-why'][contains(., 'No connection')]");
    assert_eq!(phone.text("#colour-word"), "No status yet");
    assert_eq!(
        phone.evaluate("[document.body.dataset.colour ?? null, document.body.dataset.live]"),
        json!([null, "false"])
    );
    phone.assert_accessible();
    phone.picture("citizen-reload-offline");

    yima.start_again();
    phone.see("#colour[data-colour='green']");
    phone.see("#code[data-live='true'][data-code]");
    phone.click("#sign-out");
    phone.see("#sign-in:focus");
    assert_storage_empty(&phone);
    yima.kill9();
    phone.go_to(&format!("{read}/checkpoint"));
    phone.see_xpath("//*[@id='notice'][contains(., 'No connection')]");
}

#[test]
fn a_new_version_of_the_agencys_page_takes_over_at_its_next_opening() {
    let yima = Yima::start(Options::default());
    let desk = Window::open(DESK, &yima.writer_url());
    wait_until_kept(&desk);
    // What an earlier version leaves: its worker, its files, and a cache of the version before it.
    desk.evaluate("navigator.serviceWorker.register('/agency-worker.js?earlier', { scope: '/' }).then(() => null)");
    let worker = |script: &str| {
        desk.until(&format!(
            "navigator.serviceWorker.ready.then(({{ active }}) =>
                active.scriptURL.endsWith('{script}') && active.state === 'activated')"
        ));
    };
    worker("?earlier");
    desk.evaluate(
        "(async () => {
            const [name] = await caches.keys();
            const cache = await caches.open(name);
            const change = async (path, change) => {
                const kept = await cache.match(path);
                await cache.put(path, new Response(change(await kept.text()), { headers: kept.headers }));
            };
            await change('/', (page) => page.replace('<html', '<html data-version=earlier'));
            await change('/assets/xlsx.js', (script) => `globalThis.workbooks = 'earlier';${script}`);
            await (await caches.open('yima.agency.0')).put('/', new Response('before it'));
        })()",
    );
    desk.reload();
    desk.see("html[data-version='earlier']");
    desk.click("#demo-agency");
    desk.type_into("#document-number", "half a num");
    worker("/agency-worker.js");
    desk.until("caches.keys().then((names) => names.length === 1 && names[0] !== 'yima.agency.0')");
    // The open page stays as it is, and has all of its own version, what it loads when it is needed too.
    assert_eq!(desk.evaluate("document.getElementById('document-number').value"), json!("half a num"));
    desk.evaluate("import('/assets/xlsx.js').then(() => null)");
    assert_eq!(desk.evaluate("window.workbooks"), json!("earlier"));
    desk.reload();
    desk.see("html:not([data-version]) #work:not([hidden])");
    assert_eq!(desk.evaluate("window.workbooks ?? null"), json!(null));
}

#[test]
fn a_session_that_was_ended_elsewhere_is_named_and_a_new_one_offered() {
    let yima = Yima::start(Options::default());
    let phone = phone(&yima, PHONE, 1);
    phone.see("#colour[data-colour='yellow']");
    let session = phone.evaluate("sessionStorage.getItem('yima.session.citizen')");
    let auth = format!("Bearer {}", session.as_str().expect("a session in the tab"));
    let ended =
        yima.http().send("DELETE", &format!("{}/v1/sessions", yima.read_url()), &[("authorization", &auth)], None);
    assert!((200..300).contains(&ended.expect("a whole answer").status));
    phone.see_xpath("//*[@id='notice'][contains(., 'ended on another device')]");
    phone.see("button[data-person='1']");
    assert_eq!(phone.evaluate("document.body.innerText.includes('****')"), json!(false), "nothing of the person");
    assert_storage_empty(&phone);
}

#[test]
fn every_page_can_be_installed_and_keeps_to_its_own_scope() {
    let yima = Yima::start(Options::default());
    for (url, path) in [(yima.read_url(), "/"), (yima.read_url(), "/checkpoint"), (yima.writer_url(), "/")] {
        let window = Window::open(PHONE, "about:blank");
        open_and_keep(&window, &format!("{url}{path}"));
        let found = window.devtools("Page.getInstallabilityErrors", json!({}));
        assert_eq!(found["installabilityErrors"], json!([]), "{path}");
        let found = window.devtools("Page.getAppManifest", json!({}));
        assert_eq!(found["errors"], json!([]), "{path}");
        let manifest: Value = serde_json::from_str(found["data"].as_str().expect("a manifest")).expect("JSON");
        assert_eq!([&manifest["start_url"], &manifest["scope"], &manifest["id"]], [path; 3]);
        assert_eq!(manifest["display"], "standalone");
        for field in ["name", "short_name", "theme_color", "background_color"] {
            assert!(manifest[field].as_str().is_some_and(|text| !text.is_empty()), "{path}: {field}");
        }
        for (sizes, purpose) in [("192x192", Value::Null), ("512x512", Value::Null), ("512x512", json!("maskable"))] {
            let is_it = |icon: &&Value| icon["sizes"] == sizes && icon["purpose"] == purpose;
            let icon = manifest["icons"].as_array().and_then(|icons| icons.iter().find(is_it)).expect("an icon");
            let image = format!(
                "new Promise((resolve) => {{
                    const image = new Image();
                    image.onload = () => resolve(`${{image.naturalWidth}}x${{image.naturalHeight}}`);
                    image.onerror = () => resolve('no image');
                    image.src = {};
                }})",
                icon["src"]
            );
            assert_eq!(window.evaluate(&image), sizes, "{path}: {icon}");
        }
        let scopes = "navigator.serviceWorker.getRegistrations().then((all) => all.map(({ scope }) => scope))";
        assert_eq!(window.evaluate(scopes), json!([format!("{url}{path}")]));
        assert_eq!(window.evaluate("isSecureContext"), json!(true));
    }
}
