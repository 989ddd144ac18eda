//! The trust list as a part of an offline bundle (`docs/offline-bundle.md`): what a scanner needs of it, without X.509.

use ciborium::Value;

use super::TrustList;

/// Version of this form.
const VERSION: u64 = 1;

impl TrustList {
    /// The part. The same list has the same bytes, so that it is fetched once.
    ///
    /// # Panics
    /// Never: memory takes all bytes.
    pub fn to_part(&self) -> Vec<u8> {
        let mut dcc: Vec<_> = self.dcc.iter().flat_map(|(id, list)| list.iter().map(move |one| (id, one))).collect();
        dcc.sort_unstable_by_key(|(id, signer)| (*id, &signer.key.portable));
        let mut smart: Vec<_> =
            self.smart.iter().flat_map(|(id, list)| list.iter().map(move |one| (id, one))).collect();
        smart.sort_unstable_by_key(|(id, signer)| (*id, &signer.url));
        let dcc = dcc.into_iter().map(|(id, signer)| {
            let country = Value::from(signer.issuer.country.as_str());
            let times = [signer.valid_from, signer.valid_until].map(|time| Value::from(time.as_secs()));
            let [from, until] = times;
            let key = Value::Bytes(signer.key.portable.clone());
            Value::Array(vec![Value::Bytes(id.to_vec()), country, signer.usage.bits().into(), from, until, key])
        });
        let smart = smart.into_iter().map(|(id, signer)| {
            let name = signer.issuer.name.as_deref().unwrap_or_default();
            let texts = [id.as_str(), &signer.url, &signer.issuer.country, name].map(Value::from);
            Value::Array(texts.into_iter().chain([Value::Bytes(signer.key.portable.clone())]).collect())
        });
        let list = Value::Array(vec![VERSION.into(), Value::Array(dcc.collect()), Value::Array(smart.collect())]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&list, &mut bytes).expect("memory takes all bytes");
        bytes
    }
}
