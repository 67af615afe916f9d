//! Where a user may be sent after a login or a logout: a path on this site, never another one.

use std::fmt;

use percent_encoding::{AsciiSet, utf8_percent_encode};

use crate::public_url::PublicUrl;

/// Longest path, query and fragment that is kept through a login, in octets.
const LONGEST: usize = 4096;
/// What browsers send as it is in a query and RFC 3986 wants escaped: it becomes that.
const ESCAPED: &AsciiSet = &AsciiSet::EMPTY.add(b'{').add(b'}').add(b'|').add(b'^').add(b'`');

/// A path with query (and fragment) on our own origin, safe to put into a Location header. Starts with exactly one `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPath(String);

impl ReturnPath {
    /// The start page.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Takes a path of ours, or an absolute URL under `public_url`; `None` for whatever could leave the site or that
    /// browsers and servers read differently: another scheme or host, `//`, backslashes, control characters, spaces,
    /// non-ASCII, dot segments (plain or encoded), encoded slashes at the front, more than 4096 octets.
    pub fn parse(text: &str, public_url: &PublicUrl) -> Option<Self> {
        let path = match text.strip_prefix(&public_url.to_string()) {
            Some("") => "/",
            Some(rest) => rest,
            None => text,
        };
        let plain = path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'<' | b'>' | b'"'));
        let route = path.split(['?', '#']).next().unwrap_or_default();
        let ok = plain && path.len() <= LONGEST && path.starts_with('/') && unambiguous(route);
        ok.then(|| Self(utf8_percent_encode(path, ESCAPED).to_string()))
    }

    /// The text for a Location header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path alone, without query and fragment.
    pub fn route(&self) -> &str {
        self.0.split(['?', '#']).next().unwrap_or_default()
    }
}

/// Neither a double slash at the front nor a dot segment, however encoded.
fn unambiguous(route: &str) -> bool {
    let lower = route.to_ascii_lowercase();
    let front = lower.strip_prefix('/').unwrap_or(&lower);
    let hidden_slash = ["/", "%2f", "%5c", "%0", "%1", "%7f"].iter().any(|start| front.starts_with(start));
    let decoded = lower.replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    let dots = decoded.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | "..")));
    !hidden_slash && !dots
}

impl fmt::Display for ReturnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<String> {
        let url = PublicUrl::parse("https://app.example.com").unwrap();
        ReturnPath::parse(text, &url).map(|path| path.to_string())
    }

    #[test]
    fn keeps_paths_of_this_site() {
        for good in ["/", "/app/", "/a%20b", "/app#frag", "/app?next=//evil.example", "/:foo", "/a%2Fb", "/x/..y"] {
            assert_eq!(parse(good).as_deref(), Some(good));
        }
        assert_eq!(parse("https://app.example.com/x?y").as_deref(), Some("/x?y"));
        assert_eq!(parse("https://app.example.com").as_deref(), Some("/"));
        // Dashboards put such things into their queries, and browsers send them as they are.
        assert_eq!(
            parse("/explore?left={%22a%22:[1]}&v=a|b^`c").as_deref(),
            Some("/explore?left=%7B%22a%22:[1]%7D&v=a%7Cb%5E%60c")
        );
        let long = format!("/{}", "a".repeat(4095));
        assert_eq!((parse(&long).as_ref(), parse(&format!("{long}a"))), (Some(&long), None));
    }

    #[test]
    fn refuses_whatever_could_leave_it() {
        for bad in [
            "",
            "app",
            "//evil.example",
            "/\\evil",
            "https://app.example.com.evil.example/",
            "https://app.example.com@evil/",
            "/%5cevil",
            "/%2fevil",
            "/%09/evil",
            "/a/../b",
            "/%2e%2e//evil",
            "/.//evil",
            "/..;/x",
            "/a b",
            "/\u{2028}",
            "javascript:alert(1)",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_anything_a_browser_takes_off_site(text in "[/\\\\a.:@%25#?;e0-9\t ]{0,12}") {
            if let Some(path) = parse(&text) {
                proptest::prop_assert!(path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\t', ' ']));
            }
        }
    }
}
