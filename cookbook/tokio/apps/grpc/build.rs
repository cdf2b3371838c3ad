//! The service's two sides, without `protoc`: the messages are in `src/main.rs`, and this says what is called with which.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let method = |name: &str, route: &str, input: &str, output: &str| {
        let (input, output) = (format!("crate::{input}"), format!("crate::{output}"));
        let method = Method::builder().name(name).route_name(route).input_type(input).output_type(output);
        method.codec_path("tonic_prost::ProstCodec")
    };
    let service = Service::builder()
        .name("Larder")
        .package("cookbook")
        .method(method("weigh", "Weigh", "Nuts", "Weight").build())
        .method(method("store", "Store", "Nuts", "Weight").client_streaming().build())
        .method(method("take", "Take", "Nuts", "Nuts").server_streaming().build())
        .method(method("trade", "Trade", "Nuts", "Weight").client_streaming().server_streaming().build())
        .method(method("sleep", "Sleep", "Nap", "Weight").build())
        .build();
    Builder::new().compile(&[service]);
}
