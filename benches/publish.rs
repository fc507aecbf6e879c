//! What it costs the inference thread to hand over an event: with the queue in memory, and with a spool and its journal.
//!
//! `cargo bench --bench publish`. No broker is there, so that nothing is acknowledged and the spool's thread has its work.

#![allow(clippy::print_stdout, reason = "what it measured is what it is for")]

use std::path::Path;
use std::time::{Duration, Instant};

use vigie::mqtt::client::Client;
use vigie::mqtt::{Message, Options, Protocol, Publisher, spool};

const EVENTS: usize = 2000;

fn options(spool: Option<&Path>) -> Options {
    Options {
        commands: false,
        protocol: Protocol::V311,
        host: "127.0.0.1".into(),
        // Nobody listens there.
        port: 9,
        tls: None,
        username: None,
        password: None,
        client_id: "bench".into(),
        keep_alive: Duration::from_secs(30),
        prefix: "vigie".into(),
        queue_messages: 1000,
        queue_bytes: 8 << 20,
        spool: spool.map(|path| spool::Options {
            path: path.to_owned(),
            max_bytes: 64 << 20,
            max_age: Duration::from_secs(24 * 3600),
        }),
    }
}

/// Hands events over at that pace, each of as many bytes as usual, and measures each call.
fn measure(publisher: &Publisher, pause: Duration) -> Vec<Duration> {
    let payload = "x".repeat(1200);
    let one = |n: usize| {
        std::thread::sleep(pause);
        let message = Message::event("vigie/porch/front/events", format!("{n} {payload}"));
        let begin = Instant::now();
        publisher.publish(message);
        begin.elapsed()
    };
    (0..EVENTS).map(one).collect()
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder for the spool");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    for (what, spool, pause_us) in [
        ("in memory, 500 a second", None, 2000),
        ("spool, 500 a second", Some("paced.redb"), 2000),
        ("in memory, as fast as can be", None, 0),
        ("spool, as fast as can be", Some("fast.redb"), 0),
    ] {
        let path = spool.map(|name| folder.path().join(name));
        let client = runtime.block_on(async {
            Client::spawn(options(path.as_deref()), "vigie/porch/status".into()).expect("good options")
        });
        let publisher = client.publisher();
        // Until the file is open.
        std::thread::sleep(Duration::from_millis(500));
        let mut times = measure(&publisher, Duration::from_micros(pause_us));
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_nanos() as f64 / 1000.0;
        println!(
            "{what:<30} median {:>7.1} us   p95 {:>7.1} us   p99 {:>7.1} us   most {:>8.1} us",
            at(50),
            at(95),
            at(99),
            at(100)
        );
        runtime.block_on(client.close(Duration::from_millis(100)));
    }
}
