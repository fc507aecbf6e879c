//! Events through everything that comes between a camera and its subscribers: the broker killed, cut off, slow and away,
//! the publishing process killed -9. The client, the spool's file, its journal and mosquitto are the real ones.
//!
//! `VIGIE_DELIVERY_EVENTS=10000 cargo test --release --test delivery -- --nocapture` is the full run; without the variable
//! there are fewer events. Both print a table.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::gate::Gate;
use support::mosquitto::{Broker, Setup, Subscriber};
use support::publisher::{Process, TOPIC, Told, Work, has_journal, payload, runtime};

/// How many events.
fn events() -> usize {
    let usual = if cfg!(target_arch = "aarch64") { 600 } else { 2000 };
    std::env::var("VIGIE_DELIVERY_EVENTS").map_or(usual, |n| n.parse().unwrap())
}

/// The publishing process; does nothing unless a test below started it.
#[test]
fn publisher() {
    support::publisher::run();
}

/// What a run published, and how far the process knew that to survive its death.
struct Run {
    from: usize,
    told: Told,
    peak_mib: f64,
}

impl Run {
    /// These must arrive, whatever happened to the process.
    fn durable(&self) -> std::ops::Range<usize> {
        self.from..self.told.published - self.told.if_killed.min(self.told.published - self.from)
    }
}

/// The world of the test: who is connected to whom, and what has arrived.
struct World {
    broker: Broker,
    gate: Gate,
    subscriber: Subscriber,
    arrived: Vec<String>,
    table: String,
    begin: Instant,
    runtime: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let broker = Broker::with(&Setup { extra: "max_queued_messages 0\n", ..Setup::default() });
        let (gate, subscriber) = (Gate::to(broker.port, true), broker.subscribe_at(TOPIC, 0));
        let table = format!(
            "{:<44} {:>6} {:>9} {:>8} {:>9} {:>9} {:>7}\n",
            "what happens", "at s", "published", "waiting", "power cut", "if killed", "RSS MiB"
        );
        let begin = Instant::now();
        World { broker, gate, subscriber, arrived: Vec::new(), table, begin, runtime: runtime() }
    }

    /// A run of the publishing process, behind the gate.
    fn work(&self, run: usize, from: usize, to: usize, rate: u32, spool: &Path) -> Work {
        let (spool, runtime) = (spool.display().to_string(), self.runtime.path().display().to_string());
        Work { port: self.gate.port, run, from, to, rate, spool, patient: false, runtime }
    }

    fn row(&mut self, what: &str, process: &Process) {
        let (at, told) = (self.begin.elapsed().as_secs_f32(), &process.last);
        let rss = process.status("VmRSS") as f64 / 1024.0;
        let Told { published, waiting, at_risk, if_killed, .. } = told;
        writeln!(
            self.table,
            "{what:<44} {at:>6.1} {published:>9} {waiting:>8} {at_risk:>9} {if_killed:>9} {rss:>7.1}"
        )
        .unwrap();
    }

    fn take(&mut self, quiet: Duration) {
        while let Some(message) = self.subscriber.poll(quiet) {
            self.arrived.push(message.payload);
        }
    }

    /// Kills the broker in the middle of it, and starts it again after a while.
    fn kill_broker(&mut self) {
        self.broker.kill();
        self.gate.shut();
        self.gate.cut();
        self.take(Duration::from_millis(500));
        std::thread::sleep(Duration::from_millis(500));
        self.broker.run();
        self.subscriber = self.broker.subscribe_at(TOPIC, 0);
        self.gate.open();
    }

    fn slow_broker(&self, time: Duration) {
        self.broker.signal(Signal::STOP);
        std::thread::sleep(time);
        self.broker.signal(Signal::CONT);
    }
}

