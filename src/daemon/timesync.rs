//! Whether the wall clock is known to be right: systemd-timesyncd leaves a file, chronyd is asked.
//!
//! A board without a battery-backed clock starts years in the past; messages carry this so that nobody trusts their
//! times by mistake. The kernel's own word, `adjtimex(2)`, is out of a sandboxed service's reach (`ProtectClock=`).

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::clock::Trust;

/// What systemd-timesyncd, or whoever stands in for it, makes when the clock is set.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";
/// Where chronyd answers questions unless its `cmdport` says otherwise.
const CHRONYD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 323);
/// How often the question is asked.
const EVERY: Duration = Duration::from_secs(30);
/// How long chronyd may think about it.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Asks again and again for as long as it lives.
pub struct Watch(JoinHandle<()>);

impl Watch {
    /// Asks once, and goes on asking on the current tokio runtime; what it finds goes into `trust`.
    pub async fn start(trust: Trust) -> Watch {
        trust.set(is_synced().await);
        Watch(tokio::spawn(async move {
            loop {
                sleep(EVERY).await;
                trust.set(is_synced().await);
            }
        }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn is_synced() -> bool {
    Path::new(TIMESYNCD).exists() || chrony_follows(CHRONYD).await
}

/// Whether a chronyd at that address follows a time server; `false` where there is none.
async fn chrony_follows(address: SocketAddr) -> bool {
    let ask = async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(address).await?;
        let sequence = fastrand::u32(..);
        socket.send(&chrony::question(sequence)).await?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).await?;
        std::io::Result::Ok(chrony::follows(&answer[..length], sequence))
    };
    matches!(timeout(ANSWER_WITHIN, ask).await, Ok(Ok(true)))
}

/// The question that `chronyc tracking` asks, in version 6 of chronyd's command protocol (chrony 4.3 speaks it).
mod chrony {
    const VERSION: u8 = 6;
    const REQUEST: u8 = 1;
    const REPLY: u8 = 2;
    const TRACKING: u16 = 33;
    const TRACKING_REPLY: u16 = 5;
    /// A question has to be as long as its answer, or it is not answered.
    const LENGTH: usize = 104;
    /// The leap status of a clock that follows nobody.
    const UNSYNCHRONISED: u16 = 3;
    /// The reference of a clock that follows itself (`local` in chrony.conf): 127.127.1.1.
    const ITSELF: u32 = 0x7f7f_0101;

    pub fn question(sequence: u32) -> [u8; LENGTH] {
        let mut question = [0; LENGTH];
        question[..2].copy_from_slice(&[VERSION, REQUEST]);
        question[4..6].copy_from_slice(&TRACKING.to_be_bytes());
        question[8..12].copy_from_slice(&sequence.to_be_bytes());
        question
    }

    /// Whether this is the answer to that question, and says that the clock follows another one.
    pub fn follows(answer: &[u8], sequence: u32) -> bool {
        if answer.len() < LENGTH {
            return false;
        }
        let short = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
        let long = |at: usize| (u32::from(short(at)) << 16) | u32::from(short(at + 2));
        let ours = answer[..2] == [VERSION, REPLY] && long(16) == sequence;
        let (command, kind, status) = (short(4), short(6), short(8));
        let (reference, leap) = (long(28), short(54));
        ours && (command, kind, status) == (TRACKING, TRACKING_REPLY, 0)
            && leap != UNSYNCHRONISED
            && reference != ITSELF
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQUENCE: u32 = 0x1234;

    /// What chronyd 4.3 answers, with a reference and a leap status.
    fn answer(reference: u32, leap: u16) -> Vec<u8> {
        let mut answer = vec![0; 104];
        answer[..8].copy_from_slice(&[6, 2, 0, 0, 0, 33, 0, 5]);
        answer[16..20].copy_from_slice(&SEQUENCE.to_be_bytes());
        answer[28..32].copy_from_slice(&reference.to_be_bytes());
        answer[52..54].copy_from_slice(&3u16.to_be_bytes());
        answer[54..56].copy_from_slice(&leap.to_be_bytes());
        answer
    }

    #[test]
    fn a_clock_is_trusted_when_it_follows_another() {
        let server = 0xc0a8_0001;
        assert!(chrony::follows(&answer(server, 0), SEQUENCE));
        assert!(chrony::follows(&answer(server, 1), SEQUENCE), "a leap second is near");
        assert!(!chrony::follows(&answer(0, 3), SEQUENCE), "not set yet");
        assert!(!chrony::follows(&answer(0x7f7f_0101, 0), SEQUENCE), "it follows itself");
        assert!(!chrony::follows(&answer(server, 0), SEQUENCE + 1), "an answer to somebody else");
        assert!(!chrony::follows(&answer(server, 0)[..60], SEQUENCE), "cut short");
        let mut refused = answer(server, 0);
        refused[9] = 2;
        assert!(!chrony::follows(&refused, SEQUENCE));
    }

    #[tokio::test]
    async fn chronyd_is_asked_over_the_loopback() {
        let chronyd = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = chronyd.local_addr().unwrap();
        let serve = tokio::spawn(async move {
            let mut question = [0; 512];
            let (length, from) = chronyd.recv_from(&mut question).await.unwrap();
            let mut answer = answer(0xc0a8_0001, 0);
            answer[16..20].copy_from_slice(&question[8..12]);
            // As the real one does, which would otherwise multiply what strangers send.
            assert!(length >= answer.len());
            chronyd.send_to(&answer, from).await.unwrap();
        });
        assert!(chrony_follows(address).await);
        serve.await.unwrap();
        assert!(!chrony_follows(address).await, "nobody is there");
    }
}
