//! Path patterns of `[[access]]`: exact, `*` within a segment, `**` across segments.

use super::target::canonical;

/// A compiled pattern. Matching takes time linear in the path, whatever the pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// This path and no other.
    Exact(Vec<u8>),
    /// `/x/**`: `/x` itself and everything below it. Kept without the final slash.
    Below(Vec<u8>),
    /// Anything else with stars.
    Glob(Vec<Piece>),
}

/// One step of a glob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// This octet.
    Octet(u8),
    /// `*`: any octets but slashes, also none.
    Within,
    /// `**`: any octets, also none.
    Across,
}

impl Pattern {
    /// Compiles a pattern. `/a/**/b` also means `/a/b`, and a pattern that ends with `/**` also means the path without it,
    /// so that a rule on `/admin/**` leaves no `/admin` behind.
    pub(crate) fn new(text: &str) -> Self {
        let text = canonical(text);
        if !text.contains(&b'*') {
            return Self::Exact(text);
        }
        if let Some(base) = text.strip_suffix(b"/**")
            && !base.contains(&b'*')
        {
            return Self::Below(base.to_vec());
        }
        let mut pieces = Vec::with_capacity(text.len());
        let mut rest = text.as_slice();
        while let [octet, tail @ ..] = rest {
            rest = tail;
            if *octet == b'*' {
                let more = tail.iter().take_while(|next| **next == b'*').count();
                rest = tail.get(more..).unwrap_or_default();
                pieces.push(if more == 0 { Piece::Within } else { Piece::Across });
            } else {
                pieces.push(Piece::Octet(*octet));
            }
        }
        Self::Glob(pieces)
    }

    /// Whether a reading of a path matches.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact == path,
            Self::Below(base) => path.strip_prefix(base.as_slice()).is_some_and(|rest| matches!(rest, [] | [b'/', ..])),
            Self::Glob(pieces) => glob(pieces, path),
        }
    }
}

/// Follows all positions in the pattern at once, so that no combination of stars makes it slow.
fn glob(pieces: &[Piece], path: &[u8]) -> bool {
    let mut at = vec![false; pieces.len() + 1];
    let mut next = at.clone();
    if let Some(start) = at.first_mut() {
        *start = true;
    }
    skip_empty(pieces, &mut at);
    for &octet in path {
        next.fill(false);
        let mut alive = false;
        for (position, piece) in pieces.iter().enumerate() {
            if at.get(position) != Some(&true) {
                continue;
            }
            let goes_to = match piece {
                Piece::Octet(wanted) if *wanted == octet => position + 1,
                Piece::Within if octet != b'/' => position,
                Piece::Across => position,
                _ => continue,
            };
            if let Some(reached) = next.get_mut(goes_to) {
                *reached = true;
                alive = true;
            }
        }
        if !alive {
            return false;
        }
        std::mem::swap(&mut at, &mut next);
        skip_empty(pieces, &mut at);
    }
    at.last() == Some(&true)
}

/// Stars may stand for nothing; `/**` before a slash or the end may, with its slash.
fn skip_empty(pieces: &[Piece], at: &mut [bool]) {
    for (position, piece) in pieces.iter().enumerate() {
        if at.get(position) != Some(&true) {
            continue;
        }
        let to = match (piece, pieces.get(position + 1), pieces.get(position + 2)) {
            (Piece::Within | Piece::Across, _, _) => position + 1,
            (Piece::Octet(b'/'), Some(Piece::Across), None | Some(Piece::Octet(b'/'))) => position + 2,
            _ => continue,
        };
        if let Some(reached) = at.get_mut(to) {
            *reached = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern).matches(path.as_bytes())
    }

    #[test]
    fn stars_mean_what_is_documented() {
        for (pattern, yes, no) in [
            ("/a", vec!["/a"], vec!["/a/", "/A", "/ab", "/"]),
            ("/a/**", vec!["/a", "/a/", "/a/b", "/a//b/c"], vec!["/ab", "/", "/A/b"]),
            ("/**", vec!["/", "/a", "/a/b"], vec![]),
            ("**", vec!["/", "/a", "/a/b"], vec![]),
            ("/a/*", vec!["/a/", "/a/b"], vec!["/a", "/a/b/c"]),
            ("/a/*/c", vec!["/a/b/c", "/a//c"], vec!["/a/c", "/a/b/b/c"]),
            ("/*.css", vec!["/x.css", "/.css"], vec!["/a/x.css", "/x.cssx"]),
            ("/**/*.css", vec!["/x.css", "/a/b/x.css"], vec!["/a/x.js"]),
            ("/a/**/c", vec!["/a/c", "/a/b/c", "/a/b/b/c"], vec!["/ac", "/a/bc", "/b/c"]),
            ("/*/x/**", vec!["/a/x", "/a/x/y"], vec!["/a/xy", "/x"]),
            ("/a b/\u{fc}", vec!["/a b/\u{fc}"], vec!["/a+b/\u{fc}"]),
        ] {
            for path in yes {
                assert!(matches(pattern, path), "{pattern} {path}");
            }
            for path in no {
                assert!(!matches(pattern, path), "{pattern} {path}");
            }
        }
        assert_eq!(Pattern::new("/a%20b"), Pattern::new("/a b"));
    }

    proptest! {
        #[test]
        fn a_glob_is_what_the_regular_expression_is(pattern in "[ab/*]{1,8}", path in "[ab/]{0,10}") {
            // Runs of stars are one `**`; `/**` before a slash or the end may be nothing at all.
            let mut expression = String::new();
            let mut rest = pattern.as_str();
            while let Some(first) = rest.chars().next() {
                let stars = rest.len() - rest.trim_start_matches('*').len();
                let after_slash = rest.strip_prefix('/').map(|tail| (tail.len() - tail.trim_start_matches('*').len(), tail));
                if let Some((2.., tail)) = after_slash
                    && matches!(tail.trim_start_matches('*').chars().next(), None | Some('/'))
                {
                    expression.push_str("(/.*)?");
                    rest = tail.trim_start_matches('*');
                } else if stars > 0 {
                    expression.push_str(if stars == 1 { "[^/]*" } else { ".*" });
                    rest = &rest[stars..];
                } else {
                    expression.push(first);
                    rest = &rest[1..];
                }
            }
            let expression = regex::Regex::new(&format!("^{expression}$")).unwrap();
            prop_assert_eq!(matches(&pattern, &path), expression.is_match(&path));
        }
    }

    #[test]
    fn many_stars_on_a_long_path_are_quick() {
        let pattern = format!("/{}b", "*a**".repeat(20));
        assert!(!matches(&pattern, &format!("/{}", "a".repeat(8000))));
    }
}
