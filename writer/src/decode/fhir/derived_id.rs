//! The id of a resource that comes without one: made of its content, so that sending it again is a duplicate.

use serde_json::{Map, Value, json};
use yima_schema::subject::SubjectId;

use super::{Context, ResourceType};

/// Elements that may differ whenever the same fact is sent again; `subject` and `patient` count as the subject's id.
const VOLATILE: [&str; 4] = ["meta", "text", "subject", "patient"];

/// The id: of the sender's business identifiers and the code if there are any, else of the whole content. Keyed, since
/// results are few and could be guessed from a plain hash.
pub(super) fn derived_id(
    resource_type: ResourceType,
    resource: &Value,
    subject: SubjectId,
    context: Context<'_>,
) -> String {
    let content = match (resource_type, has_business_identifier(resource)) {
        (ResourceType::Observation | ResourceType::Immunization, true) => {
            json!([resource["identifier"], resource["code"], resource["vaccineCode"]])
        }
        (..) => {
            let mut content = resource.as_object().cloned().unwrap_or_default();
            content.retain(|key, _| !VOLATILE.contains(&key.as_str()));
            forget_temporary_references(&mut content);
            Value::Object(content)
        }
    };
    // The members of an object are sorted by name, so their order does not count.
    let content = json!([resource_type.as_str(), context.agency, content]).to_string();
    let digest = context.pseudonyms.content_digest(subject, content.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the sender numbers its resources of that kind by `identifier`.
pub(super) fn has_business_identifier(resource: &Value) -> bool {
    let identifiers = resource.get("identifier").and_then(Value::as_array).into_iter().flatten();
    identifiers.into_iter().any(|identifier| identifier.get("value").is_some_and(Value::is_string))
}

/// Removes references that hold within one Bundle only, and are new in each.
fn forget_temporary_references(object: &mut Map<String, Value>) {
    object.retain(|key, value| key != "reference" || !value.as_str().is_some_and(|to| to.starts_with("urn:uuid:")));
    for value in object.values_mut() {
        forget_in(value);
    }
}

fn forget_in(value: &mut Value) {
    match value {
        Value::Object(object) => forget_temporary_references(object),
        Value::Array(values) => values.iter_mut().for_each(forget_in),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
