//! A [`Sheet`]: the ways of objects, drawn into a frame with the camera's zones and lines.

use std::path::{Path, PathBuf};

use super::explain::Dropped;
use crate::cli::{Failure, Outcome};
use crate::config;
use crate::frame::Frame;
use crate::geometry::Size;
use crate::mqtt::payload::{Event, EventType};
use crate::vision::annotate::class_colour;
use crate::vision::sketch::{self, Stroke};
use crate::vision::{Mask, encode};

/// So many ways in one picture can still be told apart.
const MOST: usize = 12;
const ZONE: [u8; 3] = [255, 255, 255];
const LINE: [u8; 3] = [255, 220, 60];
const IGNORED: [u8; 3] = [150, 150, 150];
const DROPPED: [u8; 3] = [235, 90, 70];

/// Pictures of ways.
pub struct Sheet {
    folder: PathBuf,
    mask: Mask,
    /// What the masked parts spread to in frames of this kind.
    spread: Size,
    ground: Vec<Stroke>,
    ways: Vec<Stroke>,
    files: Vec<PathBuf>,
}

impl Sheet {
    /// Into a folder, which is made.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new(folder: &Path, camera: &config::Camera) -> Result<Sheet, Failure> {
        std::fs::create_dir_all(folder)
            .map_err(|error| crate::cli::pictures::cannot("make the folder", folder, error))?;
        let area = |points: &[[f32; 2]], text: &str, colour| Stroke {
            points: points.to_vec(),
            closed: true,
            dot: false,
            dashed: false,
            text: text.to_owned(),
            colour,
        };
        let zones = camera.zones.iter().map(|zone| area(zone.polygon.points(), &zone.name, ZONE));
        let ignored = camera.ignore_zones.iter().map(|zone| area(zone.polygon.points(), "ignored", IGNORED));
        let lines =
            camera.lines.iter().map(|line| Stroke { closed: false, ..area(&line.ends, &line.name, LINE) });
        Ok(Sheet {
            folder: folder.to_owned(),
            mask: Mask::new(camera.privacy_masks.clone()),
            spread: Size::default(),
            ground: zones.chain(ignored).chain(lines).collect(),
            ways: Vec::new(),
            files: Vec::new(),
        })
    }

    /// An object that has ended leaves its way.
    pub fn event(&mut self, event: &Event<'_>) {
        if event.kind != EventType::End {
            return;
        }
        let number = event.id.rsplit('.').next().unwrap_or_default();
        self.ways.push(Stroke {
            points: event.path.clone(),
            closed: false,
            dot: true,
            dashed: false,
            text: format!("{} {number}", event.label),
            colour: class_colour(number.parse().unwrap_or(0)),
        });
    }

    /// What became no object leaves dashes.
    pub fn dropped(&mut self, dropped: &Dropped) {
        self.ways.push(Stroke {
            points: dropped.way.to_vec(),
            closed: false,
            dot: true,
            dashed: true,
            text: format!("{}? {}", dropped.label, dropped.words),
            colour: DROPPED,
        });
    }

    /// Whether it is time for a picture.
    pub fn is_full(&self) -> bool {
        self.ways.len() >= MOST
    }

    /// What [`crate::vision::Prepared`] says of the latest frame.
    pub fn spread(&mut self, spread: Size) {
        self.spread = spread;
    }

    /// Draws what has come together into a frame, and writes it.
    pub fn draw(&mut self, frame: &Frame, spread: Size) -> Outcome {
        self.spread = spread;
        let mut picture = encode::to_rgb(frame).map_err(Failure::runtime)?;
        let size = picture.size;
        self.mask.blank(&mut picture.data, size, spread);
        // Whoever became an object has the first word.
        self.ways.sort_by_key(|way| way.dashed);
        let strokes: Vec<Stroke> = self.ways.drain(..).chain(self.ground.iter().cloned()).collect();
        sketch::draw(&mut picture, &strokes).map_err(Failure::runtime)?;
        let file = self.folder.join(format!("tracks-{:03}.jpg", self.files.len() + 1));
        encode::save(&picture, &file).map_err(Failure::runtime)?;
        self.files.push(file);
        Ok(())
    }

    /// Draws what is left into the last frame.
    pub fn finish(&mut self, last: &Frame) -> Outcome {
        if last.size.area() == 0 || (self.ways.is_empty() && !self.files.is_empty()) {
            return Ok(());
        }
        self.draw(last, self.spread)
    }

    /// The pictures that were written.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter()
    }
}
