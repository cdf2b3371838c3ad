//! An authority and what it has signed, as files in a directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cookbook_tests::output;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SignatureAlgorithm, date_time_ymd};

pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// One in a directory of its own, which is new.
    pub fn new(name: &str) -> Authority {
        Authority::with(name, &KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key"))
    }

    pub fn with(name: &str, key: &KeyPair) -> Authority {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("served")).expect("the target directory can be written to");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("Authority {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(key).expect("it can sign");
        fs::write(dir.join("authority.pem"), certificate.pem()).expect("it is there");
        let key = KeyPair::from_pem(&key.serialize_pem()).expect("it was one");
        Authority { dir, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a name, served by `tls-server`, on a key of P-256, which every client knows.
    pub fn signs(self, name: &str) -> Authority {
        self.signs_for(name, &KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key"))
    }

    pub fn signs_with(self, name: &str, algorithm: &'static SignatureAlgorithm) -> Authority {
        self.signs_for(name, &KeyPair::generate_for(algorithm).expect("a key"))
    }

    pub fn signs_for(self, name: &str, key: &KeyPair) -> Authority {
        self.signs_until(name, key, 2100)
    }

    /// As valid until the beginning of a year.
    pub fn signs_until(self, name: &str, key: &KeyPair, year: i32) -> Authority {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(key, &self.issuer).expect("it can sign");
        fs::write(self.served(name, "crt"), certificate.pem()).expect("it is there");
        fs::write(self.served(name, "key"), key.serialize_pem()).expect("it is there");
        self
    }

    /// The directory, which a guest is given.
    pub fn dir(&self) -> &str {
        self.dir.to_str().expect("it is text")
    }

    /// What `tls-server` has.
    pub fn served_dir(&self) -> String {
        format!("{}/served", self.dir())
    }

    /// What a client trusts.
    pub fn file(&self) -> String {
        format!("{}/authority.pem", self.dir())
    }

    /// A certificate (`crt`) or its key (`key`).
    pub fn served(&self, name: &str, what: &str) -> String {
        format!("{}/{name}.{what}", self.served_dir())
    }
}

/// A key that openssl makes. rcgen makes none of RSA, and those of Ed25519 in a form that openssl 3.0 does not read.
pub fn key(algorithm: &str) -> KeyPair {
    let pem = output(Command::new("openssl").args(["genpkey", "-quiet", "-algorithm", algorithm]));
    KeyPair::from_pem(&pem).expect("it is a key")
}
