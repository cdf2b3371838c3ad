//! rustls' cryptography from the crates of RustCrypto and dalek: Rust alone, for every target that Rust has.
//!
//! rustls asks for traits, and those crates have the algorithms: this folder is what is in between. `rustls-rustcrypto` does the
//! same, but is an alpha, and on the versions before these: aead 0.5, p256 0.13, rsa 0.9.
//!
//! A server's key is ECDSA (P-256, P-384) or Ed25519. RSA is verified, since many authorities have it, and never signed with:
//! without a secret in it, it has no timing to be careful of.

mod aead;
mod hash;
mod kx;
mod sign;
mod verify;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;

/// TLS 1.3 and 1.2. ChaCha20-Poly1305 is first: WebAssembly has no instruction for AES, and without one that is slower.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: aead::SUITES.to_vec(),
        kx_groups: kx::GROUPS.to_vec(),
        signature_verification_algorithms: verify::ALGORITHMS,
        secure_random: &Host,
        key_provider: &Host,
    }
}

/// What comes from outside: randomness from the host, keys from their files.
#[derive(Debug)]
struct Host;

impl SecureRandom for Host {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        getrandom::fill(bytes).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for Host {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        sign::load(&key)
    }
}
