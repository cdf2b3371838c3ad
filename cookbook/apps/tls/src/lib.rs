//! TLS over Dormouse's sockets: rustls, with tokio-rustls between it and them, and a provider in Rust alone.
//!
//! What of it is the application's: which certificate a name has, what a client trusts, how long a handshake may take, and what is
//! said when it fails.

pub mod provider;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use dormouse::net::TcpStream;
use dormouse::time::timeout;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// A server's side, with the certificates of a directory: `NAME.crt` (with those between it and the authority) and `NAME.key`, as
/// PEM, for clients that ask for NAME. Clients that ask for no name, as those do that know an address only, get the first.
pub fn acceptor(dir: &Path, protocols: &[&str]) -> io::Result<TlsAcceptor> {
    let provider = Arc::new(provider::provider());
    let mut names = Names(BTreeMap::new());
    for entry in fs::read_dir(dir).map_err(|error| about(format!("read {}", dir.display()), error))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "crt") {
            continue;
        }
        let key = path.with_extension("key");
        let chain = certificates(&path)?;
        let secret = PrivateKeyDer::from_pem_file(&key).map_err(|error| unreadable(&key, error))?;
        let certified = CertifiedKey::from_der(chain, secret, &provider).map_err(|error| unreadable(&key, error))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        names.0.insert(name, Arc::new(certified));
    }
    if names.0.is_empty() {
        let missing = format!("{} has no NAME.crt with NAME.key beside it", dir.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, missing));
    }
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.map_err(io::Error::other)?.with_no_client_auth().with_cert_resolver(Arc::new(names));
    // The provider's order and not the client's, which does not know that it is slow here.
    config.ignore_client_order = true;
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A client's side, which trusts the authorities in a file (PEM), and no others.
pub fn connector(authorities: &Path, protocols: &[&str]) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities)? {
        roots.add(certificate).map_err(|error| unreadable(authorities, error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(provider::provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The handshake with a client, which has this long for it: a client that connects and says nothing does not stay.
pub async fn accept(
    acceptor: &TlsAcceptor,
    conn: TcpStream,
    patience: Duration,
) -> io::Result<server::TlsStream<TcpStream>> {
    handshake(acceptor.accept(conn), patience).await.map_err(|error| about("handshake".into(), error))
}

/// Connects to a server (`HOST:PORT`), which has to be `name`.
pub async fn connect(
    connector: &TlsConnector,
    addr: &str,
    name: &str,
    patience: Duration,
) -> io::Result<client::TlsStream<TcpStream>> {
    let server = ServerName::try_from(name.to_owned())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name for a server")))?;
    let conn = TcpStream::connect(addr).await?;
    let shaken = handshake(connector.connect(server, conn), patience).await;
    shaken.map_err(|error| about(format!("handshake with {name} at {addr}"), error))
}

async fn handshake<T>(hands: impl Future<Output = io::Result<T>>, patience: Duration) -> io::Result<T> {
    timeout(patience, hands).await?
}

/// What was tried, and in a sentence what came of it. rustls' errors are inside of what tokio-rustls returns.
fn about(what: String, error: io::Error) -> io::Error {
    let why = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Error::InvalidMessage(_)) => "the other side does not speak TLS".to_owned(),
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "the certificate is signed by nobody who is trusted".to_owned()
        }
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the other side has hung up".to_owned(),
        None => error.to_string(),
    };
    io::Error::new(error.kind(), format!("{what}: {why}"))
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(|iter| iter.collect::<Result<Vec<_>, _>>());
    let certificates = read.map_err(|error| unreadable(path, error))?;
    if certificates.is_empty() { Err(unreadable(path, "there is no certificate in it")) } else { Ok(certificates) }
}

fn unreadable(path: &Path, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()))
}

/// Certificates by name. A client that asks for another one is refused.
#[derive(Debug)]
struct Names(BTreeMap<String, Arc<CertifiedKey>>);

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            Some(name) => self.0.get(&name.to_lowercase()).cloned(),
            None => self.0.values().next().cloned(),
        }
    }
}
