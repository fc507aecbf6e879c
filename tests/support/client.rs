//! A client of ours as the contract tests start it.

use std::time::{Duration, Instant};

use vigie::mqtt::client::Tuning;
use vigie::mqtt::{Options, Protocol, Publisher, Stats};

use super::mosquitto::PATIENCE;

/// Makes tests of functions that take a protocol: each of them holds in both.
macro_rules! in_both_protocols {
    ($($name:ident)+) => {
        mod in_3_1_1 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(vigie::mqtt::Protocol::V311).await;
            })+
        }
        mod in_5 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(vigie::mqtt::Protocol::V5).await;
            })+
        }
    };
}

/// The topic of birth and will.
pub const STATUS: &str = "vigie/porch/status";

/// How to reach a broker on the loopback.
pub fn options(port: u16, protocol: Protocol) -> Options {
    Options {
        host: "127.0.0.1".into(),
        port,
        protocol,
        tls: None,
        username: None,
        password: None,
        client_id: "porch-1".into(),
        keep_alive: Duration::from_secs(5),
        prefix: "vigie".into(),
        queue_messages: 1000,
        queue_bytes: 16 << 20,
        spool: None,
        commands: true,
    }
}

/// The patience of somebody who tests.
pub fn quick() -> Tuning {
    Tuning {
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(200),
        ..Tuning::default()
    }
}

/// Waits for a condition.
pub async fn until(publisher: &Publisher, what: &str, condition: impl Fn(&Stats) -> bool) -> Stats {
    let start = Instant::now();
    loop {
        let stats = publisher.stats();
        if condition(&stats) {
            return stats;
        }
        assert!(start.elapsed() < PATIENCE, "not {what} in time: {stats:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