#[test]
fn every_event_arrives_whatever_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spool.redb");
    let total = events();
    // All of it in 40 s, or, with fewer events, in half of that; the pauses are long enough to matter in it.
    let (rate, pause) = if total >= 10_000 { (250, 3) } else { ((total / 20).max(1) as u32, 1) };
    let pause = Duration::from_secs(pause);
    let at = |percent: usize| total * percent / 100;
    let mut world = World::new();
    let mut runs = Vec::new();
    let start =
        |world: &World, run: usize, from: usize| Process::start(&world.work(run, from, total, rate, &file));
    let end = |run: &mut Vec<Run>, process: Process| {
        let (from, peak_mib) = (process.from, process.peak_mib());
        run.push(Run { from, told: process.kill(), peak_mib });
        // What was published after the last word is not known of; these numbers are left out.
        run.last().unwrap().told.published + 100
    };

    let mut process = start(&world, 0, 0);
    process.until("connected", |told| told.published > at(5));
    world.row("the broker is killed and comes back", &process);
    world.kill_broker();
    process.until("at 12 %", |told| told.published > at(12));
    world.row("the connection is cut, five times", &process);
    for _ in 0..5 {
        world.gate.cut();
        std::thread::sleep(Duration::from_millis(150));
    }
    process.until("at 20 %", |told| told.published > at(20));
    world.row("the broker does not answer for a while", &process);
    world.slow_broker(pause);
    process.until("at 30 %", |told| told.published > at(30));
    world.row("the broker is away", &process);
    world.gate.shut();
    world.gate.cut();
    process.until("at 42 %", |told| told.published > at(42));
    world.row("kill -9 of the publisher, broker still away", &process);
    let next = end(&mut runs, process);

    let mut process = start(&world, 1, next);
    process.until("at 55 %", |told| told.published > at(55) && told.waiting > total / 20);
    world.row("the broker is back", &process);
    world.gate.open();
    let before = process.last.waiting;
    process.until("half-way through the backlog", |told| told.waiting < before / 2);
    world.row("kill -9 of the publisher, in the middle of it", &process);
    let next = end(&mut runs, process);

    let mut process = start(&world, 2, next);
    process.until("at 70 %", |told| told.published > at(70));
    world.row("the broker is killed and comes back", &process);
    world.kill_broker();
    process.until("at 80 %", |told| told.published > at(80));
    world.row("a cable is pulled: nobody hears of it", &process);
    world.gate.freeze();
    process.until("at 92 %", |told| told.published > at(92));
    world.row("the broker does not answer for a while", &process);
    world.slow_broker(pause);
    process.until("done", |told| told.done);
    world.row("all is acknowledged", &process);
    let peak_mib = process.peak_mib();
    runs.push(Run { from: process.from, told: process.last.clone(), peak_mib });
    assert!(process.child.wait().unwrap().success(), "a clean end");
    world.take(Duration::from_millis(500));

    report(&world, &runs, total, std::fs::metadata(&file).unwrap().len());
}

/// Counts what arrived against what was published, prints it, and holds it against what is promised.
fn report(world: &World, runs: &[Run], total: usize, file: u64) {
    let mut first = BTreeSet::new();
    let (mut duplicates, mut changed, mut gaps, mut disorder) = (0, 0, 0, 0);
    let mut latest: BTreeMap<String, usize> = BTreeMap::new();
    for text in &world.arrived {
        let event: serde_json::Value = serde_json::from_str(text).unwrap();
        if event["type"] == "gap" {
            gaps += 1;
            continue;
        }
        let (id, n) = (event["id"].as_str().unwrap(), event["seq"].as_u64().unwrap() as usize);
        let run: usize = id.trim_start_matches("run").split('.').next().unwrap().parse().unwrap();
        changed += usize::from(*text != payload(run, n));
        if !first.insert((run, n)) {
            duplicates += 1;
            continue;
        }
        let before = latest.insert(id.to_owned(), n);
        disorder += usize::from(before.is_some_and(|before| before > n));
    }
    let mut text = format!("\n{}\n", world.table);
    let (mut lost, mut allowed, mut published) = (Vec::new(), 0, 0);
    for (run, Run { from, told, peak_mib }) in runs.iter().enumerate() {
        let durable = runs[run].durable();
        lost.extend(durable.clone().filter(|&n| !first.contains(&(run, n))).map(|n| (run, n)));
        allowed += (durable.end..told.published).filter(|&n| !first.contains(&(run, n))).count();
        published += told.published - from;
        writeln!(
            text,
            "run {run}: events {from} to {}, of which a kill may lose {}, peak RSS {peak_mib:.1} MiB",
            told.published, told.if_killed
        )
        .unwrap();
    }
    writeln!(
        text,
        "\npublished {published} (of {total}, less what no process told of), arrived {} and {duplicates} of them again\n\
         lost {}, out of order {disorder}, changed {changed}, gaps {gaps}, the spool's file {} KiB, in {:.0} s\n",
        first.len(),
        lost.len() + allowed,
        file / 1024,
        world.begin.elapsed().as_secs_f32()
    )
    .unwrap();
    eprintln!("{text}");
    assert_eq!(lost, [], "each event arrives");
    assert!(!has_journal() || runs.iter().all(|run| run.told.if_killed == 0), "a kill loses nothing");
    assert_eq!((changed, gaps, disorder), (0, 0, 0));
    assert!(runs.iter().all(|run| run.told.kind == "disk" && run.told.overflow == 0));
    // The test harness, tokio and rustls are some twenty of these.
    assert!(runs.iter().all(|run| run.peak_mib < 64.0), "memory is bounded");
    // Under an emulator a process takes longer to begin than it has to tell.
    assert!(published > total * if cfg!(target_arch = "aarch64") { 4 } else { 8 } / 10);
}

