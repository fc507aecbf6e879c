//! The client's task: connects, feeds rumqttc from the queue, and comes back after every loss. Only this file and
//! its folder name rumqttc.
//!
//! Each session gets a fresh rumqttc event loop with a clean session: what is unacknowledged lives in our own queue and
//! is sent again from there, in order. The poll future is never cancelled within a session (rumqttc could lose a packet
//! between its channel and its buffer), and publishing is `try_publish` only, with room in the channel known before.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS, TlsConfiguration, Transport,
};
use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::backoff::Backoff;
use super::error::Error;
use super::message::{Message, Qos};
use super::outbox::Outbox;
use super::publisher::Publisher;
use super::queue::{Bounds, Queue, Token};
use super::trouble::{Kind, Reporter, Trouble};
use super::{MAX_PAYLOAD, Options, Secret, spool, tls};

mod judge;
mod supervise;

use judge::judge;
use supervise::supervise;

/// Requests that rumqttc may hold before they are on the wire: enough to batch, too few to age.
const CHANNEL: usize = 16;
/// More packet ids than are ever in flight at once, so that a reused id never meets one that is still out.
const PACKET_IDS: u16 = 100;
/// Topic, packet id and header around a payload.
const PACKET_OVERHEAD: usize = 64 * 1024;
/// Sessions shorter than this that the broker ends, one after the other, mean that someone else uses our id.
const TAKEOVERS: u32 = 3;

/// The client's patience; [`Tuning::default`] suits a board in the field.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// The first pause after a loss.
    pub first_pause: Duration,
    /// The longest pause between two attempts.
    pub longest_pause: Duration,
    /// How long one attempt to connect may take, TLS included.
    pub connect_timeout: Duration,
    /// How long the broker may take to acknowledge, or the network to take one packet.
    pub ack_timeout: Duration,
    /// A session that held for so long was a good one: the next pause is the first again.
    pub stable_after: Duration,
    /// How long to wait before a client that panicked is started anew.
    pub after_panic: Duration,
    /// When the spool writes to disk.
    pub spool: spool::Pace,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(15),
            ack_timeout: Duration::from_secs(60),
            stable_after: Duration::from_secs(90),
            after_panic: Duration::from_secs(10),
            spool: spool::Pace::default(),
        }
    }
}

/// The running client. Dropping it cuts the connection, and the broker publishes the last will.
pub struct Client {
    outbox: Arc<Outbox>,
    stop: watch::Sender<Option<Instant>>,
    task: JoinHandle<bool>,
    /// The spool's thread, if events are kept on disk.
    keeper: Option<spool::Keeper>,
}

impl Client {
    /// Starts the client's task on the current tokio runtime; `status_topic` gets `online` (birth) and `offline` (last
    /// will and clean stop), all retained with QoS 1. A broker that is away is no error, unusable options are.
    pub fn spawn(options: Options, status_topic: String) -> Result<Client, Error> {
        Client::spawn_with(options, status_topic, Tuning::default())
    }

    /// [`Client::spawn`] with another patience.
    pub fn spawn_with(options: Options, status_topic: String, tuning: Tuning) -> Result<Client, Error> {
        session_options(&options, &status_topic)?;
        if let Some(secret) = options.password.as_ref().filter(|s| s.is_world_readable()) {
            log::warn!("the mqtt password in {secret:?} may be read by every user (chmod o-r it)");
        }
        let bounds = Bounds {
            messages: options.queue_messages,
            bytes: options.queue_bytes,
            picture_bytes: MAX_PAYLOAD,
            payload: MAX_PAYLOAD,
        };
        let queue = Queue::new(bounds, Message::state(status_topic.as_str(), "online"));
        let queue = queue.with_spool(&status_topic, options.spool.as_ref(), tuning.spool);
        let outbox = Arc::new(Outbox::new(queue));
        let keeper =
            options.spool.clone().map(|spool| spool::start(spool, tuning.spool, Arc::clone(&outbox)));
        let (stop, stopped) = watch::channel(None);
        let broker = format!("{}:{}", options.host, options.port);
        let task = Task { options, status_topic, tuning, broker, outbox: Arc::clone(&outbox), stop: stopped };
        let pause = task.tuning.after_panic;
        let task = Arc::new(task);
        let run = move || tokio::spawn(Arc::clone(&task).run());
        let supervised = supervise(Arc::clone(&outbox), pause, run);
        Ok(Client { outbox, stop, task: tokio::spawn(supervised), keeper })
    }

