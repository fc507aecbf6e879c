//! The file: what is in it after whatever happened to it.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::clock::Moment;
use crate::mqtt::Message;
use crate::mqtt::spool::{Missing, Reason};

const SPOOL: &str = "/var/lib/vigie/spool.redb";

fn kept(number: u64) -> Kept {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + number);
    let born = Born::at(Moment { monotonic: Duration::from_secs(number), wall });
    let message = Message::event("vigie/porch/front/events", format!("{number} {}", "x".repeat(200)));
    Kept { number, born, body: Body::Event(Arc::new(message)) }
}

fn put(number: u64) -> Note {
    Note::Put(kept(number))
}

/// What other tests start inherits an open file for an instant, and its lock.
fn open(path: &Path) -> (Journal, Found) {
    let begin = std::time::Instant::now();
    loop {
        match Journal::open(path, Path::new(SPOOL)) {
            Err(Fault::Locked) if begin.elapsed() < Duration::from_secs(20) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

/// A journal that says this.
fn write(path: &Path, notes: impl IntoIterator<Item = Note>) -> Journal {
    let (mut journal, _) = open(path);
    journal.rewrite(1, std::iter::empty()).unwrap();
    notes.into_iter().for_each(|note| journal.append(std::iter::once(note)).unwrap());
    journal
}

fn left(path: &Path) -> Left {
    match open(path).1 {
        Found::Left(left) => left,
        other => panic!("{other:?}"),
    }
}

fn numbers(left: &Left) -> Vec<u64> {
    left.kept.iter().map(|kept| kept.number).collect()
}

#[test]
fn what_is_wanted_is_left_as_it_was_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    assert!(matches!(open(&path).1, Found::Nothing));
    let missing = Missing::of("vigie/porch/front/events", Reason::Overflow, SystemTime::UNIX_EPOCH);
    let marker = Kept { body: Body::Missing(missing), ..kept(4) };
    let notes = (1..=3).map(put).chain([Note::Gone(2)]).chain((4..=7).map(put));
    drop(write(&path, notes.chain([Note::Put(marker.clone()), Note::Gone(6)])));
    let Left { kept: all, next, torn } = left(&path);
    assert_eq!(all, [kept(1), kept(3), marker, kept(5), kept(7)]);
    assert_eq!((next, torn), (8, 0));
    drop(write(&path, (1..=5).map(put).chain([Note::Stored(3)])));
    assert_eq!(numbers(&left(&path)), [4, 5]);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
}

/// The process is killed within a write, at whatever byte: the records before it are whole.
#[test]
fn a_torn_end_costs_the_last_record_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    drop(write(&path, (1..=3).map(put)));
    let before = fs::read(&path).unwrap().len();
    drop(write(&path, (1..=4).map(put)));
    let good = fs::read(&path).unwrap();
    for len in before..good.len() {
        fs::write(&path, &good[..len]).unwrap();
        let left = left(&path);
        assert_eq!((numbers(&left), left.next, left.torn), (vec![1, 2, 3], 4, (len - before) as u64));
    }
    for at in before..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, bad).unwrap();
        assert_eq!(numbers(&left(&path)), [1, 2, 3], "byte {at}");
    }
}

#[test]
fn what_can_t_be_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    drop(write(&path, [put(1)]));
    let good = fs::read(&path).unwrap();
    for (at, with, words) in
        [(14, b'2', "another version"), (0, b'V', "none of Vigie's"), (30, 0xff, "damaged")]
    {
        let mut bad = good.clone();
        bad[at] = with;
        fs::write(&path, bad).unwrap();
        match open(&path).1 {
            Found::Unreadable(why) => assert!(why.contains(words), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    fs::write(&path, &good).unwrap();
    drop(open(&path));
    let fault = Journal::open(&path, Path::new("/elsewhere")).err().unwrap();
    assert!(fault.to_string().contains("it is the journal of /var/lib/vigie/spool.redb"), "{fault}");
}

#[test]
fn it_is_one_process_s_own_also_after_it_was_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut journal = write(&path, [put(1)]);
    for _ in 0..3 {
        let fault = Journal::open(&path, Path::new(SPOOL)).err().unwrap();
        assert!(matches!(fault, Fault::Locked), "{fault}");
        journal.rewrite(2, [kept(1)].into_iter()).unwrap();
    }
    drop(journal);
    assert_eq!(numbers(&left(&path)), [1]);
}

#[test]
fn what_others_put_in_its_place_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let fault = |path: &Path| Journal::open(path, Path::new(SPOOL)).err().unwrap().to_string();
    fs::write(folder.path().join("secret"), "").unwrap();
    symlink(folder.path().join("secret"), &path).unwrap();
    assert!(fault(&path).contains("symbolic links"), "{}", fault(&path));
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(fault(&path), "it is no regular file (remove it)");
    fs::remove_file(&path).unwrap();
    if !geteuid().is_root() {
        return eprintln!("SKIPPED: only root may give a file away");
    }
    fs::write(&path, "").unwrap();
    std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
    assert_eq!(fault(&path), "user 12345 owns it (remove it)");
}

/// Whatever is left of a file that was being written when the process was killed is overwritten.
#[test]
fn killed_while_it_is_written_anew_it_is_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    drop(write(&path, [put(1)]));
    fs::write(folder.path().join("journal.new"), vec![7; 100_000]).unwrap();
    let (mut journal, found) = open(&path);
    assert!(matches!(found, Found::Left(Left { ref kept, .. }) if kept.len() == 1), "{found:?}");
    journal.rewrite(2, [kept(1)].into_iter()).unwrap();
    drop(journal);
    assert_eq!((numbers(&left(&path)), left(&path).next), (vec![1], 2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// How long it has become says when it is time; then it is no longer than what is wanted of it.
#[test]
fn what_is_of_no_use_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut journal = write(&path, []);
    let len = |path: &Path| fs::metadata(path).unwrap().len();
    let mut number = 1;
    while !journal.is_grown() {
        journal.append([put(number), Note::Gone(number)].into_iter()).unwrap();
        number += 1;
    }
    assert!(len(&path) > SLACK && len(&path) < SLACK + 2000, "{}", len(&path));
    journal.rewrite(number, [kept(number - 1)].into_iter()).unwrap();
    assert!(!journal.is_grown() && len(&path) < 1000, "{}", len(&path));
    assert!(journal.buffer.capacity() <= CHUNK);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in proptest::collection::vec(0u8..5, 0..200),
        own in 0usize..3,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut all = Vec::new();
        if own > 0 {
            drop(write(&path, []));
            all = fs::read(&path).unwrap();
        }
        if own > 1 {
            frame(&mut all, bytes.first().copied().unwrap_or(0), 7, |out| out.extend(&bytes));
        }
        all.extend(bytes);
        fs::write(&path, all).unwrap();
        let _ = Journal::open(&path, Path::new(SPOOL));
    }
}
