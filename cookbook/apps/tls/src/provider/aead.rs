//! Cipher suites: records sealed and opened with ChaCha20-Poly1305 and AES-GCM.
//!
//! The versions of TLS differ in what they make a nonce of, in what is authenticated beside the text, and in where the record's
//! kind is; the cipher is the same.

use std::marker::PhantomData;

use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit, Tag};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use rustls::ConnectionTrafficSecrets as Secrets;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter, MessageEncrypter, Nonce,
    OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls12AeadAlgorithm, Tls13AeadAlgorithm,
    UnsupportedOperationError, make_tls12_aad, make_tls13_aad,
};
use rustls::crypto::tls12::PrfUsingHmac;
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{CipherSuiteCommon, KeyExchangeAlgorithm};
use rustls::{
    CipherSuite, ContentType, Error, ProtocolVersion, SignatureScheme, SupportedCipherSuite, Tls12CipherSuite,
    Tls13CipherSuite,
};

use super::hash::{HMAC_SHA256, HMAC_SHA384, SHA256, SHA384};

/// Records that may be sealed with one key: of ChaCha20 more than there can be, of AES-GCM as in RFC 8446, 5.5.
const CHACHA_LIMIT: u64 = u64::MAX;
const GCM_LIMIT: u64 = 1 << 24;

macro_rules! suites {
    (13: $($suite:ident, $cipher:ty, $limit:expr, $hash:ident, $hmac:ident;)*
     12: $($suite12:ident, $cipher12:ty, $limit12:expr, $hash12:ident, $hmac12:ident, $sign:expr;)*) => {
        pub static SUITES: &[SupportedCipherSuite] = &[
            $(SupportedCipherSuite::Tls13(&Tls13CipherSuite {
                common: CipherSuiteCommon {
                    suite: CipherSuite::$suite,
                    hash_provider: &$hash,
                    confidentiality_limit: $limit,
                },
                hkdf_provider: &HkdfUsingHmac(&$hmac),
                aead_alg: &Records::<$cipher>(PhantomData),
                quic: None,
            }),)*
            $(SupportedCipherSuite::Tls12(&Tls12CipherSuite {
                common: CipherSuiteCommon {
                    suite: CipherSuite::$suite12,
                    hash_provider: &$hash12,
                    confidentiality_limit: $limit12,
                },
                kx: KeyExchangeAlgorithm::ECDHE,
                sign: $sign,
                aead_alg: &Records::<$cipher12>(PhantomData),
                prf_provider: &PrfUsingHmac(&$hmac12),
            }),)*
        ];
    };
}

suites! {
    13:
    TLS13_CHACHA20_POLY1305_SHA256, ChaCha20Poly1305, CHACHA_LIMIT, SHA256, HMAC_SHA256;
    TLS13_AES_128_GCM_SHA256, Aes128Gcm, GCM_LIMIT, SHA256, HMAC_SHA256;
    TLS13_AES_256_GCM_SHA384, Aes256Gcm, GCM_LIMIT, SHA384, HMAC_SHA384;
    12:
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, ChaCha20Poly1305, CHACHA_LIMIT, SHA256, HMAC_SHA256, ECDSA;
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, Aes128Gcm, GCM_LIMIT, SHA256, HMAC_SHA256, ECDSA;
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, Aes256Gcm, GCM_LIMIT, SHA384, HMAC_SHA384, ECDSA;
    TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, ChaCha20Poly1305, CHACHA_LIMIT, SHA256, HMAC_SHA256, RSA;
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, Aes128Gcm, GCM_LIMIT, SHA256, HMAC_SHA256, RSA;
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, Aes256Gcm, GCM_LIMIT, SHA384, HMAC_SHA384, RSA;
}

const ECDSA: &[SignatureScheme] =
    &[SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ECDSA_NISTP384_SHA384];
const RSA: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// A cipher with nonces of 12 bytes and tags of 16, which all of them have.
trait Cipher: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit + Send + Sync + 'static {
    /// Bytes of the nonce that TLS 1.2 sends with each record.
    const EXPLICIT: usize;
    const SECRETS: fn(AeadKey, Iv) -> Secrets;

    fn with(key: &AeadKey) -> Self {
        Self::new_from_slice(key.as_ref()).expect("rustls makes keys of the length that it is told")
    }
}

impl Cipher for ChaCha20Poly1305 {
    const EXPLICIT: usize = 0;
    const SECRETS: fn(AeadKey, Iv) -> Secrets = |key, iv| Secrets::Chacha20Poly1305 { key, iv };
}

impl Cipher for Aes128Gcm {
    const EXPLICIT: usize = 8;
    const SECRETS: fn(AeadKey, Iv) -> Secrets = |key, iv| Secrets::Aes128Gcm { key, iv };
}

impl Cipher for Aes256Gcm {
    const EXPLICIT: usize = 8;
    const SECRETS: fn(AeadKey, Iv) -> Secrets = |key, iv| Secrets::Aes256Gcm { key, iv };
}

const TAG: usize = 16;
/// What a record may carry.
const MAX_TEXT: usize = 1 << 14;

fn seal<C: Cipher>(
    cipher: &C,
    nonce: [u8; 12],
    aad: &[u8],
    record: &mut PrefixedPayload,
    from: usize,
) -> Result<(), Error> {
    let text = &mut record.as_mut()[from..];
    let tag = cipher.encrypt_inout_detached(&nonce.into(), aad, text.into()).map_err(|_| Error::EncryptError)?;
    record.extend_from_slice(&tag);
    Ok(())
}

