//! gRPC by tonic: `tokio-grpc ADDR` serves a larder, and `tokio-grpc ADDR call` calls one.

use std::env;
use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use larder_client::LarderClient;
use larder_server::{Larder, LarderServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};

include!(concat!(env!("OUT_DIR"), "/cookbook.Larder.rs"));

#[derive(Clone, PartialEq, prost::Message)]
pub struct Nuts {
    #[prost(uint64, tag = "1")]
    number: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Weight {
    #[prost(uint64, tag = "1")]
    grams: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Nap {
    #[prost(uint64, tag = "1")]
    milliseconds: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:50051".into());
    if args.next().is_some() {
        return call(&addr).await;
    }
    let listener = TcpListener::bind(addr).await?;
    if let Ok(addr) = listener.local_addr() {
        println!("listening on {addr}");
    }
    let server = Server::builder().add_service(LarderServer::new(Here));
    server.serve_with_incoming(TcpListenerStream::new(listener)).await?;
    Ok(())
}

struct Here;

const GRAMS: u64 = 3;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Larder for Here {
    type TakeStream = Answers<Nuts>;
    type TradeStream = Answers<Weight>;

    async fn weigh(&self, nuts: Request<Nuts>) -> Result<Response<Weight>, Status> {
        match nuts.into_inner().number {
            0 => Err(Status::invalid_argument("no nuts")),
            number => Ok(Response::new(Weight { grams: number * GRAMS })),
        }
    }

    async fn store(&self, nuts: Request<Streaming<Nuts>>) -> Result<Response<Weight>, Status> {
        let mut nuts = nuts.into_inner();
        let mut grams = 0;
        while let Some(nuts) = nuts.message().await? {
            grams += nuts.number * GRAMS;
        }
        Ok(Response::new(Weight { grams }))
    }

    async fn take(&self, nuts: Request<Nuts>) -> Result<Response<Self::TakeStream>, Status> {
        let numbers = 1..=nuts.into_inner().number;
        Ok(Response::new(Box::pin(tokio_stream::iter(numbers.map(|number| Ok(Nuts { number }))))))
    }

    /// Each is answered when it comes.
    async fn trade(&self, nuts: Request<Streaming<Nuts>>) -> Result<Response<Self::TradeStream>, Status> {
        let weighed = nuts.into_inner().map(|nuts| nuts.map(|nuts| Weight { grams: nuts.number * GRAMS }));
        Ok(Response::new(Box::pin(weighed)))
    }

    async fn sleep(&self, nap: Request<Nap>) -> Result<Response<Weight>, Status> {
        tokio::time::sleep(Duration::from_millis(nap.into_inner().milliseconds)).await;
        Ok(Response::new(Weight { grams: 0 }))
    }
}

async fn call(addr: &str) -> Result<(), Box<dyn Error>> {
    let channel = Endpoint::from_shared(format!("http://{addr}"))?.connect().await?;
    let mut larder = LarderClient::new(channel);

    let weight = larder.weigh(Nuts { number: 7 }).await?.into_inner();
    println!("7 nuts are {} g", weight.grams);
    match larder.weigh(Nuts { number: 0 }).await {
        Err(status) => println!("{:?}: {}", status.code(), status.message()),
        Ok(_) => println!("no nuts have a weight"),
    }

    let weight = larder.store(tokio_stream::iter((1..=1000).map(|number| Nuts { number }))).await?.into_inner();
    println!("stored {} g", weight.grams);

    let mut taken = larder.take(Nuts { number: 10_000 }).await?.into_inner();
    let (mut times, mut nuts) = (0, 0);
    while let Some(next) = taken.message().await? {
        (times, nuts) = (times + 1, nuts + next.number);
    }
    println!("taken {times} times, {nuts} nuts");

    // The next is sent when the one before has been answered.
    let (sender, receiver) = mpsc::channel(1);
    let mut answers = larder.trade(ReceiverStream::new(receiver)).await?.into_inner();
    let mut sum = 0;
    for number in 1..=100 {
        sender.send(Nuts { number }).await?;
        sum += answers.message().await?.map_or(0, |weight| weight.grams);
    }
    drop(sender);
    println!("traded {sum} g; more comes: {}", answers.message().await?.is_some());

    // A hundred at once on the one connection.
    let mut calls = tokio::task::JoinSet::new();
    for number in 1..=100 {
        let mut larder = larder.clone();
        calls.spawn(async move { larder.weigh(Nuts { number }).await.map(|weight| weight.into_inner().grams) });
    }
    let mut sum = 0;
    for grams in calls.join_all().await {
        sum += grams?;
    }
    println!("100 at once: {sum} g");

    let mut request = Request::new(Nap { milliseconds: 600_000 });
    request.set_timeout(Duration::from_millis(50));
    match larder.sleep(request).await {
        Err(status) if matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) => {
            println!("a nap: {}", status.message());
        }
        other => println!("a nap: {other:?}"),
    }
    let weight = larder.weigh(Nuts { number: 1 }).await?.into_inner();
    println!("and then: {} g", weight.grams);
    Ok(())
}
