//! The capture thread against a source that fails on command, on a clock that only moves when somebody sleeps.

use super::*;
use crate::capture::Negotiated;
use crate::capture::testing::FakeClock;

/// What the scripted source does at each poll.
#[derive(Clone, Copy, Debug)]
enum Step {
    Frame,
    Silence,
    Fail(ErrorKind),
}

struct Scripted {
    negotiated: Negotiated,
    steps: std::vec::IntoIter<Step>,
    clock: Arc<dyn Clock>,
    sequence: u64,
    /// Silent for ever at the end of its script; otherwise lost.
    patient: bool,
}

impl Source for Scripted {
    fn poll(&mut self, frame: &mut Frame, wait: Duration) -> Result<bool, Error> {
        match self.steps.next() {
            Some(Step::Frame) => {
                self.clock.sleep(Duration::from_millis(33));
                frame.sequence = self.sequence;
                frame.captured = self.clock.now();
                self.sequence += 1;
                Ok(true)
            }
            Some(Step::Silence) => {
                self.clock.sleep(wait);
                Ok(false)
            }
            Some(Step::Fail(kind)) => Err(Error::new(kind, "it failed")),
            None if self.patient => {
                std::thread::sleep(Duration::from_millis(1));
                Ok(false)
            }
            None => Err(Error::new(ErrorKind::Lost, "it is gone")),
        }
    }

    fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    fn stall_after(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn counters(&self) -> Counters {
        Counters { gaps: 1, ..Counters::default() }
    }
}

/// Runs a camera over one script an open (`Err`: the open fails) until the last one is worn out; gives its health, the
/// delays' sum and the sequence numbers.
fn run(scripts: Vec<Result<Vec<Step>, ErrorKind>>) -> (Health, Duration, Vec<u64>) {
    let clock: Arc<FakeClock> = Arc::new(FakeClock::new());
    let shared = Arc::new(Shared {
        mailbox: Mailbox::new(Frame::packed(PixelFormat::Grey, Size::default(), clock.now())),
        health: Mutex::new(Health::unopened(clock.now())),
        stop: AtomicBool::new(false),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        wake: Arc::new(|| {}),
    });
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let mut shared_mut = Arc::into_inner(shared).unwrap();
    let seen = Arc::clone(&numbers);
    let taken = Mutex::new(Frame::packed(PixelFormat::Grey, Size::default(), clock.now()));
    let cell: Arc<std::sync::OnceLock<Arc<Shared>>> = Arc::default();
    let late = Arc::clone(&cell);
    shared_mut.wake = Arc::new(move || {
        let (shared, mut frame) = (late.get().unwrap(), taken.lock().unwrap());
        if shared.mailbox.take(&mut frame) == Take::Frame {
            seen.lock().unwrap().push(frame.sequence);
        }
    });
    let shared = Arc::new(shared_mut);
    cell.set(Arc::clone(&shared)).ok().unwrap();
    let mut scripts = scripts.into_iter();
    let opener = {
        let (clock, shared) = (Arc::clone(&clock), Arc::clone(&shared));
        move || -> Result<Box<dyn Source>, Error> {
            let script = scripts.next().unwrap_or_else(|| {
                shared.stop.store(true, Ordering::Relaxed);
                Err(ErrorKind::NotFound)
            });
            let steps = script.map_err(|kind| Error::new(kind, "cannot open it"))?.into_iter();
            let negotiated =
                Negotiated { name: "it".into(), format: PixelFormat::Grey, size: Size::new(8, 8), fps: None };
            Ok(Box::new(Scripted { negotiated, steps, clock: clock.clone(), sequence: 0, patient: false }))
        }
    };
    let frame = Frame::packed(PixelFormat::Grey, Size::default(), clock.now());
    capture("it", &shared, frame, Backoff::new(fastrand::Rng::with_seed(3)), opener);
    let health = shared.health().clone();
    let numbers = numbers.lock().unwrap().clone();
    (health, clock.elapsed(), numbers)
}

#[test]
fn a_lost_camera_is_reopened_and_its_numbers_go_on() {
    let (health, _, numbers) = run(vec![
        Ok(vec![Step::Frame, Step::Frame]),
        Err(ErrorKind::NotFound),
        Err(ErrorKind::NotFound),
        Ok(vec![Step::Frame, Step::Fail(ErrorKind::Io)]),
        Ok(vec![Step::Frame]),
    ]);
    assert_eq!(numbers, [0, 1, 2, 3]);
    assert_eq!(health.counters, Counters { frames: 4, reopened: 2, gaps: 3, ..Counters::default() });
    assert_eq!((health.state, health.kind), (State::Offline, Some(ErrorKind::NotFound)));
    assert_eq!(health.reason.as_deref(), Some("cannot open it"));
}

#[test]
fn silence_is_a_stall_after_the_deadline() {
    let mut steps = vec![Step::Frame];
    steps.extend([Step::Silence; 29]);
    steps.push(Step::Frame);
    steps.extend([Step::Silence; 40]);
    let (health, elapsed, numbers) = run(vec![Ok(steps)]);
    assert_eq!(numbers, [0, 1], "2.9 s of silence were no stall");
    // 2.9 s, then 3 s, two frames and the back-off after the stall and after the failed open.
    assert!(elapsed >= Duration::from_millis(5_900) && elapsed < Duration::from_secs(8), "{elapsed:?}");
    assert_eq!(health.kind, Some(ErrorKind::NotFound), "after the stall it was opened again");
}

#[test]
fn a_camera_that_never_comes_back_is_no_spin() {
    let (health, elapsed, _) = run((0..100).map(|_| Err(ErrorKind::Permission)).collect());
    // 101 tries, nearly all at the longest delay of a minute (at least half of it, for the jitter).
    assert!(elapsed > Duration::from_secs(45 * 60), "{elapsed:?}");
    assert_eq!(health.counters.frames, 0);
}

#[test]
fn a_device_that_dies_after_every_open_is_backed_off_too() {
    let (health, elapsed, _) = run((0..50).map(|_| Ok(vec![Step::Frame])).collect());
    assert_eq!((health.counters.frames, health.counters.reopened), (50, 49));
    assert!(elapsed > Duration::from_secs(10 * 60), "{elapsed:?}");
}

#[test]
fn stop_ends_a_waiting_thread_and_the_state_is_told() {
    let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock);
    let (told, tell) = (Arc::new(Mutex::new(0)), Arc::new(std::sync::Condvar::new()));
    let wake: Wake = {
        let (told, tell) = (Arc::clone(&told), Arc::clone(&tell));
        Arc::new(move || {
            *told.lock().unwrap() += 1;
            tell.notify_all();
        })
    };
    let opening = Arc::clone(&clock);
    let mut camera = Camera::spawn_with("it".into(), Arc::clone(&clock), wake, move || {
        let negotiated =
            Negotiated { name: "it".into(), format: PixelFormat::Grey, size: Size::new(8, 8), fps: None };
        let steps = vec![Step::Frame, Step::Frame].into_iter();
        Ok(Box::new(Scripted { negotiated, steps, clock: Arc::clone(&opening), sequence: 0, patient: true }))
    });
    let guard = told.lock().unwrap();
    drop(tell.wait_while(guard, |n| *n < 2).unwrap());
    let health = camera.health();
    assert_eq!((health.state, health.counters.frames, health.counters.dropped), (State::Online, 2, 1));
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), clock.now());
    assert_eq!((camera.take(&mut frame), frame.sequence), (Take::Frame, 1), "the newest");
    let before = std::time::Instant::now();
    camera.stop();
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_panic_is_told_and_the_camera_starts_anew() {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::new());
    let (opening, mut first) = (Arc::clone(&clock), true);
    let (wake, woken) = std::sync::mpsc::channel();
    let camera =
        Camera::spawn_with("it".into(), clock, Arc::new(move || wake.send(()).unwrap()), move || {
            assert!(!std::mem::take(&mut first), "a bug, on purpose");
            let negotiated =
                Negotiated { name: "it".into(), format: PixelFormat::Grey, size: Size::new(8, 8), fps: None };
            let steps = vec![Step::Frame; 3].into_iter();
            Ok(Box::new(Scripted {
                negotiated,
                steps,
                clock: Arc::clone(&opening),
                sequence: 0,
                patient: true,
            }))
        });
    for _ in 0..4 {
        woken.recv_timeout(Duration::from_secs(10)).expect("offline, and then three frames");
    }
    let health = camera.health();
    assert_eq!((health.state, health.counters.frames, health.counters.reopened), (State::Online, 3, 1));
}
