//! A real mosquitto on a loopback port, and `mosquitto_sub` listening to it. A test that finds neither fails with a hint.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::certificates::Certificates;

/// How long anything in these tests may take at most.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What to do where mosquitto is missing.
pub const HINT: &str = "the contract tests need mosquitto: sudo apt-get install mosquitto mosquitto-clients";

/// How the broker is set up.
#[derive(Default)]
pub struct Setup<'a> {
    /// User and password; anonymous clients are refused then.
    pub login: Option<(&'a str, &'a str)>,
    /// Serve TLS with these.
    pub tls: Option<&'a Certificates>,
    /// Ask clients for a certificate.
    pub mutual: bool,
    /// More lines of mosquitto.conf.
    pub extra: &'a str,
}

/// A running broker; killed when dropped.
pub struct Broker {
    /// The port it listens on.
    pub port: u16,
    folder: tempfile::TempDir,
    config: PathBuf,
    child: Option<Child>,
    ca: Option<PathBuf>,
    login: Option<(String, String)>,
}

impl Broker {
    /// Starts a broker that lets everybody in.
    pub fn start() -> Broker {
        Broker::with(&Setup::default())
    }

    /// Starts a broker.
    pub fn with(setup: &Setup<'_>) -> Broker {
        for _ in 0..5 {
            let mut broker = Broker::prepare(setup);
            // The port was free a moment ago; if somebody else was faster, another is tried.
            if broker.try_run() {
                return broker;
            }
        }
        panic!("mosquitto does not start");
    }

    /// Chooses a port and writes the configuration, without starting: a broker that is down.
    pub fn prepare(setup: &Setup<'_>) -> Broker {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut text = format!("listener {port} 127.0.0.1\nallow_anonymous {}\n", setup.login.is_none());
        if nix_root() {
            // Started by root, mosquitto would change to a user that can't read the test's folder.
            text += "user root\n";
        }
        if let Some((user, password)) = setup.login {
            let file = folder.path().join("passwords");
            let status = Command::new("mosquitto_passwd")
                .args(["-b", "-c"])
                .arg(&file)
                .args([user, password])
                .status()
                .expect(HINT);
            assert!(status.success(), "mosquitto_passwd failed");
            writeln!(text, "password_file {}", file.display()).unwrap();
        }
        if let Some(certificates) = setup.tls {
            writeln!(text, "cafile {}", certificates.ca.display()).unwrap();
            writeln!(text, "certfile {}", certificates.server.0.display()).unwrap();
            writeln!(text, "keyfile {}", certificates.server.1.display()).unwrap();
            writeln!(text, "require_certificate {}", setup.mutual).unwrap();
        }
        text += setup.extra;
        let config = folder.path().join("mosquitto.conf");
        std::fs::write(&config, text).unwrap();
        let ca = setup.tls.map(|c| c.ca.clone());
        let login = setup.login.map(|(u, p)| (u.to_owned(), p.to_owned()));
        Broker { port, folder, config, child: None, ca, login }
    }

    /// Starts it, again if it ran before, on the same port.
    pub fn run(&mut self) {
        assert!(self.try_run(), "mosquitto does not start; its log:\n{}", self.log());
    }

