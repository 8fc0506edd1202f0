//! Reading lists and folders: which records there are, and where their pictures lie. No picture is opened here. Every complaint
//! names the file and the line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use sentinel_core::digest::Digest;
use sentinel_core::job::Files;
use sentinel_core::stage::{Fault, StageError};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::released::{Id, PublishedPair};

/// A list is read whole; this is ten million short records.
const LIST_BYTES_MAX: u64 = 2 << 30;
/// An id is a name in files and reports.
const ID_BYTES_MAX: usize = 512;
/// Endings of pictures in a folder.
const PICTURE_ENDINGS: [&str; 3] = ["jpeg", "jpg", "png"];
/// Endings of pictures in formats that nothing here decodes: whoever looks at one sets it aside, so that none is left out in silence.
const OTHER_ENDINGS: [&str; 11] = ["avif", "bmp", "gif", "heic", "heif", "jfif", "jp2", "jxl", "tif", "tiff", "webp"];

/// Where records come from.
pub(super) enum Source {
    /// A list, and the folder its pictures lie in if not beside it.
    List { file: PathBuf, pictures: Option<PathBuf> },
    /// A folder of pictures.
    Folder(PathBuf),
}

/// A record of a list or folder.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) id: String,
    /// The picture's path as the data wrote it.
    pub(super) image_path: String,
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Where the record stands, for complaints: "`list.jsonl`, line 3".
    pub(super) place: String,
    /// What else it says.
    pub(super) content: T,
}

/// A line of `image_data.jsonl`; its other keys say nothing to this program.
#[derive(Deserialize)]
struct ImageLine {
    image_id: Option<Id>,
    image_path: Option<String>,
    image: Option<Id>,
    question: Option<String>,
}

/// Returns the pictures of a list in SENTINEL's format, each with its question. Two records of one id are an error.
pub(super) fn read_images(
    files: &dyn Files,
    file: &Path,
    pictures: Option<&Path>,
    question: &str,
    limit: usize,
) -> Result<Vec<Found<String>>, StageError> {
    let text = text(files, file)?;
    let shelf = Shelf::of(files, file, pictures)?;
    let mut lines_by_id: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (number, line) in lines(&text).take(limit) {
        let place = place(file, number);
        let ImageLine { image_id, image_path, image, question: own } = parse(line, &place)?;
        let image = image.map(Id::text);
        let id = image_id
            .map(Id::text)
            .or_else(|| image.clone())
            .ok_or_else(|| refused(&place, "needs `image_id` or `image`"))?;
        check_id(&id, &place)?;
        let image_path = image_path.or(image).ok_or_else(|| refused(&place, "needs `image_path` or `image`"))?;
        if let Some(first) = lines_by_id.insert(id.clone(), number) {
            return Err(refused(&place, &format!("`image_id` `{id}` stands on line {first} already")));
        }
        let path = shelf.find(&id, Some(&image_path), &place)?;
        found.push(Found { id, image_path, path, place, content: own.unwrap_or_else(|| question.to_owned()) });
    }
    Ok(found)
}

/// Returns the pictures below a folder, in order of their paths in it, which are their ids.
pub(super) fn read_folder(
    files: &dyn Files,
    folder: &Path,
    question: &str,
    limit: usize,
) -> Result<Vec<Found<String>>, StageError> {
    let mut found = Vec::new();
    for path in files.list(folder)? {
        if !(has_ending(&path, &PICTURE_ENDINGS) || has_ending(&path, &OTHER_ENDINGS)) || found.len() == limit {
            continue;
        }
        let below = path.strip_prefix(folder).unwrap_or(&path);
        let parts: Option<Vec<&str>> = below.components().map(|part| part.as_os_str().to_str()).collect();
        let place = format!("`{}`", path.display());
        let id = parts.ok_or_else(|| refused(&place, "its name is not UTF-8"))?.join("/");
        check_id(&id, &place)?;
        found.push(Found { image_path: id.clone(), id, path, place, content: question.to_owned() });
    }
    if found.is_empty() {
        let message = format!("no `.png`, `.jpg` or `.jpeg` below `{}`", folder.display());
        return Err(StageError::Refused(message));
    }
    Ok(found)
}

/// Returns the pairs of a published set, in order.
pub(super) fn read_pairs(
    files: &dyn Files,
    file: &Path,
    pictures: Option<&Path>,
    limit: usize,
) -> Result<Vec<Found<PublishedPair>>, StageError> {
    let text = text(files, file)?;
    let shelf = Shelf::of(files, file, pictures)?;
    let row = |(number, line)| {
        let place = place(file, number);
        parse(line, &place).map(|pair| (None, place, pair))
    };
    // A list may be long: its lines are parsed one by one.
    let rows: Box<dyn Iterator<Item = Result<PairRow, StageError>>> = match file.extension() {
        Some(ending) if ending == "json" => Box::new(rows_by_image(&text, file)?.into_iter().map(Ok)),
        _ => Box::new(lines(&text).map(row)),
    };
    let mut found = Vec::new();
    for row in rows.take(limit) {
        let (key, place, mut content) = row?;
        let own = content.image_id.take().map(Id::text);
        let id = key.or(own).ok_or_else(|| refused(&place, "needs `image_id`"))?;
        check_id(&id, &place)?;
        let path = shelf.find(&id, content.image_path.as_deref(), &place)?;
        let name = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let image_path = content.image_path.take().unwrap_or_else(name);
        found.push(Found { id, image_path, path, place, content });
    }
    Ok(found)
}

