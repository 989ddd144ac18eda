//! What people of a guardianship carry and send back, sealed by keys that every region can derive: an invitation, and
//! the handle of a guardianship.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::seal::SealKeys;
use crate::session::Session;
use crate::subject::{PseudonymKey, SubjectId};
use crate::time::Time;

/// Longest text that is opened, in characters.
const MAX_TOKEN_CHARS: usize = 256;
const FORMAT: u8 = 1;

/// Names a guardianship to its two persons. It says nothing of whether it is in force.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardianshipHandle {
    /// Whose codes it is about.
    pub ward: SubjectId,
    /// Who may show them.
    pub guardian: SubjectId,
}

/// Makes one person a guardian of who has made it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Random: of who redeem one invitation the first becomes the guardian.
    pub id: u64,
    /// Who has made it.
    pub ward: SubjectId,
    /// The session that it was made with: it is worth nothing once that was ended.
    pub session: u64,
    /// When that session started.
    pub session_started_at: Time,
    /// The first moment at which it cannot be redeemed.
    pub expires_at: Time,
}

/// The keys of both.
pub struct GuardianshipKeys {
    handles: SealKeys,
    invitations: SealKeys,
}

impl Invitation {
    /// An invitation of who has this session, valid until then.
    pub fn new(ward: SubjectId, session: &Session, id: u64, expires_at: Time) -> Self {
        Self { id, ward, session: session.id, session_started_at: session.started_at, expires_at }
    }
}

impl GuardianshipKeys {
    /// Derives the keys.
    pub fn new(pseudonyms: &PseudonymKey) -> Self {
        Self {
            handles: pseudonyms.seal_keys("guardianship handle"),
            invitations: pseudonyms.seal_keys("guardianship invitation"),
        }
    }

    /// The text of a handle: another one each time.
    pub fn seal_handle(&self, handle: &GuardianshipHandle) -> String {
        seal(&self.handles, handle)
    }

    /// Opens [`Self::seal_handle`].
    pub fn open_handle(&self, text: &str) -> Option<GuardianshipHandle> {
        open("guardianship handle", &self.handles, text)
    }

    /// The text of an invitation.
    pub fn seal_invitation(&self, invitation: &Invitation) -> String {
        seal(&self.invitations, invitation)
    }

    /// Opens [`Self::seal_invitation`]. The caller checks whether it has expired.
    pub fn open_invitation(&self, text: &str) -> Option<Invitation> {
        open("invitation", &self.invitations, text)
    }
}

fn seal<T: Serialize>(keys: &SealKeys, content: &T) -> String {
    URL_SAFE_NO_PAD.encode(keys.seal(&codec::encode(FORMAT, content)))
}

fn open<T: DeserializeOwned>(what: &'static str, keys: &SealKeys, text: &str) -> Option<T> {
    if text.len() > MAX_TOKEN_CHARS {
        return None;
    }
    let mut sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    codec::decode(what, FORMAT, keys.open(&mut sealed).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_opens_as_what_it_is_with_the_same_key_and_not_altered() {
        let keys = |secret| GuardianshipKeys::new(&PseudonymKey::from_bytes(&[secret; 32]));
        let [ward, guardian] = [1, 2].map(|n| SubjectId::from_bytes([n; 16]));
        let handle = GuardianshipHandle { ward, guardian };
        let started = Time::from_secs(1_800_000_000);
        let invitation =
            Invitation { id: u64::MAX, ward, session: u64::MAX, session_started_at: started, expires_at: started };
        let texts = [keys(7).seal_handle(&handle), keys(7).seal_invitation(&invitation)];
        assert!(keys(7).open_handle(&texts[0]) == Some(handle));
        assert!(keys(7).open_invitation(&texts[1]) == Some(invitation));
        assert!(keys(7).open_handle(&texts[1]).is_none() && keys(7).open_invitation(&texts[0]).is_none());
        assert!(keys(8).open_handle(&texts[0]).is_none() && keys(8).open_invitation(&texts[1]).is_none());
        assert!(texts.iter().all(|text| text.len() <= 128), "{}", texts[1].len());
        assert_ne!(texts[0], keys(7).seal_handle(&handle), "nobody can follow a handle");
        for n in 0..texts[0].len() {
            let mut altered = texts[0].clone().into_bytes();
            altered[n] = if altered[n] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(keys(7).open_handle(&altered).is_none(), "character {n}");
        }
        for garbage in ["", "x", &texts[0][1..], &"A".repeat(10_000)] {
            assert!(keys(7).open_handle(garbage).is_none() && keys(7).open_invitation(garbage).is_none());
        }
    }
}