    fn try_run(&mut self) -> bool {
        let path = self.folder.path().join("log");
        let log = std::fs::File::options().create(true).append(true).open(&path).unwrap();
        let before = log.metadata().unwrap().len() as usize;
        // Debian keeps the daemon outside an ordinary user's path.
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "mosquitto"]
            .into_iter()
            .find(|p| !p.starts_with('/') || Path::new(p).exists())
            .unwrap();
        let child = Command::new(program)
            .arg("-v")
            .arg("-c")
            .arg(&self.config)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect(HINT);
        let child = self.child.insert(child);
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            // That somebody answers on the port is not enough: it may be another test that tries whether it is free.
            let text = std::fs::read_to_string(&path).unwrap();
            if text[before..].contains(" running\n") && TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends it a signal: stopped, it is a broker that is slow.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Asks it to end, and waits.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            child.wait().unwrap();
        }
    }

    /// What the broker said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Publishes with mosquitto's own client, QoS 1; returns when the broker has it.
    pub fn publish(&self, topic: &str, payload: impl AsRef<[u8]>, retain: bool) {
        self.publish_as(&[], topic, payload, retain);
    }

    /// [`Broker::publish`] as somebody: with more arguments for mosquitto's client.
    pub fn publish_as(&self, who: &[&str], topic: &str, payload: impl AsRef<[u8]>, retain: bool) {
        let payload = payload.as_ref();
        let source = if payload.is_empty() { "-n" } else { "-s" };
        let arguments = ["-q", "1", source, "-r"];
        let arguments = [who, if retain { &arguments } else { &arguments[..3] }].concat();
        let mut child = self.publisher(topic, &arguments);
        child.stdin.take().unwrap().write_all(payload).unwrap();
        assert!(child.wait().unwrap().success(), "mosquitto_pub failed");
    }

    /// A `mosquitto_pub` that publishes each line of its standard input as a message of QoS 0.
    pub fn lines(&self, topic: &str) -> Child {
        self.publisher(topic, &["-l"])
    }

    fn publisher(&self, topic: &str, arguments: &[&str]) -> Child {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-t", topic]).args(arguments);
        command.stdin(Stdio::piped()).spawn().expect(HINT)
    }

    /// Subscribes with mosquitto's own client; returns when the broker has accepted the subscription.
    pub fn subscribe(&self, filter: &str) -> Subscriber {
        self.subscribe_at(filter, 1)
    }

    /// [`Broker::subscribe`] with that quality of service. With 0 the broker writes a message to the subscriber before it
    /// acknowledges it to the publisher, so that what it acknowledged arrives even if it is killed then.
    pub fn subscribe_at(&self, filter: &str, qos: u8) -> Subscriber {
        self.subscribe_as(filter, qos, &["-F", "%r %q %t %p"])
    }

    /// Subscribes to what may be binary; each payload is the length of a message's.
    pub fn lengths(&self, filter: &str) -> Subscriber {
        self.subscribe_as(filter, 1, &["-F", "%r %q %t %l"])
    }

    /// Subscribes in MQTT 5; each payload is `EXPIRY|CONTENT TYPE|FORMAT INDICATOR|USER PROPERTIES` of a message.
    pub fn properties(&self, filter: &str) -> Subscriber {
        self.subscribe_as(filter, 1, &["-V", "5", "-F", "%r %q %t %E|%C|%F|%P"])
    }

    fn subscribe_as(&self, filter: &str, qos: u8, arguments: &[&str]) -> Subscriber {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = format!("subscriber-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let host = if self.ca.is_some() { "localhost" } else { "127.0.0.1" };
        let mut command = Command::new("mosquitto_sub");
        let (port, qos) = (self.port.to_string(), qos.to_string());
        command.args(["-h", host, "-p", &port, "-i", &id, "-q", &qos, "-t", filter]);
        command.args(arguments);
        if let Some(ca) = &self.ca {
            command.arg("--cafile").arg(ca);
        }
        if let Some((user, password)) = &self.login {
            command.args(["-u", user, "-P", password]);
        }
        let subscriber = Subscriber::start(command);
        let start = Instant::now();
        let accepted = format!("Sending SUBACK to {id}\n");
        while !self.log().contains(&accepted) {
            assert!(start.elapsed() < PATIENCE, "mosquitto_sub was not let in");
            std::thread::sleep(Duration::from_millis(10));
        }
        subscriber
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- mosquitto's log ---\n{}", self.log());
        }
    }
}

/// A message as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Whether the broker had it stored.
    pub retained: bool,
    /// Quality of service of the delivery: the lower of the publication's and the subscription's.
    pub qos: u8,
    /// The topic.
    pub topic: String,
    /// The payload, which these tests keep to one line of text.
    pub payload: String,
}

/// A running `mosquitto_sub`; ended when dropped.
pub struct Subscriber {
    child: Child,
    messages: Receiver<Received>,
}

impl Subscriber {
    /// Starts a `mosquitto_sub` that writes `%r %q %t %p` of each message.
    pub fn start(mut command: Command) -> Subscriber {
        let mut child = command.stdout(Stdio::piped()).spawn().expect(HINT);
        let stream = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for line in stream.lines().map_while(Result::ok) {
                let mut parts = line.splitn(4, ' ');
                let mut part = || parts.next().unwrap_or_default().to_owned();
                let (retained, qos) = (part() == "1", part().parse().unwrap());
                if sender.send(Received { retained, qos, topic: part(), payload: part() }).is_err() {
                    return;
                }
            }
        });
        Subscriber { child, messages }
    }

    /// The next message.
    pub fn next(&self) -> Received {
        self.messages.recv_timeout(PATIENCE).expect("no message in time")
    }

    /// The next message, if one comes within that time.
    pub fn poll(&self, within: Duration) -> Option<Received> {
        self.messages.recv_timeout(within).ok()
    }

    /// The next message on `topic`; others are passed over.
    pub fn next_on(&self, topic: &str) -> Received {
        let start = Instant::now();
        loop {
            let left = PATIENCE.checked_sub(start.elapsed()).expect("no message in time");
            match self.messages.recv_timeout(left) {
                Ok(message) if message.topic == topic => return message,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("no message on {topic} in time"),
                Err(RecvTimeoutError::Disconnected) => panic!("mosquitto_sub ended"),
            }
        }
    }

    /// Whether nothing comes for so long.
    pub fn is_silent_for(&self, duration: Duration) -> bool {
        self.messages.recv_timeout(duration).is_err()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the loopback that nobody listens on, and that the kernel gives to nobody who asks for any: a broker that
/// was killed finds it free when it comes back.
pub fn free_port() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let ephemeral = range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32768);
    let ports = 10_000..std::cmp::max(ephemeral, 11_000);
    let mut tries = std::iter::repeat_with(|| fastrand::u16(ports.clone()));
    tries.find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()).unwrap()
}

fn nix_root() -> bool {
    rustix::process::geteuid().is_root()
}
