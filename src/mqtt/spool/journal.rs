//! The journal: what the queue has in memory alone, in a file that the death of the process leaves behind.
//!
//! redb commits once a second, and what is handed over between two commits would die with the process. So each event goes into
//! this file as well, with one write(2) and no fsync. The file is on a tmpfs: the kernel keeps it whatever becomes of the
//! process, not one byte goes to an SD card, and nobody waits for one. A power cut takes it; against that there are the commits.
//!
//! Records are only ever appended: what is new, what is gone, up to where the spool has all. When the file has grown to twice
//! what it was and [`SLACK`], what is still wanted is written beside it and takes its place.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::record::{Body, Boot, Born, decode, encode_into, take};
use crate::clock::{Clock as _, SystemClock};

/// What the file begins with; the rest is records.
const MAGIC: &[u8; 16] = b"vigie journal 1\n";
/// All but the version.
const OURS: &[u8] = b"vigie journal ";
/// Before each record: its length, and a checksum.
const HEAD: usize = 4 + 4;
/// How long a record may be; what claims to be longer is none.
const LONGEST: usize = 16 << 20;
/// How much the file may grow beyond twice what it was when it was last written anew.
const SLACK: u64 = 256 << 10;
/// What is collected before it is written, and how much memory is kept for that.
const CHUNK: usize = 64 << 10;

/// The kinds of records.
const ABOUT: u8 = 0;
const PUT: u8 = 1;
const GONE: u8 = 2;
const STORED: u8 = 3;

/// Something that is in memory alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Kept {
    /// Its place among the others, and its name in the journal.
    pub number: u64,
    pub born: Born,
    pub body: Body,
}

/// What happened to what is in memory alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mqtt) enum Note {
    /// It is new, or another than before.
    Put(Kept),
    /// Nobody waits for it any more.
    Gone(u64),
    /// The spool has all that is numbered up to there.
    Stored(u64),
}

/// What a process left.
#[derive(Debug)]
pub(in crate::mqtt) struct Left {
    /// In order.
    pub kept: Vec<Kept>,
    /// The number after the last that was given.
    pub next: u64,
    /// So many bytes at the end are no whole record.
    pub torn: u64,
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub(in crate::mqtt) enum Fault {
    /// Another process has it, perhaps the one before us.
    #[error("another process has it open")]
    Locked,
    /// Something else lies there.
    #[error("it is no regular file (remove it)")]
    NoFile,
    /// Whoever owns it could read and change what is in it.
    #[error("user {0} owns it (remove it)")]
    Foreign(u32),
    /// Its name stands for another path.
    #[error("it is the journal of {} (remove it if nobody uses that)", .0.display())]
    Other(PathBuf),
    /// The system says no.
    #[error("{}", words(.0))]
    Io(#[from] io::Error),
}

fn words(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull => " (make room there)",
        io::ErrorKind::PermissionDenied => " (let this user write to it and its folder)",
        _ => "",
    };
    format!("{error}{hint}")
}

/// What a file that was opened turned out to be.
#[derive(Debug)]
pub(in crate::mqtt) enum Found {
    /// There was none.
    Nothing,
    /// A journal of this spool.
    Left(Left),
    /// Nothing that can be read; why.
    Unreadable(&'static str),
}

/// A journal that can be written.
pub(in crate::mqtt) struct Journal {
    path: PathBuf,
    /// Whose it is.
    spool: PathBuf,
    boot: Boot,
    file: File,
    /// Which journal this is: its numbers mean nothing in another.
    pub id: u128,
    /// How long the file is, and how long it may become.
    len: u64,
    most: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Opens the file at `path` and reads what is there. Nothing can be appended before it was written anew.
    pub fn open(path: &Path, spool: &Path) -> Result<(Journal, Found), Fault> {
        let spool = std::path::absolute(spool)?;
        let (file, boot) = (lock(path)?, Boot::this());
        let (id, found) = read(&file, &spool, boot)?;
        let id = id.unwrap_or_else(|| fastrand::u128(..));
        let path = path.to_owned();
        Ok((Journal { path, spool, boot, file, id, len: 0, most: 0, buffer: Vec::new() }, found))
    }

    /// Writes down what happened, in one piece.
    pub fn append(&mut self, notes: impl Iterator<Item = Note>) -> io::Result<()> {
        self.buffer.clear();
        notes.for_each(|note| match note {
            Note::Put(kept) => self.put(&kept),
            Note::Gone(number) => frame(&mut self.buffer, GONE, number, |_| {}),
            Note::Stored(number) => frame(&mut self.buffer, STORED, number, |_| {}),
        });
        self.file.write_all(&self.buffer)?;
        self.len += self.buffer.len() as u64;
        self.buffer.shrink_to(CHUNK);
        Ok(())
    }

    fn put(&mut self, Kept { number, born, body }: &Kept) {
        let boot = self.boot;
        frame(&mut self.buffer, PUT, *number, |out| encode_into(out, *born, body, boot));
    }

    /// Whether most of it is of no use any more.
    pub fn is_grown(&self) -> bool {
        self.len > self.most
    }

    /// Writes it anew: `kept` is all there is, and `next` the number after the last that was given. Until that is done the
    /// file is what it was.
    pub fn rewrite(&mut self, next: u64, kept: impl Iterator<Item = Kept>) -> Result<(), Fault> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let written = self.write_anew(&new, next, kept).and_then(|written| {
            fs::rename(&new, &self.path)?;
            Ok(written)
        });
        self.buffer = Vec::new();
        match written {
            Ok((file, len)) => {
                (self.file, self.len, self.most) = (file, len, 2 * len + SLACK);
                Ok(())
            }
            Err(fault) => {
                let _ = fs::remove_file(&new);
                Err(fault)
            }
        }
    }

