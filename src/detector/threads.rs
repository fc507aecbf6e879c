//! How many threads run a graph, and where: one pool for the int8 engine's bands and for what stays with tract.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tract_linalg::multithread::{Executor, multithread_tract_scope};

use super::Error;

/// The threads that run one graph.
pub(super) struct Threads(Option<Arc<ThreadPool>>);

impl Threads {
    /// So many, only on these cores. 0: as many as the cores named; and if none is, chosen from the machine's.
    pub fn new(asked: usize, cores: &[usize]) -> Result<Threads, Error> {
        let (count, cores) = match (asked, cores) {
            (0, []) => Machine::read(Path::new(CPUS)).choose(available()),
            (0, cores) => (cores.len(), cores.to_vec()),
            (count, cores) => (count, cores.to_vec()),
        };
        if count == 1 && cores.is_empty() {
            // The caller's thread does the work.
            return Ok(Threads(None));
        }
        let failed = |reason: String| Error::Threads { count, reason };
        let set = set(&cores).map_err(failed)?;
        let builder = ThreadPoolBuilder::new().num_threads(count).thread_name(|i| format!("infer-{i}"));
        let builder = builder.start_handler(move |_| {
            // It was just seen that these cores may be used; if that has changed, running elsewhere is right.
            let _ = set.as_ref().map(|set| sched_setaffinity(None, set));
        });
        let pool = builder.build().map_err(|e| failed(e.to_string()))?;
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

/// Cores as the system's calls want them; `None`: any.
fn set(cores: &[usize]) -> Result<Option<CpuSet>, String> {
    if cores.is_empty() {
        return Ok(None);
    }
    let allowed = sched_getaffinity(None).map_err(|e| format!("can't ask for the cores there are: {e}"))?;
    let mut set = CpuSet::new();
    for &core in cores {
        if core >= CpuSet::MAX_CPU || !allowed.is_set(core) {
            let known: Vec<_> =
                (0..CpuSet::MAX_CPU).filter(|&c| allowed.is_set(c)).map(|c| c.to_string()).collect();
            return Err(format!("core {core} is not among those that may be used ({})", known.join(", ")));
        }
        set.set(core);
    }
    Ok(Some(set))
}

/// Where the kernel describes the processors.
const CPUS: &str = "/sys/devices/system/cpu";

/// Processors that this process may use, as its affinity and its control group allow.
fn available() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// What the kernel says of the processors.
#[derive(Debug, Default, PartialEq)]
struct Machine {
    /// Cores, each counted once however many threads it runs; 0 where the kernel doesn't say.
    physical: usize,
    /// How fast each processor is, on a board that has different ones.
    capacities: BTreeMap<usize, u32>,
}

impl Machine {
    fn read(cpus: &Path) -> Machine {
        let (mut siblings, mut capacities) = (HashSet::new(), BTreeMap::new());
        for entry in std::fs::read_dir(cpus).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("cpu")?.parse::<usize>().ok());
            let Some(number) = number else { continue };
            let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).ok();
            siblings.extend(read("topology/thread_siblings_list"));
            capacities.extend(read("cpu_capacity").and_then(|c| Some((number, c.trim().parse().ok()?))));
        }
        Machine { physical: siblings.len(), capacities }
    }

    /// The fast ones of a board that has slower ones too: a step of the network ends when its slowest thread does.
    fn fast(&self) -> Option<Vec<usize>> {
        let most = *self.capacities.values().max()?;
        let fast = self.capacities.iter().filter(|(_, c)| **c >= most - most / 5).map(|(cpu, _)| *cpu);
        let fast: Vec<usize> = fast.collect();
        (fast.len() < self.capacities.len()).then_some(fast)
    }

    /// How many threads, and on which cores if not on any. A second thread on a core adds little to loops that keep its
    /// multipliers busy. Of more than two cores one is left to the cameras and to everybody else on the board.
    fn choose(&self, available: usize) -> (usize, Vec<usize>) {
        if let Some(fast) = self.fast().filter(|_| available >= self.capacities.len()) {
            return (fast.len(), fast);
        }
        let cores = if self.physical == 0 { available } else { available.min(self.physical) };
        (if cores > 2 { cores - 1 } else { cores.max(1) }, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder as the kernel's: each processor's siblings and capacity.
    fn machine(processors: &[(&str, &str, Option<u32>)]) -> Machine {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("cpufreq")).unwrap();
        for (name, siblings, capacity) in processors {
            let cpu = folder.path().join(name);
            std::fs::create_dir_all(cpu.join("topology")).unwrap();
            std::fs::write(cpu.join("topology/thread_siblings_list"), siblings).unwrap();
            if let Some(capacity) = capacity {
                std::fs::write(cpu.join("cpu_capacity"), format!("{capacity}\n")).unwrap();
            }
        }
        Machine::read(folder.path())
    }

    #[test]
    fn one_core_is_left_where_there_are_more_than_two() {
        let of = |physical, available| Machine { physical, ..Machine::default() }.choose(available);
        let boards = [of(0, 1), of(2, 2), of(4, 4), of(4, 8), of(8, 2), of(0, 6)];
        assert_eq!(boards.clone().map(|(count, _)| count), [1, 2, 3, 3, 2, 5]);
        assert!(boards.iter().all(|(_, cores)| cores.is_empty()), "any core will do");
    }

    #[test]
    fn threads_of_a_core_are_counted_once() {
        let smt =
            [("cpu0", "0,2", None), ("cpu1", "1,3", None), ("cpu2", "0,2", None), ("cpu3", "1,3", None)];
        assert_eq!(machine(&smt), Machine { physical: 2, capacities: BTreeMap::new() });
        assert_eq!(machine(&[]), Machine::default());
    }

    #[test]
    fn slow_cores_beside_fast_ones_are_left_to_others() {
        let big_little = [("cpu0", "0", Some(530)), ("cpu1", "1", Some(1024)), ("cpu2", "2", Some(1008))];
        let machine_ = machine(&big_little);
        assert_eq!(machine_.choose(3), (2, vec![1, 2]));
        assert_eq!(machine_.choose(2), (2, vec![]), "some are forbidden, and nobody knows which");
        let alike = [("cpu0", "0", Some(1024)), ("cpu1", "1", Some(1024)), ("cpu2", "2", Some(1024))];
        assert_eq!(machine(&alike).choose(3), (2, vec![]));
    }

    #[test]
    fn work_runs_on_the_threads_that_were_asked_for() {
        for count in [1, 3] {
            let threads = Threads::new(count, &[]).unwrap();
            assert_eq!(threads.count(), count);
            assert_eq!(threads.run(super::super::int8::threads), count);
        }
        assert!(Threads::new(0, &[]).unwrap().count() >= 1);
    }

    #[test]
    fn work_stays_on_the_cores_that_were_named() {
        let allowed = sched_getaffinity(None).unwrap();
        let core = (0..CpuSet::MAX_CPU).find(|&c| allowed.is_set(c)).unwrap();
        let threads = Threads::new(0, &[core]).unwrap();
        assert_eq!(threads.count(), 1);
        let there = threads.run(|| sched_getaffinity(None).unwrap());
        assert!(there.is_set(core) && there.count() == 1);
        for wrong in [CpuSet::MAX_CPU - 1, usize::MAX] {
            let error = Threads::new(2, &[core, wrong]).err().unwrap().to_string();
            assert!(error.contains(&format!("core {wrong} is not among")), "{error}");
        }
    }
}
