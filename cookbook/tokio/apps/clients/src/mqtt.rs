//! rumqttc: all qualities of service, pings, and a broker that goes away and comes back.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, QoS};
use tokio::time::sleep;

use crate::Result;

const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const MESSAGES: usize = 30;

pub async fn run(addr: &str) -> Result<()> {
    let (host, port) = addr.rsplit_once(':').ok_or("the broker is HOST:PORT")?;
    let mut options = MqttOptions::new("dormouse", host, port.parse()?);
    options.set_keep_alive(Duration::from_secs(1));
    let (client, mut events) = AsyncClient::new(options, MESSAGES);
    let (mut connections, mut heard, mut lost, mut pinged) = (0, 0, false, false);
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                (connections, heard, lost) = (connections + 1, 0, false);
                client.subscribe("mice/#", QoS::ExactlyOnce).await?;
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                tokio::spawn(publish(client.clone()));
            }
            Ok(Event::Incoming(Packet::Publish(message))) if message.topic.starts_with("mice/") => {
                heard += 1;
                if heard == MESSAGES {
                    println!("{heard} messages came back over connection {connections}");
                    if connections == 2 {
                        client.disconnect().await?;
                    }
                }
            }
            Ok(Event::Incoming(Packet::PingResp)) if heard == MESSAGES && !pinged => {
                pinged = true;
                println!("the broker answers pings, and may go now");
            }
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ok(()),
            Ok(_) => {}
            Err(error) if connections == 0 => return Err(error.into()),
            Err(error) => {
                if !lost {
                    println!("the broker is gone: {error}");
                }
                lost = true;
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn publish(client: AsyncClient) {
    for n in 0..MESSAGES {
        let quality = QUALITIES[n % QUALITIES.len()];
        if let Err(error) = client.publish(format!("mice/{n}"), quality, false, format!("mouse {n}")).await {
            eprintln!("message {n}: {error}");
        }
    }
}
