//! SHA-2 and HMAC, as rustls asks for them.

use std::marker::PhantomData;

use hmac::{Hmac, KeyInit, Mac};
use rustls::crypto::{hash, hmac as tls};
use sha2::{Digest, Sha256, Sha384};

pub static SHA256: Hash<Sha256> = Hash(hash::HashAlgorithm::SHA256, PhantomData);
pub static SHA384: Hash<Sha384> = Hash(hash::HashAlgorithm::SHA384, PhantomData);
pub static HMAC_SHA256: Keyed<Hmac<Sha256>> = Keyed(PhantomData);
pub static HMAC_SHA384: Keyed<Hmac<Sha384>> = Keyed(PhantomData);

pub struct Hash<D>(hash::HashAlgorithm, PhantomData<D>);

impl<D: Digest + Clone + Send + Sync + 'static> hash::Hash for Hash<D> {
    fn start(&self) -> Box<dyn hash::Context> {
        Box::new(Started(D::new()))
    }

    fn hash(&self, data: &[u8]) -> hash::Output {
        hash::Output::new(&D::digest(data))
    }

    fn output_len(&self) -> usize {
        <D as Digest>::output_size()
    }

    fn algorithm(&self) -> hash::HashAlgorithm {
        self.0
    }
}

struct Started<D>(D);

impl<D: Digest + Clone + Send + Sync + 'static> hash::Context for Started<D> {
    fn fork_finish(&self) -> hash::Output {
        hash::Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn hash::Context> {
        Box::new(Started(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> hash::Output {
        hash::Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

pub struct Keyed<M>(PhantomData<M>);

impl<M: Mac + KeyInit + Clone + Send + Sync + 'static> tls::Hmac for Keyed<M> {
    fn with_key(&self, key: &[u8]) -> Box<dyn tls::Key> {
        Box::new(Key(<M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length")))
    }

    fn hash_output_len(&self) -> usize {
        M::output_size()
    }
}

/// A state that has seen the key, and is copied for each message.
struct Key<M>(M);

impl<M: Mac + Clone + Send + Sync> tls::Key for Key<M> {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> tls::Tag {
        let mut mac = self.0.clone();
        mac.update(first);
        middle.iter().for_each(|part| mac.update(part));
        mac.update(last);
        tls::Tag::new(&mac.finalize().into_bytes())
    }

    fn tag_len(&self) -> usize {
        M::output_size()
    }
}
