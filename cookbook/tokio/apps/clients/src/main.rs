//! Clients, and some servers, by the crates that people take: a subcommand for each.

mod dns;
mod mqtt;
mod postgres;
mod sql;
mod websocket;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

const USAGE: &str = "\
usage: tokio-clients COMMAND
  postgres CONFIG            tokio-postgres; CONFIG is `host=… port=… user=… password=…`
  sql URL                    sqlx's pool; URL is `postgres://…`
  mqtt HOST:PORT             rumqttc
  websocket URL              tokio-tungstenite, connecting
  ADDR websocket             tokio-tungstenite, an echo server
  dns ADDR                   hickory-resolver, asking for names under mice.test
  ADDR dns                   hickory-server, with the zone mice.test";

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, rest] = &args[..] else { return Err(USAGE.into()) };
    match (what.as_str(), rest.as_str()) {
        ("postgres", config) => postgres::run(config).await,
        ("sql", url) => sql::run(url).await,
        ("mqtt", addr) => mqtt::run(addr).await,
        ("websocket", url) => websocket::run(url).await,
        ("dns", addr) => dns::run(addr.parse()?).await,
        (addr, "websocket") => websocket::serve(addr).await,
        (addr, "dns") => dns::serve(addr).await,
        _ => Err(USAGE.into()),
    }
}