/// A broker that accepts every connection and hangs up, with thousands of events waiting; the patience is the daemon's.
#[test]
fn a_reconnect_storm_costs_next_to_nothing() {
    let full = std::env::var_os("VIGIE_DELIVERY_EVENTS").is_some();
    let (backlog, time) = if full { (10_000, 60) } else { (2000, 10) };
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let gate = Gate::to(broker.port, false);
    let (spool, memory) = (folder.path().join("spool.redb").display().to_string(), runtime());
    let runtime = memory.path().display().to_string();
    let work = Work { port: gate.port, run: 0, from: 0, to: backlog, rate: 0, spool, patient: true, runtime };
    let mut process = Process::start(&work);
    process.until("the backlog", |told| told.published == backlog && told.at_risk == 0);
    let cost = |process: &mut Process, seconds: u64| {
        let (cpu, begin, connections) = (process.cpu(), Instant::now(), gate.accepted());
        while begin.elapsed() < Duration::from_secs(seconds) {
            std::thread::sleep(Duration::from_millis(100));
            process.now();
        }
        let percent = 100.0 * (process.cpu() - cpu).as_secs_f64() / begin.elapsed().as_secs_f64();
        (percent, gate.accepted() - connections)
    };
    let (percent, attempts) = cost(&mut process, time);
    let rss = process.peak_mib();
    eprintln!(
        "{backlog} events waiting on disk, a broker that hangs up on {attempts} connections in {time} s: \
         {percent:.2} % of a core (the child's own polling included), peak RSS {rss:.1} MiB"
    );
    assert!(attempts > 0, "it tried");
    if !cfg!(target_arch = "aarch64") {
        assert!(percent < 1.0, "{percent} %");
    }
    let begin = Instant::now();
    gate.open();
    process.until("drained", |told| told.done);
    eprintln!("drained {:.1} s after the broker was back", begin.elapsed().as_secs_f32());
    assert!(process.child.wait().unwrap().success());
}

/// At no instant is a kill a loss: not before the file is open, not while it is written, not when it was just taken over.
#[test]
fn killed_again_and_again_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spool.redb");
    let mut world = World::new();
    world.gate.shut();
    let kills = if cfg!(target_arch = "aarch64") { 4 } else { 12 };
    let (mut from, mut published) = (0, Vec::new());
    for run in 0..kills {
        let mut process = Process::start(&world.work(run, from, from + 100_000, 2000, &file));
        process.until("begun", |told| told.published > from);
        std::thread::sleep(Duration::from_millis(fastrand::u64(..300)));
        let told = process.kill();
        assert!(!has_journal() || told.if_killed == 0, "{told:?}");
        let durable = Run { from, told: told.clone(), peak_mib: 0.0 }.durable();
        published.extend(durable.map(|n| payload(run, n)));
        // What was published after the last word is not known of.
        from = told.published + 10_000;
    }
    world.gate.open();
    let mut process = Process::start(&world.work(kills, from, from, 1, &file));
    process.until("done", |told| told.done && told.kind == "disk");
    assert!(process.child.wait().unwrap().success());
    world.take(Duration::from_millis(500));
    let left = std::fs::read_dir(world.runtime.path()).unwrap().count();
    assert_eq!(left, 0, "a clean end leaves no journal");
    let known: BTreeSet<&String> = published.iter().collect();
    let arrived: Vec<&String> = world.arrived.iter().filter(|text| known.contains(text)).collect();
    eprintln!(
        "killed {kills} times: {} events were published for all the test knows, {} arrived, {} of them known",
        published.len(),
        world.arrived.len(),
        arrived.len()
    );
    assert!(arrived.iter().copied().eq(published.iter()), "each of them, once, and in order");
}

