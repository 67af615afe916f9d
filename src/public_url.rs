//! The address under which users see the application.

use std::fmt;

use http::uri::Authority;

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
    /// A colon without a port that there is.
    #[error("has no port after the colon; it must be a number from 1 to 65535")]
    Port,
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
        let authority = match port(authority)? {
            Some(port) if port != if https { 443 } else { 80 } => format!("{host}:{port}"),
            _ => host,
        };
        Ok(Self { https, authority })
    }

    /// Reads an absolute URL of http or https: its origin, and what follows it, which begins with a slash or is empty.
    ///
    /// # Errors
    /// Those of [`PublicUrl::parse`], of the origin.
    pub fn split(url: &str) -> Result<(Self, &str), PublicUrlError> {
        let authority = url.find("://").map(|at| at + 3).ok_or(PublicUrlError::Scheme)?;
        let end = url.get(authority..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(url.len(), |at| authority + at);
        let (origin, rest) = url.split_at_checked(end).ok_or(PublicUrlError::NotAnOrigin)?;
        Ok((Self::parse(origin)?, rest))
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

/// The port that an authority names; `None` when it names none. [`Authority`] itself lets every port pass and forgets those that
/// can't be one.
///
/// # Errors
/// `Port` for a colon that no number from 1 to 65535 follows.
pub fn port(authority: &Authority) -> Result<Option<u16>, PublicUrlError> {
    let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
    let Some(rest) = host_and_port.strip_prefix(authority.host()).filter(|rest| !rest.is_empty()) else { return Ok(None) };
    let digits = rest.strip_prefix(':').filter(|digits| digits.bytes().all(|octet| octet.is_ascii_digit()));
    let port = digits.and_then(|digits| digits.parse().ok()).filter(|port| *port != 0);
    port.map(Some).ok_or(PublicUrlError::Port)
}

/// A URL for a message: a password before the host is left out.
pub fn without_user(url: &str) -> String {
    let begins = url.find("://").map_or(0, |at| at + 3);
    match (url.get(..begins), url.rsplit_once('@')) {
        (Some(scheme), Some((before, rest))) if before.len() >= begins => format!("{scheme}...@{rest}"),
        _ => url.to_owned(),
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
    fn a_port_is_one_that_there_is() {
        assert_eq!(PublicUrl::parse("https://[::1]:8443").unwrap().authority(), "[::1]:8443");
        assert_eq!(PublicUrl::parse("https://[::1]").unwrap().authority(), "[::1]");
        for bad in ["99999", "65536", "0", "", "+80", "80a"] {
            for host in ["localhost", "[::1]"] {
                let url = format!("https://{host}:{bad}");
                assert!(PublicUrl::parse(&url).is_err(), "{url}");
            }
        }
        assert_eq!(PublicUrl::parse("https://localhost:99999"), Err(PublicUrlError::Port));
    }

    #[test]
    fn urls_are_split_after_the_origin() {
        let split = |url| PublicUrl::split(url).map(|(origin, rest)| (origin.to_string(), rest.to_owned()));
        assert_eq!(split("https://App.example:443/a?b"), Ok(("https://app.example".to_owned(), "/a?b".to_owned())));
        assert_eq!(split("http://a"), Ok(("http://a".to_owned(), String::new())));
        assert_eq!(split("/a"), Err(PublicUrlError::Scheme));
        assert_eq!(split("https://u@a/b"), Err(PublicUrlError::NotAnOrigin));
    }

    #[test]
    fn passwords_are_left_out() {
        assert_eq!(without_user("http://u:p@h:1/x"), "http://...@h:1/x");
        assert_eq!(without_user("redis://:p@ss@h"), "redis://...@h");
        assert_eq!(without_user("https://h/x"), "https://h/x");
        assert_eq!(without_user("u:p@h"), "...@h");
    }

    #[test]
    fn host_headers_are_compared_with_the_default_port() {
        let url = PublicUrl::parse("https://a.example").unwrap();
        assert!(url.is_authority("A.example:443"));
        assert!(!url.is_authority("a.example:80"));
        assert!(!url.is_authority("a.example.evil"));
    }
}
