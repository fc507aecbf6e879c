//! The demo's broker, on a free port of the loopback interface: MQTT 3.1.1 over TCP in threads of its own.
//!
//! It takes messages of every quality of service and hands them on with quality of service 0; it keeps retained
//! messages and last wills, and no session outlives its connection. Everybody on this machine may connect.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use miette::{IntoDiagnostic as _, Report, WrapErr as _};

use crate::mqtt::filter;
use packet::{Connect, Message, Packet, QoS};

mod packet;

/// The largest packet in bytes.
const MOST_BYTES: usize = 4 << 20;
/// How many connections there may be at a time.
const MOST_CONNECTIONS: usize = 16;
/// How many messages wait for a subscriber that does not keep up; further ones pass it by.
const MOST_WAITING: usize = 1000;
/// How many topics keep their last message; that of a further one is handed on, and not kept.
const MOST_RETAINED: usize = 1000;
/// How long a connection may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message's topic and payload.
type Said = (String, Vec<u8>);

/// A subscription to everything that the broker gets and the filter lets through.
pub struct Subscriber(Receiver<Said>);

impl Subscriber {
    /// The next message's topic and payload; `None` when none comes in time.
    pub fn next(&mut self, within: Duration) -> Option<Said> {
        self.0.recv_timeout(within).ok()
    }
}

/// Starts the broker and subscribes; returns when it accepts connections on the returned port. It lives as long as the
/// program.
///
/// # Errors
/// When no port is free or no thread can be started.
pub fn start(filter: &str) -> Result<(u16, Subscriber), Report> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .into_diagnostic()
        .wrap_err("no free port on 127.0.0.1 for the demo's broker")?;
    let port = listener.local_addr().into_diagnostic()?.port();
    let (tx, rx) = mpsc::sync_channel(MOST_WAITING);
    let broker = Broker::default();
    broker.lock().watcher = Some((filter.to_owned(), tx));
    let accept = move || {
        for stream in listener.incoming() {
            // A failed accept concerns that connection alone; a moment's rest keeps a lasting failure from spinning.
            match stream.and_then(|stream| broker.serve(stream)) {
                Ok(()) => {}
                Err(error) => {
                    log::warn!("the demo's broker: {error}");
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }
    };
    thread::Builder::new().name("broker".to_owned()).spawn(accept).into_diagnostic()?;
    Ok((port, Subscriber(rx)))
}

#[derive(Clone, Default)]
struct Broker(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: u64,
    connections: BTreeMap<u64, Connection>,
    retained: BTreeMap<String, Vec<u8>>,
    watcher: Option<(String, SyncSender<Said>)>,
}

struct Connection {
    /// Empty until the client has said it.
    client_id: String,
    filters: Vec<String>,
    outbox: SyncSender<Vec<u8>>,
    stream: TcpStream,
}

impl Broker {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a connection's two threads.
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let (outbox, letters) = mpsc::sync_channel::<Vec<u8>>(MOST_WAITING);
        let (reading, mut writing) = (stream.try_clone()?, stream.try_clone()?);
        stream.set_nodelay(true)?;
        let number = {
            let mut state = self.lock();
            if state.connections.len() >= MOST_CONNECTIONS {
                return Err(io::Error::other(format!("more than {MOST_CONNECTIONS} connections")));
            }
            state.next += 1;
            let number = state.next;
            let connection = Connection { client_id: String::new(), filters: Vec::new(), outbox, stream };
            state.connections.insert(number, connection);
            number
        };
        let write = move || {
            while let Ok(letter) = letters.recv() {
                if writing.write_all(&letter).is_err() {
                    break;
                }
            }
            let _ = writing.shutdown(Shutdown::Both);
        };
        let broker = self.clone();
        let read = move || {
            let mut will = None;
            if let Err(error) = broker.converse(number, reading, &mut will) {
                log::debug!("the demo's broker: connection {number}: {error}");
            }
            // Dropping the connection drops its outbox: the writer sends what is there, and closes.
            broker.lock().connections.remove(&number);
            if let Some(will) = will {
                broker.lock().publish(&will);
            }
        };
        let name = |what: &str| thread::Builder::new().name(format!("broker-{what}"));
        let started = name("write").spawn(write).and_then(|_| name("read").spawn(read));
        started.map(drop).inspect_err(|_| drop(self.lock().connections.remove(&number)))
    }

    /// Answers a client until it goes; `will` holds what to publish then.
    fn converse(&self, number: u64, stream: TcpStream, will: &mut Option<Message>) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream);
        let Packet::Connect(hello) = packet::read(&mut reader, MOST_BYTES)? else {
            return Err(io::Error::other("the first packet is no CONNECT"));
        };
        if hello.level != 4 {
            self.answer(number, packet::connack(1))?;
            return Err(io::Error::other(format!(
                "protocol level {}; 4 (MQTT 3.1.1) is spoken",
                hello.level
            )));
        }
        let patience = match hello.keep_alive {
            0 => None,
            seconds => Some(Duration::from_millis(u64::from(seconds) * 1500)),
        };
        reader.get_ref().set_read_timeout(patience)?;
        *will = self.lock().welcome(number, hello);
        self.answer(number, packet::connack(0))?;
        // Identifiers of quality of service 2: a message that comes twice before its release is one message.
        let mut held = HashSet::new();
        loop {
            match packet::read(&mut reader, MOST_BYTES)? {
                Packet::Connect(_) => return Err(io::Error::other("a second CONNECT")),
                Packet::Publish(message, qos) => {
                    if !matches!(qos, QoS::Two(id) if !held.insert(id)) {
                        self.lock().publish(&message);
                    }
                    match qos {
                        QoS::Zero => {}
                        QoS::One(id) => self.answer(number, packet::acknowledgement(0x40, id))?,
                        QoS::Two(id) => self.answer(number, packet::acknowledgement(0x50, id))?,
                    }
                }
                Packet::PubRel(id) => {
                    held.remove(&id);
                    self.answer(number, packet::acknowledgement(0x70, id))?;
                }
                Packet::Subscribe(id, filters) => self.lock().subscribe(number, id, filters),
                Packet::Unsubscribe(id, filters) => {
                    if let Some(connection) = self.lock().connections.get_mut(&number) {
                        connection.filters.retain(|filter| !filters.contains(filter));
                    }
                    self.answer(number, packet::acknowledgement(0xb0, id))?;
                }
                Packet::Ping => self.answer(number, packet::pong())?,
                Packet::Disconnect => {
                    *will = None;
                    return Ok(());
                }
                Packet::Other => {}
            }
        }
    }

    /// Waits for room: what a client asked for is never left out.
    fn answer(&self, number: u64, letter: Vec<u8>) -> io::Result<()> {
        let outbox = self.lock().connections.get(&number).map(|connection| connection.outbox.clone());
        let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
        outbox.ok_or_else(gone)?.send(letter).map_err(|_| gone())
    }
}

