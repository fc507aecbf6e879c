//! How many threads run a graph, and which: one pool for the int8 engine's bands and for what stays with tract.

use std::collections::HashSet;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tract_linalg::multithread::{Executor, multithread_tract_scope};

use super::Error;

/// The threads that run one graph.
pub(super) struct Threads(Option<Arc<ThreadPool>>);

impl Threads {
    /// So many; chosen from the cores where 0. One needs no pool: the caller's thread does the work.
    pub fn new(asked: usize) -> Result<Threads, Error> {
        let count = if asked == 0 { chosen(available(), physical(Path::new(CPUS))) } else { asked };
        if count == 1 {
            return Ok(Threads(None));
        }
        let builder = ThreadPoolBuilder::new().num_threads(count).thread_name(|i| format!("infer-{i}"));
        let pool = builder.build().map_err(|e| Error::Threads { count, reason: e.to_string() })?;
        Ok(Threads(Some(Arc::new(pool))))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// Runs something that shares its work out on these threads. A panic in it goes on here.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.0 {
            None => work(),
            Some(pool) => {
                let executor = Executor::MultiThread(pool.clone());
                pool.install(|| multithread_tract_scope(executor, work))
            }
        }
    }
}

/// Where the kernel describes the processors.
const CPUS: &str = "/sys/devices/system/cpu";

/// Processors that this process may use, as its affinity and its control group allow.
fn available() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Cores, each counted once however many threads it runs; `None` where the kernel doesn't say.
fn physical(cpus: &Path) -> Option<usize> {
    let siblings = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        let number = name.to_str()?.strip_prefix("cpu")?;
        number.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        std::fs::read_to_string(entry.path().join("topology/thread_siblings_list")).ok()
    };
    let cores: HashSet<String> = std::fs::read_dir(cpus).ok()?.flatten().filter_map(siblings).collect();
    (!cores.is_empty()).then_some(cores.len())
}

/// A second thread on a core adds little to loops that keep its multipliers busy. Of more than two cores one is left to
/// the cameras and to everybody else on the board.
fn chosen(available: usize, physical: Option<usize>) -> usize {
    match available.min(physical.unwrap_or(available)) {
        cores @ 0..=2 => cores.max(1),
        cores => cores - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_core_is_left_where_there_are_more_than_two() {
        let boards = [(1, None), (2, Some(2)), (4, Some(4)), (8, Some(4)), (2, Some(8)), (6, None)];
        assert_eq!(boards.map(|(a, p)| chosen(a, p)), [1, 2, 3, 3, 2, 5]);
    }

    #[test]
    fn cores_are_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(physical(folder.path()), None);
        for (cpu, siblings) in [("cpu0", "0,2\n"), ("cpu1", "1,3\n"), ("cpu2", "0,2\n"), ("cpu3", "1,3\n")] {
            let topology = folder.path().join(cpu).join("topology");
            std::fs::create_dir_all(&topology).unwrap();
            std::fs::write(topology.join("thread_siblings_list"), siblings).unwrap();
        }
        std::fs::create_dir(folder.path().join("cpufreq")).unwrap();
        assert_eq!(physical(folder.path()), Some(2));
    }

    #[test]
    fn work_runs_on_the_threads_that_were_asked_for() {
        for count in [1, 3] {
            let threads = Threads::new(count).unwrap();
            assert_eq!(threads.count(), count);
            assert_eq!(threads.run(super::super::int8::threads), count);
        }
        assert!(Threads::new(0).unwrap().count() >= 1);
    }
}
