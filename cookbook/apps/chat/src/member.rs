//! A member's WebSocket: what comes in is said to the room, what the room says goes out, and it ends in one of these ways.
//!
//! ```text
//!   the member closes, or hangs up     answered as the protocol has it
//!   the server ends                    1001
//!   a frame that is none               1002
//!   a message that is not text         1003
//!   text that is not UTF-8             1007
//!   no answer to a ping                1008
//!   a message of more than LONGEST     1009
//!   it does not read                   cut off: a close would wait behind what it does not read
//! ```

use std::time::Duration;

use dormouse::io::{self, OnThread};
use dormouse::net::TcpStream;
use dormouse::task::yield_now;
use dormouse::time::{interval, timeout};
use futures_util::{SinkExt, StreamExt};
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::Chat;
use crate::room::Member;

/// Bytes of a message.
const LONGEST: usize = 16 * 1024;

/// How long a member may take to hear that it is over.
const GOOD_BYE: Duration = Duration::from_secs(3);

type Socket = WebSocketStream<OnThread<TcpStream>>;

/// Why we end it.
type Close = (CloseCode, &'static str);

/// A member, from the upgrade on until it has gone.
pub async fn join(conn: OnThread<TcpStream>, read: Bytes, name: &str, chat: &Chat) {
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    let mut socket = WebSocketStream::from_partially_read(conn, read.into(), Role::Server, Some(config)).await;
    let mut member = chat.room.join(name);
    let late = member.late.clone();
    let ended = tokio::select! {
        ended = talk(&mut socket, &mut member, chat) => ended,
        // Its socket may be full, so that `talk` waits for it.
        () = late.cancelled() => Ok(None),
    };
    drop(member);
    if let Ok(Some(close)) = ended {
        let _ = timeout(GOOD_BYE, good_bye(&mut socket, close)).await;
    }
}

/// Returns why we end it, or nothing if the member has.
async fn talk(socket: &mut Socket, member: &mut Member, chat: &Chat) -> Result<Option<Close>, Error> {
    let mut silence = interval(chat.silence);
    silence.tick().await;
    let mut heard = true;
    loop {
        tokio::select! {
            message = socket.next() => {
                heard = true;
                match message {
                    Some(Ok(Message::Text(text))) => {
                        member.say(&text);
                        // Many may have come at once. All members have a turn after each, or their queues would fill up, as would
                        // this one's.
                        while let Ok(line) = member.lines.try_recv() {
                            send(socket, Message::Text(line), chat).await?;
                        }
                        yield_now().await;
                    }
                    Some(Ok(Message::Binary(_))) => return Ok(Some((CloseCode::Unsupported, "this chat is text"))),
                    // Pings have been answered, and a close is, before the end comes.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return fault(error).map(Some),
                    None => return Ok(None),
                }
            }
            Some(line) = member.lines.recv() => send(socket, Message::Text(line), chat).await?,
            _ = silence.tick() => {
                if !heard {
                    return Ok(Some((CloseCode::Policy, "you have not answered")));
                }
                heard = false;
                send(socket, Message::Ping(Bytes::new()), chat).await?;
            }
            () = chat.end.cancelled() => return Ok(Some((CloseCode::Away, "the server ends"))),
        }
    }
}

/// Waits as long for room in its socket as it does for an answer.
async fn send(socket: &mut Socket, message: Message, chat: &Chat) -> Result<(), Error> {
    timeout(chat.silence, socket.send(message)).await.map_err(io::Error::from)?
}

/// What the protocol says of an error.
fn fault(error: Error) -> Result<Close, Error> {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Ok((CloseCode::Size, "a message has 16 KiB at most")),
        Error::Utf8(_) => Ok((CloseCode::Invalid, "this is not UTF-8")),
        Error::Protocol(_) => Ok((CloseCode::Protocol, "this is not how WebSockets talk")),
        error => Err(error),
    }
}

/// Closes, and reads what the member had sent before it knew: a socket that is closed with something unread is reset, and the reason
/// may never arrive.
async fn good_bye(socket: &mut Socket, (code, reason): Close) -> io::Result<()> {
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
    socket.close(Some(frame)).await.map_err(io::Error::other)?;
    let conn = socket.get_mut();
    conn.shutdown().await?;
    let mut unread = [0; 4096];
    while conn.read(&mut unread).await? > 0 {}
    Ok(())
}
