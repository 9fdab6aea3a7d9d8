//! A reader of what NETCONF clients send: elements with namespaces and attributes, text, CDATA and entities.

/// One element; names without their prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    pub name: String,
    pub namespace: String,
    /// As written, with prefixes; namespace declarations are left out.
    pub attributes: Vec<(String, String)>,
    pub text: String,
    pub children: Vec<Node>,
}

impl Node {
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }

    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

const DEEPEST: usize = 32;

/// Prefix and namespace; the default namespace has no prefix.
type Scope = Vec<(String, String)>;

/// Reads one document with one root.
pub fn read(text: &str) -> Result<Node, String> {
    let mut reader = Reader { text, at: 0 };
    reader.misc()?;
    let root = reader.element(&Scope::new(), 0)?;
    reader.misc()?;
    if reader.rest().is_empty() { Ok(root) } else { Err(format!("text after the root element at byte {}", reader.at)) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// What stands before `end`; goes on behind it.
    fn until(&mut self, end: &str) -> Result<&'a str, String> {
        let rest = self.rest();
        let length = rest.find(end).ok_or_else(|| format!("no {end} after byte {}", self.at))?;
        self.at += length + end.len();
        Ok(&rest[..length])
    }

    /// Space, comments and processing instructions.
    fn misc(&mut self) -> Result<(), String> {
        loop {
            self.at += self.rest().len() - self.rest().trim_ascii_start().len();
            if self.rest().starts_with("<?") {
                self.until("?>")?;
            } else if self.rest().starts_with("<!--") {
                self.until("-->")?;
            } else {
                return Ok(());
            }
        }
    }

    fn element(&mut self, scope: &Scope, depth: usize) -> Result<Node, String> {
        let begun = self.at;
        if depth > DEEPEST {
            return Err(format!("elements nest deeper than {DEEPEST}"));
        }
        if !self.rest().starts_with('<') || self.rest().starts_with("<!") {
            return Err(format!("an element was expected at byte {begun}"));
        }
        self.at += 1;
        let tag = self.tag()?;
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((tag, ""));
        let mut scope = scope.clone();
        let mut node = Node { attributes: pairs(attributes)?, ..Node::default() };
        node.attributes.retain(|(key, value)| {
            let prefix = if key == "xmlns" { Some("") } else { key.strip_prefix("xmlns:") };
            prefix.map(|prefix| scope.push((prefix.to_string(), value.clone()))).is_none()
        });
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        let named = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if local.is_empty() || !local.chars().all(named) {
            return Err(format!("<{name}> at byte {begun} is no element"));
        }
        node.name = local.to_string();
        match scope.iter().rev().find(|(known, _)| known == prefix) {
            Some((_, namespace)) => node.namespace.clone_from(namespace),
            None if prefix.is_empty() => {}
            None => return Err(format!("the prefix {prefix} is not declared")),
        }
        if empty {
            return Ok(node);
        }
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Err(format!("<{name}> at byte {begun} is not closed"));
            } else if rest.starts_with("<![CDATA[") {
                self.at += "<![CDATA[".len();
                node.text.push_str(self.until("]]>")?);
            } else if rest.starts_with("<!--") || rest.starts_with("<?") {
                self.misc()?;
            } else if rest.starts_with("</") {
                self.at += 2;
                let closed = self.until(">")?.trim_ascii_end();
                return if closed == name { Ok(node) } else { Err(format!("<{name}> is closed by </{closed}>")) };
            } else if rest.starts_with('<') {
                node.children.push(self.element(&scope, depth + 1)?);
            } else {
                let length = rest.find('<').unwrap_or(rest.len());
                crate::xml::unescape(&rest[..length], &mut node.text)?;
                self.at += length;
            }
        }
    }

    /// What stands in a tag up to its `>`, which may also stand in an attribute.
    fn tag(&mut self) -> Result<&'a str, String> {
        let rest = self.rest();
        let mut quote = None;
        for (at, letter) in rest.char_indices() {
            match (quote, letter) {
                (None, '>') => {
                    self.at += at + 1;
                    return Ok(&rest[..at]);
                }
                (None, '"' | '\'') => quote = Some(letter),
                (Some(open), _) if open == letter => quote = None,
                _ => {}
            }
        }
        Err(format!("the tag at byte {} never ends", self.at))
    }
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        let (key, value) = rest.split_once('=').ok_or("an attribute without a value")?;
        let value = value.trim_ascii_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or("a value without quotes")?;
        let (value, after) = value[1..].split_once(quote).ok_or("a value that never ends")?;
        let mut plain = String::new();
        crate::xml::unescape(value, &mut plain)?;
        pairs.push((key.trim_ascii_end().to_string(), plain));
        rest = after.trim_ascii_start();
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_and_attributes_are_told() {
        let text = "<?xml version='1.0'?>\n<n:rpc xmlns:n='urn:a' message-id=\"1&amp;>2\"><get xmlns=\"urn:b\"><x/>\
                    <y>1 <![CDATA[<]]>&lt;</y></get></n:rpc>";
        let root = read(text).unwrap();
        assert_eq!((root.name.as_str(), root.namespace.as_str()), ("rpc", "urn:a"));
        assert_eq!(root.attribute("message-id"), Some("1&>2"));
        let get = root.child("get").unwrap();
        assert_eq!((get.children[0].namespace.as_str(), get.text_of("y")), ("urn:b", Some("1 <<")));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for bad in
            ["", "x", "<a>", "<a></b>", "<p:a/>", "<a b/>", "<a b=c/>", "<a b='c/>", "<a/><b/>", "<!DOCTYPE a><a/>"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
