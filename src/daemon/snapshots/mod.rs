//! Pictures of what a camera sees: the inference thread hands over a copy of the frame in which an object is seen best, a
//! thread of its own masks it, cuts it, compresses it, and says it.
//!
//! The copies come from a small pool: where none is free no view is taken, and the next look may be the best one instead.

use std::sync::mpsc::{SyncSender, sync_channel};

use log::warn;

use super::pool::Pool;
use super::store::{self, Files, Kind};
use crate::clock::Moment;
use crate::config::Shot;
use crate::detector::label_of;
use crate::frame::Frame;
use crate::geometry::{BBox, Polygon, Size};
use crate::mqtt::Herald;
use crate::mqtt::dialect::Snapshot;
use crate::scene::objects::Object;
use crate::vision::annotate::{self, Mark};
use crate::vision::{Error, Mask, encode};

/// Files of pictures.
pub const PICTURES: Kind = Kind { what: "picture", ending: "jpg", beside: None };

/// So many frames of one camera may be on their way at once.
const POOL: usize = 3;
/// How much is shown around an object, in parts of its longer side.
const AROUND: f32 = 0.15;

/// What a studio is made of.
pub struct Parts {
    /// The camera's name.
    pub camera: String,
    /// What the pictures are like.
    pub shot: Shot,
    /// What nobody shall see.
    pub masks: Vec<Polygon>,
    /// The model's labels.
    pub names: Vec<String>,
    /// Says them.
    pub herald: Herald,
    /// Keeps them.
    pub files: Option<Files>,
    /// What sets the files of this run apart from those of others.
    pub run: String,
}

/// A camera's way to its pictures.
pub struct Studio {
    jobs: SyncSender<Job>,
    pool: Pool,
}

/// A frame, and who is seen in it.
struct Job {
    frame: Frame,
    /// How far what a pixel shows may have spread.
    spread: Size,
    sitters: Vec<Sitter>,
}

/// An object that is seen best in a frame.
struct Sitter {
    number: u64,
    class_id: u16,
    bbox: BBox,
    score: f32,
    captured: Moment,
}

impl Studio {
    /// Starts the thread; it ends when the studio is dropped.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn start(parts: Parts) -> std::io::Result<Studio> {
        let (jobs, waiting) = sync_channel::<Job>(POOL);
        let (pool, give_back) = Pool::new(POOL);
        let name = format!("picture-{}", parts.camera);
        std::thread::Builder::new().name(name).spawn(move || {
            let mut darkroom = Darkroom { mask: Mask::new(parts.masks.clone()), parts, complained: false };
            for job in waiting {
                darkroom.develop(&job);
                let _ = give_back.try_send(job.frame);
            }
        })?;
        Ok(Studio { jobs, pool })
    }

    /// Whether a frame can be taken now.
    pub fn is_free(&mut self) -> bool {
        self.pool.is_free()
    }

    /// Takes a copy of the frame for the objects that are seen best in it.
    pub fn take<'a>(&mut self, frame: &Frame, spread: Size, objects: impl Iterator<Item = &'a Object>) {
        let sitter = |object: &Object| {
            let view = object.view?;
            let (number, class_id, captured) = (object.id, object.class_id, view.captured);
            Some(Sitter { number, class_id, bbox: view.bbox, score: view.score, captured })
        };
        let sitters: Vec<Sitter> = objects.filter_map(sitter).collect();
        if sitters.is_empty() {
            return;
        }
        let Some(frame) = self.pool.copy(frame) else { return };
        // As many jobs as frames fit; what doesn't is a thread that died, and was said.
        let _ = self.jobs.try_send(Job { frame, spread, sitters });
    }
}

/// What the thread has.
struct Darkroom {
    parts: Parts,
    mask: Mask,
    /// Whether the last picture failed: such trouble is logged when it begins.
    complained: bool,
}

impl Darkroom {
    fn develop(&mut self, job: &Job) {
        match self.try_develop(job) {
            Ok(()) => self.complained = false,
            Err(error) if !std::mem::replace(&mut self.complained, true) => {
                warn!("camera {}: no picture of frame {}: {error}", self.parts.camera, job.frame.sequence);
            }
            Err(_) => {}
        }
    }

    fn try_develop(&mut self, job: &Job) -> Result<(), Error> {
        let mut whole = encode::to_rgb(&job.frame)?;
        let size = whole.size;
        self.mask.blank(&mut whole.data, size, job.spread);
        for sitter in &job.sitters {
            let jpeg = shoot(&whole, sitter, &self.parts.shot, &self.parts.names)?;
            if let Some(files) = &mut self.parts.files {
                let label = store::word(&label_of(&self.parts.names, sitter.class_id));
                let name = format!("{}.{}-{label}.jpg", self.parts.run, sitter.number);
                files.write(sitter.captured.wall, &name, &jpeg);
            }
            let retain = self.parts.shot.retain;
            self.parts.herald.snapshot(&Snapshot { class_id: sitter.class_id, jpeg: &jpeg, retain });
        }
        Ok(())
    }
}

