//! The thread on real files, good and bad.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::mqtt::message::Message;
use crate::mqtt::publisher::Sink as _;
use crate::mqtt::queue::{Bounds, Queue};
use crate::mqtt::stats::{Spool, SpoolKind};

mod journal;

const TOPIC: &str = "vigie/porch/front/events";
const PATIENCE: Duration = Duration::from_secs(20);

/// As fast as a test wants it.
fn quick() -> Pace {
    let ms = Duration::from_millis;
    Pace { commit: ms(20), remove: ms(20), retry: ms(100), lock: ms(200), ..Pace::default() }
}

/// An outbox without a client, and its spool.
struct House {
    outbox: Arc<Outbox>,
    keeper: Keeper,
}

impl House {
    fn new(path: &Path) -> House {
        House::with(path, None)
    }

    fn with(path: &Path, journal: Option<PathBuf>) -> House {
        let options =
            Options { path: path.to_owned(), max_bytes: 64 << 20, max_age: Duration::from_secs(3600) };
        let bounds = Bounds { messages: 5000, bytes: 64 << 20, picture_bytes: 0, payload: 1 << 20 };
        let queue = Queue::new(bounds, Message::state("vigie/porch/status", "online"));
        let queue = queue.with_spool("vigie/porch/status", Some(&options), quick());
        let outbox = Arc::new(Outbox::new(queue));
        House { keeper: start(options, quick(), journal, Arc::clone(&outbox)), outbox }
    }

    fn push(&self, range: std::ops::Range<usize>) {
        range.for_each(|n| self.outbox.publish(Message::event(TOPIC, format!("{n} {}", "x".repeat(1000)))));
    }

    fn until(&self, what: &str, condition: impl Fn(&Spool) -> bool) -> Spool {
        let begin = Instant::now();
        loop {
            let spool = self.outbox.stats().spool;
            if condition(&spool) {
                return spool;
            }
            assert!(begin.elapsed() < PATIENCE, "not {what} in time: {spool:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn on_disk(&self, events: u64) -> Spool {
        self.until("on disk", |s| s.kind == SpoolKind::Disk && s.at_risk == 0 && s.waiting == events)
    }

    fn failed(&self, words: &str) {
        let spool = self.until("failed", |s| s.kind == SpoolKind::Failed && s.trouble.is_some());
        let trouble = spool.trouble.unwrap();
        assert!(trouble.contains(words), "{trouble:?} lacks {words:?}");
    }

    /// Writes what is left, as a clean stop does.
    fn stop(mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert!(runtime.block_on(async { self.keeper.stop(tokio::time::Instant::now() + PATIENCE).await }));
    }

    /// What a broker that answers gets, in order.
    fn drain(&self, events: usize) -> Vec<usize> {
        self.outbox.connected();
        let (begin, mut out) = (Instant::now(), Vec::new());
        while out.len() < events {
            assert!(begin.elapsed() < PATIENCE, "{} of {events} came", out.len());
            let Some(handout) = self.outbox.next() else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            let text = String::from_utf8(handout.message.payload).unwrap();
            out.extend(text.split(' ').next().and_then(|n| n.parse::<usize>().ok()));
            self.outbox.acked(handout.token);
        }
        out
    }
}

/// A spool of 500 events, after a clean stop.
fn spool_of_500(path: &Path) {
    let house = House::new(path);
    house.push(0..500);
    house.on_disk(500);
    house.stop();
}

/// The files that were set aside.
fn broken(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().contains(".broken-")).collect()
}

#[test]
fn a_run_finds_what_the_run_before_it_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.redb");
    spool_of_500(&path);
    let house = House::new(&path);
    house.push(500..520);
    assert_eq!(house.drain(520), (0..520).collect::<Vec<_>>());
    house.on_disk(0);
    house.stop();
    assert!(broken(folder.path()).is_empty());
    let house = House::new(&path);
    house.on_disk(0);
    house.stop();
}

#[test]
fn a_broken_file_is_kept_aside_and_another_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.redb");
    let garbage: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(200_000).collect();
    for content in [&b"not a spool"[..], &garbage] {
        fs::write(&path, content).unwrap();
        let house = House::new(&path);
        house.push(0..3);
        house.on_disk(3);
        assert_eq!(house.drain(3), [0, 1, 2]);
        house.stop();
        let aside = broken(folder.path());
        assert_eq!(aside.len(), 1, "only the latest: {aside:?}");
        assert_eq!(fs::read(&aside[0]).unwrap(), content);
    }
}

