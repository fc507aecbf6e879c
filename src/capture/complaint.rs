//! What a camera's thread says in the log: each failure once until the camera works again, and each recovery once, for
//! an unplugged or flapping camera must not fill a log that is kept for years.

use std::time::Duration;

use super::Error;

/// What was said since the camera last worked for long.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    /// The failures, without their figures: those change, and what is wrong is the same.
    said: Vec<String>,
    /// What was opened when that was last said; empty: nobody knows yet, or a failure was said after it.
    opened: String,
}

impl Complaint {
    /// The most failures to be remembered; a camera with more of them says one of them again.
    const MOST: usize = 16;

    /// Says a failure, and when it is tried again.
    pub(super) fn failed(&mut self, name: &str, e: &Error, delay: Duration) {
        let text = e.to_string();
        let again = format!("next try in {:.1} s", delay.as_secs_f32());
        match (self.is_new(&text), e.hint()) {
            (true, Some(hint)) => log::warn!("camera {name}: {text} ({hint}); {again}"),
            (true, None) => log::warn!("camera {name}: {text}; {again}"),
            (false, _) => log::debug!("camera {name}: still: {text}; {again}"),
        }
    }

    /// Says what was opened.
    pub(super) fn opened(&mut self, name: &str, what: String) {
        if self.opened == what {
            log::debug!("camera {name}: opened {what} again");
        } else {
            log::info!("camera {name}: opened {what}");
            self.opened = what;
        }
    }

    /// It has worked for long: the next failure is said whatever it is.
    pub(super) fn over(&mut self) {
        self.said.clear();
    }

    fn is_new(&mut self, text: &str) -> bool {
        let text: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.said.contains(&text) {
            return false;
        }
        if self.said.len() == Complaint::MOST {
            self.said.remove(0);
        }
        self.said.push(text);
        self.opened.clear();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::testing::logged;
    use crate::capture::{Error, ErrorKind};

    const DELAY: Duration = Duration::from_secs(1);

    fn fail(complaint: &mut Complaint, what: &str) {
        complaint.failed("porch", &Error::new(ErrorKind::Lost, what), DELAY);
    }

    #[test]
    fn a_flapping_camera_says_each_failure_once_and_that_it_was_opened_once_after_it() {
        let lines = logged(|| {
            let mut complaint = Complaint::default();
            complaint.opened("porch", "/dev/video0".to_owned());
            for second in 0..100 {
                fail(&mut complaint, "it went away");
                fail(&mut complaint, &format!("no frame for {second} s"));
                complaint.opened("porch", "/dev/video0".to_owned());
            }
            complaint.opened("porch", "/dev/video2".to_owned());
            complaint.over();
            fail(&mut complaint, "it went away");
            complaint.opened("porch", "/dev/video2".to_owned());
        });
        assert_eq!(
            lines,
            [
                "INFO camera porch: opened /dev/video0",
                "WARN camera porch: it went away; next try in 1.0 s",
                "WARN camera porch: no frame for 0 s; next try in 1.0 s",
                "INFO camera porch: opened /dev/video0",
                "INFO camera porch: opened /dev/video2",
                "WARN camera porch: it went away; next try in 1.0 s",
                "INFO camera porch: opened /dev/video2",
            ]
        );
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut complaint = Complaint::default();
        let word = |i: u8| "x".repeat(usize::from(i) + 1);
        assert!((0..100).all(|i| complaint.is_new(&word(i))));
        assert_eq!(complaint.said.len(), Complaint::MOST);
        assert!(!complaint.is_new(&word(99)) && complaint.is_new(&word(0)));
    }
}
