//! XML as licensing files use it: elements and their text, nothing else.
//!
//! Attributes, comments and processing instructions are passed over; prefixes are cut off.
//! A DOCTYPE is refused. What was read before a fault is kept, so that the caller can still
//! tell what kind of file was cut off.

use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError, SyntaxError};
use quick_xml::events::Event;

use super::problem::excerpt;

/// No licensing file nests deeper than about eight.
const DEEPEST: usize = 64;
/// A file of 100,000 reports has about that many elements.
const MOST_ELEMENTS: usize = 1_000_000;

/// One element: its local name, its own text and the elements in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    /// All text and CDATA directly inside, joined, references resolved, line ends as received.
    pub text: String,
    pub children: Vec<Element>,
    /// Line on which it begins, from 1.
    pub line: usize,
    /// `false` where the fault came before its end.
    pub closed: bool,
}

impl Element {
    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The trimmed text of the first child of that name; `None` when absent or empty.
    pub fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim()).filter(|text| !text.is_empty())
    }

    /// Itself and every element below, parents first.
    pub fn walk(&self) -> Vec<&Element> {
        let mut all = vec![self];
        let mut next = 0;
        while next < all.len() {
            let element = all[next];
            all.extend(&element.children);
            next += 1;
        }
        all
    }
}

/// What was read: usually one root, and perhaps why it ended early.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    pub roots: Vec<Element>,
    /// A sentence with line and byte offset.
    pub fault: Option<String>,
}

/// Reads `text` to its end or to the first fault.
pub fn read(text: &str) -> Document {
    let mut reading = Reading { text, roots: Vec::new(), open: Vec::new(), elements: 0 };
    let fault = reading.run().err();
    // What stands open was cut off; it is kept, marked as not closed.
    while let Some(element) = reading.open.pop() {
        reading.place(element);
    }
    Document { roots: reading.roots, fault }
}

struct Reading<'a> {
    text: &'a str,
    roots: Vec<Element>,
    open: Vec<Element>,
    elements: usize,
}

impl Reading<'_> {
    fn run(&mut self) -> Result<(), String> {
        let mut reader = Reader::from_str(self.text);
        let mut lines = Lines { text: self.text.as_bytes(), offset: 0, line: 1 };
        loop {
            let at = reader.buffer_position() as usize;
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => return Err(self.broken(&error, reader.error_position() as usize)),
            };
            match event {
                Event::Start(tag) => self.start(tag.local_name().as_ref(), lines.at(at))?,
                Event::Empty(tag) => {
                    self.start(tag.local_name().as_ref(), lines.at(at))?;
                    self.end();
                }
                Event::End(_) => self.end(),
                Event::Text(text) => self.words(&text.into_inner(), at)?,
                Event::CData(text) => self.words(&text.into_inner(), at)?,
                Event::GeneralRef(reference) => {
                    let character = match &*reference {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        other => match reference.resolve_char_ref() {
                            Ok(Some(character)) => character,
                            Ok(None) | Err(_) => {
                                return Err(format!("unknown reference &{};{}", excerpt(other), self.place_of(at)));
                            }
                        },
                    };
                    self.words(character.encode_utf8(&mut [0; 4]), at)?;
                }
                Event::DocType(_) => {
                    return Err(format!(
                        "a DOCTYPE{}: no licensing file has one, and it is not followed",
                        self.place_of(at)
                    ));
                }
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        match self.open.last() {
            None => Ok(()),
            Some(element) => Err(format!(
                "the file is cut off: it ends inside <{}>, which begins on line {}",
                excerpt(&element.name),
                element.line
            )),
        }
    }

    fn start(&mut self, name: &str, line: usize) -> Result<(), String> {
        self.elements += 1;
        if self.elements > MOST_ELEMENTS {
            return Err(format!("more than {MOST_ELEMENTS} elements; the rest was not read"));
        }
        if self.open.len() == DEEPEST {
            return Err(format!("elements nested deeper than {DEEPEST} on line {line}; the rest was not read"));
        }
        self.open.push(Element { name: name.to_owned(), line, ..Element::default() });
        Ok(())
    }

    fn end(&mut self) {
        if let Some(mut element) = self.open.pop() {
            element.closed = true;
            self.place(element);
        }
    }

    fn place(&mut self, element: Element) {
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.roots.push(element),
        }
    }

    fn words(&mut self, words: &str, at: usize) -> Result<(), String> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(words),
            None => {
                if let Some(stray) = words.find(|character: char| !character.is_ascii_whitespace()) {
                    return Err(format!("text outside of any element{}", self.place_of(at + stray)));
                }
            }
        }
        Ok(())
    }

    fn broken(&self, error: &Error, at: usize) -> String {
        let place = self.place_of(at);
        match error {
            Error::Syntax(SyntaxError::UnclosedCData) => {
                format!("the file is cut off: the CDATA section that begins{place} has no end")
            }
            Error::Syntax(
                SyntaxError::UnclosedTag
                | SyntaxError::UnclosedComment
                | SyntaxError::UnclosedPI
                | SyntaxError::UnclosedXmlDecl
                | SyntaxError::UnclosedDoctype
                | SyntaxError::UnclosedSingleQuotedAttributeValue
                | SyntaxError::UnclosedDoubleQuotedAttributeValue,
            ) => format!("the file is cut off: the tag that begins{place} has no end"),
            Error::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
                format!("expected </{}>, got </{}>{place}", excerpt(expected), excerpt(found))
            }
            other => format!("not well-formed XML{place}: {}", excerpt(&other.to_string())),
        }
    }

    fn place_of(&self, offset: usize) -> String {
        let offset = offset.min(self.text.len());
        let mut lines = Lines { text: self.text.as_bytes(), offset: 0, line: 1 };
        format!(" on line {} (byte {offset})", lines.at(offset))
    }
}

