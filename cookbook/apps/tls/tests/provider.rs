//! What the provider refuses: records, shares and signatures that are wrong by a bit. That it agrees with openssl on what is right,
//! `cookbook/tests` sees to.

use std::io::{Cursor, Read, Write};
use std::sync::Arc;

use cookbook_tls::provider::provider;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SignatureAlgorithm, SigningKey};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, alg_id};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, InconsistentKeys, PeerMisbehaved, RootCertStore,
    ServerConfig, ServerConnection, SupportedCipherSuite, SupportedProtocolVersion,
};

const KINDS: [&SignatureAlgorithm; 3] =
    [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];

/// An authority that is called as all of them are, by its key.
fn authority(key: &KeyPair) -> (CertificateDer<'static>, CertificateParams) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.self_signed(key).expect("it can sign").der().clone(), params)
}

fn key(kind: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(kind).expect("a key")
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(key.serialize_der()).expect("it is PKCS #8")
}

/// A client and a server that have not spoken yet.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
}

impl Pair {
    /// The server has a certificate for `certified`, signed by `signer`, and signs with `signing`; the client trusts `trusted`.
    fn with(
        [trusted, signer, certified, signing]: [&KeyPair; 4],
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Pair {
        let provider = Arc::new(provider);
        let issuer = Issuer::new(authority(signer).1, signer);
        let params = CertificateParams::new(["mouse.test".to_owned()]).expect("a name");
        let leaf = params.signed_by(certified, &issuer).expect("it can sign").der().clone();
        let signing = provider.key_provider.load_private_key(private(signing)).expect("it is a key");
        let resolver = SingleCertAndKey::from(CertifiedKey::new(vec![leaf], signing));
        let config = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
        let config = config.expect("it has suites").with_no_client_auth().with_cert_resolver(Arc::new(resolver));
        let server = ServerConnection::new(Arc::new(config)).expect("it is a configuration");

        let mut roots = RootCertStore::empty();
        roots.add(authority(trusted).0).expect("it is an authority");
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let config = config.expect("it has suites").with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("mouse.test").expect("a name");
        let client = ClientConnection::new(Arc::new(config), name).expect("it is a configuration");
        Pair { client, server }
    }

    /// The handshake; an error is the client's.
    fn shake(&mut self) -> Result<(), Error> {
        while self.client.is_handshaking() || self.server.is_handshaking() {
            let mut hello = Vec::new();
            self.client.write_tls(&mut hello).expect("memory");
            self.server.read_tls(&mut hello.as_slice()).expect("memory");
            self.server.process_new_packets()?;
            let mut answer = Vec::new();
            self.server.write_tls(&mut answer).expect("memory");
            self.client.read_tls(&mut answer.as_slice()).expect("memory");
            self.client.process_new_packets()?;
        }
        Ok(())
    }

    /// What the client sends, sealed.
    fn seal(&mut self, text: &[u8]) -> Vec<u8> {
        self.client.set_buffer_limit(None);
        self.client.writer().write_all(text).expect("memory");
        let mut sealed = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut sealed).expect("memory");
        }
        sealed
    }

    /// What the server makes of it.
    fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (mut sealed, mut text) = (Cursor::new(sealed), Vec::new());
        while self.server.read_tls(&mut sealed).expect("memory") > 0 {
            let plain = self.server.process_new_packets()?.plaintext_bytes_to_read();
            let from = text.len();
            text.resize(from + plain, 0);
            self.server.reader().read_exact(&mut text[from..]).expect("it is there");
        }
        Ok(text)
    }
}

/// Those that a server without an RSA key can agree on.
fn suites() -> impl Iterator<Item = SupportedCipherSuite> {
    let suites = provider().cipher_suites.into_iter();
    suites.filter(|suite| !format!("{suite:?}").contains("_RSA_"))
}

fn shaken(suite: SupportedCipherSuite) -> Pair {
    let (authority, own) = (key(KINDS[0]), key(KINDS[0]));
    let provider = CryptoProvider { cipher_suites: vec![suite], ..provider() };
    let mut pair = Pair::with([&authority, &authority, &own, &own], provider, &[suite.version()]);
    pair.shake().expect("they agree");
    pair
}

#[test]
fn text_of_any_length_goes_through() {
    assert_eq!(suites().count(), 6);
    for suite in suites() {
        let mut pair = shaken(suite);
        for len in [1, 15, 16, 17, 16383, 16384, 16385, 100_000] {
            let text: Vec<_> = (0..len).map(|n| (n % 251) as u8).collect();
            let sealed = pair.seal(&text);
            assert!(!sealed.windows(15).any(|part| text.starts_with(part)), "{suite:?}: it is not sealed");
            assert_eq!(pair.open(&sealed).as_ref(), Ok(&text), "{suite:?}: {len}");
        }
    }
}

#[test]
fn a_record_that_is_wrong_by_a_bit_is_refused() {
    const HEADER: usize = 5;
    for suite in suites() {
        let sealed = shaken(suite).seal(b"hazel");
        // The text, what is beside it, the tag.
        for at in HEADER..sealed.len() {
            let mut pair = shaken(suite);
            let mut sealed = pair.seal(b"hazel");
            sealed[at] ^= 1;
            assert_eq!(pair.open(&sealed), Err(Error::DecryptError), "{suite:?}: {at}");
        }
        // Shorter than it was, down to nothing.
        for len in 0..sealed.len() - HEADER {
            let mut pair = shaken(suite);
            let mut sealed = pair.seal(b"hazel");
            sealed.truncate(HEADER + len);
            sealed[HEADER - 2..HEADER].copy_from_slice(&(len as u16).to_be_bytes());
            assert!(pair.open(&sealed).is_err(), "{suite:?}: {len}");
        }
        // Twice the same, of which the second is not the one that is due.
        let mut pair = shaken(suite);
        let sealed = pair.seal(b"hazel");
        assert_eq!(pair.open(&sealed), Ok(b"hazel".to_vec()), "{suite:?}");
        assert_eq!(pair.open(&sealed), Err(Error::DecryptError), "{suite:?}");
    }
}

