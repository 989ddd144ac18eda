//! The form of a row, and where a row of each form has the fields that an agency's rights depend on.

/// The form of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowForm {
    /// yima's own event as JSON.
    Event,
    /// A record of a CSV file.
    Record,
    /// A FHIR resource.
    Resource,
    /// A FHIR resource in an entry of a Bundle.
    BundleEntry,
}

/// A field that an agency's rights depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// The kind of event.
    Kind,
    /// The type of the subject's document.
    DocumentType,
    /// The time.
    OccurredAt,
    /// The moment of death.
    DeceasedAt,
    /// The assigned colour.
    Colour,
    /// The reason for it.
    Reason,
}

impl RowForm {
    /// Whether it is FHIR: the id of a resource is unique among all subjects.
    pub fn is_resource(self) -> bool {
        match self {
            Self::Resource | Self::BundleEntry => true,
            Self::Event | Self::Record => false,
        }
    }

    /// The JSON pointer of a field; of a CSV record its column.
    pub fn pointer(self, field: Field) -> &'static str {
        match (self, field) {
            (Self::Event | Self::Record, Field::Kind) => "/kind",
            (Self::Event, Field::DocumentType) => "/subject/document_type",
            (Self::Event | Self::Record, Field::OccurredAt) => "/occurred_at",
            (Self::Event, Field::DeceasedAt) => "/data/deceased_at",
            (Self::Event, Field::Colour) => "/data/colour",
            (Self::Event, Field::Reason) => "/data/reason",
            (Self::Record, Field::DocumentType) => "/document_type",
            (Self::Record, Field::DeceasedAt) => "/deceased_at",
            (Self::Record, Field::Colour) => "/colour",
            (Self::Record, Field::Reason) => "/reason",
            // No resource states a colour.
            (Self::Resource, Field::Kind | Field::Colour | Field::Reason) => "/resourceType",
            (Self::Resource, Field::DocumentType) => "/identifier",
            (Self::Resource, Field::OccurredAt) => "/effectiveDateTime",
            (Self::Resource, Field::DeceasedAt) => "/deceasedDateTime",
            (Self::BundleEntry, Field::Kind | Field::Colour | Field::Reason) => "/resource/resourceType",
            (Self::BundleEntry, Field::DocumentType) => "/resource/identifier",
            (Self::BundleEntry, Field::OccurredAt) => "/resource/effectiveDateTime",
            (Self::BundleEntry, Field::DeceasedAt) => "/resource/deceasedDateTime",
        }
    }
}
