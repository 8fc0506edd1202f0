//! Sentence ends as the sampler finds them: the text grows token by token, and the rule is asked after each. Expected ends are
//! what a reader sees; how tokens are cut changes none of them.

#![expect(clippy::unwrap_used, reason = "a test's helpers may do what tests may")]

use std::path::Path;

use sentinel_domain::sentence::{Boundary, boundary};
use sentinel_models::text::Text;

/// Texts, with `|` where a sentence ends. The text's own end is none of them: there the model says that it is done.
const ENDS: &[&str] = &[
    // Words.
    "A dog sits on a mat.| A cat sleeps.| It is grey.|",
    "Is it a dog?| It is!| Look…| A kite.|",
    "This is a dog.| it has a ball.|",
    "The dog, which is brown (or black), sits.| The end.|",
    "The grass is green; the sky is blue.| 3 birds fly.|",
    "Un chien est assis.| Élan à gauche.|",
    "A line\n| without a mark\n| and another.|",
    "The scene:\n| - a dog.|\n| - a cat.|",
    // Quotations and brackets.
    "The sign says \"Stop. Go back.\"| It is red.|",
    "The sign says \"STOP\".| It is red.|",
    "The sign says “Stop. Go back.”| It is red.|",
    "The sign says 'Wet floor. Caution.'| It's red.|",
    "The dogs' bowl (it's old. It's blue.)| is full.|",
    "The dogs' bowls are full.| The dog's ball isn't there.|",
    "A dog (or a cat. Or both.)| It sits.|",
    "The dog’s ball is the cats’ ball.| It is red.|",
    "She wears a jersey with \"23\".| He wears \"7.\"| It is red.|",
    // Left open.
    "A 42\" TV is on.| The wall is white.|",
    "A 5'10\" man stands.| He waves.|",
    "Nobody is there :( in the rain.| It is dark.|",
    "A dress of the '90s hangs there.| It is red.|",
    "The sign says \"stop. It is red. It is big. It stands at the left side of a long grey road.| A car waits.|",
    "There is a dog (brown. It sits on the mat in the kitchen, next to the large door of the garden.| It waits.|",
    // Numbers.
    "The kite is 3.5 metres long.| It costs $4.99 or so.|",
    "The number is 3.| The next is 4.| five.|",
    "1. A dog sits.| 2. A cat sleeps.|",
    "a. A dog sits.| B. A cat sleeps.|",
    "In 1990.| In 2001 (or 2002.)| There it is.|",
    // Words that something follows.
    "Fruits, e.g. Bananas, are there.| Cutlery, i.e. forks, too.|",
    "Fruits (e.g. bananas) are there.| It is approx. 3 metres.|",
    "It is Arsenal vs. Chelsea today.| They play.|",
    // Words that may be the last.
    "The answer is no.| The dog sleeps.| No. 5 is red.| Bus no. 7 is late.|",
    "He eats a fig.| The bowl is full.| Seen in fig. 3 and Fig. 4 only.|",
    "There are cats, dogs, etc. in the room.| Cups, plates, etc.| They are white.|",
    "Toys (cars, balls, etc.) lie there.| Toys (cars, balls, etc.)| Nobody plays.|",
    "Is there a dog?| No.| \"Never.\"| She said no.| \"Yes,\" he said.|",
    "The clock says 5 p.m. in the evening.| It is 10 a.m.| The sun shines.|",
    "The answer is no.\n| the dog sleeps.|",
    "He has a Ph.D. in law.| The site is www.example.com.| It loads.|",
    "The letter x.| The letter y. and z.|",
    // Names.
    "Mr. Smith and Mrs. Jones meet Dr. Brown on St. James Street.| They talk.|",
    "It is by J. Smith and J. R. R. Tolkien.| The U.S. Army owns it.|",
    "It stands in the U.S.| The flag waves.| It flies in Washington D.C.| A man waves.|",
    "This is plan A.| It's better than plan B.| The man is Sammy Davis Jr.| He sings.|",
    "He lives on Main St.| There is a tree.| The church of St. Theresa is old.|",
    "A poster of J. Theroux hangs there.| It is big.|",
    "\"Mr. Bean\" is on.| **Dr. No** is on.| (Mt. Fuji is white.)| It snows.|",
];

/// Texts with a mark that no space follows, whose parts one token may say.
const RUNS: &[(&str, &[&str], &[&str])] = &[
    ("Is it a dog?! It is.", &["Is it a dog?!", "It is."], &["Is it a dog?", "!", "It is."]),
    ("It trails off... A dog.", &["It trails off...", "A dog."], &["It trails off.", ".", ".", "A dog."]),
    ("See photo.jpg here.", &["See photo.jpg here."], &["See photo.", "jpg here."]),
];

