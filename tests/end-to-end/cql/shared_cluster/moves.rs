//! FHIR results that move to another patient, in two regions.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use yima_harness::{Person, Region, Yima, new_person, until};

use crate::corrections::{POSITIVE, result};
use crate::cql::cluster;

/// For an event to arrive in another region.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a version of a positive result; the status of the answer.
fn send(writer: &Yima, id: &str, person: &Person, status: &str, version: u32) -> u16 {
    let resource = result(id, person, status, &json!({"versionId": version.to_string()}), POSITIVE);
    writer.push(&writer.agency_token("lab-1"), "application/fhir+json", resource.to_string().as_bytes()).status
}

/// Colour and conflict of a person at a node.
fn shown(reader: &Yima, person: &Person) -> (String, bool) {
    let display: Value = reader.display_now(&reader.session_of(person)).json(200);
    (display["colour"]["code"].as_str().expect("a colour").to_owned(), display["conflict"] == true)
}

#[test]
fn a_result_moves_to_another_patient_in_every_region_and_a_race_of_two_is_shown() {
    let cluster = cluster();
    let base = yima_harness::checker::options();
    let regions = [(1, "xian"), (2, "chengdu")].map(|(n, name)| Region::new(&cluster, n, name, "moves", base.clone()));
    let [xian, chengdu] = regions.each_ref().map(|region| region.writer(&[]));
    let readers = regions.each_ref().map(|region| region.reader(&[]));
    let everywhere = |what: &str, is_so: &dyn Fn(&Yima) -> bool| until(what, PATIENCE, || readers.iter().all(is_so));
    let has = |person: &Person, colour: &str| {
        let (person, colour) = (person.clone(), colour.to_owned());
        move |reader: &Yima| shown(reader, &person) == (colour.clone(), false)
    };

    let [first, second] = [(); 2].map(|()| new_person());
    assert_eq!(send(&xian, "moved", &first, "final", 1), 201);
    everywhere("the result", &has(&first, "red"));
    assert_eq!(send(&chengdu, "moved", &second, "corrected", 2), 201);
    everywhere("the result at the second person", &has(&second, "red"));
    everywhere("the first person without it", &has(&first, "green"));
    assert_eq!(send(&xian, "moved", &first, "corrected", 3), 201);
    everywhere("the result back at the first person", &has(&first, "red"));
    everywhere("the second person without it", &has(&second, "green"));

    // Each region moves the result to another person at once.
    let [first, left, right] = [(); 3].map(|()| new_person());
    assert_eq!(send(&xian, "raced", &first, "final", 1), 201);
    everywhere("the result", &has(&first, "red"));
    thread::scope(|scope| {
        for (writer, person) in [(&xian, &left), (&chengdu, &right)] {
            scope.spawn(move || assert_eq!(send(writer, "raced", person, "corrected", 2), 201));
        }
    });
    everywhere("both results and the conflict", &|reader| {
        let [of_first, of_left, of_right] = [&first, &left, &right].map(|person| shown(reader, person));
        let is_shown = of_first.1 || of_left.1 && of_right.1;
        (of_first.0.as_str(), of_left.0.as_str(), of_right.0.as_str()) == ("green", "red", "red") && is_shown
    });
}
