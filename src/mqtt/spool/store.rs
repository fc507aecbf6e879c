//! The spool in redb: records by their number. Only this file names redb.
//!
//! Each commit is `Durability::Immediate`: when it returns, fsync has returned, and a power cut leaves the commit or the
//! one before it (two slots, checksums). redb's other choice, `None`, would write the same pages without the promise. A commit
//! of one phase needs one fsync; the second phase guards against crafted files, which nobody gains anything by here.

use std::path::Path;

use redb::{
    Builder, Database, ReadableDatabase as _, ReadableTable, ReadableTableMetadata as _, Table,
    TableDefinition, backends::FileBackend,
};

use super::file::{self, Failure};
use super::job::{Append, Done, Job, Refill, Stamp, Trim, Trimmed};
use super::record::{Body, Boot, Missing, Reason, Record, decode, encode};
use crate::clock::{Clock as _, SystemClock};
use crate::mqtt::spool::Born;

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
const ABOUT: TableDefinition<'_, &str, u128> = TableDefinition::new("about");
// What `ABOUT` says: the version of all this, which file this is, the next number, and what it has of which journal.
const VERSION: &str = "version";
const FILE: &str = "file";
const NEXT: &str = "next";
const JOURNAL: &str = "journal";
const JOURNALED: &str = "journaled";
const THIS_VERSION: u128 = 1;
/// Pages that redb keeps in memory; its own default is a gigabyte.
const CACHE: usize = 1 << 20;
/// Records that give way in one commit.
const MOST_TRIMMED: usize = 10_000;
/// A file that holds nothing and is larger than this is made small again.
const COMPACT_ABOVE: u64 = 4 << 20;

/// An open spool.
pub(in crate::mqtt) struct Store {
    db: Database,
    boot: Boot,
    /// Which file this is: another one has another number.
    pub id: u128,
    /// What it had of which journal when it was opened.
    pub stamp: Option<Stamp>,
    next: u64,
    /// How many records there are.
    pub records: u64,
    /// The bytes that they take.
    pub bytes: u64,
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Failure {
        use redb::Error as E;
        match error {
            E::Io(error) => error.into(),
            E::DatabaseAlreadyOpen | E::LockProtocolMismatch => Failure::Locked,
            E::Corrupted(_)
            | E::UpgradeRequired(_)
            | E::RepairAborted
            | E::TableTypeMismatch { .. }
            | E::TableIsMultimap(_)
            | E::TableIsNotMultimap(_)
            | E::TypeDefinitionChanged { .. } => Failure::Broken(error.to_string()),
            other => Failure::Unusable(other.to_string()),
        }
    }
}

/// Every error of redb's is one of [`redb::Error`].
fn failed(error: impl Into<redb::Error>) -> Failure {
    error.into().into()
}

impl Store {
    /// Opens the file, or begins a new one. All of it is checked: a damaged page must not be found later.
    pub fn open(path: &Path) -> Result<Store, Failure> {
        let file = file::open(path)?;
        let is_new = file.metadata()?.len() == 0;
        let opened = Store::open_file(file, path);
        if is_new && matches!(opened, Err(Failure::Unusable(_) | Failure::Broken(_))) {
            // Begun and not ended, on a full disk perhaps: nobody shall take it for a broken one.
            let _ = std::fs::remove_file(path);
        }
        opened
    }

    fn open_file(file: std::fs::File, path: &Path) -> Result<Store, Failure> {
        let backend = FileBackend::new(file).map_err(failed)?;
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
        let mut db = builder.create_with_backend(backend).map_err(failed)?;
        let large = std::fs::metadata(path)?.len() > COMPACT_ABOVE;
        let mut store = Store::read(&db)?;
        if store.records == 0 && large {
            db.compact().map_err(failed)?;
            store = Store::read(&db)?;
        }
        let Found { id, stamp, next, records, bytes } = store;
        Ok(Store { db, boot: Boot::this(), id, stamp, next, records, bytes })
    }

