//! Sends each argument as a line to a server and prints what comes back: `client ADDR [LINE...]`.

use dormouse::{io, net::TcpStream};
use futures_lite::AsyncWriteExt;

#[dormouse::main]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let Some(addr) = args.next() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: client ADDR [LINE...]"));
    };
    let stream = TcpStream::connect(addr).await?;
    let (reader, mut writer) = stream.into_split();
    let print = dormouse::spawn(async move { io::copy(reader, io::stdout()).await });
    for line in args {
        writer.write_all(format!("{line}\n").as_bytes()).await?;
    }
    writer.close().await?;
    print.await??;
    Ok(())
}
