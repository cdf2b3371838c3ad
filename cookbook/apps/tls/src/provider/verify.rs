//! Signatures of certificates and handshakes, verified: ECDSA on P-256 and P-384, Ed25519, RSA.

use ed25519_dalek::Verifier;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::{PublicKey, pkcs1v15, pss};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2::{Digest, Sha256, Sha384, Sha512};

type Verified = Result<(), InvalidSignature>;

/// One pair of a key's kind and a signature's kind.
#[derive(Debug)]
struct Algorithm {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    verify: fn(key: &[u8], message: &[u8], signature: &[u8]) -> Verified,
}

impl SignatureVerificationAlgorithm for Algorithm {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Verified {
        (self.verify)(key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

macro_rules! algorithms {
    ($($name:ident: $key:ident, $signature:ident, $verify:expr;)*) => {
        $(static $name: &Algorithm =
            &Algorithm { key: alg_id::$key, signature: alg_id::$signature, verify: $verify };)*
        pub static ALGORITHMS: WebPkiSupportedAlgorithms =
            WebPkiSupportedAlgorithms { all: &[$($name),*], mapping: MAPPING };
    };
}

algorithms! {
    P256_SHA256: ECDSA_P256, ECDSA_SHA256, p256_with::<Sha256>;
    P256_SHA384: ECDSA_P256, ECDSA_SHA384, p256_with::<Sha384>;
    P384_SHA256: ECDSA_P384, ECDSA_SHA256, p384_with::<Sha256>;
    P384_SHA384: ECDSA_P384, ECDSA_SHA384, p384_with::<Sha384>;
    ED25519: ED25519, ED25519, ed25519;
    RSA_SHA256: RSA_ENCRYPTION, RSA_PKCS1_SHA256, rsa_pkcs1::<Sha256>;
    RSA_SHA384: RSA_ENCRYPTION, RSA_PKCS1_SHA384, rsa_pkcs1::<Sha384>;
    RSA_SHA512: RSA_ENCRYPTION, RSA_PKCS1_SHA512, rsa_pkcs1::<Sha512>;
    PSS_SHA256: RSA_ENCRYPTION, RSA_PSS_SHA256, rsa_pss::<Sha256>;
    PSS_SHA384: RSA_ENCRYPTION, RSA_PSS_SHA384, rsa_pss::<Sha384>;
    PSS_SHA512: RSA_ENCRYPTION, RSA_PSS_SHA512, rsa_pss::<Sha512>;
}

/// What of them a scheme of TLS may mean. In TLS 1.2 an ECDSA scheme does not say the curve.
static MAPPING: &[(SignatureScheme, &[&dyn SignatureVerificationAlgorithm])] = &[
    (SignatureScheme::ECDSA_NISTP256_SHA256, &[P256_SHA256, P384_SHA256]),
    (SignatureScheme::ECDSA_NISTP384_SHA384, &[P384_SHA384, P256_SHA384]),
    (SignatureScheme::ED25519, &[ED25519]),
    (SignatureScheme::RSA_PSS_SHA256, &[PSS_SHA256]),
    (SignatureScheme::RSA_PSS_SHA384, &[PSS_SHA384]),
    (SignatureScheme::RSA_PSS_SHA512, &[PSS_SHA512]),
    (SignatureScheme::RSA_PKCS1_SHA256, &[RSA_SHA256]),
    (SignatureScheme::RSA_PKCS1_SHA384, &[RSA_SHA384]),
    (SignatureScheme::RSA_PKCS1_SHA512, &[RSA_SHA512]),
];

fn p256_with<D: Digest>(key: &[u8], message: &[u8], signature: &[u8]) -> Verified {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
    let signature = p256::ecdsa::DerSignature::from_bytes(signature).map_err(|_| InvalidSignature)?;
    key.verify_prehash(&D::digest(message), &signature).map_err(|_| InvalidSignature)
}

fn p384_with<D: Digest>(key: &[u8], message: &[u8], signature: &[u8]) -> Verified {
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
    let signature = p384::ecdsa::DerSignature::from_bytes(signature).map_err(|_| InvalidSignature)?;
    key.verify_prehash(&D::digest(message), &signature).map_err(|_| InvalidSignature)
}

fn ed25519(key: &[u8], message: &[u8], signature: &[u8]) -> Verified {
    let key = key.try_into().map_err(|_| InvalidSignature)?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| InvalidSignature)?;
    let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| InvalidSignature)?;
    key.verify(message, &signature).map_err(|_| InvalidSignature)
}

/// Bits that a modulus has at least, as browsers have it. At most 8192 is what the crate takes.
const RSA_BITS: u32 = 2048;

fn rsa_key(der: &[u8]) -> Result<PublicKey, InvalidSignature> {
    use rsa::traits::PublicKeyParts;

    let key = PublicKey::from_pkcs1_der(der).map_err(|_| InvalidSignature)?;
    if key.n().bit_width() < RSA_BITS { Err(InvalidSignature) } else { Ok(key) }
}

fn rsa_pkcs1<D>(key: &[u8], message: &[u8], signature: &[u8]) -> Verified
where
    pkcs1v15::VerifyingKey<D>: From<PublicKey> + Verifier<pkcs1v15::Signature>,
    D: Digest,
{
    let signature = pkcs1v15::Signature::try_from(signature).map_err(|_| InvalidSignature)?;
    pkcs1v15::VerifyingKey::<D>::from(rsa_key(key)?).verify(message, &signature).map_err(|_| InvalidSignature)
}

fn rsa_pss<D>(key: &[u8], message: &[u8], signature: &[u8]) -> Verified
where
    pss::VerifyingKey<D>: From<PublicKey> + Verifier<pss::Signature>,
    D: Digest,
{
    let signature = pss::Signature::try_from(signature).map_err(|_| InvalidSignature)?;
    pss::VerifyingKey::<D>::from(rsa_key(key)?).verify(message, &signature).map_err(|_| InvalidSignature)
}
