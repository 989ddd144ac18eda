//! Issuers' keys in a PKCS #11 token, such as a hardware security module (OASIS PKCS #11 specification 3.1): made in it,
//! and never outside of it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yima_schema::code::{DigestSigner, IssuerKey, SignError, VerifyingKey};
use yima_service::config::{self, Secret};

use super::files::from_base64;
use super::key_set::KeyEntry;
use crate::error::CommandError;

/// The curve P-256 as CKA_EC_PARAMS: DER of its object identifier, 1.2.840.10045.3.1.7 (RFC 5480 section 2.1.1.1).
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// DER of an octet string of 65 bytes: in it is an uncompressed point as CKA_EC_POINT.
const OCTET_STRING: [u8; 2] = [0x04, 65];
/// CKA_LABEL of the keys.
const LABEL: &str = "yima issuer";

/// A PKCS #11 token in which issuers' keys are made and sign, such as a hardware security module. Each node that signs
/// codes needs it. Keys that are in files sign until they are rotated ([keys](operations/keys.md#keys-in-a-token)).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct Pkcs11Config {
    /// The library of the token's maker, such as `/usr/lib/softhsm/libsofthsm2.so`.
    pub module: PathBuf,
    /// Label of the token.
    pub token: String,
    /// PIN of the token's user: a text, best set in the environment, or `{ file = "…" }`.
    pub pin: Secret,
}

/// The token, opened when it is first used.
pub struct Token {
    config: Pkcs11Config,
    context: OnceLock<Pkcs11>,
}

impl Token {
    /// The token of these settings.
    pub fn new(config: Pkcs11Config) -> Arc<Self> {
        Arc::new(Self { config, context: OnceLock::new() })
    }

    /// Makes a key pair; only its public part can be read.
    ///
    /// # Errors
    /// The token cannot be used, or refuses.
    pub fn generate(&self) -> Result<VerifyingKey, CommandError> {
        self.try_generate().map_err(|error| self.fault(&error))
    }

    /// The key of an entry without a file.
    ///
    /// # Errors
    /// The token cannot be used, or has no such key.
    pub fn issuer(self: &Arc<Self>, entry: &KeyEntry) -> Result<IssuerKey, CommandError> {
        let public = entry.verifying_key().ok_or_else(|| self.missing(&entry.id))?;
        let signer = TokenKey { token: Arc::clone(self), id: public.id().to_vec(), sessions: Mutex::default() };
        let opened = signer.open().map_err(|error| self.fault(&error))?;
        signer.sessions.lock().push(opened.ok_or_else(|| self.missing(&entry.id))?);
        Ok(IssuerKey::elsewhere(public, Box::new(signer)))
    }

    /// Destroys the key of that id, if the token has it.
    ///
    /// # Errors
    /// The token cannot be used, or refuses.
    pub fn destroy(&self, id: &str) -> Result<(), CommandError> {
        let destroy = || -> Result<(), Error> {
            let session = self.session()?;
            for key in session.find_objects(&[Attribute::Id(from_base64(id).unwrap_or_default()), label()])? {
                session.destroy_object(key)?;
            }
            Ok(())
        };
        destroy().map_err(|error| self.fault(&error))
    }

    fn try_generate(&self) -> Result<VerifyingKey, Error> {
        let session = self.session()?;
        let public = [
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::KeyType(KeyType::EC),
            Attribute::Verify(true),
            Attribute::EcParams(P256.to_vec()),
            label(),
        ];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            label(),
        ];
        let (public, private) = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
        let found = session.get_attributes(public, &[AttributeType::EcPoint])?;
        let point =
            found.iter().find_map(|found| if let Attribute::EcPoint(point) = found { Some(point) } else { None });
        let point = point.and_then(|point| point.strip_prefix(&OCTET_STRING));
        let key = point.and_then(|point| VerifyingKey::from_point(point).ok()).ok_or(Error::InvalidValue)?;
        for object in [public, private] {
            session.update_attributes(object, &[Attribute::Id(key.id().to_vec())])?;
        }
        Ok(key)
    }

    /// A session of the token's user.
    fn session(&self) -> Result<Session, Error> {
        let context = self.context()?;
        for slot in context.get_slots_with_token()? {
            if context.get_token_info(slot)?.label() != self.config.token {
                continue;
            }
            let session = context.open_rw_session(slot)?;
            let pin = AuthPin::new(self.config.pin.expose().into());
            return match session.login(UserType::User, Some(&pin)) {
                // One login is that of all sessions of a process.
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
                Err(error) => Err(error),
            };
        }
        Err(Error::Pkcs11(RvError::TokenNotPresent, cryptoki::context::Function::GetSlotList))
    }

    fn context(&self) -> Result<&Pkcs11, Error> {
        if let Some(context) = self.context.get() {
            return Ok(context);
        }
        let context = Pkcs11::new(&self.config.module)?;
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(error),
        }
        Ok(self.context.get_or_init(|| context))
    }

    fn fault(&self, error: &Error) -> CommandError {
        let Pkcs11Config { module, token, .. } = &self.config;
        let expected = format!("expected the usable token {token:?} of {}: {error}", module.display());
        CommandError::setting("keys.pkcs11", expected)
    }

    fn missing(&self, id: &str) -> CommandError {
        CommandError::setting("keys.pkcs11", format!("expected the key {id} in the token {:?}", self.config.token))
    }
}

fn label() -> Attribute {
    Attribute::Label(LABEL.into())
}

/// A private key in the token.
struct TokenKey {
    token: Arc<Token>,
    /// CKA_ID: the key's id in codes.
    id: Vec<u8>,
    /// Idle sessions, each with the key's handle: a session does one thing at a time.
    sessions: Mutex<Vec<(Session, ObjectHandle)>>,
}

impl TokenKey {
    /// A session with the key's handle; `None` if the token does not have the key.
    fn open(&self) -> Result<Option<(Session, ObjectHandle)>, Error> {
        let session = self.token.session()?;
        let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(self.id.clone())];
        let key = session.find_objects(&template)?.into_iter().next();
        Ok(key.map(|key| (session, key)))
    }

    fn try_sign(&self, digest: &[u8; 32]) -> Result<Vec<u8>, Error> {
        let idle = self.sessions.lock().pop();
        let (session, key) = match idle {
            Some(idle) => idle,
            None => self.open()?.ok_or(Error::Pkcs11(RvError::KeyHandleInvalid, cryptoki::context::Function::Sign))?,
        };
        // A session that failed is dropped: the token may have been reset.
        let signature = session.sign(&Mechanism::Ecdsa, key, digest)?;
        self.sessions.lock().push((session, key));
        if signature.len() == 64 { Ok(signature) } else { Err(Error::InvalidValue) }
    }
}

impl DigestSigner for TokenKey {
    fn sign(&self, digest: &[u8; 32]) -> Result<Vec<u8>, SignError> {
        // A token may be a device behind a network.
        let signed = tokio::task::block_in_place(|| self.try_sign(digest));
        signed.map_err(|error| {
            tracing::warn!(%error, "the token does not sign; the code is refused with 503");
            SignError
        })
    }
}
