//! A process that publishes events through the real client with a spool on disk, and can be killed: this test program,
//! started again with its work in the environment.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use super::daemon::common::program;
use vigie::mqtt::client::{Client, Tuning};
use vigie::mqtt::payload::rfc3339;
use vigie::mqtt::{Message, Options, Protocol, Publisher, SpoolKind, spool};

/// Where the events go.
pub const TOPIC: &str = "vigie/porch/front/events";
/// Names the work of the publishing process.
const WORK: &str = "VIGIE_DELIVERY_WORK";
/// Objects that have events by turns.
const OBJECTS: usize = 40;
const PATIENCE: Duration = Duration::from_secs(120);

/// Event `n` of a run: its object's name and its times follow from these alone.
pub fn payload(run: usize, n: usize) -> String {
    let captured =
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000) + Duration::from_millis(10) * n as u32;
    let (object, captured) = (n % OBJECTS, rfc3339(captured));
    let path: String = (0..33).fold(String::new(), |mut path, i| {
        let _ = write!(path, "[0.{:03},0.{:03}],", (n + i) % 1000, (n * 7 + i) % 1000);
        path
    });
    format!(
        r#"{{"schema":1,"type":"update","id":"run{run}.front.{object}","device":"porch","camera":"front","seq":{n},"captured":"{captured}","clock_synced":true,"path":[{}]}}"#,
        path.trim_end_matches(',')
    )
}

/// What the publishing process is told.
pub struct Work {
    /// Where the broker is.
    pub port: u16,
    /// Which run of the process this is.
    pub run: usize,
    /// The number of the first event.
    pub from: usize,
    /// The number after the last.
    pub to: usize,
    /// Events a second; 0: as fast as the disk takes them.
    pub rate: u32,
    /// The spool's file.
    pub spool: String,
    /// The patience of a board in the field, instead of a test's.
    pub patient: bool,
    /// The service's folder in memory, where the journal lies.
    pub runtime: String,
}

/// Such a folder; where there is no tmpfs it is one on disk, and then there is no journal.
pub fn runtime() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Whether there can be a journal.
pub fn has_journal() -> bool {
    let tmpfs = 0x0102_1994;
    let there = rustix::fs::statfs("/dev/shm").is_ok_and(|about| about.f_type == tmpfs);
    if !there {
        eprintln!(
            "SKIPPED in part: /dev/shm is no tmpfs, so there is no journal, and a kill may lose events"
        );
    }
    there
}

impl Work {
    fn write(&self) -> String {
        let Work { port, run, from, to, rate, spool, patient, runtime: _ } = self;
        format!("{port} {run} {from} {to} {rate} {spool} {patient}")
    }

    fn read(text: &str) -> Work {
        let part: Vec<&str> = text.split(' ').collect();
        Work {
            port: part[0].parse().unwrap(),
            run: part[1].parse().unwrap(),
            from: part[2].parse().unwrap(),
            to: part[3].parse().unwrap(),
            rate: part[4].parse().unwrap(),
            spool: part[5].to_owned(),
            patient: part[6].parse().unwrap(),
            runtime: String::new(),
        }
    }
}

/// The publishing process, if this is it.
pub fn run() {
    let Ok(work) = std::env::var(WORK) else { return };
    let work = Work::read(&work);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(publish(&work));
}

