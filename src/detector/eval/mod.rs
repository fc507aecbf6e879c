//! COCO's mean average precision over a labelled data set: the same arithmetic as pycocotools, plus two things that real
//! data sets need: images in which only some classes are labelled, and objects too difficult to count.

mod coco;
mod score;

pub use coco::{Category, Dataset, DatasetError, Image, Object};
pub use score::{ClassScores, Evaluator, Found, Scores};
