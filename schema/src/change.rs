//! The change record: what the feed carries to every read node of a region.

use std::fmt;

use bytes::Bytes;

use crate::codec::DecodeError;
use crate::subject::SubjectId;
use crate::view::Version;

/// A new state of one subject's view. Applying it twice, or in another order, is harmless: the version decides.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose view.
    pub subject: SubjectId,
    /// Its version.
    pub version: Version,
    /// The encoded view ([`crate::view::View::encode`]).
    pub view: Bytes,
    /// The span that published it, if its request was traced.
    pub traced: Option<SpanRef>,
}

/// Names a span of a sampled trace, by its ids of W3C Trace Context.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SpanRef {
    /// The trace.
    pub trace: [u8; 16],
    /// The span in it.
    pub span: [u8; 8],
}

const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 1 + 16 + 8;
/// Stands where a view begins, with its own format byte, and says that the ids of a span come first. A program that does not know it finds a
/// view of an unknown format: it notes the version and loads the view from the store.
const TRACED: u8 = 0xff;

impl Change {
    /// Format byte, subject, version (big endian), view. Of a traced one, before the view: 0xff, trace, span.
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
    /// Bytes that are not a change of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let fault = DecodeError { what: "change", format: bytes.first().copied() };
        let (head, view) = bytes.split_at_checked(HEAD_BYTES).ok_or(fault)?;
        let subject: [u8; 16] = head[1..17].try_into().map_err(|_| fault)?;
        let version: [u8; 8] = head[17..].try_into().map_err(|_| fault)?;
        if head[0] != FORMAT {
            return Err(fault);
        }
        let (traced, view) = match view.split_first() {
            Some((&TRACED, rest)) => {
                let (trace, rest) = rest.split_first_chunk().ok_or(fault)?;
                let (span, view) = rest.split_first_chunk().ok_or(fault)?;
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
    fn a_change_that_is_not_traced_is_as_it_always_was() {
        let view = View::default().encode();
        let bytes = [&[1][..], &[7; 16], &[0, 0, 0, 0, 0, 0, 1, 2], &view].concat();
        assert!(change(None).encode() == bytes && Change::decode(&bytes).unwrap() == change(None));
    }

    #[test]
    fn a_traced_change_costs_25_bytes_and_an_older_program_takes_no_view_from_it() {
        let traced = change(Some(SpanRef { trace: [0xaa; 16], span: [0xbb; 8] }));
        let bytes = traced.encode();
        assert_eq!(bytes.len(), change(None).encode().len() + 25);
        assert!(Change::decode(&bytes).unwrap() == traced);
        // What it would do: the head as before, and all the rest is the view.
        assert!(View::decode(&bytes[HEAD_BYTES..]).is_err());
        for cut in HEAD_BYTES + 1..HEAD_BYTES + 25 {
            assert!(Change::decode(&bytes[..cut]).is_err());
        }
    }
}
