//! The daemon and its signals: it hears them whatever it does, and whatever hangs does not hold it up for long.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

mod support;

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use support::daemon::{Daemon, config, drain, folder_of, photographs, until};
use support::gate::Gate;
use support::mosquitto::Broker;

/// What a stop may take beyond the deadlines, on a machine that does other things too.
const SLACK: Duration = Duration::from_secs(5);

#[test]
fn a_stop_while_the_model_loads_is_heard() {
    let broker = Broker::start();
    let daemon = Daemon::start(&config(broker.port, &photographs()));
    daemon.says("device 'porch'");
    daemon.signal(Signal::TERM);
    let ended = daemon.end();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(!ended.log.contains("classes"), "it did not wait for the model:\n{}", ended.log);
}

#[test]
fn a_second_signal_ends_at_once() {
    let broker = Broker::start();
    let gate = Gate::to(broker.port, true);
    let status = broker.subscribe("vigie/porch/status");
    let daemon = Daemon::start(&config(gate.port, &photographs()));
    until(&status, "birth", |message| message.payload == "online");
    // Nobody answers any more: a clean stop would wait for its whole deadline.
    gate.freeze();
    daemon.signal(Signal::TERM);
    daemon.says("once more ends at once");
    daemon.signal(Signal::INT);
    let ended = daemon.end();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.took < Duration::from_secs(2), "{:?}", ended.took);
}

#[test]
fn a_reader_of_standard_output_that_hangs_holds_up_no_stop() {
    // The figures of many cameras, once a second, fill a pipe soon, however slow the machine is.
    let camera =
        |n| format!("[[camera]]\nname = 'c{n}'\nmax_fps = 0.01\nsource = {{ testcard = true, fps = 1 }}\n");
    let config = String::from("stats.interval = '1s'\n") + &(0..20).map(camera).collect::<String>();
    let mut daemon = Daemon::start(&config);
    let stdout = daemon.stdout();
    // A pipe holds 64 KiB; it is full, and nobody reads, when the queue behind it has begun to fill.
    daemon.says("watching");
    std::thread::sleep(Duration::from_secs(15));
    daemon.signal(Signal::TERM);
    let ended = daemon.end();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("standard output takes no more lines"), "{}", ended.log);
    assert!(ended.took < Duration::from_secs(5) + SLACK, "{:?}", ended.took);
    drain(stdout);
}

/// A camera whose device does not come back from the kernel: the broker is told before anybody waits for it.
#[test]
fn a_camera_that_does_not_close_holds_up_neither_the_last_word_nor_the_end() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.y4m");
    let mut file = std::fs::File::create(&clip).unwrap();
    file.write_all(b"YUV4MPEG2 W16 H16 F25:1 C420jpeg\n").unwrap();
    for _ in 0..5 {
        file.write_all(b"FRAME\n").unwrap();
        file.write_all(&[128; 16 * 16 * 3 / 2]).unwrap();
    }
    let config = config(broker.port, &photographs())
        + &format!("[[camera]]\nname = 'stuck'\nsource = {{ clip = '{}' }}\n", clip.display());
    let status = broker.subscribe("vigie/porch/stuck/status");
    let daemon = Daemon::start(&config);
    until(&status, "online", |message| message.payload == "online");
    // The clip ends for good, and whoever opens it again waits for somebody to write into a pipe.
    std::fs::rename(&clip, folder.path().join("old")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &clip,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    file.set_len(0).unwrap();
    until(&status, "offline", |message| message.payload == "offline");
    std::thread::sleep(Duration::from_secs(2));
    daemon.signal(Signal::TERM);
    let ended = daemon.end();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("not every camera closed"), "{}", ended.log);
    assert!(ended.took < Duration::from_secs(3) + SLACK, "{:?}", ended.took);
    assert_eq!(broker.subscribe("vigie/porch/status").next().payload, "offline");
}

#[test]
fn a_configuration_that_is_read_again_is_taken_over_or_refused_and_nothing_ends() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let daemon = Daemon::start(&config(broker.port, pictures.path()));
    daemon.says("watching");
    daemon.signal(Signal::HUP);
    daemon.says("nothing changed");
    let file = daemon.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("max_fps = 30,", "max_fps = 3,")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.says("what changed in [[camera]]; restart vigie for it");
    std::fs::write(&file, text.replace("max_fps = 30,", "max_fsp = 30,")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.says("max_fsp");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, Some(0));
}

/// What a service manager with `Type=notify` and `WatchdogSec=3` hears (`sd_notify(3)`).
#[test]
fn the_service_manager_hears_ready_and_then_a_pulse() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(support::daemon::START)).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "3000000")];
    let daemon = Daemon::start_in(&config(broker.port, &photographs()), &environment);
    let heard = |what: &str| {
        let mut buffer = [0; 1024];
        loop {
            let length = manager.recv(&mut buffer).unwrap();
            let words = std::str::from_utf8(&buffer[..length]).unwrap();
            if words.contains(what) {
                return words.to_owned();
            }
        }
    };
    assert!(heard("READY=1").contains("STATUS=watching 1 camera(s)"));
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for _ in 0..3 {
        heard("WATCHDOG=1");
    }
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, Some(0));
    heard("STOPPING=1");
}