/// A picture of an object, out of a frame that is masked.
fn shoot(whole: &Frame, sitter: &Sitter, shot: &Shot, names: &[String]) -> Result<Vec<u8>, Error> {
    let part = if shot.crop { around(&sitter.bbox, whole.size) } else { everything(whole.size) };
    let mut picture = encode::cut(whole, &part, shot.longest)?;
    if shot.boxes {
        // Where the box is in what was cut, which was widened to whole pixels.
        let scale = picture.size.width as f32 / part.width().max(1.0);
        let BBox { x1, y1, x2, y2 } = sitter.bbox;
        let bbox = BBox::new(
            (x1 - part.x1) * scale,
            (y1 - part.y1) * scale,
            (x2 - part.x1) * scale,
            (y2 - part.y1) * scale,
        );
        let label = label_of(names, sitter.class_id);
        let mark = Mark {
            bbox,
            text: format!("{label} {:.0} %", sitter.score * 100.0),
            colour: annotate::class_colour(usize::from(sitter.class_id)),
        };
        annotate::draw(&mut picture, &[mark])?;
    }
    encode::jpeg_within(&picture, shot.quality, shot.bytes)
}

fn around(bbox: &BBox, size: Size) -> BBox {
    let more = AROUND * bbox.width().max(bbox.height());
    BBox::new(bbox.x1 - more, bbox.y1 - more, bbox.x2 + more, bbox.y2 + more).clamp(size)
}

fn everything(size: Size) -> BBox {
    BBox::new(0.0, 0.0, size.width as f32, size.height as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::defaults;
    use crate::frame::PixelFormat;
    use crate::vision::picture;

    fn frame() -> Frame {
        let now = Moment { monotonic: std::time::Duration::ZERO, wall: std::time::SystemTime::UNIX_EPOCH };
        let mut frame = Frame::packed(PixelFormat::Rgb3, Size::new(640, 480), now);
        for (i, byte) in frame.data.iter_mut().enumerate() {
            *byte = (i * 31 % 251) as u8;
        }
        frame
    }

    fn sitter() -> Sitter {
        let captured =
            Moment { monotonic: std::time::Duration::ZERO, wall: std::time::SystemTime::UNIX_EPOCH };
        Sitter { number: 3, class_id: 0, bbox: BBox::new(200.0, 100.0, 300.0, 300.0), score: 0.8, captured }
    }

    fn size_of(shot: Shot) -> (Size, usize) {
        let jpeg = shoot(&frame(), &sitter(), &shot, &["person".to_owned()]).unwrap();
        (picture::decode(&jpeg).unwrap().size, jpeg.len())
    }

    #[test]
    fn a_picture_is_cut_and_made_as_small_as_was_asked_for() {
        let shot = defaults::SNAPSHOT;
        let (size, bytes) = size_of(shot);
        assert_eq!(size, Size::new(160, 260), "30 pixels around 100 × 200");
        assert_eq!(size_of(Shot { crop: false, ..shot }).0, Size::new(640, 480));
        assert_eq!(size_of(Shot { crop: false, longest: 320, ..shot }).0, Size::new(320, 240));
        let (same, small) = size_of(Shot { bytes: bytes / 2, ..shot });
        assert_eq!(same, size);
        assert!(small <= bytes / 2, "{small} of {bytes} bytes");
        let (_, boxed) = size_of(Shot { boxes: true, ..shot });
        assert_ne!(boxed, bytes, "something was drawn");
    }

    #[test]
    fn what_is_masked_is_in_no_picture() {
        let left = Polygon::new(vec![[0.0, 0.0], [0.4, 0.0], [0.4, 1.0], [0.0, 1.0]]).unwrap();
        let mut whole = frame();
        let size = whole.size;
        Mask::new(vec![left]).blank(&mut whole.data, size, Size::new(16, 16));
        let jpeg = shoot(&whole, &sitter(), &defaults::SNAPSHOT, &[]).unwrap();
        let picture = picture::decode(&jpeg).unwrap();
        // The mask ends at 256 of the picture, and with its margin further right; the cut begins at 170.
        for row in picture.data.chunks(3 * picture.size.width as usize) {
            assert!(row[..3 * 80].iter().all(|&byte| byte < 24), "{:?}", &row[..12]);
        }
    }
}
