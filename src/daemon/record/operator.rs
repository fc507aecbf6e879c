//! The [`Operator`]: what a recorder's thread does with frames and with what it is told.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use log::{debug, info, warn};

use super::director::{Cut, Director, Rules, Told};
use super::ring::{Ring, Still};
use super::tape::{Clip, PART, Tape};
use super::{About, CLIPS, Parts};
use crate::capture::avi::MOST_BYTES;
use crate::daemon::store::{self, Files};
use crate::detector::label_of;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;
use crate::vision::{Error, Mask, encode};

/// After a clip could not be written no other is begun for so long.
const REST: Duration = Duration::from_secs(10);
/// So much of a clip's greatest length in bytes is left for what stands around its frames.
const MARGIN: u64 = 64 << 10;

/// See the module's words.
pub struct Operator {
    parts: Parts,
    mask: Mask,
    ring: Ring,
    director: Director,
    tape: Option<Tape>,
    files: Files,
    /// The most frames a second.
    fps: f32,
    /// Until when no clip is begun.
    rests_until: Option<Duration>,
    /// Whether the last frame could not be compressed: such trouble is logged when it begins.
    complained: bool,
}

impl Operator {
    /// Nothing is recorded yet.
    pub fn new(parts: Parts) -> Operator {
        let options = &parts.options;
        let rules = Rules {
            after: options.after,
            longest: options.longest,
            classes: parts.classes.clone(),
            everything: parts.everything,
        };
        Operator {
            mask: Mask::new(parts.masks.clone()),
            ring: Ring::new(options.before),
            director: Director::new(rules),
            tape: None,
            files: Files::open(&options.store, &parts.camera, CLIPS),
            fps: options.fps.map_or(parts.max_fps, |fps| fps.min(parts.max_fps)),
            rests_until: None,
            complained: false,
            parts,
        }
    }

    /// Makes clips of what an earlier run did not finish.
    pub fn take_up(&mut self) {
        for part in self.files.ending(PART) {
            let finished = Tape::resume(part.clone()).and_then(|tape| {
                let Some(tape) = tape else { return Ok(None) };
                let about = self.about(&tape).left_over();
                tape.finish(about).map(Some)
            });
            match finished {
                Ok(Some(clip)) => {
                    info!(
                        "camera {}: {} was not finished, and is now",
                        self.parts.camera,
                        clip.path.display()
                    );
                    self.files.put(self.parts.clock.now().wall, clip.path, clip.bytes);
                }
                Ok(None) => {}
                Err(error) => {
                    warn!("cannot finish the clip {}: {error}", part.display());
                    let bytes = part.metadata().map_or(0, |about| about.len());
                    self.files.put(self.parts.clock.now().wall, part, bytes);
                }
            }
        }
    }

    /// Another frame, the latest.
    pub fn frame(&mut self, frame: &Frame, spread: Size) {
        match self.still(frame, spread) {
            Ok(still) => {
                self.complained = false;
                let at = still.captured.monotonic;
                self.cut(at);
                self.ring.push(still);
                self.roll(at);
            }
            Err(error) => {
                self.parts.figures.dropped();
                if !std::mem::replace(&mut self.complained, true) {
                    warn!("camera {}: frame {} is not recorded: {error}", self.parts.camera, frame.sequence);
                }
            }
        }
    }

    /// Something happened to an object.
    pub fn told(&mut self, told: Told) {
        self.director.told(told);
        self.settle(told.at);
    }

    /// Something happened that was not told.
    pub fn missed(&mut self, at: Duration) {
        self.director.forget(at);
    }

    /// Begins and ends what is to begin and to end at that time.
    pub fn settle(&mut self, at: Duration) {
        self.cut(at);
        self.roll(at);
    }

    /// Nothing comes any more.
    pub fn end(&mut self) {
        self.close(Cut::Over);
    }

    /// A frame as it is kept: masked before anything else, and as the camera gave it if there is nothing to be masked.
    fn still(&mut self, frame: &Frame, spread: Size) -> Result<Still, Error> {
        let jpeg = if frame.format == PixelFormat::Mjpeg && self.parts.masks.is_empty() {
            frame.data.clone()
        } else {
            let mut rgb = encode::to_rgb(frame)?;
            let size = rgb.size;
            self.mask.blank(&mut rgb.data, size, spread);
            encode::jpeg(&rgb, self.parts.options.quality)?
        };
        Ok(Still { jpeg, size: frame.size, captured: frame.captured })
    }

