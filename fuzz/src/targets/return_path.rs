//! Where somebody asks to be sent after a login: `return_to`, or RelayState.
//!
//! Whatever is taken leads a browser (WHATWG URL, as the `url` crate follows it) to our own origin and to the path that it says, from
//! wherever on the site it is followed.

use samlgate::public_url::PublicUrl;
use samlgate::return_path::ReturnPath;
use url::Url;

use crate::context::{json, shared_folder};
use crate::seeds::behind;

const ORIGINS: [&str; 3] = ["https://app.example.com", "http://localhost:8080", "https://app.example.com:8443"];

pub(crate) fn run(input: &[u8]) {
    let [choice, text @ ..] = input else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let origin = ORIGINS[usize::from(*choice) % ORIGINS.len()];
    let public = PublicUrl::parse(origin).expect("a URL");
    let Some(path) = ReturnPath::parse(text, &public) else { return };
    let path = path.as_str();
    assert!(path.starts_with('/') && !path.starts_with("//") && path.len() <= 4096, "{path:?}");
    assert!(path.bytes().all(|octet| octet.is_ascii_graphic()), "{path:?}");
    let home = Url::parse(origin).expect("a URL");
    for from in ["/", "/_samlgate/acs", "/a/b/c?d=e#f"] {
        let base = home.join(from).expect("a page of ours");
        let reached = base.join(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_eq!(reached.origin(), home.origin(), "{path:?} leads to {reached}");
        assert!(reached.username().is_empty() && reached.password().is_none());
        let route = path.split(['?', '#']).next().unwrap_or_default();
        assert_eq!(reached.path(), route, "a browser goes elsewhere than {path:?}");
    }
    // Taken once, taken again, and the same.
    assert_eq!(ReturnPath::parse(path, &public).map(|again| again.to_string()).as_deref(), Some(path));
    // As a Location header, and as a URL of ours in full.
    let whole = format!("{origin}{path}");
    assert_eq!(Url::parse(&whole).map(|url| url.origin()), Ok(home.origin()), "{whole:?}");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut texts: Vec<String> = [
        "/",
        "/app?x=//evil.example#y",
        "/a%2Fb;c=d/..y",
        "//evil.example",
        "/\\evil.example",
        "/%2e%2e//evil.example",
        "https://app.example.com/x",
        "https://app.example.com@evil.example/",
        "/.;/x",
        "/a/..;b/",
    ]
    .map(str::to_owned)
    .to_vec();
    if let Some(folder) = shared_folder() {
        let file = json(folder.join("http/return-targets.json"));
        collect(&file, &mut texts);
    }
    texts.iter().map(|text| behind(&[0], text.as_bytes())).collect()
}

/// Every text in a list of cases: what they are called there doesn't matter.
fn collect(value: &serde_json::Value, texts: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if text.len() < 3000 => texts.push(text.clone()),
        serde_json::Value::Array(list) => list.iter().for_each(|value| collect(value, texts)),
        serde_json::Value::Object(members) => members.values().for_each(|value| collect(value, texts)),
        _ => {}
    }
}
