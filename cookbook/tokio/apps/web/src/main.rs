//! A service on axum that calls other services by reqwest: `tokio-web [ADDR [MILLISECONDS [AUTHORITIES]]]`.
//!
//! MILLISECONDS is how long a request may take. AUTHORITIES is a file of certificates (PEM) that are trusted in the place of the
//! web's.

#[cfg(not(target_env = "p1"))]
#[path = "../../../../apps/tls/src/provider/mod.rs"]
mod provider;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal;
use tokio::task::JoinSet;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

/// What the handlers share.
#[derive(Clone)]
struct Links {
    client: Client,
    checked: Arc<Mutex<BTreeMap<String, Checked>>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let patience = Duration::from_millis(args.next().as_deref().unwrap_or("30000").parse()?);

    let mut client = Client::builder().connect_timeout(Duration::from_secs(10));
    #[cfg(not(target_env = "p1"))]
    {
        provider::provider().install_default().map_err(|_| "there is a provider already")?;
        if let Some(authorities) = args.next() {
            let authorities = tokio::fs::read(authorities).await?;
            client = client.tls_certs_only(reqwest::Certificate::from_pem_bundle(&authorities)?);
        }
    }
    let links = Links { client: client.build()?, checked: Arc::default() };

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

/// Under WASI no signal comes; the server goes on.
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
enum Checked {
    Found { status: u16, bytes: usize, at: String },
    Failed(String),
}

/// `POST /check` with a list of links: all of them at once.
async fn check(State(links): State<Links>, Json(urls): Json<Vec<String>>) -> Json<BTreeMap<String, Checked>> {
    let mut visits = JoinSet::new();
    for url in urls {
        let client = links.client.clone();
        visits.spawn(async move { (visit(&client, &url).await, url) });
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

async fn visit(client: &Client, url: &str) -> Checked {
    let visit = async {
        let response = client.get(url).send().await?;
        let (status, at) = (response.status().as_u16(), response.url().to_string());
        let bytes = response.bytes().await?.len();
        Ok(Checked::Found { status, bytes, at })
    };
    visit.await.unwrap_or_else(|error: reqwest::Error| Checked::Failed(whole(&error)))
}

/// `GET /checked`: all that was checked so far.
async fn checked(State(links): State<Links>) -> Json<BTreeMap<String, Checked>> {
    Json(links.checked.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

#[derive(Deserialize)]
struct Fetch {
    url: String,
    /// Milliseconds.
    within: Option<u64>,
}

/// `/fetch?url=URL&within=MS`: asks with the body that comes, and answers with the body that comes back. Neither is kept.
async fn fetch(State(links): State<Links>, Query(fetch): Query<Fetch>, method: Method, body: Body) -> Response {
    let mut request = links.client.request(method.clone(), fetch.url);
    if let Some(within) = fetch.within {
        request = request.timeout(Duration::from_millis(within));
    }
    if method != Method::GET {
        request = request.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    match request.send().await {
        Ok(response) => (response.status(), Body::from_stream(response.bytes_stream())).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, whole(&error) + "\n").into_response(),
    }
}

/// An error and what caused it.
fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
