//! Objects named in an English text: COCO's 80, by the synonyms of a table. The runner's stages compile this file too, for
//! evaluation (classic CHAIR's text path) and for names that come from several sources, such as detectors' labels; what the
//! sentence loop extracts is the plugin's business.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The table of synonyms; its own first lines say how it is written.
static TABLE: &str = include_str!("../synonyms.txt");

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::parse(TABLE));

/// An object named in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    /// Its canonical name.
    pub(crate) name: String,
    /// Byte offset of its first byte.
    pub(crate) start: usize,
    /// Byte offset one past its last byte.
    pub(crate) end: usize,
}

/// Returns the objects a text names, in order, one as often as it is named.
pub(crate) fn mentions(text: &str) -> Vec<Mention> {
    LEXICON.mentions(text)
}

/// Returns the name an object goes by, whatever it is called: `dog` for `Puppies`. What the table does not list is its own name
/// in lower case.
#[cfg_attr(target_family = "wasm", expect(dead_code, reason = "the runner's stages need it, the plugin does not"))]
pub(crate) fn canonical(name: &str) -> String {
    let plain = name.trim().to_lowercase();
    let words = words(&plain);
    let whole = LEXICON.phrase(&plain, &words).flatten();
    whole.map_or_else(|| plain.clone(), str::to_owned)
}

struct Lexicon {
    /// Words joined by a space → the object, or `None` where they name none. Hashed, because a plugin's every call makes it anew.
    phrases: HashMap<&'static str, Option<&'static str>>,
    /// Words of the longest phrase.
    longest: usize,
}

impl Lexicon {
    fn parse(table: &'static str) -> Self {
        let mut phrases = HashMap::with_capacity(table.len() / 8);
        for line in table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let (object, others) = match (line.strip_prefix('!'), line.split_once(':')) {
                (None, Some((object, others))) => (Some(object.trim()), others),
                (hidden, _) => (None, hidden.unwrap_or(line)),
            };
            let others = others.split(',').map(str::trim).filter(|other| !other.is_empty());
            for phrase in object.into_iter().chain(others) {
                phrases.insert(phrase, object);
            }
        }
        let longest = phrases.keys().map(|phrase| phrase.split(' ').count()).max().unwrap_or(0);
        Self { phrases, longest }
    }

    fn mentions(&self, text: &str) -> Vec<Mention> {
        let plain = text.to_ascii_lowercase();
        let words = words(&plain);
        let (mut found, mut next) = (Vec::new(), 0);
        while next < words.len() {
            let lengths = (1..=self.longest.min(words.len() - next)).rev();
            let longest = lengths
                .into_iter()
                .find_map(|length| Some((length, self.phrase(&plain, &words[next..next + length])?)));
            let (length, name) = longest.unwrap_or((1, None));
            let (start, end) = (words[next].0, words[next + length - 1].1);
            found.extend(name.map(|name| Mention { name: name.to_owned(), start, end }));
            next += length;
        }
        found
    }

    /// Returns what some neighbouring words name: `None` if they are no phrase of the table, `Some(None)` if they are one that
    /// names no object. The last word of one that names an object may be a plural.
    fn phrase(&self, text: &str, words: &[(usize, usize)]) -> Option<Option<&'static str>> {
        let apart = words.windows(2).any(|pair| !matches!(&text[pair[0].1..pair[1].0], " " | "-"));
        let (&(start, end), before) = words.split_last().filter(|_| !apart)?;
        let head: String = before.iter().map(|&(start, end)| format!("{} ", &text[start..end])).collect();
        let last = &text[start..end];
        let bare = last.strip_suffix("'s").unwrap_or(last);
        let find = |form: &str| self.phrases.get(format!("{head}{form}").as_str()).copied();
        find(bare).or_else(|| singulars(bare).iter().find_map(|form| find(form).filter(Option::is_some)))
    }
}

/// Returns where the words of a lower-case text stand: runs of letters and digits, with apostrophes inside.
fn words(text: &str) -> Vec<(usize, usize)> {
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut letters = text.char_indices().peekable();
    while let Some((start, letter)) = letters.next() {
        if !letter.is_alphanumeric() {
            continue;
        }
        let mut end = start + letter.len_utf8();
        while let Some(&(at, next)) = letters.peek() {
            let inside = next == '\'' && text[at + 1..].starts_with(char::is_alphanumeric);
            if !next.is_alphanumeric() && !inside {
                break;
            }
            end = at + next.len_utf8();
            letters.next();
        }
        words.push((start, end));
    }
    words
}