    /// A handle for those who have something to say.
    pub fn publisher(&self) -> Publisher {
        Arc::clone(&self.outbox) as Publisher
    }

    /// Sends what waits, then `offline`, waits for the acknowledgement and disconnects; all within `deadline`. True:
    /// the broker knows that this was a clean stop. False: it was away or too slow, and tells by the last will. What the
    /// broker has not got stays in the spool, if there is one.
    pub async fn close(mut self, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        self.stop.send_replace(Some(end));
        let clean = timeout(deadline + Duration::from_secs(1), &mut self.task)
            .await
            .is_ok_and(|ended| ended.unwrap_or(false));
        if let Some(keeper) = &mut self.keeper
            && !keeper.stop(end + Duration::from_secs(1)).await
        {
            log::warn!("spool: the disk did not take the latest events in time");
        }
        clean
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Everything for which no client could start with these options: reads secrets and certificates, connects to nothing.
/// systemd's `credentials` are in that folder; `None`: this is not the service, and its credential is taken on trust.
pub fn check(options: &Options, credentials: Option<&Path>) -> Vec<Error> {
    let mut errors = contradictions(options);
    errors.extend(options.tls.iter().flat_map(tls::check));
    if let Some(secret) = &options.password {
        let on_trust = credentials.is_none() && matches!(secret, Secret::Credential(_));
        errors.extend(secret.read_with(credentials).err().filter(|_| !on_trust));
    }
    errors
}

/// What of the options can be seen to be wrong without looking into a file.
fn contradictions(options: &Options) -> Vec<Error> {
    let id = options.client_id.is_empty().then_some(Error::EmptyClientId);
    let host = (options.tls.is_some() && is_ipv6(&options.host))
        .then(|| Error::Ipv6Tls { host: options.host.clone() });
    let user =
        (options.password.is_some() && options.username.is_none()).then_some(Error::PasswordWithoutUser);
    [id, host, user].into_iter().flatten().collect()
}

fn is_ipv6(host: &str) -> bool {
    host.contains(':')
}

struct Task {
    options: Options,
    status_topic: String,
    tuning: Tuning,
    broker: String,
    outbox: Arc<Outbox>,
    stop: Stop,
}

struct Session {
    client: AsyncClient,
    eventloop: EventLoop,
}

/// What rumqttc holds of ours in one session.
struct Flight {
    /// Handed over, not yet on the wire, in order.
    handed: VecDeque<Token>,
    /// On the wire, waiting for the acknowledgement, by packet id.
    unacked: HashMap<u16, Token>,
    /// When the broker last acknowledged something, or the first of `unacked` went out.
    progress: Instant,
}

/// Where a clean stop stands.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Open,
    /// Sending what waits.
    Draining,
    /// `offline` is on its way.
    Offline,
    /// So is DISCONNECT.
    Bye,
}

type Stop = watch::Receiver<Option<Instant>>;

/// How a session ended, and what the queue says to it.
enum Held {
    Stopped(bool),
    Lost { trouble: Trouble, stuck: bool },
}

/// How a session ended.
enum End {
    Closed,
    TooLate,
    Lost(Trouble),
}

impl Task {
    async fn run(self: Arc<Task>) -> bool {
        let mut stop = self.stop.clone();
        let mut backoff = Backoff::new(self.tuning.first_pause, self.tuning.longest_pause);
        let mut reporter = Reporter::default();
        let mut short_sessions = 0;
        loop {
            let attempt = select! {
                attempt = self.connect() => attempt,
                () = stopping(&mut stop) => return false,
            };
            let trouble = match attempt {
                Err(trouble) => {
                    short_sessions = 0;
                    trouble
                }
                Ok(session) => {
                    let start = Instant::now();
                    match self.hold(session, &mut stop, &mut backoff, &mut reporter).await {
                        Held::Stopped(clean) => return clean,
                        Held::Lost { trouble, stuck } => {
                            let ended_by_broker = trouble.kind == Kind::Lost && !stuck;
                            let short = ended_by_broker && start.elapsed() < self.tuning.stable_after;
                            short_sessions = if short { short_sessions + 1 } else { 0 };
                            if short_sessions < TAKEOVERS { trouble } else { self.taken_over(short_sessions) }
                        }
                    }
                }
            };
            reporter.trouble(&self.broker, &trouble);
            self.outbox.trouble(trouble);
            select! {
                () = sleep(backoff.pause()) => {}
                () = stopping(&mut stop) => return false,
            }
        }
    }

