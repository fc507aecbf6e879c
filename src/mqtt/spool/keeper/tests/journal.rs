//! The thread, the spool's file and the journal, with the outbox that publishers have.

use std::process::Stdio;

use super::*;
use crate::mqtt::spool::journal::Journal;

impl House {
    fn if_killed(&self) -> u64 {
        self.outbox.stats().spool.at_risk_if_killed
    }
}

#[test]
fn a_clean_stop_leaves_no_journal_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = (folder.path().join("spool.redb"), folder.path().join("journal"));
    let house = House::with(&path, Some(journal.clone()));
    house.push(0..100);
    assert_eq!(house.if_killed(), 0);
    assert!(journal.exists());
    house.stop();
    assert!(!journal.exists());
    let house = House::with(&path, Some(journal));
    assert_eq!(house.drain(100), (0..100).collect::<Vec<_>>());
}

/// What is in memory alone while there is no disk lies in the journal; the next process has it before there is a disk.
#[test]
fn without_a_disk_the_journal_carries_events_over() {
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = (folder.path().join("later/spool.redb"), folder.path().join("journal"));
    let house = House::with(&path, Some(journal.clone()));
    house.push(0..50);
    house.failed("No such file");
    assert_eq!(house.drain(10), (0..10).collect::<Vec<_>>());
    house.stop_without_disk();
    let house = House::with(&path, Some(journal.clone()));
    house.push(50..60);
    assert_eq!(house.drain(20), (10..30).collect::<Vec<_>>(), "in memory");
    house.stop_without_disk();
    fs::create_dir(path.parent().unwrap()).unwrap();
    let house = House::with(&path, Some(journal.clone()));
    house.on_disk(30);
    assert_eq!(house.drain(30), (30..60).collect::<Vec<_>>());
    house.stop();
    assert!(!journal.exists());
}

impl House {
    /// The thread ends without having written anything.
    fn stop_without_disk(self) {
        let outbox = Arc::downgrade(&self.outbox);
        self.stop();
        let begin = Instant::now();
        // The journal is closed with the outbox, which the thread lets go last.
        while outbox.strong_count() > 0 {
            assert!(begin.elapsed() < PATIENCE, "the thread ends");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_journal_that_another_process_has_is_taken_over_when_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = (folder.path().join("spool.redb"), folder.path().join("journal"));
    fs::write(&journal, "").unwrap();
    let mut other = Command::new("flock")
        .arg(&journal)
        .args(["sh", "-c", "echo locked; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("flock (package util-linux)");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(other.stdout.take().unwrap()), &mut line)
        .unwrap();
    let house = House::with(&path, Some(journal.clone()));
    house.push(0..1);
    house.on_disk(1);
    house.push(1..2);
    let spool = house.outbox.stats().spool;
    assert_eq!(spool.at_risk_if_killed, spool.at_risk, "true to what is at risk");
    drop(other.stdin.take());
    other.wait().unwrap();
    let (begin, mut n) = (Instant::now(), 2);
    while fs::metadata(&journal).unwrap().len() == 0 {
        assert!(begin.elapsed() < PATIENCE, "it is tried again");
        house.push(n..n + 1);
        n += 1;
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(house.if_killed(), 0);
    house.stop();
}

#[test]
fn a_journal_for_which_there_is_no_room_is_no_obstacle() {
    let Some(mount) = Mount::new("size=128k") else { return };
    let folder = tempfile::tempdir().unwrap();
    // Without a disk all of it would have to go there.
    let path = folder.path().join("later/spool.redb");
    let house = House::with(&path, Some(mount.0.path().join("journal")));
    house.push(0..20);
    house.failed("No such file");
    assert_eq!(house.if_killed(), 0);
    house.push(20..500);
    assert_eq!(house.if_killed(), 500, "true to what is at risk");
    // One that is not kept up is taken away; it may be tried again just now.
    let begin = Instant::now();
    while fs::read_dir(mount.0.path()).unwrap().count() > 0 {
        assert!(begin.elapsed() < PATIENCE, "it is taken away");
    }
    mount.remount("size=8m");
    thread::sleep(quick().retry);
    house.push(500..501);
    assert_eq!(house.if_killed(), 0, "it is tried again");
    assert_eq!(house.drain(501), (0..501).collect::<Vec<_>>());
    house.stop_without_disk();
    mount.remount("ro");
    let house = House::with(&path, Some(mount.0.path().join("journal")));
    house.push(0..3);
    assert_eq!(house.if_killed(), 3);
    mount.remount("rw");
    assert_eq!(house.drain(2), [0, 1]);
    let begin = Instant::now();
    while house.if_killed() > 0 {
        assert!(begin.elapsed() < PATIENCE, "it is tried again");
        let _ = house.outbox.next();
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_lies_there_and_is_no_journal_of_this_spool_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = (folder.path().join("spool.redb"), folder.path().join("journal"));
    for content in ["vigie journal 9\nand so on", "something else", "vigie journal 1\ndamaged"] {
        fs::write(&journal, content).unwrap();
        let house = House::with(&path, Some(journal.clone()));
        house.push(0..3);
        assert_eq!(house.if_killed(), 0, "{content}");
        assert_eq!(house.drain(3), [0, 1, 2]);
        house.stop();
    }
    // That of another spool is not touched: somebody may still want what is in it.
    let (mut others, _) = Journal::open(&journal, Path::new("/other/spool.redb")).unwrap();
    others.rewrite(1, std::iter::empty()).unwrap();
    drop(others);
    let before = fs::read(&journal).unwrap();
    let house = House::with(&path, Some(journal.clone()));
    house.push(0..3);
    assert_eq!(house.drain(3), [0, 1, 2]);
    house.stop();
    assert_eq!(fs::read(&journal).unwrap(), before);
}
