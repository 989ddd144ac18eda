//! Runs that take too long for every commit, under the checker or of the fuzzer: see `tests/soak`.

#[macro_use]
extern crate yima_harness;

mod fuzz;
mod hints;
mod kills;
mod overload;
mod quota;
mod restarts;
mod services;
mod updates;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::fuzz::Corpus;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("kills") => kills::run(number(&arguments, 1, 300), number(&arguments, 2, rand::random())),
        Some("hints") => hints::run(Duration::from_secs(number(&arguments, 1, 60))),
        Some("restarts") => restarts::run(number(&arguments, 1, 1_000_000), number(&arguments, 2, 50)),
        Some("fuzz") => {
            let data = std::env::var_os("TEST_DATA_DIR");
            let corpus = data.map_or_else(Corpus::kept, |data| Corpus::with_public_data(Path::new(&data)));
            let faults = fuzz::run(number(&arguments, 1, 10_000_000), number(&arguments, 2, rand::random()), &corpus);
            assert_eq!(faults, 0, "faults were found");
        }
        Some("codes") => {
            let (codes, seed) = (number(&arguments, 1, 1_000_000), number(&arguments, 2, rand::random()));
            let differ = fuzz::agree(codes, seed, &Corpus::kept()) + fuzz::agree_about_foreign(codes / 4, seed);
            assert_eq!(differ, 0, "codes are judged differently");
        }
        Some("overload") => {
            overload::run(Duration::from_secs(number(&arguments, 1, 600)), number(&arguments, 2, 200_000));
        }
        Some("updates") => updates::run(number(&arguments, 1, 100_000)),
        Some(_) | None => {
            panic!(
                "expected kills [COUNT [SEED]], hints [SECONDS], restarts [PEOPLE [KILLS]], updates [PEOPLE], \
                 overload [SECONDS [PEOPLE]], fuzz [INPUTS [SEED]] or codes [CODES [SEED]]"
            )
        }
    }
}

fn number<N: FromStr>(arguments: &[String], at: usize, default: N) -> N {
    arguments.get(at).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{text}: expected a number")))
}
