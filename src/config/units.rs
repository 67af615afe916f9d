//! Durations and sizes as operators write them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A duration with its text: `"90s"`, `"15m"`, `"12h"`, `"30d"`.
#[derive(Clone, Debug)]
pub(super) struct Span {
    text: String,
    value: Duration,
}

impl Span {
    /// The duration.
    pub(super) fn get(&self) -> Duration {
        self.value
    }

    /// A default, in seconds.
    pub(super) fn seconds(seconds: u64) -> Self {
        let text = match seconds {
            s if s > 0 && s % 3600 == 0 => format!("{}h", s / 3600),
            s if s > 60 && s % 60 == 0 => format!("{}m", s / 60),
            s => format!("{s}s"),
        };
        Self { text, value: Duration::from_secs(seconds) }
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not a duration; write a number and a unit, such as \"90s\", \"15m\", \"12h\" or \"30d\"");
        // humantime takes a bare 0, fractions, and words for months and years whose length is anybody's guess.
        if !is_plain(text) {
            return Err(wrong());
        }
        let value = humantime::parse_duration(text).map_err(|_| wrong())?;
        if value > LONGEST {
            return Err(format!("{text:?} is longer than 3650d, as long as anything here may take"));
        }
        Ok(Self { text: text.to_owned(), value })
    }
}

/// Longest duration: ten years, added to any date without harm.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 3600);

/// Whether a text is whole numbers, each with one of the units that mean the same to everybody.
fn is_plain(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let after = unit.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let (number, word) = (rest.len() - unit.len(), unit.strip_suffix(after).unwrap_or_default());
        if number == 0 || !matches!(word, "ms" | "s" | "m" | "h" | "d") {
            return false;
        }
        rest = after.trim_start_matches(' ');
    }
    !text.is_empty()
}

/// A number of octets with its text, or `unlimited`: `"64KiB"`, `"10MiB"`.
#[derive(Clone, Debug)]
pub(super) struct SizeLimit {
    text: String,
    octets: Option<u64>,
}

impl SizeLimit {
    /// The limit; `None`: unlimited.
    pub(super) fn get(&self) -> Option<u64> {
        self.octets
    }

    pub(super) fn unlimited() -> Self {
        Self { text: "unlimited".to_owned(), octets: None }
    }
}

impl PartialEq for SizeLimit {
    fn eq(&self, other: &Self) -> bool {
        self.octets == other.octets
    }
}

impl fmt::Display for SizeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SizeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
        if text == "unlimited" {
            return Ok(Self::unlimited());
        }
        let parsed = UNITS.iter().find_map(|&(unit, factor)| {
            let number = text.strip_suffix(unit)?.trim_end();
            let digits = !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit());
            digits.then(|| number.parse::<u64>().ok()?.checked_mul(factor))?
        });
        match parsed {
            Some(octets) => Ok(Self { text: text.to_owned(), octets: Some(octets) }),
            None => {
                Err(format!("{text:?} is not a size; write \"unlimited\" or a number with B, KiB, MiB or GiB, such as \"10MiB\""))
            }
        }
    }
}

/// Reads a text of either kind.
struct Text<T>(&'static str, PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a duration in quotes, such as \"90s\"", PhantomData))
    }
}

impl<'de> Deserialize<'de> for SizeLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a size in quotes, such as \"10MiB\"", PhantomData))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Serialize for SizeLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "A duration.", "examples": ["90s", "15m", "12h", "30d"]})
    }
}

impl JsonSchema for SizeLimit {
    fn schema_name() -> Cow<'static, str> {
        "SizeLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A number of octets, or unlimited.",
            "pattern": "^(unlimited|[0-9]+ ?(B|KiB|MiB|GiB))$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("1h 30m", 5400), ("0s", 0)] {
            assert_eq!(text.parse::<Span>().unwrap().get(), Duration::from_secs(seconds), "{text}");
        }
        assert_eq!("250ms".parse::<Span>().unwrap().get(), Duration::from_millis(250));
        for bad in ["", "0", "90", "1y", "2M", "-5s", "5 apples", "s", "0.5h", "5 m", "1h ,30m"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        for bad in ["1month", "2 months", "1years", "2weeks", "1hour", "5min", "90sec", "1w", "5us", "1M"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        for long in ["3651d", "213503982334601d", "99999999999999999999d"] {
            assert!(long.parse::<Span>().is_err(), "{long}");
        }
        assert_eq!("1h30m".parse::<Span>().unwrap().get(), Duration::from_secs(5400));
        for seconds in [0, 5, 60, 300, 3600, 43_200] {
            let span = Span::seconds(seconds);
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
    }

    #[test]
    fn sizes_are_binary_or_unlimited() {
        for (text, octets) in [("unlimited", None), ("0B", Some(0)), ("256KiB", Some(262_144)), ("1 GiB", Some(1 << 30))] {
            assert_eq!(text.parse::<SizeLimit>().unwrap().get(), octets, "{text}");
        }
        for bad in ["", "10", "KiB", "1MB", "+1KiB", "-1KiB", "99999999999GiB", "10mib"] {
            assert!(bad.parse::<SizeLimit>().is_err(), "{bad}");
        }
    }
}
