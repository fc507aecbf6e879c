//! The client: what it takes to start one, and the handle of one that runs. Only this file and its folder name rumqttc.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::dialect::Leftovers;
use super::error::Error;
use super::inbox::Inbox;
use super::message::Message;
use super::outbox::Outbox;
use super::publisher::Publisher;
use super::queue::{Bounds, Queue};
use super::{MAX_PAYLOAD, Options, Secret, spool, tls};

mod judge;
mod judge5;
mod subscription;
mod supervise;
mod survey;
mod task;
mod v4;
mod v5;
mod wire;

use supervise::supervise;
use task::Task;

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
    /// How long no commands are heard after one that can't be read ended the session; twice as long each time, up to sixty
    /// times as long.
    pub after_bad_command: Duration,
    /// How long the broker may send nothing more of what it has kept, until it is taken to have sent everything.
    pub survey_quiet: Duration,
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
            after_bad_command: Duration::from_secs(60),
            survey_quiet: Duration::from_secs(1),
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
        Client::listen(options, status_topic, tuning, None, Vec::new())
    }

    /// [`Client::spawn_with`] that subscribes to an inbox's filters too, in every session, and puts into it what comes; and that
    /// retires, once, what an earlier configuration has left at the broker.
    pub fn listen(
        options: Options,
        status_topic: String,
        tuning: Tuning,
        inbox: Option<Inbox>,
        leftovers: Vec<Box<dyn Leftovers>>,
    ) -> Result<Client, Error> {
        wire::check(&options, &status_topic)?;
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
        let keeper = options.spool.clone().map(|spool| {
            let journal = spool::place(&spool.path).inspect_err(|nowhere| {
                log::warn!(
                    "spool {}: no journal: {nowhere}; a kill loses what is not on disk",
                    spool.path.display()
                );
            });
            spool::start(spool, tuning.spool, journal.ok(), Arc::clone(&outbox))
        });
        let (stop, stopped) = watch::channel(None);
        let broker = format!("{}:{}", options.host, options.port);
        let task = Task {
            options,
            status_topic,
            tuning,
            broker,
            outbox: Arc::clone(&outbox),
            inbox,
            leftovers,
            stop: stopped,
        };
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
