//! Markup that cannot be wrong: elements are built, and every text and attribute value is escaped on its way in, so that nothing
//! a record says can become markup. What is written is well-formed as HTML and as XML alike.

use std::fmt::{Display, Formatter, Result, Write};

use crate::report::wording::visible;

/// Elements that never have content.
const VOID: &[&str] = &["br", "col", "link", "meta"];

/// An element, content included.
pub(super) struct Element {
    name: &'static str,
    attributes: String,
    content: String,
}

/// Begins an element.
pub(super) fn el(name: &'static str) -> Element {
    Element { name, attributes: String::new(), content: String::new() }
}

/// Begins a box that scrolls sideways where its content is wider than the screen; the keyboard reaches it by its label.
pub(super) fn scrolling(label: impl Display) -> Element {
    el("div").class("scroll").attr("tabindex", "0").attr("role", "region").attr("aria-label", label)
}

/// Returns the head of a table's column.
pub(super) fn column(name: impl Display) -> Element {
    el("th").attr("scope", "col").text(name)
}

impl Element {
    /// Adds an attribute.
    pub(super) fn attr(mut self, name: &'static str, value: impl Display) -> Self {
        self.attributes.push(' ');
        self.attributes.push_str(name);
        self.attributes.push_str("=\"");
        push_escaped(&mut self.attributes, value);
        self.attributes.push('"');
        self
    }

    /// Adds the class attribute.
    pub(super) fn class(self, names: impl Display) -> Self {
        self.attr("class", names)
    }

    /// Adds a text.
    pub(super) fn text(mut self, text: impl Display) -> Self {
        push_escaped(&mut self.content, text);
        self
    }

    /// Adds a child.
    pub(super) fn with(mut self, child: Self) -> Self {
        child.push_to(&mut self.content);
        self
    }

    /// Adds children.
    pub(super) fn all(self, children: impl IntoIterator<Item = Self>) -> Self {
        children.into_iter().fold(self, Self::with)
    }

    /// Adds our own style sheet or script as it is.
    pub(super) fn source(mut self, source: &'static str) -> Self {
        self.content.push_str(source);
        self
    }

    /// Returns how many bytes it is written with.
    pub(super) fn bytes(&self) -> usize {
        2 * self.name.len() + self.attributes.len() + self.content.len() + "<></>".len()
    }

    fn push_to(&self, out: &mut String) {
        let Self { name, attributes, content } = self;
        let _ = if VOID.contains(name) {
            write!(out, "<{name}{attributes}/>")
        } else {
            write!(out, "<{name}{attributes}>{content}</{name}>")
        };
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut out = String::with_capacity(self.bytes());
        self.push_to(&mut out);
        f.write_str(&out)
    }
}

/// Writes a value escaped.
fn push_escaped(out: &mut String, value: impl Display) {
    let _ = write!(Escaping(out), "{value}");
}

struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // The characters kept are those of text; a carriage return would be read as a line feed.
                _ => self.0.push(visible(character)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_values_are_escaped_and_voids_are_closed() {
        let element = el("p").attr("title", "\"><script>").text("</p>&'\u{0}\r").with(el("br")).with(el("b").text(1));
        let text = element.to_string();
        assert_eq!(text, "<p title=\"&quot;&gt;&lt;script&gt;\">&lt;/p&gt;&amp;&#39;␀␍<br/><b>1</b></p>");
        assert_eq!(element.bytes(), text.len());
    }
}
