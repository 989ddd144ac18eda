//! The demo: a synthetic population and an identity provider. Production needs neither.

pub mod identity_provider;
pub mod people;
pub mod population;
pub mod seed;

use people::People;
use population::document_number;

use crate::cli::Options;
use crate::config::Config;

/// The addresses of the pages, and README's commands with this process' addresses and paths if there are demo people.
pub fn greeting(options: &Options, config: &Config, people: People) -> String {
    let url = |is_tls: bool, address| format!("{}://{address}", if is_tls { "https" } else { "http" });
    let read = url(config.read_api.tls.is_some(), config.read_api.bind);
    let write = url(config.writer.tls.is_some(), config.writer.bind);
    let program = std::env::current_exe().map_or_else(|_| "yima".into(), |path| path.display().to_string());
    let yima = format!("{program} --data-dir {}", options.data_dir.display());
    let pages = format!(
        r#"
yima runs with {people} people. Open:

  {read}/            a citizen's phone
  {read}/checkpoint  a checkpoint
  {write}/            an agency
  {read}/docs/       the API, to read and try; {write}/docs/ the agencies'
"#,
        people = people.population
    );
    if people.population == 0 {
        return pages;
    }
    let citizen = document_number(0);
    format!(
        r#"{pages}
Sign in as the first of the citizens, and try. What the phone shows, as JSON:

  SESSION=$(curl -s -X POST {read}/v1/sessions \
    -H "Authorization: Bearer $({yima} token citizen {citizen})" | cut -d '"' -f 4)
  curl -s -w '\n' {read}/v1/display -H "Authorization: Bearer $SESSION"

A laboratory reports a positive test, and the phone turns red by itself:

  LAB="Authorization: Bearer $({yima} token agency lab-7)" TEST=try-$(date +%s)
  send() {{ curl -s -w '\n' {write}/v1/events -H "$LAB" -H 'Content-Type: application/json' -d '{{
    "id":"'$1'", "kind":"'$2'", "subject":{{"document_type":"cn_resident_id","document_number":"{citizen}"}},
    "occurred_at":"'$(date -u +%FT%TZ)'", "data":'"$3"'}}'; }}
  send $TEST test_result '{{"test":"nucleic_acid","result":"positive"}}'

It takes the result back, and the phone is green again:

  send $TEST-back retraction '{{"event_id":"'$TEST'","why":"samples mixed up"}}'
"#
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use yima_schema::time::Time;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn the_greeting_has_the_readmes_commands() {
        let readme = include_str!("../../../README.md");
        let commands = readme.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
        let lines: Vec<_> = commands.flat_map(str::lines).map(str::trim).collect();
        assert!(lines.len() > 8, "{lines:?}");
        let greeting = |population| {
            let people = People { population, loaded_at: Time::from_secs(0) };
            greeting(&Cli::parse_from(["yima"]).options, &Config::default(), people)
        };
        assert!(!greeting(0).contains("token citizen"), "without demo people nobody can sign in as one");
        let program = std::env::current_exe().expect("a test has a program").display().to_string();
        let greeting = greeting(10).replace(&program, "target/release/yima");
        for line in lines {
            assert!(greeting.lines().any(|shown| shown.trim() == line), "{line}\n{greeting}");
        }
    }
}
