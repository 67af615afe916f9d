//! Which texts may stand for a person, a role or a group, and how a field's steps change them.

use super::mapping::{FieldMapping, Transform};

/// Longest value of an identity field, in octets. More would only make the application refuse its requests.
pub const LONGEST_VALUE: usize = 1024;

/// What is wrong with a text that can't stand for anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// A control character (C0, DEL, C1), or a line or paragraph separator.
    Control,
    /// A character that changes how its neighbours look and can't be seen itself, so that two names look alike.
    Invisible,
    /// More than [`LONGEST_VALUE`] octets.
    TooLong,
}

/// Judges a text. Letters of all scripts are welcome and are compared exactly, code point by code point.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn judge(text: &str) -> Result<(), Unusable> {
    if text.len() > LONGEST_VALUE {
        return Err(Unusable::TooLong);
    }
    for character in text.chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            return Err(Unusable::Control);
        }
        if is_invisible(character) {
            return Err(Unusable::Invisible);
        }
    }
    Ok(())
}

/// Bidirectional marks and overrides, zero-width characters, interlinear anchors, tags. The zero-width joiner and non-joiner
/// are kept: Persian and the Indic scripts need them.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether nothing but white space stands there: the IdP sent an attribute without saying anything.
pub(super) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// What comes of one value on its way through `split`, `transform`, `pattern` and `map`.
pub(super) enum Fate {
    /// A usable value.
    Kept(String),
    /// Nothing: blank, or no match for the pattern.
    Dropped,
    /// A text that can't be used, as it came.
    Unusable(String),
}

/// Takes one raw value (already split) through `transform`, `pattern` and `map`.
///
/// The text is judged before anything is cut off it, so that no step can hide what is wrong with it; only a `trim` comes
/// first, because many IdPs break lines around values.
pub(super) fn prepare(raw: &str, field: &FieldMapping) -> Fate {
    let trims = field.transform.contains(&Transform::Trim);
    let text = if trims { raw.trim() } else { raw };
    if is_blank(text) {
        return Fate::Dropped;
    }
    if judge(text).is_err() {
        return Fate::Unusable(text.to_owned());
    }
    let text = field.transform.iter().fold(text.to_owned(), |text, step| step.apply(&text));
    let Some(text) = matched(&text, field) else { return Fate::Dropped };
    if is_blank(text) {
        return Fate::Dropped;
    }
    Fate::Kept(field.map.get(text).map_or_else(|| text.to_owned(), Clone::clone))
}

/// The first capture that took part, the whole text when the pattern has none, `None` without a match.
fn matched<'a>(text: &'a str, field: &FieldMapping) -> Option<&'a str> {
    let Some(pattern) = &field.pattern else { return Some(text) };
    let captures = pattern.captures(text)?;
    if captures.len() == 1 {
        return Some(text);
    }
    captures.iter().skip(1).flatten().next().map(|capture| capture.as_str())
}

impl Transform {
    fn apply(self, text: &str) -> String {
        match self {
            Self::Trim => text.trim().to_owned(),
            Self::Lowercase => fold_case(text, |c| c.to_lowercase().collect()),
            Self::Uppercase => fold_case(text, |c| c.to_uppercase().collect()),
            Self::BeforeAt => text.split('@').next().unwrap_or_default().to_owned(),
        }
    }
}

/// Changes the case of all letters, but never makes an ASCII letter of another one: the Kelvin sign would become a `k`, and
/// whoever may choose a name with it would become somebody else.
fn fold_case(text: &str, fold: impl Fn(char) -> String) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.chars() {
        let new = fold(character);
        if character.is_ascii() || !new.chars().any(|c| c.is_ascii()) {
            folded.push_str(&new);
        } else {
            folded.push(character);
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_invisible_characters_are_told_from_letters() {
        for good in ["alice", "Łukasz", "a\u{300}lice", "علی\u{200c}رضا", "O'Brien, Jr.", "  alice  "] {
            assert_eq!(judge(good), Ok(()), "{good:?}");
        }
        for bad in ["al\nice", "alice\0", "alice\u{7f}", "alice\u{85}admin", "a\u{2028}b", "a\u{2029}b", "a\tb"] {
            assert_eq!(judge(bad), Err(Unusable::Control), "{bad:?}");
        }
        for bad in ["alice\u{202e}nimda", "\u{2066}a", "a\u{200b}lice", "alice\u{feff}", "a\u{e0041}"] {
            assert_eq!(judge(bad), Err(Unusable::Invisible), "{bad:?}");
        }
        assert_eq!(judge(&"x".repeat(LONGEST_VALUE)), Ok(()));
        assert_eq!(judge(&"x".repeat(LONGEST_VALUE + 1)), Err(Unusable::TooLong));
    }

    #[test]
    fn case_never_leads_into_ascii() {
        assert_eq!(Transform::Lowercase.apply("ŁUKASZ Ä@X"), "łukasz ä@x");
        assert_eq!(Transform::Lowercase.apply("\u{212a}im"), "\u{212a}im", "the Kelvin sign is no k");
        assert_eq!(Transform::Lowercase.apply("\u{130}"), "\u{130}");
        assert_eq!(Transform::Uppercase.apply("maße \u{17f}\u{131}"), "MAßE \u{17f}\u{131}");
    }
}