/// A pair with the id it stands under, if it stands under one, and its place.
type PairRow = (Option<String>, String, PublishedPair);

/// Returns the pairs of `{image id: [pair, …]}`, in the order of the file.
fn rows_by_image(text: &str, file: &Path) -> Result<Vec<PairRow>, StageError> {
    let whole = format!("`{}`", file.display());
    let ByImage(lists) = parse(text, &whole)?;
    let row = |id: &String, pair| (Some(id.clone()), format!("{whole}, `{id:.80}`"), pair);
    Ok(lists
        .into_iter()
        .flat_map(|(id, pairs)| pairs.into_iter().map(move |pair| row(&id, pair)).collect::<Vec<_>>())
        .collect())
}

/// Lists of pairs by image id, in the order of the file; an id may come back.
struct ByImage(Vec<(String, Vec<PublishedPair>)>);

impl<'de> Deserialize<'de> for ByImage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = ByImage;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists of pairs by image id")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByImage, A::Error> {
                let mut lists = Vec::new();
                while let Some(list) = map.next_entry()? {
                    lists.push(list);
                }
                Ok(ByImage(lists))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Returns the digest of a record's picture, or why the record is set aside.
pub(super) fn picture<T>(files: &dyn Files, found: &Found<T>) -> Result<Result<Digest, Fault>, StageError> {
    let Found { path, place, .. } = found;
    let digest = files.find(path).map_err(|error| match error {
        StageError::World(message, source) => StageError::World(format!("{place}: {message}"), source),
        StageError::Refused(message) => refused(place, &message),
        other => other,
    })?;
    let name = path.display();
    Ok(digest.map_err(|absent| Fault {
        reason: "missing-picture".to_owned(),
        detail: format!("{place}: the picture `{name}`: {absent}"),
    }))
}

/// Where pictures lie.
enum Shelf {
    /// Relative to the list's folder.
    Beside(PathBuf),
    /// In a folder, by file name and by file name without its ending; `None` where two files have that name.
    In { folder: PathBuf, names: BTreeMap<String, Option<PathBuf>> },
}

impl Shelf {
    fn of(files: &dyn Files, file: &Path, pictures: Option<&Path>) -> Result<Self, StageError> {
        let Some(folder) = pictures else {
            return Ok(Self::Beside(file.parent().map(Path::to_owned).unwrap_or_default()));
        };
        let mut names: BTreeMap<String, Option<PathBuf>> = BTreeMap::new();
        for path in files.list(folder)?.into_iter().filter(|path| has_ending(path, &PICTURE_ENDINGS)) {
            for name in [path.file_name(), path.file_stem()].into_iter().flatten() {
                let name = name.to_string_lossy().into_owned();
                names.entry(name).and_modify(|several| *several = None).or_insert_with(|| Some(path.clone()));
            }
        }
        Ok(Self::In { folder: folder.to_owned(), names })
    }

    fn find(&self, id: &str, image_path: Option<&str>, place: &str) -> Result<PathBuf, StageError> {
        match (self, image_path) {
            (Self::Beside(folder), Some(path)) => Ok(folder.join(path)),
            (Self::Beside(_), None) => Err(refused(place, "names no picture: say with `pictures` where pictures are")),
            (Self::In { folder, names }, path) => {
                let name = path.and_then(|path| Path::new(path).file_name()).map(|name| name.to_string_lossy());
                let found = name.as_deref().and_then(|name| names.get(name)).or_else(|| names.get(id));
                let wanted = name.as_deref().unwrap_or(id);
                match found {
                    Some(Some(path)) => Ok(path.clone()),
                    Some(None) => Err(refused(
                        place,
                        &format!("several pictures below `{}` are called `{wanted}`", folder.display()),
                    )),
                    // Where it would lie.
                    None => Ok(folder.join(Path::new(wanted).file_name().unwrap_or(wanted.as_ref()))),
                }
            }
        }
    }
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
}

fn text(files: &dyn Files, file: &Path) -> Result<String, StageError> {
    let bytes = files.read(file, LIST_BYTES_MAX)?;
    let text = String::from_utf8(bytes);
    text.map_err(|error| {
        refused(
            &format!("`{}`", file.display()),
            &format!("not UTF-8 from byte {} on", error.utf8_error().valid_up_to()),
        )
    })
}

/// Returns the lines that say something, counted from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty())
}

fn parse<'t, T: Deserialize<'t>>(text: &'t str, place: &str) -> Result<T, StageError> {
    serde_json::from_str(text).map_err(|error| refused(place, &error.to_string()))
}

fn check_id(id: &str, place: &str) -> Result<(), StageError> {
    if id.trim().is_empty() || id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
        let message = format!("`{id:.80}` cannot be an id: 1 to {ID_BYTES_MAX} bytes without control characters");
        return Err(refused(place, &message));
    }
    Ok(())
}

fn place(file: &Path, line: usize) -> String {
    format!("`{}`, line {line}", file.display())
}

fn refused(place: &str, message: &str) -> StageError {
    StageError::Refused(format!("{place}: {message}"))
}
