//! An echo server that ends in good order: asked to stop, it accepts nothing more, answers what it has received, and ends.
//!
//! Natively SIGINT or SIGTERM asks it, and under `dormouse run` a signal to the runner.

use std::cell::Cell;
use std::rc::Rc;

use dormouse::io;
use dormouse::net::{TcpListener, TcpStream};
use dormouse::signal::stop_requested;
use futures_lite::AsyncWriteExt as _;
use futures_lite::future::or;

#[dormouse::main]
async fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = TcpListener::bind_or_preopened(addr).await?;
    println!("listening on {listener}");
    let open = Rc::new(Cell::new(0_usize));
    let mut connections = Vec::new();
    or(accept(&listener, &open, &mut connections), stop_requested()).await?;
    drop(listener);
    eprintln!("stopping; connections that are open: {}", open.get());
    for connection in connections {
        let _ = connection.await;
    }
    eprintln!("stopped; connections that are open: {}", open.get());
    Ok(())
}

type Connections = Vec<dormouse::JoinHandle<()>>;

async fn accept(listener: &TcpListener, open: &Rc<Cell<usize>>, connections: &mut Connections) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept_with_backoff().await?;
        connections.retain(|connection| !connection.is_finished());
        open.set(open.get() + 1);
        let open = Rc::clone(open);
        connections.push(dormouse::spawn(async move {
            // Its end, or an error, is the end of this connection and of nothing else.
            let _ = echo(&stream).await;
            open.set(open.get() - 1);
        }));
    }
}

async fn echo(mut stream: &TcpStream) -> io::Result<()> {
    let mut buf = [0; 4096];
    loop {
        // What has come is read before the request to stop is heard.
        let read = or(stream.read(&mut buf), async { stop_requested().await.map(|()| 0) }).await?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..read]).await?;
    }
}
