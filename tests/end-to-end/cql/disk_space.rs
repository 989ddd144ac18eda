//! Little room on a service's own disk: its data are the database's.

use yima_harness::{Options, Region, new_person};
use yima_schema::time::HOUR;

use super::cluster;

#[test]
fn a_service_whose_data_are_elsewhere_does_not_mind_its_own_disk() {
    let cluster = cluster();
    let region = Region::new(&cluster, 1, "xian", "room", Options::default());
    let none_has = &[("YIMA_STORE__MIN_FREE_BYTES", "1000000000000000")];
    let (writer, reader) = (region.writer(none_has), region.reader(none_has));
    assert_eq!(writer.event(&writer.agency_token("lab-7"), &new_person().test("t-1", "negative", HOUR)), "accepted");
    for yima in [&writer, &reader] {
        let ready = yima.http().get(&format!("{}/health/ready", yima.admin_url()), "").json(200);
        assert!(ready["degraded"].is_null(), "{ready}");
        assert_eq!(yima.metric("data_dir_space_low", &[]), 0.0);
        assert!(yima.metric("data_dir_free_bytes", &[]) > 0.0, "it is looked at");
        assert!(!yima.stderr().contains("no events are taken"), "{}", yima.stderr());
    }
}
