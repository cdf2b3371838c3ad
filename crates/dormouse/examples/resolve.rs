//! Looks names up, and prints their addresses: `resolve NAME...`.

use dormouse::{io, net};

#[dormouse::main]
async fn main() -> io::Result<()> {
    // All at once.
    let lookups: Vec<_> = std::env::args()
        .skip(1)
        .map(|name| {
            (name.clone(), dormouse::spawn(async move { net::lookup_host((name, 0)).await.map(Vec::from_iter) }))
        })
        .collect();
    for (name, lookup) in lookups {
        let addrs: Vec<String> = lookup.await??.iter().map(|addr| addr.ip().to_string()).collect();
        println!("{name}: {}", addrs.join(" "));
    }
    Ok(())
}
