//! The broker against mosquitto's own clients, which know nothing of ours.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use super::*;

const SOON: Duration = Duration::from_secs(20);

fn client(program: &str, port: u16, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", "mqttv311"]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(mut command: Command) -> Output {
    command.output().expect("mosquitto's clients are installed")
}

fn publish(port: u16, args: &[&str]) {
    let output = output(client("mosquitto_pub", port, args));
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn listen(port: u16, args: &[&str]) -> Child {
    client("mosquitto_sub", port, args).spawn().expect("mosquitto's clients are installed")
}

fn heard(child: Child) -> String {
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn messages_of_every_quality_reach_the_subscriber() {
    let (port, mut subscriber) = start("room/#").unwrap();
    publish(port, &["-t", "elsewhere", "-m", "not this"]);
    for qos in ["0", "1", "2"] {
        publish(port, &["-q", qos, "-t", "room/door", "-m", qos]);
        assert_eq!(subscriber.next(SOON), Some(("room/door".to_owned(), qos.as_bytes().to_vec())));
    }
    // mosquitto_pub refuses what is too long for it; a megabyte is not
    let large = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&large, vec![b'x'; 1 << 20]).unwrap();
    publish(port, &["-q", "1", "-t", "room/picture", "-f", large.path().to_str().unwrap()]);
    assert_eq!(
        subscriber.next(SOON).map(|(topic, payload)| (topic, payload.len())),
        Some(("room/picture".into(), 1 << 20))
    );
    assert_eq!(subscriber.next(Duration::from_millis(50)), None);
}

#[test]
fn a_late_subscriber_hears_what_was_retained_and_nothing_that_was_cleared() {
    let (port, _subscriber) = start("#").unwrap();
    publish(port, &["-r", "-q", "1", "-t", "a/status", "-m", "online"]);
    publish(port, &["-r", "-t", "a/gone", "-m", "old"]);
    publish(port, &["-r", "-t", "a/gone", "-n"]);
    publish(port, &["-t", "a/passing", "-m", "heard by nobody"]);
    let args = ["-t", "a/#", "-t", "b", "-q", "2", "-F", "%r %t %p", "-C", "2", "-W", "20"];
    let late = listen(port, &args);
    let deadline = Instant::now() + SOON;
    let mut late = late;
    while late.try_wait().unwrap().is_none() && Instant::now() < deadline {
        publish(port, &["-q", "1", "-t", "b", "-m", "now"]);
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(heard(late), "1 a/status online\n0 b now\n");
}

/// A client that says CONNECT with a will, and waits for the answer.
fn with_will(port: u16, name: &str) -> TcpStream {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 0x06, 0, 0];
    for text in [name, "will", name] {
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text.as_bytes());
    }
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(&[0x10, body.len() as u8]).unwrap();
    stream.write_all(&body).unwrap();
    let mut answer = [0; 4];
    io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    stream
}

#[test]
fn the_last_will_is_said_for_who_is_lost_and_not_for_who_takes_leave() {
    let (port, mut subscriber) = start("will").unwrap();
    let said = |name: &str| Some(("will".to_owned(), name.as_bytes().to_vec()));
    drop(with_will(port, "lost"));
    assert_eq!(subscriber.next(SOON), said("lost"));
    let mut polite = with_will(port, "polite");
    polite.write_all(&[0xe0, 0]).unwrap();
    drop(polite);
    // who comes with a name that is there already takes its place
    let _old = with_will(port, "twin");
    let new = with_will(port, "twin");
    assert_eq!(subscriber.next(SOON), said("twin"));
    // and nonsense ends a connection like a loss
    (&new).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(subscriber.next(SOON), said("twin"));
    assert_eq!(subscriber.next(Duration::from_millis(100)), None);
}

#[test]
fn connections_beyond_the_bound_are_refused_and_those_within_it_go_on() {
    let (port, mut subscriber) = start("#").unwrap();
    let mut held: Vec<TcpStream> = (0..MOST_CONNECTIONS).map(|n| with_will(port, &format!("c{n}"))).collect();
    let mut one_more = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    one_more.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(io::Read::read(&mut one_more, &mut [0]).unwrap_or(0), 0, "it is closed");
    held[0].write_all(&packet::message("still", b"here", false)).unwrap();
    assert_eq!(subscriber.next(SOON), Some(("still".to_owned(), b"here".to_vec())));
}

#[test]
fn no_more_topics_are_kept_than_the_bound() {
    let mut state = State::default();
    let said =
        |n: usize, payload: &[u8]| Message { topic: format!("t/{n}"), payload: payload.into(), retain: true };
    for n in 0..=MOST_RETAINED {
        state.publish(&said(n, b"old"));
    }
    state.publish(&said(0, b"new"));
    assert_eq!((state.retained.len(), &state.retained["t/0"][..]), (MOST_RETAINED, &b"new"[..]));
}
