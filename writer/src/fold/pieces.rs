//! Cuts the subjects of a fold into pieces that are folded one after the other: all events of a piece are in memory
//! together.

use std::collections::VecDeque;

use yima_schema::subject::SubjectId;
use yima_schema::view::View;
use yima_store::VersionedView;

/// Subjects of one piece at most.
const PIECE_SUBJECTS: usize = 500;
/// Bytes of one piece at most; a subject that needs more is a piece of its own.
pub(super) const PIECE_BYTES: usize = 8 * 1024 * 1024;
/// Bytes reserved for a piece at least: most subjects then need no second lookup.
const MIN_PIECE_BYTES: usize = 64 * 1024;
/// Bytes that a stored event needs in a fold, about: its fields, and its places in `derive`.
const EVENT_BYTES: usize = 1_024;
/// Events assumed of a subject before its view is looked up.
const ASSUMED_EVENTS: usize = 16;

/// The subjects that are still to be folded.
pub(super) struct Pieces(VecDeque<Weighed>);

/// A subject, with the bytes of its fold once they are known.
#[derive(Clone, Copy)]
struct Weighed {
    subject: SubjectId,
    bytes: Option<usize>,
}

/// Subjects that are folded together.
pub(super) struct Piece(Vec<Weighed>);

impl Pieces {
    /// Each subject once.
    pub(super) fn new(subjects: impl Iterator<Item = SubjectId>) -> Self {
        Self(subjects.map(|subject| Weighed { subject, bytes: None }).collect())
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let mut piece = vec![self.0.pop_front()?];
        let mut bytes = piece[0].assumed_bytes();
        while let Some(next) = self.0.front().copied() {
            bytes += next.assumed_bytes();
            if piece.len() == PIECE_SUBJECTS || bytes > PIECE_BYTES {
                break;
            }
            piece.push(next);
            self.0.pop_front();
        }
        Some(Piece(piece))
    }

    /// Returns the subjects of a piece, each as a piece of its own.
    pub(super) fn separate(&mut self, piece: &Piece) {
        let alone = |weighed: &Weighed| Weighed { bytes: Some(PIECE_BYTES.max(weighed.assumed_bytes())), ..*weighed };
        self.0.extend(piece.0.iter().map(alone));
    }

    /// Cuts off and takes back the subjects above the bytes reserved for a piece, as their views now tell them.
    /// `views`: by position in the piece.
    pub(super) fn take_back(&mut self, piece: &mut Piece, views: &mut Vec<Option<VersionedView>>) {
        let mut left = piece.bytes();
        let fits = |(weighed, view): (&mut Weighed, &Option<VersionedView>)| {
            // A subject that was taken back once is not measured again: concurrent appends could repeat that for ever.
            let bytes = *weighed.bytes.get_or_insert_with(|| view_bytes(view.as_ref()));
            left.checked_sub(bytes).is_some_and(|rest| {
                left = rest;
                true
            })
        };
        let kept = piece.0.iter_mut().zip(views.iter()).map(fits).take_while(|fits| *fits).count();
        // Those beyond the first that does not fit are measured too.
        for (weighed, view) in piece.0.iter_mut().zip(views.iter()).skip(kept) {
            weighed.bytes.get_or_insert_with(|| view_bytes(view.as_ref()));
        }
        self.0.extend(piece.0.drain(kept..));
        views.truncate(kept);
    }
}

impl Piece {
    /// Bytes to reserve.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(Weighed::assumed_bytes).sum::<usize>().max(MIN_PIECE_BYTES)
    }

    /// Its subjects.
    pub(super) fn subjects(&self) -> Vec<SubjectId> {
        self.0.iter().map(|weighed| weighed.subject).collect()
    }

    /// Whether it cannot be separated further.
    pub(super) fn is_one_subject(&self) -> bool {
        self.0.len() == 1
    }
}

impl Weighed {
    fn assumed_bytes(&self) -> usize {
        self.bytes.unwrap_or(ASSUMED_EVENTS * EVENT_BYTES)
    }
}

/// Bytes of a fold, by the stored view.
fn view_bytes(view: Option<&VersionedView>) -> usize {
    let Some(view) = view else { return ASSUMED_EVENTS * EVENT_BYTES };
    let events = View::decode(&view.view).map_or(ASSUMED_EVENTS, |view| view.events.count as usize);
    (events + 1) * EVENT_BYTES + view.view.len()
}
