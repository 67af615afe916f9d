//! Where a user may be sent after a login or a logout: a path on this site, never another one.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::public_url::PublicUrl;

/// Longest path, query and fragment that is kept through a login, in octets.
const LONGEST: usize = 4096;
/// What browsers send as it is in a query and RFC 3986 wants escaped: it becomes that.
const ESCAPED: &AsciiSet = &AsciiSet::EMPTY.add(b'{').add(b'}').add(b'|').add(b'^').add(b'`');

/// What browsers encode in a fragment themselves (WHATWG URL 1.3), and the backslash.
const UNSAFE_IN_FRAGMENT: &AsciiSet = &CONTROLS.add(b'"').add(b'<').add(b'>').add(b'`').add(b'\\');

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
    ///
    /// A fragment comes along as it is, with what could be taken for markup or for a slash percent-encoded. One that makes it too
    /// long is left off: the page is worth more than the place on it.
    pub fn parse(text: &str, public_url: &PublicUrl) -> Option<Self> {
        let path = match text.strip_prefix(&public_url.to_string()) {
            Some("") => "/",
            Some(rest) => rest,
            None => text,
        };
        let (page, fragment) = path.split_once('#').map_or((path, None), |(page, fragment)| (page, Some(fragment)));
        let plain = page.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'<' | b'>' | b'"'));
        let route = page.split('?').next().unwrap_or_default();
        let ok = plain && page.len() <= LONGEST && page.starts_with('/') && unambiguous(route);
        if !ok || !fragment.unwrap_or_default().bytes().all(|octet| octet.is_ascii_graphic()) {
            return None;
        }
        let page = utf8_percent_encode(page, ESCAPED).to_string();
        if page.len() > LONGEST {
            return None;
        }
        let whole = fragment.map(|fragment| format!("{page}#{}", utf8_percent_encode(fragment, UNSAFE_IN_FRAGMENT)));
        Some(Self(whole.filter(|whole| whole.len() <= LONGEST).unwrap_or(page)))
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
        assert_eq!(parse(&format!("/?{}", "|".repeat(1400))), None, "what is kept must be kept again by the next page");
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

    #[test]
    fn a_fragment_comes_along_and_never_changes_the_rest() {
        for good in ["/app#/users/{id}|x^y?a=b", "/#", "/app#a#b", "/app?x#//evil.example", "/app#%2e%2e/%0d%0a", "/a#:~:text=x"]
        {
            assert_eq!(parse(good).as_deref(), Some(good));
        }
        assert_eq!(parse("/a#\\x\"<b>`").as_deref(), Some("/a#%5Cx%22%3Cb%3E%60"));
        for bad in ["/app#a b", "/app#\r\nSet-Cookie: a=b", "/app#\u{fc}", "//evil#x", "#x", "/a/../b#x"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        let long = "x".repeat(LONGEST);
        assert_eq!(parse(&format!("/app?q#{long}")).as_deref(), Some("/app?q"), "the page is worth more");
        assert_eq!(parse(&format!("/{long}#x")), None);
        let url = PublicUrl::parse("https://app.example.com").unwrap();
        assert_eq!(ReturnPath::parse("/a/b?c#/d?e", &url).unwrap().route(), "/a/b");
    }

    proptest::proptest! {
        #[test]
        fn a_fragment_is_carried_whole_and_safely(page in "/[a-z?=&/]{0,8}", fragment in "[ -~]{0,24}") {
            let alone = parse(&page);
            let both = parse(&format!("{page}#{fragment}"));
            let carried = fragment.bytes().all(|octet| octet != b' ');
            proptest::prop_assert_eq!(both.is_some(), alone.is_some() && carried);
            if let (Some(both), Some(alone)) = (both, alone) {
                let (before, after) = both.split_once('#').unwrap();
                proptest::prop_assert_eq!(before, alone.as_str());
                proptest::prop_assert!(after.bytes().all(|octet| octet.is_ascii_graphic()), "{}", after);
                proptest::prop_assert!(!after.contains(['\\', '<', '>', '"', '`']), "{}", after);
                let decode = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
                proptest::prop_assert_eq!(decode(after), decode(&fragment));
                // What was carried once is carried again as it is: by a link, a form, a second login.
                proptest::prop_assert_eq!(parse(&both), Some(both.clone()));
            }
        }

        #[test]
        fn never_anything_a_browser_takes_off_site(text in "[/\\\\a.:@%25#?;e0-9\t ]{0,12}") {
            if let Some(path) = parse(&text) {
                proptest::prop_assert!(path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\t', ' ']));
            }
        }
    }
}