/// Counts lines while offsets only grow.
struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    fn at(&mut self, offset: usize) -> usize {
        let offset = offset.clamp(self.offset, self.text.len());
        self.line += self.text[self.offset..offset].iter().filter(|byte| **byte == b'\n').count();
        self.offset = offset;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        read(text).fault.expect("a fault")
    }

    #[test]
    fn text_references_and_cdata_are_joined() {
        let document = read(
            "<?xml version=\"1.0\"?>\n<a x=\"1\"><p:b>1 &lt;&#x41;<![CDATA[<&>]]]]><![CDATA[>]]> z</p:b><c/></a>\n",
        );
        assert_eq!(document.fault, None);
        let root = &document.roots[0];
        assert_eq!((root.name.as_str(), root.line), ("a", 2));
        assert_eq!(root.child("b").unwrap().text, "1 <A<&>]]> z");
        assert!(root.child("c").unwrap().closed);
        assert_eq!(root.child_text("c"), None);
    }

    #[test]
    fn an_array_in_cdata_keeps_its_bracket() {
        let document = read("<d><![CDATA[[{\"x\":[1]}]]]></d>");
        assert_eq!(document.fault, None);
        assert_eq!(document.roots[0].text, "[{\"x\":[1]}]");
    }

    #[test]
    fn every_way_to_be_cut_off_is_said() {
        assert!(fault("<a>\n<b>").contains("inside <b>, which begins on line 2"));
        assert!(fault("<a>\n <![CDATA[x").contains("CDATA section that begins on line 2 (byte 5)"));
        assert!(fault("<a><b").contains("cut off"));
        assert!(fault("<a>x&am").contains("not well-formed"));
        assert!(!read("<a><b>half").roots[0].children[0].closed);
    }

    #[test]
    fn what_no_licensing_file_has_is_refused() {
        assert!(fault("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>").contains("DOCTYPE"));
        assert!(fault("<a>&x;</a>").contains("unknown reference &x;"));
        assert!(fault("<a></b>").contains("expected </a>, got </b>"));
        assert!(fault("<a/>\nrouter#").contains("outside of any element on line 2"));
        assert!(fault("router#<a/>").contains("outside of any element on line 1 (byte 0)"));
        assert!(fault(&"<a>".repeat(100)).contains("nested deeper"));
    }
}