    fn read(db: &Database) -> Result<Found, Failure> {
        let txn = db.begin_write().map_err(failed)?;
        let found = {
            let mut about = txn.open_table(ABOUT).map_err(failed)?;
            let events = txn.open_table(EVENTS).map_err(failed)?;
            let value = |about: &Table<'_, &str, u128>, name| {
                about.get(name).map(|value| value.map(|value| value.value())).map_err(failed)
            };
            let version = value(&about, VERSION)?;
            if version.is_some_and(|version| version != THIS_VERSION) {
                return Err(Failure::Broken("another version of Vigie wrote it".to_owned()));
            }
            let id = value(&about, FILE)?.unwrap_or_else(|| fastrand::u128(..));
            let next = u64::try_from(value(&about, NEXT)?.unwrap_or(1)).unwrap_or(1);
            let journaled = value(&about, JOURNALED)?.and_then(|number| u64::try_from(number).ok());
            let stamp = value(&about, JOURNAL)?.zip(journaled);
            let stamp = stamp.map(|(journal, number)| Stamp { journal, number });
            let mut bytes = 0;
            for record in events.iter().map_err(failed)? {
                bytes += record.map_err(failed)?.1.value().len() as u64;
            }
            let last = events.last().map_err(failed)?.map_or(0, |(key, _)| key.value());
            let records = events.len().map_err(failed)?;
            let found = Found { id, stamp, next: next.max(last + 1), records, bytes };
            about.insert(VERSION, THIS_VERSION).map_err(failed)?;
            about.insert(FILE, id).map_err(failed)?;
            found
        };
        txn.commit().map_err(failed)?;
        Ok(found)
    }

    /// The number of the last record that lies there, or lay there.
    pub fn last(&self) -> u64 {
        self.next - 1
    }

    /// Does all of a job. When this returns, it is on disk.
    pub fn work(&mut self, job: &Job, mark: impl Fn(&str) -> bool) -> Result<Done, Failure> {
        let mut done = Done::default();
        if job.writes() {
            self.write(job, &mark, &mut done)?;
        }
        if let Some(refill) = job.refill {
            (done.refill, done.exhausted) = self.refill(refill)?;
            done.read_up_to = done.refill.last().map_or(refill.after, |record| record.key);
        }
        done.bytes = self.bytes;
        Ok(done)
    }

    fn write(&mut self, job: &Job, mark: &dyn Fn(&str) -> bool, done: &mut Done) -> Result<(), Failure> {
        let txn = self.db.begin_write().map_err(failed)?;
        let mut sum = Sum { next: self.next, records: self.records, bytes: self.bytes };
        {
            let mut events = txn.open_table(EVENTS).map_err(failed)?;
            for &key in &job.remove {
                sum.remove(&mut events, key)?;
            }
            for append in &job.append {
                let key = sum.append(&mut events, append, self.boot)?;
                done.keys.insert(append.id, key);
            }
            if let Some(trim) = job.trim {
                done.trimmed = self.trim(&mut events, trim, mark, &mut sum)?;
            }
        }
        if job.remove.is_empty() && job.append.is_empty() && done.trimmed == Trimmed::default() {
            return txn.abort().map_err(failed);
        }
        done.stamp = job.stamp;
        {
            let mut about = txn.open_table(ABOUT).map_err(failed)?;
            about.insert(NEXT, u128::from(sum.next)).map_err(failed)?;
            if let Some(Stamp { journal, number }) = job.stamp {
                about.insert(JOURNAL, journal).map_err(failed)?;
                about.insert(JOURNALED, u128::from(number)).map_err(failed)?;
            }
        }
        txn.commit().map_err(failed)?;
        (self.next, self.records, self.bytes) = (sum.next, sum.records, sum.bytes);
        Ok(())
    }

    /// The oldest give way; what is said in their place lies where the last of them lay.
    fn trim(
        &self,
        events: &mut Table<'_, u64, &'static [u8]>,
        trim: Trim,
        mark: &dyn Fn(&str) -> bool,
        sum: &mut Sum,
    ) -> Result<Trimmed, Failure> {
        let mut trimmed = Trimmed::default();
        let (mut victims, mut markers, mut passed) =
            (Vec::new(), Vec::<(u64, Born, Missing)>::new(), Vec::new());
        let mut bytes = sum.bytes;
        for found in events.range(trim.after + 1..=trim.end).map_err(failed)? {
            let (key, value) = found.map_err(failed)?;
            let len = value.value().len() as u64;
            let Record { key, born, body } = self.decode(key.value(), value.value())?;
            let reason = match body {
                Body::Missing(missing) => {
                    passed.push((key, born, missing));
                    continue;
                }
                Body::Event(_) if victims.len() >= MOST_TRIMMED => break,
                Body::Event(_) if born.monotonic_us < trim.expired_before_us => Reason::Age,
                Body::Event(_) if bytes > trim.max_bytes => Reason::Overflow,
                Body::Event(_) => break,
            };
            let Body::Event(message) = body else { continue };
            *(if reason == Reason::Age { &mut trimmed.age } else { &mut trimmed.overflow }) += 1;
            victims.push(key);
            bytes -= len;
            for (key, born, missing) in passed.drain(..) {
                victims.push(key);
                join(&mut markers, key, born, missing);
            }
            if mark(&message.topic) {
                join(&mut markers, key, born, Missing::of(&message.topic, reason, born.wall));
            }
        }
        let before = sum.records;
        for key in victims {
            sum.remove(events, key)?;
        }
        for (place, born, missing) in markers {
            let append = Append { id: 0, place: Some(place), born, body: Body::Missing(missing) };
            sum.append(events, &append, self.boot)?;
        }
        trimmed.fewer = before.saturating_sub(sum.records);
        Ok(trimmed)
    }

    fn refill(&self, refill: Refill) -> Result<(Vec<Record>, bool), Failure> {
        let txn = self.db.begin_read().map_err(failed)?;
        let events = txn.open_table(EVENTS).map_err(failed)?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        for found in ReadableTable::range(&events, refill.after + 1..=refill.end).map_err(failed)? {
            let (key, value) = found.map_err(failed)?;
            bytes += value.value().len();
            if !records.is_empty() && (records.len() >= refill.messages || bytes > refill.bytes) {
                return Ok((records, false));
            }
            records.push(self.decode(key.value(), value.value())?);
        }
        Ok((records, true))
    }

    fn decode(&self, key: u64, bytes: &[u8]) -> Result<Record, Failure> {
        let unknown = || Failure::Broken("it has a record that this version does not know".to_owned());
        decode(key, bytes, self.boot, SystemClock.now()).ok_or_else(unknown)
    }

    /// How many of the records up to `end` lie there.
    pub fn count(&self, end: u64) -> Result<u64, Failure> {
        let txn = self.db.begin_read().map_err(failed)?;
        let events = txn.open_table(EVENTS).map_err(failed)?;
        let mut count = 0;
        for found in ReadableTable::range(&events, ..=end).map_err(failed)? {
            found.map_err(failed)?;
            count += 1;
        }
        Ok(count)
    }

    /// Closes the file, so that opening it again needs no repair.
    pub fn close(self) -> Result<(), Failure> {
        self.db.close().map_err(failed)
    }
}

