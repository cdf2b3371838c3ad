//! A service on axum that calls other services by reqwest: `tokio-web [ADDR [MILLISECONDS [AUTHORITIES]]]`.
//!
//! MILLISECONDS is how long a request may take. AUTHORITIES is a file of certificates (PEM) that are trusted in the place of the
//! web's.

// A program on wasip1 cannot connect, and reqwest does not build there.
#[cfg_attr(target_env = "p1", path = "out_p1.rs")]
mod out;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use out::{Visitor, fetch};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal;
use tokio::task::JoinSet;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

/// What the handlers share.
#[derive(Clone)]
struct Links {
    visitor: Visitor,
    checked: Arc<Mutex<BTreeMap<String, Checked>>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let patience = Duration::from_millis(args.next().as_deref().unwrap_or("30000").parse()?);

    let visitor = Visitor::new(args.next().as_deref()).await?;
    let links = Links { visitor, checked: Arc::default() };

    let app = Router::new()
        .route("/", get(async || "hello\n"))
        .route("/old", get(async || Redirect::permanent("/")))
        .route("/round", get(async || Redirect::temporary("/round")))
        .route("/echo", post(async |body: Body| body))
        .route("/check", post(check))
        .route("/checked", get(checked))
        .route("/fetch", any(fetch))
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, patience))
        .with_state(links);

    let listener = TcpListener::bind(addr).await?;
    if let Ok(addr) = listener.local_addr() {
        println!("listening on {addr}");
    }
    axum::serve(listener, app).with_graceful_shutdown(asked_to_end()).await?;
    println!("all have been answered");
    Ok(())
}

/// SIGINT or SIGTERM, also under `dormouse run`.
async fn asked_to_end() {
    let interrupted = signal::ctrl_c();
    #[cfg(unix)]
    let terminated = async {
        if let Ok(mut signals) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
            signals.recv().await;
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        _ = interrupted => {}
        () = terminated => {}
    }
}

/// What became of a link.
#[derive(Clone, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(target_env = "p1", allow(dead_code))]
enum Checked {
    Found { status: u16, bytes: usize, at: String },
    Failed(String),
}

/// `POST /check` with a list of links: all of them at once.
async fn check(State(links): State<Links>, Json(urls): Json<Vec<String>>) -> Json<BTreeMap<String, Checked>> {
    let mut visits = JoinSet::new();
    for url in urls {
        let visitor = links.visitor.clone();
        visits.spawn(async move { (visitor.visit(&url).await, url) });
    }
    let mut found = BTreeMap::new();
    while let Some(visit) = visits.join_next().await {
        if let Ok((checked, url)) = visit {
            found.insert(url, checked);
        }
    }
    links.checked.lock().unwrap_or_else(PoisonError::into_inner).extend(found.clone());
    Json(found)
}

/// `GET /checked`: all that was checked so far.
async fn checked(State(links): State<Links>) -> Json<BTreeMap<String, Checked>> {
    Json(links.checked.lock().unwrap_or_else(PoisonError::into_inner).clone())
}