/// Opens text with its tag behind it, in place; how long the text is.
fn open<C: Cipher>(cipher: &C, nonce: [u8; 12], aad: &[u8], sealed: &mut [u8]) -> Result<usize, Error> {
    let (text, tag) = sealed.split_last_chunk_mut::<TAG>().ok_or(Error::DecryptError)?;
    let tag: Tag<C> = (*tag).into();
    cipher.decrypt_inout_detached(&nonce.into(), aad, (&mut *text).into(), &tag).map_err(|_| Error::DecryptError)?;
    Ok(text.len())
}

/// How a cipher makes records.
struct Records<C>(PhantomData<C>);

/// One direction of a connection of TLS 1.3.
struct Tls13<C> {
    cipher: C,
    iv: Iv,
}

impl<C: Cipher> Tls13AeadAlgorithm for Records<C> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Tls13 { cipher: C::with(&key), iv })
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Tls13 { cipher: C::with(&key), iv })
    }

    fn key_len(&self) -> usize {
        C::key_size()
    }

    fn extract_keys(&self, key: AeadKey, iv: Iv) -> Result<Secrets, UnsupportedOperationError> {
        Ok(C::SECRETS(key, iv))
    }
}

impl<C: Cipher> MessageEncrypter for Tls13<C> {
    fn encrypt(&mut self, message: OutboundPlainMessage<'_>, seq: u64) -> Result<OutboundOpaqueMessage, Error> {
        let len = self.encrypted_payload_len(message.payload.len());
        let mut record = PrefixedPayload::with_capacity(len);
        record.extend_from_chunks(&message.payload);
        record.extend_from_slice(&message.typ.to_array());
        seal(&self.cipher, Nonce::new(&self.iv, seq).0, &make_tls13_aad(len), &mut record, 0)?;
        // What it is, is inside. Outside all records are data of TLS 1.2 (RFC 8446, 5.2).
        Ok(OutboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, record))
    }

    fn encrypted_payload_len(&self, text: usize) -> usize {
        text + 1 + TAG
    }
}

impl<C: Cipher> MessageDecrypter for Tls13<C> {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let aad = make_tls13_aad(message.payload.len());
        let len = open(&self.cipher, Nonce::new(&self.iv, seq).0, &aad, &mut message.payload)?;
        message.payload.truncate(len);
        message.into_tls13_unpadded_message()
    }
}

/// One direction of a connection of TLS 1.2. Of what a peer sends, the explicit part of the nonce is with each record.
struct Tls12<C> {
    cipher: C,
    iv: Iv,
}

impl<C: Cipher> Tls12AeadAlgorithm for Records<C> {
    fn encrypter(&self, key: AeadKey, iv: &[u8], explicit: &[u8]) -> Box<dyn MessageEncrypter> {
        Box::new(Tls12 { cipher: C::with(&key), iv: joined(iv, explicit) })
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(Tls12 { cipher: C::with(&key), iv: joined(iv, &[0; 8][..C::EXPLICIT]) })
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        KeyBlockShape { enc_key_len: C::key_size(), fixed_iv_len: 12 - C::EXPLICIT, explicit_nonce_len: C::EXPLICIT }
    }

    fn extract_keys(&self, key: AeadKey, iv: &[u8], explicit: &[u8]) -> Result<Secrets, UnsupportedOperationError> {
        Ok(C::SECRETS(key, joined(iv, explicit)))
    }
}

/// The parts are of the lengths that `key_block_shape` says, 12 together.
fn joined(fixed: &[u8], explicit: &[u8]) -> Iv {
    let mut iv = [0; 12];
    iv[..fixed.len()].copy_from_slice(fixed);
    iv[fixed.len()..].copy_from_slice(explicit);
    iv.into()
}

impl<C: Cipher> MessageEncrypter for Tls12<C> {
    fn encrypt(&mut self, message: OutboundPlainMessage<'_>, seq: u64) -> Result<OutboundOpaqueMessage, Error> {
        let mut record = PrefixedPayload::with_capacity(self.encrypted_payload_len(message.payload.len()));
        let nonce = Nonce::new(&self.iv, seq).0;
        record.extend_from_slice(&nonce[12 - C::EXPLICIT..]);
        record.extend_from_chunks(&message.payload);
        let aad = make_tls12_aad(seq, message.typ, message.version, message.payload.len());
        seal(&self.cipher, nonce, &aad, &mut record, C::EXPLICIT)?;
        Ok(OutboundOpaqueMessage::new(message.typ, message.version, record))
    }

    fn encrypted_payload_len(&self, text: usize) -> usize {
        C::EXPLICIT + text + TAG
    }
}

impl<C: Cipher> MessageDecrypter for Tls12<C> {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let text = message.payload.len().checked_sub(C::EXPLICIT + TAG).ok_or(Error::DecryptError)?;
        let aad = make_tls12_aad(seq, message.typ, message.version, text);
        let nonce = match C::EXPLICIT {
            0 => Nonce::new(&self.iv, seq).0,
            explicit => {
                let mut nonce = Nonce::new(&self.iv, 0).0;
                nonce[12 - explicit..].copy_from_slice(&message.payload[..explicit]);
                nonce
            }
        };
        open(&self.cipher, nonce, &aad, &mut message.payload[C::EXPLICIT..])?;
        if text > MAX_TEXT {
            return Err(Error::PeerSentOversizedRecord);
        }
        Ok(message.into_plain_message_range(C::EXPLICIT..C::EXPLICIT + text))
    }
}
