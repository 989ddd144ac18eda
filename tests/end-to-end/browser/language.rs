//! A page in Chinese has no words in Latin letters, a page in English no Chinese characters, except names.

use std::time::{Duration, Instant};

use super::window::Window;

/// From a change of language to the last redrawn text: the list of demo people is fetched again.
const DEADLINE: Duration = Duration::from_secs(10);

/// The page's texts in the other language: of visible elements, of labels and of its title.
const OTHER_LANGUAGE: &str = r#"(() => {
    const chinese = document.documentElement.lang.startsWith("zh");
    const other = chinese ? /\p{Script=Latin}+/u : /\p{Script=Han}|[，。；：！？（）]/u;
    // Names and formats, the demo's agencies, numbers of documents and events, times by ISO 8601.
    const names = /yima|YM1|QR|lab-7|xian-cdc|clinic-3|police|UTF-8|CSV|CVX|\.xlsx?|Excel|JSON|JWT|FHIR R4|https?|MB|Esc|Tab|Enter|CR|UTC|\bUS\b|A\+|\d+X|\b[a-z]+-[0-9a-z-]+|\d\d-\d\dT\d\d:\d\d(:\d\d)?Z?/g;
    const found = [];
    const check = (text, place) => {
        if (other.test(text.replace(names, ""))) found.push(`${place}: ${text.trim()}`);
    };
    // The language button names the other language, in that language.
    const skipped = "script, style, noscript, bdi, [translate=no], :not(html)[lang]";
    const seen = (element) => !element.closest(skipped) && (element.closest("head") ||
        element.checkVisibility({ visibilityProperty: true }));
    const place = (element) => element.id || element.parentElement?.id || element.localName;
    const texts = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (seen(element)) check(texts.currentNode.data, place(element));
    }
    for (const attribute of ["aria-label", "placeholder", "title", "alt"]) {
        for (const element of document.querySelectorAll(`[${attribute}]`)) {
            if (seen(element)) check(element.getAttribute(attribute), `${place(element)} (${attribute})`);
        }
    }
    return found;
})()"#;

impl Window {
    /// Every text of the page's present state is in the page's language, in Chinese and in English.
    #[track_caller]
    pub fn assert_one_language(&self) {
        for _ in 0..2 {
            // The event reaches the button alone: a click elsewhere means something to a page.
            self.evaluate("document.getElementById('lang')?.dispatchEvent(new MouseEvent('click'))");
            let started = Instant::now();
            loop {
                let found = self.evaluate(OTHER_LANGUAGE);
                if found.as_array().is_some_and(Vec::is_empty) {
                    break;
                }
                let language = self.evaluate("document.documentElement.lang");
                assert!(started.elapsed() < DEADLINE, "in another language than {language}: {found:#}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