    fn taken_over(&self, sessions: u32) -> Trouble {
        let id = &self.options.client_id;
        Trouble::new(
            Kind::TakenOver,
            format_args!("\"{id}\", {sessions} connections in a row were ended by the broker"),
        )
    }

    /// One session from its beginning to its end, and what that means for the queue.
    async fn hold(
        &self,
        session: Session,
        stop: &mut Stop,
        backoff: &mut Backoff,
        reporter: &mut Reporter,
    ) -> Held {
        self.outbox.connected();
        reporter.connected(&self.broker);
        let mut flight =
            Flight { handed: VecDeque::new(), unacked: HashMap::new(), progress: Instant::now() };
        let end = self.serve(session, &mut flight, stop, backoff, reporter).await;
        let unwritten = flight.handed.iter().filter(|t| matches!(t, Token::Sample | Token::Picture)).count();
        let lost = self.outbox.disconnected(unwritten);
        if let Some(topic) = lost.given_up {
            let broker = &self.broker;
            log::warn!(
                "mqtt broker {broker}: gave up a message to {topic}: the broker hangs up on it (too large?)"
            );
        }
        match end {
            End::Closed => Held::Stopped(true),
            End::TooLate => Held::Stopped(false),
            End::Lost(trouble) => Held::Lost { trouble, stuck: lost.stuck },
        }
    }

    async fn connect(&self) -> Result<Session, Trouble> {
        let options =
            session_options(&self.options, &self.status_topic).map_err(|e| Trouble::new(Kind::Options, e))?;
        // rumqttc resolves too, but hides that failure among the others.
        let host = (self.options.host.as_str(), self.options.port);
        let resolved = timeout(self.tuning.connect_timeout, tokio::net::lookup_host(host)).await;
        match resolved {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Trouble::new(Kind::Resolve, error)),
            Err(_) => return Err(Trouble::new(Kind::Resolve, "no answer in time")),
        }
        let (client, mut eventloop) = AsyncClient::new(options, CHANNEL);
        let mut network = eventloop.network_options();
        network.set_tcp_nodelay(true);
        // It is also the time one packet may take to leave: a large one over a slow line must not loop for ever.
        network.set_connection_timeout(self.tuning.ack_timeout.as_secs().max(1));
        eventloop.set_network_options(network);
        match timeout(self.tuning.connect_timeout, eventloop.poll()).await {
            Ok(Ok(_)) => Ok(Session { client, eventloop }),
            Ok(Err(error)) => Err(judge(error, Kind::ClosedAtOnce)),
            Err(_) => Err(Trouble::new(
                Kind::Unreachable,
                format_args!("no answer in {:?}", self.tuning.connect_timeout),
            )),
        }
    }