/// Plurals no rule makes.
static IRREGULAR: [(&str, &str); 6] = [
    ("children", "child"),
    ("geese", "goose"),
    ("men", "man"),
    ("mice", "mouse"),
    ("oxen", "ox"),
    ("people", "person"),
];

/// Returns what a word may be the plural of; the table decides which of them is a word.
fn singulars(word: &str) -> Vec<String> {
    if let Some((_, singular)) = IRREGULAR.iter().find(|(plural, _)| *plural == word) {
        return vec![(*singular).to_owned()];
    }
    let endings = [
        ("men", "man"),
        ("children", "child"),
        ("people", "person"),
        ("ves", "f"),
        ("ves", "fe"),
        ("ies", "y"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("sses", "ss"),
        ("xes", "x"),
        ("oes", "o"),
        ("ses", "s"),
        ("s", ""),
    ];
    let stem = |(ending, singular): (&str, &str)| {
        word.strip_suffix(ending).filter(|stem| stem.len() > 1).map(|stem| format!("{stem}{singular}"))
    };
    endings.into_iter().filter_map(stem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        mentions(text).into_iter().map(|mention| mention.name).collect()
    }

    #[test]
    fn the_table_has_cocos_objects_and_no_word_twice() {
        let objects = TABLE.lines().filter(|line| line.contains(':') && !line.starts_with(['#', '!']));
        assert_eq!(objects.clone().count(), 80);
        let mut phrases: Vec<&str> = objects
            .flat_map(|line| line.split([':', ',']))
            .map(str::trim)
            .filter(|phrase| !phrase.is_empty())
            .collect();
        let count = phrases.len();
        phrases.sort_unstable();
        phrases.dedup();
        assert_eq!(phrases.len(), count);
    }

    #[test]
    fn objects_are_named_by_synonyms_plurals_and_phrases() {
        let table: [(&str, &[&str]); 20] = [
            ("Two puppies and a hot dog.", &["dog", "hot dog"]),
            ("The men's knives lie by wine glasses.", &["person", "knife", "wine glass"]),
            ("Buses, boxes and couches", &["bus", "couch"]),
            ("A teddy-bear on a bench", &["teddy bear", "bench"]),
            ("hot, dog", &["dog"]),
            ("The train tracks end at a bus stop, where a bus stops.", &["bus"]),
            ("A stove top oven; an oven.", &["oven", "oven"]),
            ("Children fly kites in a street.", &["person", "kite"]),
            ("It carries a carpet.", &[]),
            ("Skis and scissors, remote controls", &["skis", "scissors", "remote"]),
            ("a TV", &["tv"]),
            ("Fishermen, housewives and schoolchildren; calves", &["person", "person", "cow"]),
            ("A baby elephant follows its mother.", &["elephant", "person"]),
            ("An orange cat by an orange and white couch, an orange.", &["cat", "couch", "orange"]),
            ("A couple of dogs at a baseball game", &["dog"]),
            ("He uses a DVD player and a laptop keyboard.", &["keyboard"]),
            ("A koala bear, rubber ducks, a bear cub", &["bear"]),
            ("A jet ski pulls in; the skier waits.", &["person"]),
            ("Orange leaves fall on a turkey sandwich.", &["sandwich"]),
            ("", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(named(text), expected, "{text}");
        }
    }

    #[test]
    fn mentions_stand_where_they_say() {
        let text = "Eine Tür, a Fire  hydrant; Fire Hydrants.";
        let found: Vec<&str> = mentions(text).iter().map(|mention| &text[mention.start..mention.end]).collect();
        assert_eq!(found, ["hydrant", "Fire Hydrants"]);
    }

    #[test]
    fn canonical_names() {
        for (name, expected) in [
            (" Sofa", "couch"),
            ("tvmonitor", "tvmonitor"),
            ("cell phones", "cell phone"),
            ("Trees", "trees"),
            ("", ""),
        ] {
            assert_eq!(canonical(name), expected);
        }
    }
}
