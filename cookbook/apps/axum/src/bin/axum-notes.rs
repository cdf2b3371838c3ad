//! An axum application that keeps notes: `axum-notes [ADDR] [head=MS] …`.
//!
//! axum's router is a service, and does not depend on the sockets of its requests. `axum::serve` does: it takes tokio's.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cookbook_http::{Limits, serve};
use dormouse::hyper::Timer;
use dormouse::{io, net::TcpListener};
use futures_lite::{Stream, StreamExt, stream};
use hyper::rt::Timer as _;
use serde::{Deserialize, Serialize};

#[derive(Clone, Deserialize, Serialize)]
struct Note {
    title: String,
    #[serde(default)]
    text: String,
}

/// axum wants what is shared to be `Send` and `Sync`, so it is an `Arc` and not an `Rc`. The lock is never waited for.
type Notes = Arc<Mutex<Vec<Note>>>;

#[dormouse::main]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or("127.0.0.1:0".into());
    let limits = Limits::from_args(args)?;
    let listener = TcpListener::bind_or_preopened(addr).await?;
    println!("listening on {listener}");
    let app = Router::new()
        .route("/", get(async || "notes\n"))
        .route("/notes", post(add).get(search))
        .route("/notes/{number}", get(note))
        .route("/count/{to}", get(count))
        .route("/events/{number}", get(events))
        .fallback(nothing)
        .layer(DefaultBodyLimit::max(64 * 1024))
        .with_state(Notes::default());
    // A body of hyper's becomes one of axum's; otherwise a router is what hyper calls.
    let service = hyper::service::service_fn(move |request: hyper::Request<_>| {
        tower_service::Service::call(&mut app.clone(), request.map(Body::new))
    });
    serve(listener, service, limits, dormouse::signal::stop_requested()).await
}

fn all(notes: &Notes) -> std::sync::MutexGuard<'_, Vec<Note>> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn add(State(notes): State<Notes>, Json(note): Json<Note>) -> impl IntoResponse {
    let mut notes = all(&notes);
    notes.push(note.clone());
    (StatusCode::CREATED, [(header::LOCATION, format!("/notes/{}", notes.len() - 1))], Json(note))
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    with: String,
    #[serde(default = "many")]
    at_most: usize,
}

fn many() -> usize {
    100
}

async fn search(State(notes): State<Notes>, Query(search): Query<Search>) -> Json<Vec<Note>> {
    let notes = all(&notes);
    let found = notes.iter().filter(|note| note.title.contains(&search.with) || note.text.contains(&search.with));
    Json(found.take(search.at_most).cloned().collect())
}

async fn note(State(notes): State<Notes>, Path(number): Path<usize>) -> Result<Json<Note>, (StatusCode, String)> {
    let note = all(&notes).get(number).cloned();
    note.map(Json).ok_or_else(|| (StatusCode::NOT_FOUND, format!("there is no note {number}\n")))
}

/// A body that is made while it is sent.
async fn count(Path(to): Path<u64>) -> Response {
    let lines = stream::iter(1..=to).map(|n| Ok::<_, Infallible>(format!("{n}\n")));
    Body::from_stream(lines).into_response()
}

/// Events, one every ten milliseconds.
///
/// What axum is given has to be `Send`. `dormouse::time::sleep` is not, and `dormouse::hyper::Timer`'s is.
async fn events(Path(number): Path<u64>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold(0, move |n| async move {
        if n == number {
            return None;
        }
        Timer.sleep(Duration::from_millis(10)).await;
        Some((Ok(Event::default().event("tick").id(n.to_string()).data(format!("tick {n}"))), n + 1))
    }))
}

#[derive(Serialize)]
struct Problem {
    nothing_at: String,
}

async fn nothing(uri: Uri) -> (StatusCode, Json<Problem>) {
    (StatusCode::NOT_FOUND, Json(Problem { nothing_at: uri.path().to_owned() }))
}