/// Feeds a text as tokens that end at `cuts`; returns its sentences.
fn sentences(text: &str, cuts: &[usize]) -> Vec<String> {
    let (mut begin, mut sentences) = (0, Vec::new());
    let mut cuts = cuts.iter().peekable();
    while let Some(cut) = cuts.next() {
        if let Boundary::Ended(length) = boundary(&text[begin..*cut]) {
            let end = begin + length;
            sentences.push(text[begin..end].trim().to_owned());
            // The next sentence is asked for with what was said, so its tokens begin where this one ended.
            begin = end;
            if begin < *cut && cuts.peek().is_none() {
                sentences.extend(self::sentences(&text[begin..], &[text.len() - begin]));
                return sentences;
            }
        }
    }
    sentences.push(text[begin..].trim().to_owned());
    sentences.into_iter().filter(|sentence| !sentence.is_empty()).collect()
}

fn every_character(text: &str) -> Vec<usize> {
    text.char_indices().map(|(at, c)| at + c.len_utf8()).collect()
}

/// Words with the space before them, and runs of marks.
fn words_and_marks(text: &str) -> Vec<usize> {
    let kind = |c: char| if c.is_alphanumeric() { 'w' } else { 'm' };
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    let parts = letters.windows(2).filter(|pair| {
        let ((_, left), (_, right)) = (pair[0], pair[1]);
        right.is_whitespace() || (!left.is_whitespace() && kind(left) != kind(right))
    });
    parts.map(|pair| pair[1].0).chain([text.len()]).collect()
}

fn whole_words(text: &str) -> Vec<usize> {
    text.match_indices(' ').map(|(at, _)| at).filter(|at| *at > 0).chain([text.len()]).collect()
}

/// Tokens of one to four characters, none with a letter behind a mark: no tokenizer has these.
fn random(text: &str, mut seed: u64) -> Vec<usize> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    let mut ends = every_character(text);
    let (mut kept, mut left) = (Vec::new(), 0);
    let last = ends.pop().unwrap();
    for end in ends {
        let is_mark = text[..end].ends_with(['.', '!', '?', '…', '"', '\'', ')', '”', '’']);
        let goes_on = text[end..].starts_with(['.', '!', '?', '…', '"', '\'', ')', '”', '’']);
        if left == 0 || (is_mark && !goes_on) {
            kept.push(end);
            left = next() % 4;
        } else {
            left -= 1;
        }
    }
    kept.push(last);
    kept
}

/// Tokens of a fixture's tokenizer, as it decodes them; those that end inside a character are taken with the next.
fn tokens(tokenizer: &Text, text: &str) -> Vec<usize> {
    let ids = tokenizer.sentence(text).unwrap();
    let decoded = |count: usize| tokenizer.decode(&ids[..count]).unwrap();
    let lead = decoded(ids.len()).len() - text.len();
    assert_eq!(&decoded(ids.len())[lead..], text);
    let ends = (1..=ids.len()).map(decoded).filter(|said| !said.ends_with('\u{FFFD}') && said.len() > lead);
    ends.map(|said| said.len() - lead).collect()
}

fn tokenizers() -> [Text; 2] {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/text");
    ["llama", "byte-level"].map(|name| Text::read(&dir.join(name), 440).unwrap())
}

#[test]
fn sentences_end_where_a_reader_sees_them_end_however_tokens_are_cut() {
    let tokenizers = tokenizers();
    for marked in ENDS {
        let text = marked.replace('|', "");
        let expected: Vec<&str> = marked.split('|').map(str::trim).filter(|sentence| !sentence.is_empty()).collect();
        for cuts in [every_character, words_and_marks, whole_words] {
            assert_eq!(sentences(&text, &cuts(&text)), expected, "{text:?}");
        }
        for tokenizer in &tokenizers {
            assert_eq!(sentences(&text, &tokens(tokenizer, &text)), expected, "{text:?}");
        }
        for seed in 0..64 {
            let cuts = random(&text, seed);
            assert_eq!(sentences(&text, &cuts), expected, "{text:?} cut at {cuts:?}");
        }
    }
}

#[test]
fn a_mark_that_no_space_follows_is_seen_whole_where_one_token_says_it() {
    for (text, whole, apart) in RUNS {
        assert_eq!(sentences(text, &whole_words(text)), *whole);
        assert_eq!(sentences(text, &every_character(text)), *apart);
    }
}

#[test]
fn a_word_s_mark_ends_at_once_and_the_text_s_end_decides_the_others() {
    for (text, expected) in [
        ("", Boundary::Inside),
        (" A dog sits", Boundary::Inside),
        (" A dog sits.", Boundary::Ended(12)),
        (" The sign says \"stop.", Boundary::Inside),
        (" Fruits, e.", Boundary::Perhaps(11)),
        (" Fruits, e.g", Boundary::Inside),
        (" Fruits, e.g.", Boundary::Inside),
        (" It is no.", Boundary::Perhaps(10)),
        (" It is no. ", Boundary::Perhaps(10)),
        (" It is no. \"", Boundary::Perhaps(10)),
        (" It is no. \u{FFFD}", Boundary::Perhaps(10)),
        (" It is no. T", Boundary::Ended(10)),
        (" It is no. t", Boundary::Inside),
        (" By J. The", Boundary::Perhaps(6)),
        (" By J. The ", Boundary::Ended(6)),
        (" By J. Theo", Boundary::Perhaps(6)),
        (" By J. Theo.", Boundary::Ended(12)),
    ] {
        assert_eq!(boundary(text), expected, "{text:?}");
    }
}