/// What lies in a file.
struct Found {
    id: u128,
    stamp: Option<Stamp>,
    next: u64,
    records: u64,
    bytes: u64,
}

/// What there will be after the commit.
struct Sum {
    next: u64,
    records: u64,
    bytes: u64,
}

impl Sum {
    fn remove(&mut self, events: &mut Table<'_, u64, &'static [u8]>, key: u64) -> Result<(), Failure> {
        if let Some(old) = events.remove(key).map_err(failed)? {
            self.records -= 1;
            self.bytes -= old.value().len() as u64;
        }
        Ok(())
    }

    fn append(
        &mut self,
        events: &mut Table<'_, u64, &'static [u8]>,
        append: &Append,
        boot: Boot,
    ) -> Result<u64, Failure> {
        let key = append.place.unwrap_or(self.next);
        self.next = self.next.max(key + 1);
        let bytes = encode(append.born, &append.body, boot);
        self.records += 1;
        self.bytes += bytes.len() as u64;
        if let Some(old) = events.insert(key, bytes.as_slice()).map_err(failed)? {
            self.records -= 1;
            self.bytes -= old.value().len() as u64;
        }
        Ok(key)
    }
}

/// Makes one gap of those that belong together, at the place of the last.
fn join(markers: &mut Vec<(u64, Born, Missing)>, key: u64, born: Born, missing: Missing) {
    match markers.iter_mut().find(|(_, _, other)| other.joins(&missing)) {
        Some((place, last, other)) => {
            other.add(&missing);
            (*place, *last) = (key, born);
        }
        None => markers.push((key, born, missing)),
    }
}
