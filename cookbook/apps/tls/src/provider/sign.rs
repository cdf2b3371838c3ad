//! Private keys, as PKCS #8 or SEC 1: ECDSA on P-256 and P-384, Ed25519.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::pkcs8::DecodePrivateKey;
use p256::ecdsa::signature::Signer as _;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{Signer, SigningKey, public_key_to_spki};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// The key in a file.
pub fn load(key: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, Error> {
    let (p256, p384, ed25519) = match key {
        PrivateKeyDer::Pkcs8(der) => {
            let der = der.secret_pkcs8_der();
            let ed25519 = ed25519_dalek::SigningKey::from_pkcs8_der(der).ok();
            (p256::SecretKey::from_pkcs8_der(der).ok(), p384::SecretKey::from_pkcs8_der(der).ok(), ed25519)
        }
        PrivateKeyDer::Sec1(der) => {
            let der = der.secret_sec1_der();
            (p256::SecretKey::from_sec1_der(der).ok(), p384::SecretKey::from_sec1_der(der).ok(), None)
        }
        _ => (None, None, None),
    };
    if let Some(key) = p256 {
        let spki = public_key_to_spki(&alg_id::ECDSA_P256, p256::Sec1Point::from(key.public_key()));
        let key = p256::ecdsa::SigningKey::from(key);
        let sign = move |message: &[u8]| -> Vec<u8> {
            let signature: p256::ecdsa::DerSignature = key.sign(message);
            signature.as_bytes().to_vec()
        };
        return Ok(Key::shared(SignatureScheme::ECDSA_NISTP256_SHA256, SignatureAlgorithm::ECDSA, spki, sign));
    }
    if let Some(key) = p384 {
        let spki = public_key_to_spki(&alg_id::ECDSA_P384, p384::Sec1Point::from(key.public_key()));
        let key = p384::ecdsa::SigningKey::from(key);
        let sign = move |message: &[u8]| -> Vec<u8> {
            let signature: p384::ecdsa::DerSignature = key.sign(message);
            signature.as_bytes().to_vec()
        };
        return Ok(Key::shared(SignatureScheme::ECDSA_NISTP384_SHA384, SignatureAlgorithm::ECDSA, spki, sign));
    }
    if let Some(key) = ed25519 {
        let spki = public_key_to_spki(&alg_id::ED25519, key.verifying_key().as_bytes());
        let sign = move |message: &[u8]| key.sign(message).to_bytes().to_vec();
        return Ok(Key::shared(SignatureScheme::ED25519, SignatureAlgorithm::ED25519, spki, sign));
    }
    Err(Error::General("the private key is none that is signed with here: ECDSA on P-256 or P-384, or Ed25519".into()))
}

type Sign = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A key, which signs in one way.
#[derive(Clone)]
struct Key {
    scheme: SignatureScheme,
    algorithm: SignatureAlgorithm,
    /// Its public half, which a certificate is compared with.
    spki: SubjectPublicKeyInfoDer<'static>,
    sign: Sign,
}

impl Key {
    fn shared(
        scheme: SignatureScheme,
        algorithm: SignatureAlgorithm,
        spki: SubjectPublicKeyInfoDer<'static>,
        sign: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Arc<dyn SigningKey> {
        Arc::new(Key { scheme, algorithm, spki, sign: Arc::new(sign) })
    }
}

/// Without its secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.scheme).finish()
    }
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.spki.clone())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok((self.sign)(message))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
