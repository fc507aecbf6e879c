//! The capture thread against a source that fails on command, on a clock that only moves when somebody sleeps.

use super::*;
use crate::capture::Negotiated;
use crate::capture::testing::FakeClock;

/// What the scripted source gives at each poll.
#[derive(Clone, Copy, Debug)]
enum Poll {
    Frame,
    Broken,
    Silence,
    Fail(ErrorKind),
    Panic,
}

struct Scripted {
    negotiated: Negotiated,
    polls: std::vec::IntoIter<Poll>,
    clock: Arc<dyn Clock>,
    sequence: u64,
    truncated: u64,
    /// Silent for ever at the end of its script; otherwise lost.
    patient: bool,
}

impl Scripted {
    fn open(polls: Vec<Poll>, clock: &Arc<dyn Clock>, patient: bool) -> Box<dyn Source> {
        let negotiated =
            Negotiated { name: "it".into(), format: PixelFormat::Grey, size: Size::new(8, 8), fps: None };
        let (polls, clock) = (polls.into_iter(), Arc::clone(clock));
        Box::new(Scripted { negotiated, polls, clock, sequence: 0, truncated: 0, patient })
    }
}

impl Source for Scripted {
    fn poll(&mut self, frame: &mut Frame, wait: Duration) -> Result<bool, Error> {
        match self.polls.next() {
            Some(Poll::Frame) => {
                self.clock.sleep(Duration::from_millis(33));
                frame.sequence = self.sequence;
                frame.captured = self.clock.now();
                self.sequence += 1;
                Ok(true)
            }
            Some(Poll::Broken) => {
                self.clock.sleep(wait);
                self.truncated += 1;
                Ok(false)
            }
            Some(Poll::Silence) => {
                self.clock.sleep(wait);
                Ok(false)
            }
            Some(Poll::Fail(kind)) => Err(Error::new(kind, "it failed")),
            Some(Poll::Panic) => panic!("a bug, on purpose"),
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
        Counters { gaps: 1, truncated: self.truncated, ..Counters::default() }
    }
}

/// What became of a camera.
#[derive(Default)]
struct Ran {
    health: Option<Health>,
    elapsed: Duration,
    /// The sequence numbers of its frames.
    numbers: Vec<u64>,
    /// Each state that it was in, when it began, and why.
    told: Vec<(State, Duration, Option<String>)>,
}

impl Ran {
    fn states(&self) -> Vec<State> {
        self.told.iter().map(|(state, ..)| *state).collect()
    }

