//! What a printed code says: whom it is of, and no colour, which paper cannot change.

use super::MAX_NAME_BYTES;
use super::cbor::{Reader, Writer};
use super::snapshot::shortened;
use crate::view::View;

/// The holder of a printed code, masked, to be compared with an identity document.
#[cfg_attr(test, derive(Debug))]
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Paper {
    /// At most [`MAX_NAME_BYTES`].
    pub name: Option<String>,
    /// The document's number, at most as long.
    pub document: Option<String>,
}

impl Paper {
    /// Of masked texts; what is too long is cut.
    pub fn new(name: Option<&str>, document: Option<&str>) -> Self {
        Self { name: name.map(shortened), document: document.map(shortened) }
    }

    /// The holder whom a view names.
    pub fn of(view: &View) -> Self {
        Self::new(view.name.as_deref(), view.document.as_deref())
    }

    pub(super) fn write(&self, writer: Writer) -> Writer {
        [&self.name, &self.document].into_iter().fold(writer.array(2), |writer, text| match text {
            Some(text) => writer.text(text),
            None => writer.null(),
        })
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        (reader.array()? == 2).then_some(())?;
        let text = |reader: &mut Reader<'_>| {
            if reader.null() {
                return Some(None);
            }
            reader.text().filter(|text| text.len() <= MAX_NAME_BYTES).map(|text| Some(text.to_owned()))
        };
        Some(Self { name: text(reader)?, document: text(reader)? })
    }
}
