//! Addresses that samlgate itself calls.

use std::fmt;

use http::Uri;

/// An absolute http or https URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUrl {
    /// TLS.
    pub(crate) https: bool,
    /// Name or address, without brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
    /// What the Host header says.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
}

impl WebUrl {
    /// Reads an absolute URL, without user name and fragment.
    ///
    /// # Errors
    /// In words that follow the URL.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "is not an absolute URL, such as \"https://idp.example.com/metadata\"";
        if text.contains('#') {
            return Err("has a fragment, which is never sent; take it away");
        }
        let uri: Uri = text.parse().map_err(|_| FORM)?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err("is neither https nor http"),
            None => return Err(FORM),
        };
        let authority = uri.authority().ok_or(FORM)?;
        if authority.as_str().contains('@') {
            return Err("has a user name in it; metadata is fetched without one");
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(FORM);
        }
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { https, host, port, authority: authority.as_str().to_owned(), path })
    }

    /// Whether nobody on the way can change what comes: TLS, or no way at all.
    pub fn is_private(&self) -> bool {
        self.https || self.is_loopback()
    }

    /// The name to look up. Names below `localhost` are this machine, whatever somebody's DNS says (RFC 6761, 6.3).
    pub(crate) fn resolved_host(&self) -> &str {
        if self.is_localhost() { "localhost" } else { &self.host }
    }

    fn is_loopback(&self) -> bool {
        self.is_localhost() || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    fn is_localhost(&self) -> bool {
        let host = self.host.to_ascii_lowercase();
        host == "localhost" || host.ends_with(".localhost")
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.https { "https" } else { "http" }, self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_lead_nowhere_else() {
        for (url, host) in [
            ("http://idp.localhost:8080/x", "localhost"),
            ("http://LOCALHOST/", "localhost"),
            ("http://127.0.0.1/", "127.0.0.1"),
            ("https://localhost.example/", "localhost.example"),
        ] {
            assert_eq!(WebUrl::parse(url).unwrap().resolved_host(), host, "{url}");
        }
    }
}
