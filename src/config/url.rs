//! Addresses of HTTP, which may hold secrets.

use std::fmt;

use super::device::Address;

/// An address of HTTP. Its path may well be a secret, so only scheme, host and port are shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// Where the path begins.
    path: usize,
}

impl Url {
    /// Reads `http(s)://host[:port][/path]`; `None` for anything else, a login before the host included.
    pub fn parse(text: &str) -> Option<Url> {
        let rest = text.strip_prefix("https://").or(text.strip_prefix("http://"))?;
        let good = text.len() <= 2000 && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            Some(_) | None => (authority, None),
        };
        let port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        Address::parse(host).filter(|_| good && port && !rest.contains('#'))?;
        Some(Url { text: text.to_owned(), path: text.len() - rest.len() + authority.len() })
    }

    /// All of it, for the one place that asks for it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.text[..self.path]
    }

    /// Host and port, as one connects to them.
    pub fn server(&self) -> (&str, u16) {
        let (scheme, place) = self.origin().split_once("://").unwrap_or_default();
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            Some(_) | None => (place, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (host, port.unwrap_or(if scheme == "https" { 443 } else { 80 }))
    }

    pub fn is_encrypted(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// Does it lead to this machine alone?
    pub(super) fn is_local(&self) -> bool {
        let host = self.origin().split_once("://").map_or("", |(_, host)| host);
        ["127.0.0.1", "[::1]", "localhost"]
            .into_iter()
            .any(|local| host.strip_prefix(local).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_show_where_they_lead_and_no_more() {
        for (text, origin) in [
            ("https://hooks.example.com/T0/B1/secret", "https://hooks.example.com"),
            ("http://127.0.0.1:9093", "http://127.0.0.1:9093"),
            ("https://[2001:db8::1]:8443/x?y=z", "https://[2001:db8::1]:8443"),
            ("https://[2001:db8::1]/", "https://[2001:db8::1]"),
            ("https://example.com?token=secret", "https://example.com"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.origin(), format!("{url:?}").as_str(), url.expose()), (origin, origin, text));
        }
        for text in [
            "",
            "https://",
            "ftp://example.com",
            "https://user:hunter2@example.com/",
            "https://example.com:0/",
            "https://example.com:99999/",
            "https://exa mple.com/",
            "https://example.com/a b",
            "https://example.com\\@other.com/",
            "https://example.com/#x",
            "https://example.com/\r\nX: y",
        ] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
        for (text, server) in [
            ("https://hooks.example.com/x:1", ("hooks.example.com", 443)),
            ("http://127.0.0.1", ("127.0.0.1", 80)),
            ("https://[2001:db8::1]:8443/x", ("2001:db8::1", 8443)),
            ("https://[2001:db8::1]/", ("2001:db8::1", 443)),
        ] {
            assert_eq!(Url::parse(text).unwrap().server(), server, "{text}");
        }
        assert!(Url::parse("http://localhost:9/x").unwrap().is_local());
        assert!(!Url::parse("http://localhost.example.com/").unwrap().is_local());
    }
}
