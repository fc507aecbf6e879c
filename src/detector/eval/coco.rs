//! A data set as COCO's `instances.json` describes it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

/// No larger file is read; COCO's own train2017 annotations have 449 MB.
const MAX_BYTES: u64 = 1 << 30;

/// Why a data set can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file can't be read.
    #[error("can't read annotations {}: {source}; check the path given with --coco", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not COCO's JSON.
    #[error("{} is not a COCO instances file: {reason}; it needs `images`, `annotations` and `categories`", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file contradicts itself.
    #[error("annotations {}: {reason}", path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
}

/// A class of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Category {
    /// Its number in the data set.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// A labelled object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object {
    /// Index into [`Dataset::categories`].
    pub category: usize,
    /// x, y, width and height in pixels of the picture.
    pub bbox: [f64; 4],
    /// Neither found nor missed: a crowd, or an object that its labellers called difficult.
    pub ignored: bool,
}

/// A labelled picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its number in the data set.
    pub id: u64,
    /// Its file, relative to the folder of pictures.
    pub file_name: String,
    /// What is in it.
    pub objects: Vec<Object>,
    /// Which categories are labelled in it, by index; `None`: all.
    pub labelled: Option<Vec<usize>>,
}

impl Image {
    /// Whether a category is labelled in this picture; where it isn't, nothing can be said of it.
    pub fn labels(&self, category: usize) -> bool {
        self.labelled.as_ref().is_none_or(|l| l.contains(&category))
    }
}

/// A labelled data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The classes, by ascending number.
    pub categories: Vec<Category>,
    /// The pictures, by ascending number.
    pub images: Vec<Image>,
}

#[derive(Deserialize)]
struct Raw {
    images: Vec<RawImage>,
    annotations: Vec<RawObject>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct RawImage {
    id: u64,
    file_name: String,
    labelled_classes: Option<Vec<u64>>,
}

#[derive(Deserialize)]
struct RawObject {
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    #[serde(default, deserialize_with = "flag")]
    iscrowd: bool,
    #[serde(default, deserialize_with = "flag")]
    difficult: bool,
}

/// 0, 1, false or true: tools differ.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Bool(b) => Ok(b),
        serde_json::Value::Number(n) => Ok(n.as_f64() != Some(0.0)),
        serde_json::Value::Null => Ok(false),
        other => Err(serde::de::Error::custom(format!("a flag is {other}"))),
    }
}

impl Dataset {
    /// Reads an instances file.
    pub fn read(path: &Path) -> Result<Dataset, DatasetError> {
        let unreadable = |source| DatasetError::Read { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_BYTES {
            return Err(unreadable(std::io::Error::other(format!(
                "it has {length} bytes, more than {MAX_BYTES}"
            ))));
        }
        let text = std::fs::read(path).map_err(unreadable)?;
        let malformed =
            |e: serde_json::Error| DatasetError::Malformed { path: path.to_owned(), reason: e.to_string() };
        let raw: Raw = serde_json::from_slice(&text).map_err(malformed)?;
        resolve(raw).map_err(|reason| DatasetError::Inconsistent { path: path.to_owned(), reason })
    }
}

fn resolve(raw: Raw) -> Result<Dataset, String> {
    let mut categories = raw.categories;
    categories.sort_by_key(|c| c.id);
    let index: HashMap<u64, usize> = categories.iter().enumerate().map(|(i, c)| (c.id, i)).collect();
    if index.len() != categories.len() {
        return Err("two categories have the same id".to_owned());
    }
    let category = |id: u64| index.get(&id).copied().ok_or_else(|| format!("there is no category {id}"));
    let mut objects: HashMap<u64, Vec<Object>> = HashMap::new();
    for o in raw.annotations {
        if o.bbox.iter().any(|v| !v.is_finite()) || o.bbox[2] < 0.0 || o.bbox[3] < 0.0 {
            return Err(format!(
                "a box of image {} is {:?}, which is no [x, y, width, height]",
                o.image_id, o.bbox
            ));
        }
        let ignored = o.iscrowd || o.difficult;
        let object = Object { category: category(o.category_id)?, bbox: o.bbox, ignored };
        objects.entry(o.image_id).or_default().push(object);
    }
    let mut images = Vec::with_capacity(raw.images.len());
    for i in raw.images {
        let labelled =
            i.labelled_classes.map(|ids| ids.into_iter().map(category).collect::<Result<Vec<_>, _>>());
        let objects = objects.remove(&i.id).unwrap_or_default();
        images.push(Image { id: i.id, file_name: i.file_name, objects, labelled: labelled.transpose()? });
    }
    if let Some(id) = objects.keys().min() {
        return Err(format!("there are boxes of image {id}, which `images` doesn't list (or lists twice)"));
    }
    images.sort_by_key(|i| i.id);
    let mut seen = HashSet::new();
    match images.iter().find(|i| !seen.insert(i.id)) {
        Some(twice) => Err(format!("image {} is listed twice", twice.id)),
        None => Ok(Dataset { categories, images }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Dataset, DatasetError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("instances.json");
        std::fs::write(&path, text).unwrap();
        Dataset::read(&path)
    }

    #[test]
    fn flags_and_labelled_classes() {
        let data = read(
            r#"{"images": [{"id": 9, "file_name": "b.jpg", "labelled_classes": [3]}, {"id": 2, "file_name": "a.jpg"}],
                "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
                "annotations": [{"image_id": 9, "category_id": 3, "bbox": [1, 2, 3, 4.5], "difficult": true},
                                {"image_id": 9, "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0, "area": 12}]}"#,
        )
        .unwrap();
        assert_eq!(data.categories[0].name, "dog");
        assert_eq!(data.images[0].file_name, "a.jpg");
        assert!(data.images[0].labels(1) && !data.images[1].labels(1) && data.images[1].labels(0));
        assert_eq!(data.images[1].objects.iter().map(|o| o.ignored).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn contradictions_are_told() {
        let says = |annotations: &str| {
            let text = format!(
                r#"{{"images": [{{"id": 1, "file_name": "a"}}], "categories": [{{"id": 1, "name": "a"}}],
                     "annotations": [{annotations}]}}"#
            );
            read(&text).unwrap_err().to_string()
        };
        assert!(says(r#"{"image_id": 1, "category_id": 2, "bbox": [0, 0, 1, 1]}"#).contains("no category 2"));
        assert!(says(r#"{"image_id": 5, "category_id": 1, "bbox": [0, 0, 1, 1]}"#).contains("image 5"));
        assert!(says(r#"{"image_id": 1, "category_id": 1, "bbox": [0, 0, -1, 1]}"#).contains("no [x, y"));
        assert!(says(r#"{"image_id": 1, "category_id": 1}"#).contains("not a COCO instances file"));
        assert!(Dataset::read(Path::new("/nowhere.json")).unwrap_err().to_string().contains("--coco"));
    }
}
