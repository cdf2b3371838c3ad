//! Passes connections on: `proxy TARGET [ADDR]` listens on ADDR, by default on a port that the host chooses, and connects
//! each client to TARGET, which may be a name.

use std::pin::pin;
use std::task::{Context, Waker};

use dormouse::io::{self, AsyncWrite};
use dormouse::net::{TcpListener, TcpStream};

#[dormouse::main]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let Some(target) = args.next() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: proxy TARGET [ADDR]"));
    };
    let listener = TcpListener::bind_or_preopened(args.next().unwrap_or("127.0.0.1:0".into())).await?;
    println!("listening on {listener}");
    loop {
        let (client, _) = listener.accept_with_backoff().await?;
        let target = target.clone();
        dormouse::spawn(async move {
            if let Err(error) = pass_on(client, target).await {
                complain(&format!("{error}\n"));
            }
        });
    }
}

/// Tells standard error, unless its reader has fallen behind: a line that had to wait is left out, or there would be more and more.
fn complain(line: &str) {
    let _ = pin!(io::stderr()).poll_write(&mut Context::from_waker(Waker::noop()), line.as_bytes());
}

async fn pass_on(mut client: TcpStream, target: String) -> io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
