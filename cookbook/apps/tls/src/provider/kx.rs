//! Key exchange: X25519, and ECDH on P-256 and P-384.

use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

pub static GROUPS: &[&dyn SupportedKxGroup] = &[&X25519, &P256, &P384];

#[derive(Debug)]
struct X25519;

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(random.as_mut()).map_err(|_| GetRandomFailed)?;
        // It is used once. dalek's type for that takes only sources of randomness that cannot fail.
        let secret = StaticSecret::from(*random);
        Ok(Box::new(Started { public: PublicKey::from(&secret).to_bytes(), secret }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Started {
    secret: StaticSecret,
    public: [u8; 32],
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let peer: [u8; 32] = peer.try_into().map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(peer));
        // RFC 8446, 7.4.2: a share that makes the secret zero is refused.
        if !shared.was_contributory() {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        Ok(shared.as_bytes().as_slice().into())
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

macro_rules! nist {
    ($group:ident, $curve:ident, $name:expr, $started:ident) => {
        #[derive(Debug)]
        struct $group;

        impl SupportedKxGroup for $group {
            fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
                use $curve::elliptic_curve::Generate;

                let secret = $curve::ecdh::EphemeralSecret::try_generate_from_rng(&mut getrandom::SysRng)
                    .map_err(|_| GetRandomFailed)?;
                let public = $curve::Sec1Point::from(secret.public_key());
                Ok(Box::new($started { secret, public }))
            }

            fn name(&self) -> NamedGroup {
                $name
            }
        }

        struct $started {
            secret: $curve::ecdh::EphemeralSecret,
            public: $curve::Sec1Point,
        }

        impl ActiveKeyExchange for $started {
            fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
                // RFC 8446, 4.2.8.2: uncompressed, and no other form. That it is on the curve is seen to below.
                if peer.first() != Some(&4) {
                    return Err(PeerMisbehaved::InvalidKeyShare.into());
                }
                let peer = $curve::PublicKey::from_sec1_bytes(peer).map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
                Ok(self.secret.diffie_hellman(&peer).raw_secret_bytes().as_slice().into())
            }

            fn pub_key(&self) -> &[u8] {
                self.public.as_bytes()
            }

            fn group(&self) -> NamedGroup {
                $name
            }
        }
    };
}

nist!(P256, p256, NamedGroup::secp256r1, StartedP256);
nist!(P384, p384, NamedGroup::secp384r1, StartedP384);
