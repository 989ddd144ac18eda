//! The demo: a synthetic population and an identity provider. Production needs neither.

pub mod identity_provider;
pub mod people;
pub mod population;
pub mod seed;

use people::People;
use population::document_number;

use crate::cli::Options;
use crate::config::Config;

/// The addresses of the pages, and three commands to paste.
pub fn greeting(options: &Options, config: &Config, people: People) -> String {
    let url = |is_tls: bool, address| format!("{}://{address}", if is_tls { "https" } else { "http" });
    let read = url(config.read_api.tls.is_some(), config.read_api.bind);
    let write = url(config.writer.tls.is_some(), config.writer.bind);
    let program = std::env::current_exe().map_or_else(|_| "yima".into(), |path| path.display().to_string());
    let yima = format!("{program} --data-dir {}", options.data_dir.display());
    let citizen = document_number(0);
    let event = format!(
        r#"{{"id":"try-'$(date +%s)'","kind":"test_result",
    "subject":{{"document_type":"cn_resident_id","document_number":"{citizen}"}},
    "occurred_at":"'$(date -u +%FT%TZ)'","data":{{"test":"nucleic_acid","result":"positive"}}}}"#
    );
    format!(
        r#"
yima runs with {people} people. Open:

  {read}/            a citizen's phone
  {read}/checkpoint  a checkpoint
  {write}/            an agency
  {read}/docs/       the API, to read and try; {write}/docs/ the agencies'

Try (the second shows a code, the third turns it red):

  SESSION=$(curl -s -X POST {read}/v1/sessions \
    -H "Authorization: Bearer $({yima} token citizen {citizen})" | cut -d '"' -f 4)

  curl -i {read}/v1/display -H "Authorization: Bearer $SESSION"

  curl -i {write}/v1/events -H 'Content-Type: application/json' \
    -H "Authorization: Bearer $({yima} token agency lab-7)" \
    -d '{event}'
"#,
        people = people.population
    )
}
