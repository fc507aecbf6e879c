//! Where messages go: to the broker, as lines to standard output, or to somebody in this process.

use std::sync::Arc;
use std::time::Duration;

use super::record::OnClip;
use crate::mqtt::client::Tuning;
use crate::mqtt::dialect::Leftovers;
use crate::mqtt::inbox::Inbox;
use crate::mqtt::stdout::Lines;
use crate::mqtt::{self, Client, Message, Options, Publisher, Sink};

/// How many lines wait for a slow reader of standard output.
const QUEUED_LINES: usize = 1024;

/// Somebody in this process who hears what happens instead of a broker.
pub struct Instead {
    /// Takes the messages.
    pub publisher: Publisher,
    /// Hears of clips.
    pub on_clip: OnClip,
    /// Records everything, whatever happens.
    pub everything: bool,
}

/// The way out.
pub enum Broker {
    /// A client of an MQTT broker.
    Client(Client),
    /// JSON lines.
    Stdout {
        /// Writes them.
        lines: Arc<Lines>,
        /// Where the device's status stands.
        status_topic: String,
    },
    /// Somebody in this process.
    Instead(Publisher),
}

impl Broker {
    /// Opens it and says `online` on `status_topic`; a broker's client puts what comes into `inbox`, and retires `leftovers`.
    /// Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the options can't be used. A broker that is away is no error.
    pub fn open(
        options: Option<Options>,
        status_topic: String,
        inbox: Option<Inbox>,
        leftovers: Vec<Box<dyn Leftovers>>,
    ) -> Result<Broker, mqtt::Error> {
        match options {
            Some(options) => {
                log::info!("broker {}:{}", options.host, options.port);
                let client = Client::listen(options, status_topic, Tuning::default(), inbox, leftovers)?;
                Ok(Broker::Client(client))
            }
            None => {
                let lines = Arc::new(Lines::to_stdout(QUEUED_LINES));
                lines.publish(Message::state(status_topic.as_str(), "online"));
                Ok(Broker::Stdout { lines, status_topic })
            }
        }
    }

    /// A handle for those who have something to say.
    pub fn publisher(&self) -> Publisher {
        match self {
            Broker::Client(client) => client.publisher(),
            Broker::Stdout { lines, .. } => Arc::clone(lines) as Publisher,
            Broker::Instead(publisher) => Arc::clone(publisher),
        }
    }

    /// Says what waits, then `offline`, and closes, all `within` that time; whether it was told.
    pub async fn close(self, within: Duration) -> bool {
        match self {
            Broker::Client(client) => client.close(within).await,
            Broker::Stdout { lines, status_topic } => {
                lines.publish(Message::state(status_topic, "offline"));
                // Waits for a thread, so not on the runtime's own.
                let closed = tokio::task::spawn_blocking(move || lines.close(within)).await;
                closed.unwrap_or(false)
            }
            Broker::Instead(_) => true,
        }
    }
}
