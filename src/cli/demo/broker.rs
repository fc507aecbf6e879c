//! The demo's broker: rumqttd in this process, on a free port of the loopback interface.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic as _, Report, WrapErr as _};
use rumqttd::local::{LinkRx, LinkTx};
use rumqttd::{Broker, ConnectionSettings, Notification, RouterConfig, ServerSettings};

/// A subscription to everything that the broker gets.
pub struct Subscriber {
    rx: LinkRx,
    // Dropping the sending half would end the link.
    _tx: LinkTx,
}

impl Subscriber {
    /// The next message's topic and payload; `None` when none comes in time.
    pub fn next(&mut self, within: Duration) -> Option<(String, Vec<u8>)> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.checked_duration_since(Instant::now())?;
            match self.rx.recv_deadline(Instant::now() + left) {
                Ok(Some(Notification::Forward(forward))) => {
                    let topic = String::from_utf8_lossy(&forward.publish.topic).into_owned();
                    return Some((topic, forward.publish.payload.to_vec()));
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Starts the broker and subscribes; returns when it accepts connections on the returned port.
///
/// # Errors
/// When no port is free or the broker does not come up.
pub fn start(filter: &str) -> Result<(u16, Subscriber), Report> {
    let listen = free_port().into_diagnostic().wrap_err("no free port on 127.0.0.1 for the demo's broker")?;
    let mut broker = Broker::new(settings(listen));
    let (mut tx, rx) =
        broker.link("demo").into_diagnostic().wrap_err("cannot subscribe to the demo's broker")?;
    tx.subscribe(filter).into_diagnostic()?;
    let serve = move || {
        if let Err(error) = broker.start() {
            log::error!("the demo's broker ended: {error}");
        }
    };
    std::thread::Builder::new().name("broker".to_owned()).spawn(serve).into_diagnostic()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(listen).is_err() {
        if Instant::now() > deadline {
            return Err(miette::miette!("the demo's broker did not come up on {listen} within 10 s"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((listen.port(), Subscriber { rx, _tx: tx }))
}

fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn settings(listen: SocketAddr) -> rumqttd::Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: 5000,
        max_payload_size: 4 << 20,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "loopback".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    rumqttd::Config {
        id: 0,
        router: RouterConfig {
            max_connections: 16,
            max_outgoing_packet_count: 200,
            max_segment_size: 16 << 20,
            max_segment_count: 4,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([("loopback".to_owned(), server)])),
        ..rumqttd::Config::default()
    }
}
