//! Passes connections on: `proxy TARGET [ADDR]` listens on ADDR, by default on a port that the host chooses, and connects
//! each client to TARGET, which may be a name.

use dormouse::io;
use dormouse::net::{TcpListener, TcpStream};
use futures_lite::AsyncWriteExt;

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
                let _ = io::stderr().write_all(format!("{error}\n").as_bytes()).await;
            }
        });
    }
}

async fn pass_on(mut client: TcpStream, target: String) -> io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
