//! What asks other servers, by reqwest.

#[path = "../../../../apps/tls/src/provider/mod.rs"]
mod provider;

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use reqwest::{Certificate, Client};
use serde::Deserialize;

use crate::{Checked, Links};

/// All requests share one, and its connections.
#[derive(Clone)]
pub struct Visitor(Client);

impl Visitor {
    /// One that trusts the authorities in a file (PEM), or those of the web.
    pub async fn new(authorities: Option<&str>) -> Result<Visitor, Box<dyn Error>> {
        provider::provider().install_default().map_err(|_| "there is a provider already")?;
        let mut client = Client::builder().connect_timeout(Duration::from_secs(10));
        if let Some(authorities) = authorities {
            let authorities = tokio::fs::read(authorities).await?;
            client = client.tls_certs_only(Certificate::from_pem_bundle(&authorities)?);
        }
        Ok(Visitor(client.build()?))
    }

    pub async fn visit(&self, url: &str) -> Checked {
        let visit = async {
            let response = self.0.get(url).send().await?;
            let (status, at) = (response.status().as_u16(), response.url().to_string());
            let bytes = response.bytes().await?.len();
            Ok(Checked::Found { status, bytes, at })
        };
        visit.await.unwrap_or_else(|error: reqwest::Error| Checked::Failed(whole(&error)))
    }
}

#[derive(Deserialize)]
pub struct Fetch {
    url: String,
    /// Milliseconds.
    within: Option<u64>,
}

/// `/fetch?url=URL&within=MS`: asks with the body that comes, and answers with the body that comes back. Neither is kept.
pub async fn fetch(State(links): State<Links>, Query(fetch): Query<Fetch>, method: Method, body: Body) -> Response {
    let mut request = links.visitor.0.request(method.clone(), fetch.url);
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