    fn write_anew(
        &mut self,
        path: &Path,
        next: u64,
        kept: impl Iterator<Item = Kept>,
    ) -> Result<(File, u64), Fault> {
        // Locked before it has the name that others know.
        let mut file = lock(path)?;
        file.set_len(0)?;
        let (id, mut len) = (self.id, 0);
        self.buffer.clear();
        self.buffer.extend(MAGIC);
        frame(&mut self.buffer, ABOUT, next, |out| {
            out.extend(id.to_le_bytes());
            out.extend(self.spool.as_os_str().as_bytes());
        });
        for kept in kept {
            self.put(&kept);
            if self.buffer.len() >= CHUNK {
                file.write_all(&self.buffer)?;
                len += self.buffer.len() as u64;
                self.buffer.clear();
            }
        }
        file.write_all(&self.buffer)?;
        Ok((file, len + self.buffer.len() as u64))
    }

    /// Takes the file away.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Opens a file that nobody else has, or makes one.
fn lock(path: &Path) -> Result<File, Fault> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    // In a folder where everybody may write, a link could lead anywhere, and a pipe could hold us up.
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    // Whoever had it may have put another in its place just now.
    for _ in 0..8 {
        let file = options.open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(Fault::NoFile);
        }
        if about.uid() != geteuid().as_raw() {
            return Err(Fault::Foreign(about.uid()));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Fault::Locked),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let same = |there: fs::Metadata| (there.dev(), there.ino()) == (about.dev(), about.ino());
        if fs::symlink_metadata(path).is_ok_and(same) {
            return Ok(file);
        }
    }
    Err(Fault::Locked)
}

/// Which journal it is, and what is in it.
fn read(file: &File, spool: &Path, boot: Boot) -> Result<(Option<u128>, Found), Fault> {
    let (len, now) = (file.metadata()?.len(), SystemClock.now());
    let (mut source, mut bytes) = (BufReader::new(file), Vec::new());
    let mut magic = Vec::new();
    source.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
    match magic.as_slice() {
        [] => return Ok((None, Found::Nothing)),
        magic if magic == MAGIC => {}
        magic if magic.starts_with(OURS) => {
            return Ok((None, Found::Unreadable("another version of Vigie wrote it")));
        }
        _ => return Ok((None, Found::Unreadable("it is none of Vigie's"))),
    }
    let about = record(&mut source, &mut bytes)?.filter(|(kind, _, _)| *kind == ABOUT);
    let about = about.and_then(|(_, next, mut rest)| Some((next, take::<16>(&mut rest)?, rest)));
    let Some((mut next, id, whose)) = about else {
        return Ok((None, Found::Unreadable("its first record is damaged")));
    };
    if whose != spool.as_os_str().as_bytes() {
        return Err(Fault::Other(PathBuf::from(std::ffi::OsStr::from_bytes(whose))));
    }
    let mut whole = (MAGIC.len() + HEAD + bytes.len()) as u64;
    let mut kept = BTreeMap::new();
    while let Some((kind, number, rest)) = record(&mut source, &mut bytes)? {
        match kind {
            PUT => {
                let Some(record) = decode(number, rest, boot, now) else { break };
                kept.insert(number, (record.born, record.body));
            }
            GONE => drop(kept.remove(&number)),
            STORED => kept = kept.split_off(&number.saturating_add(1)),
            _ => break,
        }
        next = next.max(number.saturating_add(1));
        whole += (HEAD + bytes.len()) as u64;
    }
    let kept = kept.into_iter().map(|(number, (born, body))| Kept { number, born, body }).collect();
    let left = Left { kept, next, torn: len.saturating_sub(whole) };
    Ok((Some(u128::from_le_bytes(id)), Found::Left(left)))
}

/// Adds a record to what is to be written.
fn frame(out: &mut Vec<u8>, kind: u8, number: u64, rest: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend([0; HEAD]);
    out.push(kind);
    out.extend(number.to_le_bytes());
    rest(out);
    let body = &out[begin + HEAD..];
    let (len, sum) = (body.len() as u32, crc32fast::hash(body));
    out[begin..begin + 4].copy_from_slice(&len.to_le_bytes());
    out[begin + 4..begin + HEAD].copy_from_slice(&sum.to_le_bytes());
}

/// The next record: kind, number and the rest; `None`: there is none, or not a whole one.
fn record<'a>(source: &mut impl Read, bytes: &'a mut Vec<u8>) -> io::Result<Option<(u8, u64, &'a [u8])>> {
    bytes.clear();
    source.take(HEAD as u64).read_to_end(bytes)?;
    let mut head = bytes.as_slice();
    let (Some(len), Some(sum)) = (take(&mut head), take(&mut head)) else { return Ok(None) };
    let (len, sum) = (u32::from_le_bytes(len) as usize, u32::from_le_bytes(sum));
    bytes.clear();
    if len > LONGEST {
        return Ok(None);
    }
    source.take(len as u64).read_to_end(bytes)?;
    if bytes.len() < len || crc32fast::hash(bytes) != sum {
        return Ok(None);
    }
    let mut rest = bytes.as_slice();
    let (Some([kind]), Some(number)) = (take(&mut rest), take(&mut rest)) else { return Ok(None) };
    Ok(Some((kind, u64::from_le_bytes(number), rest)))
}

#[cfg(test)]
mod tests;
