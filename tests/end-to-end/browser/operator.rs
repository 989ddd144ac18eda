//! The operator's page of the admin port.

use yima_harness::{Options, Yima};

use super::DESK;
use super::window::Window;

#[test]
fn an_operator_sees_the_state_of_the_nodes_and_sets_the_level_by_hand() {
    let yima = Yima::start(Options::default());
    let page = Window::open(DESK, &format!("{}/", yima.admin_url()));
    page.see_xpath("//*[@id='nodes']//td[.='everything']");
    page.see_xpath("//*[@id='level-now'][starts-with(., '0: nothing is left out')]");
    page.see_xpath("//*[@id='cache-settings']//td[contains(., 'memory')]");
    page.assert_accessible();
    page.picture("operator");

    page.evaluate("document.getElementById('level-number').value = 6");
    page.type_into("#level-why", "a crowd at the station");
    page.click("#set-level button[type='submit']");
    page.see_xpath("//*[@id='level-answer'][starts-with(., 'Done')]");
    page.see_xpath("//*[@id='level-now'][contains(., 'by hand until') and contains(., 'a crowd at the station')]");
    page.see_xpath("//*[@id='findings']/li[contains(., 'level 6')]");
    assert_eq!(yima.metric("level", &[]), 6.0);
    page.click("#level-automatic");
    page.see_xpath("//*[@id='level-now'][starts-with(., '0: ') and not(contains(., 'by hand'))]");
    assert_eq!(page.console(), Vec::<serde_json::Value>::new());
}

#[test]
fn an_operator_reads_why_a_level_is_refused_and_that_a_node_is_gone() {
    let mut yima = Yima::start(Options::default());
    let page = Window::open(DESK, &format!("{}/", yima.admin_url()));
    page.see_xpath("//*[@id='nodes']//td[.='everything']");
    page.evaluate("document.getElementById('level-hours').max = ''");
    page.evaluate("document.getElementById('level-hours').value = 100");
    page.type_into("#level-why", "for too long");
    page.click("#set-level button[type='submit']");
    page.see_xpath("//*[@id='level-answer'][starts-with(., 'Refused: ')]");
    yima.kill9();
    page.see_xpath("//*[@id='state'][contains(., 'does not answer')]");
}
