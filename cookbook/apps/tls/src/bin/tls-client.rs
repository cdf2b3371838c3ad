//! Standard input to a server over TLS, and what it says to standard output: `tls-client HOST:PORT AUTHORITIES [NAME]`.
//!
//! The server has to be HOST, or NAME, to one of the authorities in a file. The end of the input is told to it (`close_notify`), and
//! its answers are still awaited.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use cookbook_tls::{connect, connector};
use dormouse::io;
use futures_lite::future::or;
use tokio::io::AsyncWriteExt;

const PATIENCE: Duration = Duration::from_secs(10);

#[dormouse::main]
async fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (server, authorities, name) = match args.as_slice() {
        [server, authorities] => (server, authorities, server.rsplit_once(':').map_or("", |(host, _)| host)),
        [server, authorities, name] => (server, authorities, name.as_str()),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: tls-client HOST:PORT AUTHORITIES [NAME]")),
    };
    let connector = connector(Path::new(authorities), &[])?;
    let stream = connect(&connector, server, name.trim_matches(['[', ']']), PATIENCE).await?;
    let (mut from, mut to) = tokio::io::split(stream);
    let send = async {
        tokio::io::copy(&mut io::stdin(), &mut to).await?;
        to.shutdown().await?;
        // Whether there is more is the server's to say.
        std::future::pending().await
    };
    let receive = async {
        let mut out = io::stdout();
        tokio::io::copy(&mut from, &mut out).await?;
        out.flush().await
    };
    or(pin!(receive), pin!(send)).await
}
