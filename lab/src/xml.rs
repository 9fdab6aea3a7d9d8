//! A strict reader of the small XML that licensing files are made of.
//!
//! It knows elements, text, CDATA, the five named entities and numeric ones, and comments between elements. It refuses
//! attributes, doctypes and everything else, because no file of the exchange has them, and it keeps the raw bytes
//! inside each element because signatures cover those.

/// An element: its name, its text with CDATA and entities undone, its children, and the raw bytes between its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element<'a> {
    pub name: &'a str,
    pub text: String,
    pub raw: &'a str,
    pub children: Vec<Element<'a>>,
}

impl<'a> Element<'a> {
    pub fn child(&self, name: &str) -> Option<&Element<'a>> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text at the end of a path of child names.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        let mut element = self;
        for name in path {
            element = element.child(name)?;
        }
        Some(element.text.as_str())
    }
}

/// No file of the exchange nests deeper than about ten.
const DEEPEST: usize = 32;

/// Reads one document with one root.
pub fn read(text: &str) -> Result<Element<'_>, String> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    if reader.rest().starts_with("<?xml") {
        let end = reader.find("?>").ok_or("the XML declaration never ends")?;
        reader.at = end + 2;
    }
    reader.skip_misc()?;
    let root = reader.element(0)?;
    reader.skip_misc()?;
    if reader.rest().is_empty() { Ok(root) } else { Err(format!("text after the root element at byte {}", reader.at)) }
}

/// Text as it must stand between two tags.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn find(&self, what: &str) -> Option<usize> {
        self.rest().find(what).map(|found| self.at + found)
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn skip_misc(&mut self) -> Result<(), String> {
        loop {
            self.skip_space();
            if !self.rest().starts_with("<!--") {
                return Ok(());
            }
            self.comment()?;
        }
    }

    fn comment(&mut self) -> Result<(), String> {
        self.at = self.find("-->").ok_or("a comment never ends")? + 3;
        Ok(())
    }

    fn element(&mut self, depth: usize) -> Result<Element<'a>, String> {
        if depth > DEEPEST {
            return Err(format!("elements nest deeper than {DEEPEST}"));
        }
        let opened = self.at;
        if !self.rest().starts_with('<') {
            return Err(format!("an element was expected at byte {opened}"));
        }
        let end = self.find(">").ok_or_else(|| format!("the tag at byte {opened} never ends"))?;
        let tag = &self.text[opened + 1..end];
        self.at = end + 1;
        let (name, empty) = match tag.strip_suffix('/') {
            Some(name) => (name.trim_end(), true),
            None => (tag.trim_end(), false),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            return Err(format!(
                "<{}> at byte {opened} is no plain element",
                name.chars().take(40).collect::<String>()
            ));
        }
        let mut element = Element { name, text: String::new(), raw: "", children: Vec::new() };
        if empty {
            return Ok(element);
        }
        let inside = self.at;
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Err(format!("<{name}> at byte {opened} is not closed"));
            } else if let Some(data) = rest.strip_prefix("<![CDATA[") {
                // The first "]]>" ends a section, so "]]]>" gives one bracket back to the text.
                let length = data.find("]]>").ok_or_else(|| format!("the CDATA in <{name}> never ends"))?;
                element.text.push_str(&data[..length]);
                self.at += "<![CDATA[".len() + length + "]]>".len();
            } else if rest.starts_with("<!--") {
                self.comment()?;
            } else if let Some(closing) = rest.strip_prefix("</") {
                let length = closing.find('>').ok_or_else(|| format!("the end of <{name}> never ends"))?;
                if closing[..length].trim_end() != name {
                    return Err(format!("<{name}> at byte {opened} is closed by </{}>", &closing[..length]));
                }
                element.raw = &self.text[inside..self.at];
                self.at += 2 + length + 1;
                return Ok(element);
            } else if rest.starts_with('<') {
                element.children.push(self.element(depth + 1)?);
            } else {
                let length = rest.find('<').unwrap_or(rest.len());
                unescape(&rest[..length], &mut element.text)?;
                self.at += length;
            }
        }
    }
}

/// Undoes entities.
pub fn unescape(text: &str, into: &mut String) -> Result<(), String> {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        into.push_str(&rest[..at]);
        let end = rest[at..].find(';').ok_or("an entity never ends")? + at;
        let entity = &rest[at + 1..end];
        into.push(character(entity).ok_or_else(|| format!("&{entity}; is unknown"))?);
        rest = &rest[end + 1..];
    }
    into.push_str(rest);
    Ok(())
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        number => {
            let number = number.strip_prefix('#')?;
            match number.strip_prefix(['x', 'X']) {
                Some(hex) => char::from_u32(u32::from_str_radix(hex, 16).ok()?),
                None => char::from_u32(number.parse().ok()?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cdata_may_end_in_a_bracket() {
        let root = read("<a><data><![CDATA[[{\"x\":\"<&\"}]]]></data></a>").unwrap();
        assert_eq!(root.text_at(&["data"]), Some("[{\"x\":\"<&\"}]"));
        assert_eq!(root.child("data").unwrap().raw, "<![CDATA[[{\"x\":\"<&\"}]]]>");
    }

    #[test]
    fn sections_and_entities_join() {
        let root =
            read("<?xml version=\"1.0\"?>\n<!-- x --><a> &lt;b&#62;<![CDATA[]]]]><![CDATA[>]]>&amp;</a>\n").unwrap();
        assert_eq!(root.text, " <b>]]>&");
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        for bad in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a b=\"c\"/>",
            "<!DOCTYPE a><a/>",
            "<a/><b/>",
            "<a>&nbsp;</a>",
            "<a>&lt</a>",
            "<a><![CDATA[x]]</a>",
            "<a><?php ?></a>",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&"<a>".repeat(100)).unwrap_err().contains("deeper"));
    }

    #[test]
    fn escaping_comes_back() {
        let text = "a<b>&\"c\"";
        let document = format!("<a>{}</a>", escaped(text));
        assert_eq!(read(&document).unwrap().text, text);
    }
}