#[test]
fn a_file_of_another_version_is_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.redb");
    spool_of_500(&path);
    let db = redb::Database::open(&path).unwrap();
    let txn = db.begin_write().unwrap();
    let about: redb::TableDefinition<'_, &str, u128> = redb::TableDefinition::new("about");
    txn.open_table(about).unwrap().insert("version", 2).unwrap();
    txn.commit().unwrap();
    db.close().unwrap();
    let house = House::new(&path);
    house.push(0..3);
    house.on_disk(3);
    house.stop();
    assert_eq!(broken(folder.path()).len(), 1);
}

/// Wherever a file is cut off or damaged, the daemon goes on with a spool; what can be read is sent.
#[test]
fn damage_anywhere_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.redb");
    spool_of_500(&path);
    let good = fs::read(&path).unwrap();
    let (mut set_aside, mut damages) = (0, Vec::new());
    for percent in [1, 20, 50, 90, 99] {
        damages.push(good[..good.len() * percent / 100].to_vec());
    }
    for n in 0..25 {
        let mut bad = good.clone();
        let at = if n < 5 { n * 37 } else { fastrand::usize(..bad.len()) };
        let end = (at + 64).min(bad.len());
        bad[at..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        damages.push(bad);
    }
    for bad in damages {
        broken(folder.path()).iter().for_each(|old| fs::remove_file(old).unwrap());
        fs::write(&path, bad).unwrap();
        let house = House::new(&path);
        house.push(1000..1003);
        let spool = house.until("on disk", |s| s.kind == SpoolKind::Disk && s.at_risk == 0);
        let all = house.drain(usize::try_from(spool.waiting).unwrap());
        assert_eq!(all[all.len() - 3..], [1000, 1001, 1002]);
        house.stop();
        set_aside += broken(folder.path()).len();
    }
    assert!(set_aside > 10, "most damage is noticed: {set_aside}");
}

#[test]
fn a_folder_that_comes_later_is_used_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mounted/later/spool.redb");
    let house = House::new(&path);
    house.push(0..10);
    house.failed("No such file");
    assert_eq!(house.drain(4), [0, 1, 2, 3], "memory is as good, as long as it lasts");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    house.on_disk(6);
    house.stop();
    let house = House::new(&path);
    assert_eq!(house.drain(6), [4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_file_that_another_process_has_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.redb");
    let other = redb::Database::create(&path).unwrap();
    let house = House::new(&path);
    house.push(0..10);
    house.failed("another process has it");
    drop(other);
    house.on_disk(10);
    assert!(broken(folder.path()).is_empty(), "it was not broken");
}

/// A small file system of its own; only root can make one.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(options: &str) -> Option<Mount> {
        let mount = Mount(tempfile::tempdir().unwrap());
        let done = rustix::process::geteuid().is_root()
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", options, "tmpfs"])
                .arg(mount.0.path())
                .status()
                .is_ok_and(|status| status.success());
        if !done {
            eprintln!("SKIPPED: only root may mount a file system");
        }
        done.then_some(mount)
    }

    fn remount(&self, options: &str) {
        let status =
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0.path()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_that_fills_up_loses_nothing_that_memory_holds() {
    let Some(mount) = Mount::new("size=1m") else { return };
    let path = mount.0.path().join("spool.redb");
    let house = House::new(&path);
    house.push(0..100);
    house.on_disk(100);
    house.push(100..2000);
    house.failed("No space left");
    assert!(house.outbox.stats().spool.at_risk > 1000);
    mount.remount("size=64m");
    house.on_disk(2000);
    let mut all = house.drain(2000);
    all.sort_unstable();
    assert_eq!(all, (0..2000).collect::<Vec<_>>());
    house.stop();
}

#[test]
fn a_disk_that_is_full_from_the_beginning_or_read_only_is_no_obstacle() {
    let Some(mount) = Mount::new("size=64k") else { return };
    fs::write(mount.0.path().join("full"), vec![0; 65536]).unwrap();
    let path = mount.0.path().join("spool.redb");
    let house = House::new(&path);
    house.push(0..10);
    house.failed("No space left");
    fs::remove_file(mount.0.path().join("full")).unwrap();
    mount.remount("size=8m");
    house.on_disk(10);
    house.stop();

    mount.remount("ro");
    let house = House::new(&path);
    house.push(10..20);
    house.failed("Read-only");
    assert_eq!(house.drain(10), (10..20).collect::<Vec<_>>(), "in memory");
    mount.remount("rw");
    assert_eq!(house.drain(10), (0..10).collect::<Vec<_>>(), "what was out of reach comes when it can");
    assert!(broken(mount.0.path()).is_empty(), "nothing was broken");
    house.stop();
}
