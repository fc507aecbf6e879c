//! The [`Desk`]: hears every command, hands over what can be carried out, says why the others can't, and does not let
//! itself be worn out.

use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};

use super::bucket::Bucket;
use super::figures::CommandFigures;
use crate::mqtt::commands::{Command, Commands, Reason, Received, Refusal};

/// So many commands a second are heard in the long run…
const RATE: u32 = 20;
/// …and so many at once: a house with twenty cameras whose every switch is set by one scene.
const AT_ONCE: u32 = 100;
/// So many lines about commands go to the log at once, and one a while later.
const LINES_AT_ONCE: u32 = 10;
const LINE_EVERY: Duration = Duration::from_secs(10);
/// That there are too many is said in the log so often at most.
const FLOOD_EVERY: Duration = Duration::from_secs(60);

/// See the module's words.
pub struct Desk {
    commands: Commands,
    bucket: Bucket,
    lines: Bucket,
    /// Lines that were left out since the last one.
    left_out: u64,
    flood_lines: Bucket,
    /// Whether the latest command was beyond the rate: that is said once.
    flooded: bool,
    figures: Arc<CommandFigures>,
}

impl Desk {
    /// For a site's commands.
    pub fn new(commands: Commands, figures: Arc<CommandFigures>) -> Desk {
        Desk {
            commands,
            bucket: Bucket::new(AT_ONCE, f64::from(RATE)),
            lines: Bucket::new(LINES_AT_ONCE, 1.0 / LINE_EVERY.as_secs_f64()),
            left_out: 0,
            flood_lines: Bucket::new(1, 1.0 / FLOOD_EVERY.as_secs_f64()),
            flooded: false,
            figures,
        }
    }

    /// Hears a message at `now` on the monotonic clock, and lets `deliver` carry it out, which says whether it could.
    /// Returns what the sender is to be told.
    pub fn hear(
        &mut self,
        message: &Received,
        now: Duration,
        deliver: impl FnOnce(Command) -> bool,
    ) -> Option<Refusal> {
        if !self.bucket.take(now) {
            self.figures.ignored();
            if std::mem::replace(&mut self.flooded, true) {
                return None;
            }
            let reason = Reason::TooMany { rate: RATE };
            if self.flood_lines.take(now) {
                warn!("{reason}, and the stats count them");
            }
            return Some(Refusal { camera: None, reason });
        }
        // One that fits into a flood now and then is no end of it.
        self.flooded = self.flooded && !self.bucket.is_half_full();
        let refusal = match self.commands.read(message) {
            Ok(command) => {
                let Command { camera, change } = command.clone();
                if deliver(command) {
                    self.figures.carried_out();
                    let what = self.commands.describe(change);
                    self.log(now, || info!("camera {camera}: {what}, by a command"));
                    return None;
                }
                Refusal { camera: Some(camera), reason: Reason::Busy }
            }
            Err(refusal) => refusal,
        };
        self.figures.refused();
        let camera = refusal.camera.as_deref().map(|name| format!("camera {name}: ")).unwrap_or_default();
        self.log(now, || warn!("{camera}a command was refused: {}", refusal.reason));
        Some(refusal)
    }

    fn log(&mut self, now: Duration, write: impl FnOnce()) {
        if !self.lines.take(now) {
            self.left_out += 1;
            return;
        }
        if self.left_out > 0 {
            info!("{} lines about commands were left out", std::mem::take(&mut self.left_out));
        }
        write();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Trust;
    use crate::mqtt::Site;
    use crate::mqtt::commands::Change;

    fn desk() -> (Desk, Arc<CommandFigures>) {
        let site = Site {
            prefix: "vigie".into(),
            device: "porch".into(),
            boot_id: "b".into(),
            run_id: "r".into(),
            model: "m".into(),
            labels: vec!["person".into()],
            cameras: vec!["front".into()],
            trust: Trust::default(),
            commands: true,
        };
        let figures = Arc::new(CommandFigures::default());
        (Desk::new(Commands::new(&site).unwrap(), Arc::clone(&figures)), figures)
    }

    fn message(payload: &str) -> Received {
        Received::new("vigie/porch/front/detect/set", payload.as_bytes(), false)
    }

    #[test]
    fn what_can_be_done_is_delivered_and_the_rest_is_answered() {
        let (mut desk, figures) = desk();
        let now = Duration::from_secs(9);
        let mut delivered = Vec::new();
        let heard = desk.hear(&message("OFF"), now, |command| {
            delivered.push(command);
            true
        });
        assert_eq!(heard, None);
        assert_eq!(delivered, [Command { camera: "front".into(), change: Change::Detect(false) }]);
        let refused = desk.hear(&message("?"), now, |_| panic!("not delivered")).unwrap();
        assert_eq!(refused.camera.as_deref(), Some("front"));
        let busy = desk.hear(&message("ON"), now, |_| false).unwrap();
        assert_eq!(busy.reason, Reason::Busy);
        let stats = figures.read();
        assert_eq!((stats.carried_out, stats.refused, stats.ignored), (1, 2, 0));
    }

    #[test]
    fn a_flood_is_told_once_and_counted() {
        let (mut desk, figures) = desk();
        let start = Duration::from_secs(9);
        let (mut delivered, mut answers) = (0, Vec::new());
        for n in 0..10_000u32 {
            let answer = desk.hear(&message("ON"), start + Duration::from_millis(1) * n, |_| {
                delivered += 1;
                true
            });
            answers.extend(answer);
        }
        assert!((290..=310).contains(&delivered), "{delivered} in 10 s");
        assert_eq!(answers, [Refusal { camera: None, reason: Reason::TooMany { rate: RATE } }]);
        assert_eq!(figures.read().ignored, 10_000 - delivered);
        // It is over; the next one is told again.
        let later = start + Duration::from_secs(3600);
        let again = (0..200).filter_map(|_| desk.hear(&message("ON"), later, |_| true)).count();
        assert_eq!(again, 1);
    }
}