async fn publish(work: &Work) {
    let options = Options {
        commands: false,
        protocol: Protocol::V311,
        host: "127.0.0.1".into(),
        port: work.port,
        tls: None,
        username: None,
        password: None,
        client_id: "porch-1".into(),
        keep_alive: Duration::from_secs(5),
        prefix: "vigie".into(),
        queue_messages: 1000,
        queue_bytes: 8 << 20,
        spool: Some(spool::Options {
            path: (&work.spool).into(),
            max_bytes: 64 << 20,
            max_age: Duration::from_secs(24 * 3600),
        }),
    };
    let quick = Tuning {
        first_pause: Duration::from_millis(50),
        longest_pause: Duration::from_millis(500),
        ..Tuning::default()
    };
    let tuning = if work.patient { Tuning::default() } else { quick };
    let client = Client::spawn_with(options, "vigie/porch/status".into(), tuning).unwrap();
    let publisher = client.publisher();
    let begin = Instant::now();
    for n in work.from..work.to {
        while if work.rate == 0 {
            publisher.stats().spool.at_risk > 500
        } else {
            begin.elapsed() < Duration::from_secs(1) / work.rate * (n - work.from) as u32
        } {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        publisher.publish(Message::event(TOPIC, payload(work.run, n)));
        if n % 8 == 0 {
            tell(&publisher, n + 1, "now");
        }
    }
    let mut told = "now";
    loop {
        tell(&publisher, work.to, told);
        let stats = publisher.stats();
        // Until the file is open nobody knows what waits in it.
        let is_open = stats.spool.kind != SpoolKind::Memory;
        match stats.queued {
            0 if is_open && told == "done" => break,
            0 if is_open => told = "done",
            _ => told = "now",
        }
        // Who measures what the client costs must not measure this.
        tokio::time::sleep(Duration::from_millis(if work.patient { 250 } else { 20 })).await;
    }
    assert!(client.close(Duration::from_secs(5)).await);
}

/// Tells the test how far it is: `tell WORD PUBLISHED AT_RISK AT_RISK_IF_KILLED WAITING KIND OVERFLOW`.
fn tell(publisher: &Publisher, published: usize, word: &str) {
    let spool = publisher.stats().spool;
    let kind = match spool.kind {
        SpoolKind::Memory => "memory",
        SpoolKind::Disk => "disk",
        SpoolKind::Failed => "failed",
    };
    let (at_risk, if_killed) = (spool.at_risk, spool.at_risk_if_killed);
    let line = format!(
        "tell {word} {published} {at_risk} {if_killed} {} {kind} {}\n",
        spool.waiting, spool.overflow
    );
    // Past the test harness, which would keep it back.
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// What the publishing process told last.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// All is acknowledged.
    pub done: bool,
    /// The number after the last event that was published.
    pub published: usize,
    /// The newest of them, and so many, that a power cut would lose.
    pub at_risk: usize,
    /// The newest of them, and so many, that a `kill -9` would lose.
    pub if_killed: usize,
    /// How many wait.
    pub waiting: usize,
    /// Where they wait.
    pub kind: String,
    /// How many were given up.
    pub overflow: usize,
}

/// A running publishing process; killed when dropped.
pub struct Process {
    /// The process.
    pub child: Child,
    lines: Receiver<Told>,
    /// What it told last.
    pub last: Told,
    /// The number of its first event.
    pub from: usize,
}

impl Process {
    /// Starts this test program again, as the publisher.
    pub fn start(work: &Work) -> Process {
        let mut child = program(std::env::current_exe().unwrap())
            .args(["--exact", "publisher", "--nocapture", "--test-threads=1"])
            .env(WORK, work.write())
            .env("RUNTIME_DIRECTORY", &work.runtime)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // The harness may have begun the line.
                let Some((_, words)) = line.split_once("tell ") else { continue };
                let part: Vec<&str> = words.split(' ').collect();
                let number = |i: usize| part[i].parse().unwrap();
                let told = Told {
                    done: part[0] == "done",
                    published: number(1),
                    at_risk: number(2),
                    if_killed: number(3),
                    waiting: number(4),
                    kind: part[5].to_owned(),
                    overflow: number(6),
                };
                if sender.send(told).is_err() {
                    return;
                }
            }
        });
        Process { child, lines, last: Told { published: work.from, ..Told::default() }, from: work.from }
    }

    /// Waits until what it tells is so.
    pub fn until(&mut self, what: &str, condition: impl Fn(&Told) -> bool) -> Told {
        let begin = Instant::now();
        loop {
            self.last = self.lines.try_iter().last().unwrap_or(self.last.clone());
            if condition(&self.last) {
                return self.last.clone();
            }
            assert!(begin.elapsed() < PATIENCE, "not {what} in time: {:?}", self.last);
            match self.lines.recv_timeout(Duration::from_secs(1)) {
                Ok(told) => self.last = told,
                Err(_) => assert!(
                    self.child.try_wait().unwrap().is_none(),
                    "the publisher ended, not {what}: {:?}",
                    self.last
                ),
            }
        }
    }

    /// A figure of `/proc/PID/status`.
    pub fn status(&self, key: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
    }

    /// The bytes that it has had written to disks, or will have.
    pub fn disk_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/io", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        line.unwrap().parse().unwrap()
    }

    /// What it told last.
    pub fn now(&mut self) -> Told {
        self.until("alive", |_| true)
    }

    /// The most memory that it ever held, in MiB.
    pub fn peak_mib(&self) -> f64 {
        self.status("VmHWM") as f64 / 1024.0
    }

    /// The processor's time that all of its threads have used.
    pub fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().flatten();
        let nanoseconds = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// `kill -9`; what it had told by then.
    pub fn kill(mut self) -> Told {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.try_iter().last().unwrap_or(self.last.clone())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