/// With a broker that answers, neither the spool nor its journal writes anything to a disk.
#[test]
fn a_broker_that_answers_spares_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let mut process = Process::start(&world.work(0, 0, 1500, 300, &folder.path().join("spool.redb")));
    process.until("connected", |told| told.published > 300 && told.kind == "disk");
    let (before, from) = (process.disk_bytes(), process.last.published);
    process.until("nearly done", |told| told.published > 1400);
    let (bytes, events) = (process.disk_bytes() - before, process.last.published - from);
    process.until("done", |told| told.done);
    world.take(Duration::from_millis(300));
    eprintln!("{events} events of some 1000 bytes with a broker that answers: {bytes} bytes to disks");
    // Under an emulator an answer may well take a second, which is what the spool waits for.
    assert!(cfg!(target_arch = "aarch64") || bytes < 256 << 10, "{bytes} bytes");
}

/// Where the spool is nothing but a path, nobody has made its folder, and events go out all the same.
#[test]
fn a_spool_that_cannot_be_used_is_no_reason_to_be_silent() {
    let mut world = World::new();
    let mut process = Process::start(&world.work(0, 0, 200, 200, Path::new("/nonexistent/spool.redb")));
    let told = process.until("done", |told| told.done);
    assert_eq!(told.kind, "failed");
    world.take(Duration::from_millis(300));
    assert_eq!(world.arrived, (0..200).map(|n| payload(0, n)).collect::<Vec<_>>());
}

/// A file system in a file, on a block device of its own; only root can make one.
struct Card {
    folder: tempfile::TempDir,
    mounted: Vec<std::path::PathBuf>,
}

impl Card {
    fn new() -> Card {
        let card = Card { folder: tempfile::tempdir().unwrap(), mounted: Vec::new() };
        std::fs::File::create(card.image("card")).and_then(|file| file.set_len(64 << 20)).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(card.image("card")).status();
        assert!(made.unwrap().success(), "mkfs.ext4 (package e2fsprogs)");
        card
    }

    fn image(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Mounts an image; `None`: this user may not.
    fn mount(&mut self, name: &str) -> Option<std::path::PathBuf> {
        let place = self.folder.path().join(format!("{name}-mounted"));
        std::fs::create_dir(&place).unwrap();
        let status = Command::new("mount").args(["-o", "loop"]).arg(self.image(name)).arg(&place).status();
        status.is_ok_and(|status| status.success()).then(|| self.mounted.push(place.clone()))?;
        Some(place)
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        for place in &self.mounted {
            let _ = Command::new("umount").arg("-l").arg(place).status();
        }
    }
}

/// What the block device has at one instant, and not what the system would still write to it, is all that is left after a
/// power cut, which takes the journal, too: the copies have another path than it was written for. Of the events in it none is missing that was known to be safe.
#[test]
fn a_power_cut_leaves_every_event_that_was_safe() {
    let mut card = Card::new();
    let root = rustix::process::geteuid().is_root();
    let Some(place) = root.then(|| card.mount("card")).flatten() else {
        return eprintln!("SKIPPED: only root may mount a file system");
    };
    let world = World::new();
    world.gate.shut();
    let (cuts, rate) = (6, 200);
    let mut process = Process::start(&world.work(0, 0, 100_000, rate, &place.join("spool.redb")));
    process.until("the first event that is safe", |told| told.published > told.at_risk);
    let mut safe = Vec::new();
    for cut in 0..cuts {
        std::thread::sleep(Duration::from_millis(700 + 130 * cut));
        let told = process.now();
        safe.push(told.published - told.at_risk);
        std::fs::copy(card.image("card"), card.image(&format!("cut{cut}"))).unwrap();
    }
    assert_eq!(process.now().kind, "disk");
    drop(process);
    for (cut, safe) in safe.into_iter().enumerate() {
        let place = card.mount(&format!("cut{cut}")).unwrap();
        let mut world = World::new();
        let mut process = Process::start(&world.work(1, 0, 0, 1, &place.join("spool.redb")));
        process.until("done", |told| told.done && told.kind == "disk");
        assert!(process.child.wait().unwrap().success());
        world.take(Duration::from_millis(300));
        let aside = std::fs::read_dir(&place).unwrap().flatten();
        let aside = aside.filter(|entry| entry.file_name().to_string_lossy().contains("broken")).count();
        eprintln!(
            "power cut {cut}: {safe} events were safe, {} arrived, {aside} broken files",
            world.arrived.len()
        );
        assert!(world.arrived.len() >= safe && safe > 0);
        assert_eq!(world.arrived, (0..world.arrived.len()).map(|n| payload(0, n)).collect::<Vec<_>>());
        assert_eq!(aside, 0);
    }
}