impl State {
    /// Takes a client's name, and its place if another connection has it; returns the will to keep.
    fn welcome(&mut self, number: u64, hello: Connect) -> Option<Message> {
        for (other, connection) in &self.connections {
            if *other != number && !hello.client_id.is_empty() && connection.client_id == hello.client_id {
                let _ = connection.stream.shutdown(Shutdown::Both);
            }
        }
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.client_id = hello.client_id;
        }
        hello.will
    }

    fn publish(&mut self, message: &Message) {
        let Message { topic, payload, retain } = message;
        if *retain && payload.is_empty() {
            self.retained.remove(topic);
        } else if *retain && (self.retained.len() < MOST_RETAINED || self.retained.contains_key(topic)) {
            self.retained.insert(topic.clone(), payload.clone());
        }
        if let Some((filter, watcher)) = &self.watcher
            && filter::matches(filter, topic)
        {
            let _ = watcher.try_send((topic.clone(), payload.clone()));
        }
        for connection in self.connections.values() {
            if connection.filters.iter().any(|filter| filter::matches(filter, topic)) {
                let _ = connection.outbox.try_send(packet::message(topic, payload, false));
            }
        }
    }

    fn subscribe(&mut self, number: u64, id: u16, filters: Vec<String>) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let codes: Vec<u8> =
            filters.iter().map(|filter| if filter::is_valid(filter) { 0 } else { 0x80 }).collect();
        let _ = connection.outbox.try_send(packet::suback(id, &codes));
        for filter in filters.into_iter().filter(|filter| filter::is_valid(filter)) {
            for (topic, payload) in self.retained.iter().filter(|(topic, _)| filter::matches(&filter, topic))
            {
                let _ = connection.outbox.try_send(packet::message(topic, payload, true));
            }
            if !connection.filters.contains(&filter) {
                connection.filters.push(filter);
            }
        }
    }
}

#[cfg(test)]
mod tests;