#[test]
fn who_has_not_the_key_is_not_believed() {
    for kind in KINDS {
        let (authority, own, other) = (key(kind), key(kind), key(kind));
        for version in rustls::ALL_VERSIONS {
            let shake = |keys| Pair::with(keys, provider(), &[version]).shake();
            let bad = || Err(Error::InvalidCertificate(CertificateError::BadSignature));
            assert_eq!(shake([&authority, &authority, &own, &own]), Ok(()), "{kind:?}");
            assert_eq!(shake([&authority, &authority, &own, &other]), bad(), "{kind:?}: a stolen certificate");
            assert_eq!(shake([&authority, &other, &own, &own]), bad(), "{kind:?}: an authority of the same name");
        }
        let (leaf, _) = self::authority(&own);
        let mismatch = CertifiedKey::from_der(vec![leaf.clone()], private(&other), &provider());
        assert_eq!(mismatch.err(), Some(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)), "{kind:?}");
        assert!(CertifiedKey::from_der(vec![leaf], private(&own), &provider()).is_ok(), "{kind:?}");
    }
}

#[test]
fn a_signature_that_is_wrong_by_a_bit_is_refused() {
    let rsa = openssl(&["genpkey", "-quiet", "-algorithm", "RSA"], None);
    let rsa = KeyPair::from_pem(std::str::from_utf8(&rsa).expect("PEM")).expect("it is a key");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("rsa.pem");
    std::fs::write(&file, rsa.serialize_pem()).expect("it can be written");
    let file = file.to_str().expect("it is text");
    for algorithm in provider().signature_verification_algorithms.all {
        let id = algorithm.signature_alg_id();
        let hash = match id {
            alg_id::ECDSA_SHA256 | alg_id::RSA_PKCS1_SHA256 | alg_id::RSA_PSS_SHA256 => "-sha256",
            alg_id::RSA_PKCS1_SHA512 | alg_id::RSA_PSS_SHA512 => "-sha512",
            _ => "-sha384",
        };
        let (key, signature) = if algorithm.public_key_alg_id() == alg_id::RSA_ENCRYPTION {
            let mut args = vec!["dgst", hash, "-sign", file];
            if [alg_id::RSA_PSS_SHA256, alg_id::RSA_PSS_SHA384, alg_id::RSA_PSS_SHA512].contains(&id) {
                args.extend(["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]);
            }
            (rsa.public_key_raw().to_vec(), openssl(&args, Some(b"acorn")))
        } else {
            let kind = match algorithm.public_key_alg_id() {
                alg_id::ECDSA_P256 if hash == "-sha256" => &rcgen::PKCS_ECDSA_P256_SHA256,
                alg_id::ECDSA_P384 if hash == "-sha384" => &rcgen::PKCS_ECDSA_P384_SHA384,
                alg_id::ED25519 => &rcgen::PKCS_ED25519,
                // A curve with the other's hash, which rcgen does not sign with.
                _ => continue,
            };
            let key = self::key(kind);
            (key.public_key_raw().to_vec(), key.sign(b"acorn").expect("it can sign"))
        };
        let verify = |message: &[u8], signature: &[u8]| algorithm.verify_signature(&key, message, signature).is_ok();
        assert!(verify(b"acorn", &signature), "{algorithm:?}");
        assert!(!verify(b"acorm", &signature), "{algorithm:?}");
        for at in 0..signature.len() {
            let mut signature = signature.clone();
            signature[at] ^= 1;
            assert!(!verify(b"acorn", &signature), "{algorithm:?}: {at}");
        }
        assert!(!verify(b"acorn", b""), "{algorithm:?}");
        assert!(algorithm.verify_signature(b"", b"acorn", &signature).is_err(), "{algorithm:?}: no key");
    }
}

fn openssl(args: &[&str], input: Option<&[u8]>) -> Vec<u8> {
    use std::process::{Command, Stdio};

    let mut command = Command::new("openssl");
    let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it is there");
    child.stdin.take().expect("piped").write_all(input.unwrap_or_default()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

#[test]
fn a_share_that_is_none_is_refused() {
    for group in provider().kx_groups {
        let (ours, theirs) = (group.start().expect("random"), group.start().expect("random"));
        let (our_share, share) = (ours.pub_key().to_vec(), theirs.pub_key().to_vec());
        let secret = ours.complete(&share).expect("it is a share");
        assert_eq!(secret.secret_bytes(), theirs.complete(&our_share).expect("it is a share").secret_bytes());

        // Zero, or no point of the curve; too short; compressed; nothing.
        let mut off = share.clone();
        off.iter_mut().skip(usize::from(share[0] == 4 && share.len() > 32)).for_each(|byte| *byte = 0);
        let compressed = [&[2], &share[1..share.len() / 2 + 1]].concat();
        for wrong in [&off, &share[1..].to_vec(), &compressed, &vec![]] {
            let refused = group.start().expect("random").complete(wrong);
            assert_eq!(refused.err(), Some(PeerMisbehaved::InvalidKeyShare.into()), "{group:?}: {wrong:?}");
        }
    }
}
