//! tokio-tungstenite: a client, and an echo server.

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, connect_async};

use crate::Result;

const LARGE: usize = 4 << 20;

pub async fn run(url: &str) -> Result<()> {
    let (mut socket, response) = connect_async(url).await?;
    println!("the server says {}", response.status());
    for message in [Message::text("squeak"), Message::binary(vec![b'z'; LARGE])] {
        socket.send(message.clone()).await?;
        let back = socket.next().await.ok_or("the connection ended")??;
        println!("{} bytes came back {}", back.len(), if back == message { "whole" } else { "changed" });
    }
    socket.send(Message::Ping("anybody".into())).await?;
    let pong = socket.next().await.ok_or("the connection ended")??;
    println!("a ping is answered: {}", pong == Message::Pong("anybody".into()));
    socket.close(None).await?;
    while let Some(message) = socket.next().await {
        println!("the end: close is {}", message?.is_close());
    }
    Ok(())
}

pub async fn serve(addr: &str) -> Result<()> {
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, from) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = echo(stream).await {
                eprintln!("{from}: {error}");
            }
        });
    }
}

async fn echo(stream: TcpStream) -> Result<()> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        // Pings and the end are answered by the socket itself.
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
