//! What a device's hello says it can do.

/// Capability URIs, in the device's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(Vec<String>);

impl Capabilities {
    /// Is this capability there, whatever its parameters?
    pub fn has(&self, uri: &str) -> bool {
        self.0.iter().any(|own| own.split_once('?').map_or(own.as_str(), |(uri, _)| uri) == uri)
    }

    /// The revision of a YANG 1.0 module (`2021-03-01`). Modules of YANG 1.1 are not named in a hello.
    pub fn revision(&self, module: &str) -> Option<&str> {
        self.0.iter().find_map(|uri| {
            let parameter = |name: &str| {
                let pairs = uri.split_once('?')?.1.split('&');
                pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
            };
            (parameter("module")? == module).then(|| parameter("revision")).flatten()
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromIterator<String> for Capabilities {
    fn from_iter<T: IntoIterator<Item = String>>(uris: T) -> Self {
        Capabilities(uris.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_tells_its_revision() {
        let capabilities: Capabilities = [
            "urn:ietf:params:netconf:base:1.1",
            "urn:ietf:params:netconf:capability:with-defaults:1.0?basic-mode=explicit",
            "http://cisco.com/ns/yang/cisco-smart-license?module=cisco-smart-license&revision=2021-03-01",
            "http://cisco.com/x?module=bare",
        ]
        .map(str::to_owned)
        .into_iter()
        .collect();
        assert!(capabilities.has("urn:ietf:params:netconf:base:1.1"));
        assert!(capabilities.has("urn:ietf:params:netconf:capability:with-defaults:1.0"));
        assert!(!capabilities.has("urn:ietf:params:netconf:base:1.0"));
        assert_eq!(capabilities.revision("cisco-smart-license"), Some("2021-03-01"));
        assert_eq!((capabilities.revision("bare"), capabilities.revision("smart-license")), (None, None));
    }
}
