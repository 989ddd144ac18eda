//! Low disk space of a service whose data are in the database.

use yima_harness::{Options, Region, new_person};
use yima_schema::time::HOUR;

use crate::cql::cluster;

#[test]
fn a_service_on_cql_accepts_events_with_little_disk_space() {
    let cluster = cluster();
    let region = Region::new(&cluster, 1, "xian", "room", Options::default());
    let never_enough = &[("YIMA_STORE__MIN_FREE_BYTES", "1000000000000000")];
    let (writer, reader) = (region.writer(never_enough), region.reader(never_enough));
    assert_eq!(writer.event(&writer.agency_token("lab-7"), &new_person().test("t-1", "negative", HOUR)), "accepted");
    for yima in [&writer, &reader] {
        let ready = yima.http().get(&format!("{}/health/ready", yima.admin_url()), "").json(200);
        assert!(ready["degraded"].is_null(), "{ready}");
        assert_eq!(yima.metric("data_dir_space_low", &[]), 0.0);
        assert!(yima.metric("data_dir_free_bytes", &[]) > 0.0, "free disk space is not measured");
        assert!(!yima.stderr().contains("no events are accepted"), "{}", yima.stderr());
    }
}