    fn health(&self) -> &Health {
        self.health.as_ref().unwrap()
    }
}

/// Runs a camera over one script an open (`Err`: the open fails) until the last one is worn out; whoever looks at its
/// frames can decode those whose numbers `decodes`.
fn look(scripts: Vec<Result<Vec<Poll>, ErrorKind>>, decodes: fn(u64) -> bool) -> Ran {
    let fake = Arc::new(FakeClock::new());
    let clock = Arc::clone(&fake) as Arc<dyn Clock>;
    let empty = Frame::packed(PixelFormat::Grey, Size::default(), clock.now());
    let ran = Arc::new(Mutex::new(Ran::default()));
    let cell: Arc<std::sync::OnceLock<Arc<Shared>>> = Arc::default();
    let (late, seen, since, taken) =
        (Arc::clone(&cell), Arc::clone(&ran), Arc::clone(&fake), Mutex::new(empty.clone()));
    let wake = move || {
        let (shared, mut frame, mut ran) = (late.get().unwrap(), taken.lock().unwrap(), seen.lock().unwrap());
        if shared.mailbox.take(&mut frame, Duration::ZERO) == Take::Frame {
            ran.numbers.push(frame.sequence);
            match decodes(frame.sequence) {
                true => shared.verdicts().readable(),
                false => shared.verdicts().unreadable(&"the JPEG is corrupt"),
            }
        }
        let health = shared.health().clone();
        if ran.told.last().is_none_or(|(state, ..)| *state != health.state) {
            ran.told.push((health.state, since.elapsed(), health.reason));
        }
    };
    let shared = Arc::new(Shared {
        mailbox: Mailbox::new(empty.clone()),
        health: Mutex::new(Health::unopened(clock.now())),
        verdicts: Mutex::default(),
        stop: AtomicBool::new(false),
        clock: Arc::clone(&clock),
        wake: Arc::new(wake),
    });
    cell.set(Arc::clone(&shared)).ok().unwrap();
    let mut scripts = scripts.into_iter();
    let opener = || {
        let script = scripts.next().unwrap_or_else(|| {
            shared.stop.store(true, Ordering::Relaxed);
            Err(ErrorKind::NotFound)
        });
        let polls = script.map_err(|kind| Error::new(kind, "cannot open it"))?;
        Ok(Scripted::open(polls, &clock, false))
    };
    capture("it", &shared, empty, &mut Past::new(fastrand::Rng::with_seed(3)), opener);
    let mut ran = std::mem::take(&mut *ran.lock().unwrap());
    (ran.health, ran.elapsed) = (Some(shared.health().clone()), fake.elapsed());
    ran
}

/// [`look`] at a camera all of whose frames can be decoded: its health, the delays' sum and the sequence numbers.
fn run(scripts: Vec<Result<Vec<Poll>, ErrorKind>>) -> (Health, Duration, Vec<u64>) {
    let ran = look(scripts, |_| true);
    (ran.health().clone(), ran.elapsed, ran.numbers)
}

#[test]
fn a_lost_camera_is_reopened_and_its_numbers_go_on() {
    let (health, _, numbers) = run(vec![
        Ok(vec![Poll::Frame, Poll::Frame]),
        Err(ErrorKind::NotFound),
        Err(ErrorKind::NotFound),
        Ok(vec![Poll::Frame, Poll::Fail(ErrorKind::Io)]),
        Ok(vec![Poll::Frame]),
    ]);
    assert_eq!(numbers, [0, 1, 2, 3]);
    assert_eq!(health.counters, Counters { frames: 4, reopened: 2, gaps: 3, ..Counters::default() });
    assert_eq!((health.state, health.kind), (State::Offline, Some(ErrorKind::NotFound)));
    assert_eq!(health.reason.as_deref(), Some("cannot open it"));
}

#[test]
fn silence_is_a_stall_after_the_deadline() {
    let mut polls = vec![Poll::Frame];
    polls.extend([Poll::Silence; 29]);
    polls.push(Poll::Frame);
    polls.extend([Poll::Silence; 40]);
    let ran = look(vec![Ok(polls), Ok(vec![Poll::Frame])], |_| true);
    assert_eq!(
        ran.numbers,
        [0, 1, 2],
        "2.9 s of silence were no stall, and after the stall it was opened again"
    );
    assert_eq!(ran.states(), [State::Online, State::Stalled, State::Online, State::Offline]);
    let (_, when, reason) = &ran.told[1];
    // A frame, 2.9 s, another frame, and then 3 s.
    assert_eq!(*when, Duration::from_millis(33 + 2900 + 33 + 3000));
    assert_eq!(reason.as_deref(), Some("it gave no usable frame for 3.0 s"));
    assert_eq!(ran.health().counters.reopened, 1);
}

#[test]
fn a_stall_in_which_broken_frames_came_says_so() {
    let polls = [vec![Poll::Broken; 5], vec![Poll::Frame], vec![Poll::Broken; 40]].concat();
    let ran = look(vec![Ok(polls)], |_| true);
    let (state, _, reason) = &ran.told[1];
    assert_eq!(*state, State::Stalled);
    let words = "it gave no usable frame for 3.0 s; 30 came broken: 30 ended too early";
    assert_eq!(reason.as_deref(), Some(words), "those before the last good frame don't count");
}

#[test]
fn a_camera_whose_pictures_can_not_be_decoded_is_opened_anew_and_is_stalled_until_one_can() {
    let scripts = (0..3).map(|_| Ok(vec![Poll::Frame; 20])).collect();
    let ran = look(scripts, |number| number >= 2 * u64::from(Verdicts::TOO_MANY));
    // The frames of the second open change nothing: the first one had as many.
    assert_eq!(ran.states(), [State::Online, State::Stalled, State::Online, State::Offline]);
    let reason = ran.told[1].2.as_deref();
    let words =
        "most of the last pictures of it could not be decoded; of the newest one, the JPEG is corrupt";
    assert_eq!(reason, Some(words));
    assert_eq!((ran.numbers.len(), ran.health().counters.reopened), (12 + 12 + 20, 2));
    let tries = ErrorKind::Unreadable.retry().first.mul_f64(0.5);
    assert!(ran.told[2].1 - ran.told[1].1 > tries, "it was backed off");
}

#[test]
fn a_camera_some_of_whose_pictures_can_not_be_decoded_stays_as_it_is() {
    let ran = look(vec![Ok(vec![Poll::Frame; 500])], |number| number % 5 < 2);
    assert_eq!((ran.states(), ran.numbers.len()), (vec![State::Online, State::Offline], 500));
}

#[test]
fn a_camera_whose_pictures_never_decode_is_no_spin_however_seldom_it_is_looked_at() {
    let ran = look((0..50).map(|_| Ok(vec![Poll::Frame; 2000])).collect(), |_| false);
    assert_eq!(ran.numbers.len(), 50 * 12);
    assert!(ran.elapsed > Duration::from_secs(10 * 60), "{:?}", ran.elapsed);
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
    let (health, elapsed, _) = run((0..50).map(|_| Ok(vec![Poll::Frame])).collect());
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
        Ok(Scripted::open(vec![Poll::Frame, Poll::Frame], &opening, true))
    });
    let guard = told.lock().unwrap();
    drop(tell.wait_while(guard, |n| *n < 2).unwrap());
    let health = camera.health();
    assert_eq!((health.state, health.counters.frames, health.counters.dropped), (State::Online, 2, 1));
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), clock.now());
    assert_eq!((camera.take(&mut frame, Duration::ZERO), frame.sequence), (Take::Frame, 1), "the newest");
    let before = std::time::Instant::now();
    camera.stop();
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_panic_is_told_and_the_camera_starts_anew_with_the_numbers_that_follow() {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::new());
    let opening = Arc::clone(&clock);
    let mut scripts = [vec![Poll::Frame, Poll::Frame, Poll::Panic], vec![Poll::Frame; 3]].into_iter();
    let (wake, woken) = std::sync::mpsc::channel();
    let camera =
        Camera::spawn_with("it".into(), clock, Arc::new(move || wake.send(()).unwrap()), move || {
            Ok(Scripted::open(scripts.next().unwrap(), &opening, true))
        });
    for _ in 0..6 {
        woken.recv_timeout(Duration::from_secs(10)).expect("two frames, offline, and then three frames");
    }
    let health = camera.health();
    assert_eq!((health.state, health.counters.frames, health.counters.reopened), (State::Online, 5, 1));
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), camera.shared.clock.now());
    while camera.take(&mut frame, Duration::ZERO) != Take::Frame {}
    assert_eq!(frame.sequence, 4, "a number is never given twice");
}
