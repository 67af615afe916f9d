//! The address under which users see the application.

use std::fmt;

/// Scheme, host and port as users see them: an origin, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    https: bool,
    authority: String,
}

/// Why a text is not a public URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicUrlError {
    /// Neither http nor https.
    #[error("must start with https:// or http://")]
    Scheme,
    /// More than an origin, or not one.
    #[error("must be scheme, host and port only, such as https://reports.example.com")]
    NotAnOrigin,
}

impl PublicUrl {
    /// Reads `https://host[:port]`, with or without a final slash. The host is lower-cased and a default port left out.
    ///
    /// # Errors
    /// When the scheme is another one, or when there is a path, a query, user information or no host.
    pub fn parse(text: &str) -> Result<Self, PublicUrlError> {
        let uri: http::Uri = text.trim().parse().map_err(|_| PublicUrlError::NotAnOrigin)?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(PublicUrlError::Scheme),
        };
        let authority = uri.authority().ok_or(PublicUrlError::NotAnOrigin)?;
        if uri.path() != "/"
            || uri.query().is_some()
            || authority.as_str().contains('@')
            || authority.host().is_empty()
            || text.contains('#')
        {
            return Err(PublicUrlError::NotAnOrigin);
        }
        let host = authority.host().to_ascii_lowercase();
        let authority = match authority.port_u16() {
            Some(port) if port != if https { 443 } else { 80 } => format!("{host}:{port}"),
            _ => host,
        };
        Ok(Self { https, authority })
    }

    /// Whether users come by TLS: decides cookie names and attributes.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Host and, when it isn't the scheme's own, port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// An absolute URL for a path that starts with `/`.
    pub fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// Whether `authority` (a Host header) names this origin; a default port may be spelled out.
    pub fn is_authority(&self, authority: &str) -> bool {
        let default = if self.https { ":443" } else { ":80" };
        let given = authority.to_ascii_lowercase();
        given.strip_suffix(default).unwrap_or(&given) == self.authority
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_and_nothing_else() {
        assert_eq!(PublicUrl::parse("https://App.Example.com:443/").unwrap().to_string(), "https://app.example.com");
        assert_eq!(PublicUrl::parse("http://localhost:8080").unwrap().join("/x"), "http://localhost:8080/x");
        for bad in ["app.example.com", "ftp://a", "https://a/b", "https://a?x", "https://u@a", "https://", "https://a/#x"] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_headers_are_compared_with_the_default_port() {
        let url = PublicUrl::parse("https://a.example").unwrap();
        assert!(url.is_authority("A.example:443"));
        assert!(!url.is_authority("a.example:80"));
        assert!(!url.is_authority("a.example.evil"));
    }
}