    async fn serve(
        &self,
        session: Session,
        flight: &mut Flight,
        stop: &mut Stop,
        backoff: &mut Backoff,
        reporter: &mut Reporter,
    ) -> End {
        let Session { client, mut eventloop } = session;
        let stable_at = Instant::now() + self.tuning.stable_after;
        let (mut stable, mut phase) = (false, Phase::Open);
        let (mut drain_until, mut deadline) = (stable_at, stable_at);
        loop {
            let mut poll = pin!(eventloop.poll());
            let event = loop {
                self.feed(&client, flight);
                if phase == Phase::Draining && self.outbox.is_idle() {
                    phase = self.say_offline();
                    continue;
                }
                if phase == Phase::Offline && self.outbox.is_idle() && client.try_disconnect().is_ok() {
                    phase = Phase::Bye;
                }
                select! {
                    event = &mut poll => break event,
                    () = self.outbox.changed() => {}
                    () = sleep_until(stable_at), if !stable => {
                        stable = true;
                        backoff.reset();
                        self.outbox.calm();
                        reporter.stable(&self.broker);
                    }
                    () = stopping(stop), if phase == Phase::Open => {
                        phase = Phase::Draining;
                        deadline = self.stop.borrow().unwrap_or(stable_at);
                        // A quarter of the time is kept for the word that matters most.
                        drain_until = deadline - (deadline - Instant::now()) / 4;
                    }
                    () = sleep_until(drain_until), if phase == Phase::Draining => {
                        phase = self.say_offline();
                    }
                    () = sleep_until(deadline), if phase != Phase::Open => return End::TooLate,
                    () = sleep_until(flight.progress + self.tuning.ack_timeout), if !flight.unacked.is_empty() => {
                        let detail = format_args!("no acknowledgement for {:?}", self.tuning.ack_timeout);
                        return End::Lost(Trouble::new(Kind::Silent, detail));
                    }
                }
            };
            match event {
                Ok(Event::Outgoing(Outgoing::Publish(id))) => self.written(flight, id),
                Ok(Event::Incoming(Packet::PubAck(ack))) => {
                    flight.progress = Instant::now();
                    if let Some(token) = flight.unacked.remove(&ack.pkid) {
                        self.outbox.acked(token);
                    }
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return End::Closed,
                Ok(Event::Outgoing(Outgoing::AwaitAck(id))) => {
                    let detail = format_args!("packet id {id} was never acknowledged");
                    return End::Lost(Trouble::new(Kind::Protocol, detail));
                }
                Ok(_) => {}
                Err(_) if phase == Phase::Bye => return End::Closed,
                Err(error) => return End::Lost(judge(error, Kind::Lost)),
            }
        }
    }

    /// Hands over what fits; the channel has room for it, since only this task fills it.
    fn feed(&self, client: &AsyncClient, flight: &mut Flight) {
        while flight.handed.len() < CHANNEL {
            let Some(out) = self.outbox.next() else { return };
            let qos = match out.message.qos() {
                Qos::AtMostOnce => QoS::AtMostOnce,
                Qos::AtLeastOnce => QoS::AtLeastOnce,
            };
            let Message { topic, payload, retain, .. } = out.message;
            if let Err(error) = client.try_publish(topic, qos, retain, payload) {
                // A topic that rumqttc refuses can't come from the topics' builders; acknowledging it lets the rest go on.
                log::error!("mqtt: a message was refused: {error}");
                self.outbox.acked(out.token);
                continue;
            }
            flight.handed.push_back(out.token);
        }
    }

    /// rumqttc has written the oldest of what it was handed.
    fn written(&self, flight: &mut Flight, packet_id: u16) {
        let Some(token) = flight.handed.pop_front() else { return };
        if packet_id == 0 {
            self.outbox.acked(token);
            return;
        }
        if flight.unacked.is_empty() {
            flight.progress = Instant::now();
        }
        flight.unacked.insert(packet_id, token);
    }

    fn say_offline(&self) -> Phase {
        let left = self.outbox.close(Message::state(self.status_topic.as_str(), "offline"));
        if left > 0 {
            log::warn!(target: "vigie::mqtt", "broker {}: stopping with {left} messages unsent", self.broker);
        }
        Phase::Offline
    }
}

/// Resolves when a stop was asked for; never when nobody can ask any more (then the task is aborted).
async fn stopping(stop: &mut Stop) {
    if stop.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// rumqttc's options for one session, with secrets and certificates as the files are now.
fn session_options(options: &Options, status_topic: &str) -> Result<MqttOptions, Error> {
    if let Some(error) = contradictions(options).into_iter().next() {
        return Err(error);
    }
    let host = if is_ipv6(&options.host) { format!("[{}]", options.host) } else { options.host.clone() };
    let mut mqtt = MqttOptions::new(options.client_id.as_str(), host, options.port);
    // Anything else would make rumqttc panic, or the protocol's 16 bits overflow.
    mqtt.set_keep_alive(options.keep_alive.clamp(Duration::from_secs(1), Duration::from_secs(65535)));
    mqtt.set_clean_session(true);
    mqtt.set_inflight(PACKET_IDS);
    mqtt.set_max_packet_size(MAX_PAYLOAD + PACKET_OVERHEAD, MAX_PAYLOAD + PACKET_OVERHEAD);
    mqtt.set_last_will(LastWill::new(status_topic, "offline", QoS::AtLeastOnce, true));
    if let Some(tls) = &options.tls {
        mqtt.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls::client_config(tls)?)));
    }
    let password = options.password.as_ref().map(|secret| secret.read()).transpose()?;
    if let Some(user) = &options.username {
        mqtt.set_credentials(user.as_str(), password.unwrap_or_default());
    }
    Ok(mqtt)
}
