//! On wasip1, which has no call to connect.

use std::io;

use axum::http::StatusCode;

use crate::Checked;

const WHY: &str = "not supported: wasip1 has no call to connect";

#[derive(Clone)]
pub struct Visitor;

impl Visitor {
    pub async fn new(_authorities: Option<&str>) -> io::Result<Visitor> {
        Ok(Visitor)
    }

    pub async fn visit(&self, _url: &str) -> Checked {
        Checked::Failed(WHY.into())
    }
}

pub async fn fetch() -> (StatusCode, &'static str) {
    (StatusCode::BAD_GATEWAY, WHY)
}
