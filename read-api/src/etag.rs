//! Entity tags of displays: region, version, segment and detail, authenticated. A phone proves with its tag which
//! version it was shown, and a forged tag costs no load (RFC 9110 section 8.8.3).

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;

use crate::body::Detail;

const VERSION_BYTES: usize = 8;
/// Segment in the lower bits, detail in the upper two: a full display's tag is what it was before there were others.
const SEGMENT_BYTES: usize = 2;
const SEGMENT_BITS: u32 = 14;
/// Short, since a 304 consists of little else. A lucky guess (one in 2^64) costs one load.
const MAC_BYTES: usize = 8;
/// Tags of one `If-None-Match` that are opened.
const MAX_TAGS: usize = 8;
const TAG_BYTES: usize = VERSION_BYTES + SEGMENT_BYTES + MAC_BYTES;
/// Characters of a tag in base64url.
const TAG_CHARS: usize = TAG_BYTES / 3 * 4;

/// Makes and checks entity tags for one region.
pub struct EntityTags {
    key: hmac::Key,
    region: String,
}

impl EntityTags {
    /// `secret` is shared by the read nodes of a region and does not rotate: entries of the cache keep their tags.
    /// `store`: see [`crate::Keys::store`].
    pub fn new(secret: &[u8; 32], region: &str, store: Option<[u8; 16]>) -> Self {
        let label = [&b"yima entity tags"[..], store.as_ref().map_or(&[], |id| id)].concat();
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &label);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()), region: region.to_owned() }
    }

    /// The tag of a display: `"` base64url(version, segment and detail, MAC) `"`.
    ///
    /// # Panics
    /// Never: base64url and quotes are visible ASCII.
    pub fn tag(&self, subject: SubjectId, version: Version, segment: usize, detail: Detail) -> HeaderValue {
        let mut tag = [0; TAG_BYTES];
        tag[..VERSION_BYTES].copy_from_slice(&version.0.to_be_bytes());
        // Segments are counted modulo 2^14: neighbouring segments always have different tags.
        let segment = (segment as u16 % (1 << SEGMENT_BITS)) | ((detail as u16) << SEGMENT_BITS);
        tag[VERSION_BYTES..][..SEGMENT_BYTES].copy_from_slice(&segment.to_be_bytes());
        let mac = self.mac(subject, &tag[..TAG_BYTES - MAC_BYTES]);
        tag[TAG_BYTES - MAC_BYTES..].copy_from_slice(&mac);
        let text = format!("\"{}\"", URL_SAFE_NO_PAD.encode(tag));
        HeaderValue::from_str(&text).expect("base64url is visible ASCII")
    }

    /// The highest version among the tags of an `If-None-Match` that this region made for that subject; `None` without
    /// such a tag. A proxy that compresses makes tags weak (`W/"…"`), or adds the coding's name (`"…-gzip"`): both
    /// still prove what the phone was shown.
    pub fn version<'t>(
        &self,
        subject: SubjectId,
        if_none_match: impl IntoIterator<Item = &'t HeaderValue>,
    ) -> Option<Version> {
        let fields = if_none_match.into_iter().filter_map(|field| field.to_str().ok());
        let tags = fields.flat_map(|field| field.split(','));
        tags.take(MAX_TAGS).filter_map(|tag| self.version_of(subject, tag.trim())).max()
    }

    fn version_of(&self, subject: SubjectId, tag: &str) -> Option<Version> {
        let text = tag.trim_start_matches("W/").strip_prefix('"')?.strip_suffix('"')?;
        // The MAC is of all that counts, so an addition needs no check.
        let text = text.get(..TAG_CHARS)?;
        let mut bytes = [0; TAG_BYTES];
        let len = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (claim, mac) = bytes.split_at(TAG_BYTES - MAC_BYTES);
        let expected = self.mac(subject, claim);
        if len != TAG_BYTES || constant_time::verify_slices_are_equal(mac, &expected).is_err() {
            return None;
        }
        let (version, _) = claim.split_first_chunk::<VERSION_BYTES>()?;
        Some(Version(u64::from_be_bytes(*version)))
    }

    fn mac(&self, subject: SubjectId, claim: &[u8]) -> [u8; MAC_BYTES] {
        let mut hmac = hmac::Context::with_key(&self.key);
        hmac.update(subject.as_bytes());
        hmac.update(self.region.as_bytes());
        hmac.update(claim);
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&hmac.sign().as_ref()[..MAC_BYTES]);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_gives_its_version_only_to_its_own_region_subject_and_store() {
        let tags = EntityTags::new(&[1; 32], "xian", None);
        let (own, other) = (SubjectId::from_bytes([1; 16]), SubjectId::from_bytes([2; 16]));
        let tag = tags.tag(own, Version(7), 3, Detail::Full);
        assert_eq!(tags.version(own, [&tag]), Some(Version(7)));
        let list = format!(
            "\"x\", W/{}, {}",
            tag.to_str().unwrap(),
            tags.tag(own, Version(6), 3, Detail::Full).to_str().unwrap()
        );
        assert_eq!(tags.version(own, [&HeaderValue::try_from(list).unwrap()]), Some(Version(7)));
        let sent = tag.to_str().unwrap().trim_matches('"');
        for changed in [
            format!("W/\"{sent}\""),
            format!("\"{sent}-gzip\""),
            format!("W/\"{sent}-gzip\""),
            format!("\"{sent};gzip\""),
            format!("\"{sent}--gzip\""),
            format!("\"x\" ,W/\"{sent}-br\""),
        ] {
            let changed = HeaderValue::try_from(changed).unwrap();
            assert_eq!(
                tags.version(own, [&HeaderValue::from_static("\"x\""), &changed]),
                Some(Version(7)),
                "{changed:?}"
            );
        }
        assert_eq!(tags.version(other, [&tag]), None);
        assert_eq!(EntityTags::new(&[1; 32], "guangdong", None).version(own, [&tag]), None);
        assert_eq!(EntityTags::new(&[1; 32], "xian", Some([9; 16])).version(own, [&tag]), None);
        assert_ne!(tags.tag(own, Version(7), 4, Detail::Full), tag);
        for forged in ["\"\"", "*", "W/\"x\"", "\"AAAAAAAAAAcAAwAAAAAAAAAA\"", "\"AAAAAAAAAAcAAwAAAAAAAAAAAAAAAAAA\""] {
            assert_eq!(tags.version(own, [&HeaderValue::from_static(forged)]), None, "{forged}");
        }
    }

    #[test]
    fn each_detail_has_a_tag_of_its_own_that_proves_the_same_version() {
        let (tags, own) = (EntityTags::new(&[1; 32], "xian", None), SubjectId::from_bytes([1; 16]));
        for segment in [0, 1, 16_383, 16_384, 65_535] {
            let of = Detail::ALL.map(|detail| tags.tag(own, Version(7), segment, detail));
            assert!(of[0] != of[1] && of[1] != of[2] && of[0] != of[2]);
            assert!(of.iter().all(|tag| tags.version(own, [tag]) == Some(Version(7))));
        }
        // A tag of the time before there were levels.
        let before = tags.tag(own, Version(7), 3, Detail::Full);
        let claim = URL_SAFE_NO_PAD.decode(before.to_str().unwrap().trim_matches('"')).unwrap();
        assert_eq!(claim[..10], [0, 0, 0, 0, 0, 0, 0, 7, 0, 3]);
    }
}
