//! A running `vigie run`, as a service manager sees it: its signals, its log, its exit code.

use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::mosquitto::{Received, Subscriber};

#[path = "../common/mod.rs"]
pub mod common;

/// Under emulation the program takes its time to load a model, and seconds for a look.
pub const START: Duration = Duration::from_secs(300);

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    log: Arc<(Mutex<String>, Condvar)>,
    folder: tempfile::TempDir,
}

/// How a daemon ended.
pub struct Ended {
    /// The exit code; `None`: a signal killed it.
    pub code: Option<i32>,
    /// All that it wrote to standard error.
    pub log: String,
    /// How long the end took.
    pub took: Duration,
}

impl Daemon {
    /// Starts it with a configuration.
    pub fn start(config: &str) -> Daemon {
        Daemon::start_in(config, &[])
    }

    /// Starts it with a configuration, in an environment that has these variables too.
    pub fn start_in(config: &str, environment: &[(&str, &str)]) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vigie.toml");
        std::fs::write(&file, config).unwrap();
        let mut child = common::vigie()
            .args(["run", "--config"])
            .arg(&file)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let (lines, theirs) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                *theirs.0.lock().unwrap() += &(line + "\n");
                theirs.1.notify_all();
            }
        });
        Daemon { child, log, folder }
    }

    /// Its configuration file.
    pub fn config_file(&self) -> std::path::PathBuf {
        self.folder.path().join("vigie.toml")
    }

    /// Its standard output, once.
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until its log has these words; returns the log.
    pub fn says(&self, words: &str) -> String {
        let log = self.log.0.lock().unwrap();
        let waited = self.log.1.wait_timeout_while(log, START, |log| !log.contains(words)).unwrap();
        let said = waited.0.clone();
        drop(waited);
        assert!(said.contains(words), "'{words}' is not said:\n{said}");
        said
    }

    /// Waits for its end. Nobody reads what it still writes to standard output.
    pub fn end(mut self) -> Ended {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < START, "the daemon does not end:\n{}", self.log.0.lock().unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
        let (code, took) = (self.child.wait().unwrap().code(), start.elapsed());
        // The last lines may still be on their way through the pipe.
        let mut left = Duration::from_secs(5);
        while Arc::strong_count(&self.log) > 1 && !left.is_zero() {
            std::thread::sleep(Duration::from_millis(10));
            left -= Duration::from_millis(10);
        }
        let log = self.log.0.lock().unwrap().clone();
        Ended { code, log, took }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            eprintln!("--- the daemon's log ---\n{log}");
        }
    }
}

/// Reads whatever is left in a stream, and throws it away.
pub fn drain(mut stream: ChildStdout) {
    std::thread::spawn(move || {
        let _ = stream.read_to_end(&mut Vec::new());
    });
}

/// A device `porch` with a camera `front` that shows the pictures of a folder.
pub fn config(port: u16, pictures: &Path) -> String {
    format!(
        "device.name = 'porch'\n\
         mqtt.url = 'mqtt://127.0.0.1:{port}'\n\
         stats.interval = '1s'\n\
         detect = {{ max_fps = 30, detections_rate = 30, hold = '1s', thresholds = {{ '*' = 0.35 }} }}\n\
         [[camera]]\n\
         name = 'front'\n\
         source = {{ pictures = '{}', fps = 5 }}\n",
        pictures.display()
    )
}

/// The bundled photographs.
pub fn photographs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/pictures")
}

/// A folder for a camera, where it is and where it may be moved to; in it one of the bundled photographs twice, so that each
/// is read from it when its turn comes.
pub fn folder_that_goes_away(name: &str) -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (shown, away) = (folder.path().join("shown"), folder.path().join("away"));
    std::fs::create_dir(&shown).unwrap();
    for copy in ["a.jpg", "b.jpg"] {
        std::fs::copy(photographs().join(name), shown.join(copy)).unwrap();
    }
    (folder, shown, away)
}

/// A folder with some of the bundled photographs.
pub fn folder_of(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::copy(photographs().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

/// The next message that fits, with more patience than the subscriber's own; what comes before it is passed over.
pub fn until(subscriber: &Subscriber, what: &str, mut fits: impl FnMut(&Received) -> bool) -> Received {
    let start = Instant::now();
    let mut passed = Vec::new();
    loop {
        match subscriber.poll(Duration::from_secs(1)) {
            Some(message) if fits(&message) => return message,
            Some(message) => passed.push(format!("{} {:.40}", message.topic, message.payload)),
            None => {}
        }
        assert!(start.elapsed() < START, "no {what}; there came: {passed:#?}");
    }
}
