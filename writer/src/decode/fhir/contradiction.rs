//! Resources that contradict themselves are refused: whichever half is meant, the other one is wrong.

use serde_json::Value;

use super::{RowError, invalid};

/// The forms of each choice of types (FHIR R4 section 2.6.1.2), of which a resource has at most one.
const CHOICES: [&[&str]; 4] = [
    &["deceasedBoolean", "deceasedDateTime"],
    &["occurrenceDateTime", "occurrenceString"],
    &["effectiveDateTime", "effectiveInstant", "effectivePeriod", "effectiveTiming"],
    &[
        "valueCodeableConcept",
        "valueString",
        "valueQuantity",
        "valueBoolean",
        "valueInteger",
        "valueRange",
        "valueRatio",
        "valueSampledData",
        "valueTime",
        "valueDateTime",
        "valuePeriod",
    ],
];

/// Refuses a resource that has one element in two forms.
pub(super) fn refuse_two_forms(resource: &Value) -> Result<(), RowError> {
    for forms in CHOICES {
        if let Some(second) = forms.iter().filter(|form| resource.get(form).is_some()).nth(1) {
            return Err(invalid(&format!("/{second}"), format!("expected one of {}", forms.join(", "))));
        }
    }
    Ok(())
}
