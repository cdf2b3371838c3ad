//! hickory: a resolver, and a server with a zone of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_server::Server;
use hickory_server::proto::rr::rdata::{A, SOA, TXT};
use hickory_server::proto::rr::{Name, RData, Record};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::Result;

const TASKS: usize = 100;

pub async fn run(server: SocketAddr) -> Result<()> {
    let resolver = resolver(server, Duration::from_secs(10))?;
    for addr in resolver.lookup_ip("acorn.mice.test.").await?.iter() {
        println!("acorn.mice.test is {addr}");
    }
    // No datagram of DNS holds it: the resolver asks again, by TCP.
    let text = resolver.txt_lookup("large.mice.test.").await?;
    println!("large.mice.test has {} texts", text.answers().len());
    let Err(error) = resolver.lookup_ip("cat.mice.test.").await else { return Err("there is no cat".into()) };
    println!("cat.mice.test is not there: {}", error.is_nx_domain());

    let mut tasks = JoinSet::new();
    for n in 0..TASKS {
        let resolver = resolver.clone();
        tasks.spawn(async move { resolver.lookup_ip(format!("{n}.many.mice.test.")).await });
    }
    while let Some(found) = tasks.join_next().await {
        found??;
    }
    println!("{TASKS} names were looked up at once");

    // It hears, and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").await?;
    let deaf = self::resolver(silent.local_addr()?, Duration::from_millis(200))?;
    let Err(error) = deaf.lookup_ip("acorn.mice.test.").await else { return Err("nothing has answered".into()) };
    println!("a server that says nothing: {error}");
    Ok(())
}

fn resolver(server: SocketAddr, timeout: Duration) -> Result<TokioResolver> {
    let mut name_server = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut name_server.connections {
        connection.port = server.port();
    }
    let config = ResolverConfig::from_name_servers(vec![name_server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = timeout;
    options.attempts = 0;
    Ok(builder.build()?)
}

pub async fn serve(addr: &str) -> Result<()> {
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    let socket = UdpSocket::bind(addr).await?;
    let mut catalog = Catalog::new();
    let origin: Name = "mice.test.".parse()?;
    catalog.upsert(origin.clone().into(), vec![Arc::new(zone(origin)?)]);
    let mut server = Server::new(catalog);
    server.register_socket(socket);
    server.register_listener(listener, Duration::from_secs(10), 16);
    println!("listening on {addr}");
    server.block_until_done().await?;
    Ok(())
}

fn zone(origin: Name) -> Result<InMemoryZoneHandler<TokioRuntimeProvider>> {
    let soa = SOA::new("ns.mice.test.".parse()?, "keeper.mice.test.".parse()?, 1, 60, 60, 60, 60);
    let mut records = vec![
        (origin.clone(), RData::SOA(soa)),
        ("acorn.mice.test.".parse()?, RData::A(A(Ipv4Addr::new(192, 0, 2, 7)))),
        ("*.many.mice.test.".parse()?, RData::A(A(Ipv4Addr::new(192, 0, 2, 8)))),
    ];
    for n in 0..40 {
        records.push(("large.mice.test.".parse()?, RData::TXT(TXT::new(vec![format!("{n:0100}")]))));
    }
    let mut zone = InMemoryZoneHandler::empty(origin, ZoneType::Primary, AxfrPolicy::Deny);
    for (name, data) in records {
        zone.upsert_mut(Record::from_rdata(name, 60, data), 1);
    }
    Ok(zone)
}
