//! Changes: the records of the feed, which every read node of a region follows.

use std::fmt;

use bytes::Bytes;

use crate::codec::DecodeError;
use crate::subject::SubjectId;
use crate::view::Version;

/// A new version of one subject's view. Applying a change twice, or out of order, is harmless: the version decides.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// The subject of the view.
    pub subject: SubjectId,
    /// The version of the view.
    pub version: Version,
    /// The encoded view ([`crate::view::View::encode`]).
    pub view: Bytes,
    /// The span that published the change, if its request was traced.
    pub traced: Option<SpanRef>,
}

/// Names a span of a sampled trace by its W3C Trace Context ids.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SpanRef {
    /// Trace id.
    pub trace: [u8; 16],
    /// Span id.
    pub span: [u8; 8],
}

const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 1 + 16 + 8;
/// Stands in the place of the view's format byte and announces the ids of a span before the view. An older program
/// takes it for a view of an unknown format: it records the version in the ledger and loads the view from the store.
const TRACED: u8 = 0xff;

impl Change {
    /// Format byte, subject, version (big endian), view. A traced change has 0xff, trace id and span id before the
    /// view.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + 1 + 16 + 8 + self.view.len());
        out.push(FORMAT);
        out.extend_from_slice(self.subject.as_bytes());
        out.extend_from_slice(&self.version.0.to_be_bytes());
        if let Some(SpanRef { trace, span }) = &self.traced {
            out.push(TRACED);
            out.extend_from_slice(trace);
            out.extend_from_slice(span);
        }
        out.extend_from_slice(&self.view);
        out
    }

    /// Reads [`Self::encode`].
    ///
    /// # Errors
    /// The bytes are not a change of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let error = DecodeError { what: "change", format: bytes.first().copied() };
        let (head, view) = bytes.split_at_checked(HEAD_BYTES).ok_or(error)?;
        let subject: [u8; 16] = head[1..17].try_into().map_err(|_| error)?;
        let version: [u8; 8] = head[17..].try_into().map_err(|_| error)?;
        if head[0] != FORMAT {
            return Err(error);
        }
        let (traced, view) = match view.split_first() {
            Some((&TRACED, rest)) => {
                let (trace, rest) = rest.split_first_chunk().ok_or(error)?;
                let (span, view) = rest.split_first_chunk().ok_or(error)?;
                (Some(SpanRef { trace: *trace, span: *span }), view)
            }
            Some(_) | None => (None, view),
        };
        Ok(Self {
            subject: SubjectId::from_bytes(subject),
            version: Version(u64::from_be_bytes(version)),
            view: Bytes::copy_from_slice(view),
            traced,
        })
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Change({:?}, redacted)", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::View;

    fn change(traced: Option<SpanRef>) -> Change {
        let subject = SubjectId::from_bytes([7; 16]);
        Change { subject, version: Version(258), view: View::default().encode(), traced }
    }

    #[test]
    fn an_untraced_change_keeps_its_bytes() {
        let view = View::default().encode();
        let bytes = [&[1][..], &[7; 16], &[0, 0, 0, 0, 0, 0, 1, 2], &view].concat();
        assert!(change(None).encode() == bytes && Change::decode(&bytes).unwrap() == change(None));
    }

    #[test]
    fn a_traced_change_is_25_bytes_longer_and_no_view_to_an_older_program() {
        let traced = change(Some(SpanRef { trace: [0xaa; 16], span: [0xbb; 8] }));
        let bytes = traced.encode();
        assert_eq!(bytes.len(), change(None).encode().len() + 25);
        assert!(Change::decode(&bytes).unwrap() == traced);
        // An older program reads the head as before and takes the rest for the view.
        assert!(View::decode(&bytes[HEAD_BYTES..]).is_err());
        for cut in HEAD_BYTES + 1..HEAD_BYTES + 25 {
            assert!(Change::decode(&bytes[..cut]).is_err());
        }
    }
}
