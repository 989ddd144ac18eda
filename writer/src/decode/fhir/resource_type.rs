//! The types of resources: those that state a fact about a person, and those that only accompany them.

use serde_json::Value;

use super::{RowError, invalid, text};

/// A type of resources that state a fact.
#[derive(Clone, Copy)]
pub(super) enum ResourceType {
    Patient,
    Immunization,
    Observation,
}

/// The resource types of FHIR R4 (section 1.6) that an upload may have beside results, and that are not needed here.
/// Left out: `Bundle`, `Parameters` and `Binary`, since results within them would be lost.
const COMPANIONS: &str = "
    Account AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic BiologicallyDerivedProduct
    BodyStructure CarePlan CareTeam Claim ClaimResponse ClinicalImpression CodeSystem Communication
    CommunicationRequest Composition ConceptMap Condition Consent Coverage CoverageEligibilityRequest
    CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement
    DiagnosticReport DocumentManifest DocumentReference Encounter Endpoint EpisodeOfCare ExplanationOfBenefit
    FamilyMemberHistory Flag Goal Group HealthcareService ImagingStudy ImmunizationEvaluation
    ImmunizationRecommendation InsurancePlan Invoice Library List Location Media Medication MedicationAdministration
    MedicationDispense MedicationRequest MedicationStatement MessageHeader NutritionOrder OperationOutcome Organization
    OrganizationAffiliation Person Practitioner PractitionerRole Procedure Provenance Questionnaire
    QuestionnaireResponse RelatedPerson RequestGroup RiskAssessment Schedule ServiceRequest Slot Specimen Substance
    SupplyDelivery Task VisionPrescription";

impl ResourceType {
    const ALL: [Self; 3] = [Self::Patient, Self::Immunization, Self::Observation];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "Patient",
            Self::Immunization => "Immunization",
            Self::Observation => "Observation",
        }
    }

    /// Pointer to the element that names the person.
    pub(super) fn subject(self) -> &'static str {
        match self {
            Self::Patient => "/identifier",
            Self::Immunization => "/patient",
            Self::Observation => "/subject",
        }
    }

    /// # Errors
    /// `Ignored`, with its name, for a resource that is not needed here; `Rejected` for any other.
    pub(super) fn of(resource: &Value) -> Result<Self, RowError> {
        let name = text(resource, "/resourceType").unwrap_or_default();
        if let Some(known) = Self::ALL.into_iter().find(|known| known.as_str() == name) {
            return Ok(known);
        }
        Err(match COMPANIONS.split_whitespace().find(|companion| *companion == name) {
            Some(companion) => RowError::Ignored(format!("{companion}: not a Patient, Immunization or Observation")),
            None => {
                let expected = "expected Patient, Immunization or Observation: this resource is not understood here";
                invalid("/resourceType", expected)
            }
        })
    }
}

/// Refuses resources within a resource (`contained`) that state a fact: they are not read.
pub(super) fn refuse_contained_facts(resource: &Value) -> Result<(), RowError> {
    let contained = resource.get("contained").and_then(Value::as_array).into_iter().flatten();
    let mut names = contained.filter_map(|inner| text(inner, "/resourceType"));
    if names.any(|name| ["Immunization", "Observation"].contains(&name)) {
        let expected = "expected results and doses as resources of their own: contained ones are not read";
        return Err(invalid("/contained", expected));
    }
    Ok(())
}