    fn cut(&mut self, at: Duration) {
        if let Some(why) = self.director.cut(at) {
            self.close(why);
        }
    }

    /// Writes what is in memory, if it is to be recorded.
    fn roll(&mut self, at: Duration) {
        if !self.director.rolls(at) {
            return;
        }
        while let Some(still) = self.ring.take() {
            if let Err(error) = self.write(&still) {
                self.parts.figures.dropped();
                self.failed(&error);
                self.rests_until = Some(at + REST);
                self.close(Cut::Split);
            }
        }
    }

    fn write(&mut self, still: &Still) -> io::Result<()> {
        let at = still.captured.monotonic;
        if self.rests_until.is_some_and(|until| at < until) {
            self.parts.figures.dropped();
            return Ok(());
        }
        let most = MOST_BYTES.min(self.parts.options.store.bytes).saturating_sub(MARGIN);
        let bytes = |tape: &Tape| tape.bytes() + still.jpeg.len() as u64;
        if self.tape.as_ref().is_some_and(|tape| tape.size() != still.size || bytes(tape) > most) {
            self.close(Cut::Split);
        }
        let mut tape = match self.tape.take() {
            Some(tape) => tape,
            None => {
                let tape = self.begin(still)?;
                self.director.began(at);
                tape
            }
        };
        self.files.make_room(bytes(&tape) + MARGIN);
        let written = tape.write(still);
        self.tape = Some(tape);
        if written.is_ok() {
            self.parts.figures.frame();
        }
        written
    }

    /// Begins a clip with a frame: its name has the time of day, the run, and the first object's number and label.
    fn begin(&self, first: &Still) -> io::Result<Tape> {
        let wall = first.captured.wall;
        let time = Timestamp::try_from(wall).unwrap_or_default().strftime("%H%M%S").to_string();
        let what = match self.director.cast().first() {
            Some((member, _)) if !self.parts.everything => {
                let label = label_of(&self.parts.site.labels, member.class_id);
                format!(".{}-{}", member.number, store::word(&label))
            }
            _ => "-all".to_owned(),
        };
        let name = format!("{time}-{}{what}", self.parts.site.run_id);
        Tape::begin(&self.files.day(wall)?, &name, first.size, self.fps, first.captured.monotonic)
    }

    /// Ends the clip, if there is one.
    fn close(&mut self, why: Cut) {
        if let Some(tape) = self.tape.take() {
            let about = self.about(&tape).with(&self.parts.site, self.director.cast().iter());
            let (part, bytes) = (tape.part().to_owned(), tape.bytes());
            match tape.finish(about) {
                Ok(clip) if clip.about.frames == 0 => {}
                Ok(clip) => self.kept(&clip),
                Err(error) => {
                    self.failed(&error);
                    // It counts and gives way like any other, until the next start tries again.
                    self.files.put(self.parts.clock.now().wall, part, bytes);
                }
            }
        }
        // Each clip shows what was before, though another clip may show it too; one that goes on where another ends does not.
        if why == Cut::Over {
            self.ring.rewind();
        }
        self.director.ended(why);
    }

    /// A clip could not be written.
    fn failed(&mut self, error: &io::Error) {
        self.parts.figures.failed();
        self.files.said(Some(error));
        if let Some(hear) = &self.parts.on_clip {
            hear(Err(error));
        }
    }

    fn about(&self, tape: &Tape) -> About {
        About::new(&self.parts.site, &self.parts.camera, tape.size(), tape.fps(), tape.times())
    }

    /// A clip is whole.
    fn kept(&mut self, clip: &Clip) {
        let (camera, path) = (&self.parts.camera, clip.path.display());
        debug!("camera {camera}: {path}, {} s", clip.about.seconds);
        self.parts.figures.clip(clip.bytes);
        let now = self.parts.clock.now();
        // A clip that broke off is kept, but the trouble is not over with it.
        if self.rests_until.is_none_or(|until| until <= now.monotonic) {
            self.rests_until = None;
            self.files.said(None);
        }
        self.files.put(now.wall, clip.path.clone(), clip.bytes);
        if let Some(hear) = &self.parts.on_clip {
            hear(Ok(clip));
        }
    }
}
