//! Hello for wasi:http. The host has the sockets and HTTP, and makes an instance for each request.

use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(_: Request<Body>) -> Result<Response<Body>, Error> {
    Ok(Response::new(Body::from("hello\n")))
}
