//! What a browser got: one answer, taken apart.

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The URL that was asked for.
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A form on a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// Absolute.
    pub(crate) action: String,
    /// `get` or `post`.
    pub(crate) method: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// A field's value.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map_or_else(|| panic!("no field {name} in {self:?}"), |(_, value)| value)
    }
}

impl Page {
    /// Reads an HTTP/1.1 answer that ended with the connection.
    pub(crate) fn parse(url: &str, octets: &[u8]) -> Self {
        let end = octets.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer from {url}"));
        let head = String::from_utf8_lossy(&octets[..end]);
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).expect("a status line");
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let rest = &octets[end + 4..];
        let body = if chunked { unchunk(rest) } else { rest.to_vec() };
        Self { url: url.to_owned(), status, headers, body }
    }

    /// A header, the first of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// All headers of a name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Location of a redirect, absolute.
    pub(crate) fn location(&self) -> Option<String> {
        let redirect = matches!(self.status, 301 | 302 | 303 | 307 | 308);
        self.header("location").filter(|_| redirect).map(|to| absolute(&self.url, to))
    }

    /// Location of a redirect that must be one.
    pub(crate) fn redirect(&self) -> String {
        self.location().unwrap_or_else(|| panic!("expected a redirect, got {}: {}", self.status, self.text()))
    }

    /// The form that must be on the page.
    pub(crate) fn form(&self) -> Form {
        let text = self.text();
        let forms = elements(&text, "form");
        let Some(form) = forms.first() else { panic!("no form on the page: {text}") };
        let inside =
            text.split_once("<form").map_or("", |(_, rest)| rest.split_once("</form>").map_or(rest, |(inside, _)| inside));
        let mut fields = Vec::new();
        for input in elements(inside, "input").into_iter().chain(elements(inside, "button")) {
            if let Some(name) = attribute(&input, "name") {
                fields.push((name, attribute(&input, "value").unwrap_or_default()));
            }
        }
        Form {
            action: absolute(&self.url, &attribute(form, "action").unwrap_or_else(|| self.url.clone())),
            method: attribute(form, "method").unwrap_or_else(|| "get".to_owned()).to_ascii_lowercase(),
            fields,
        }
    }

    /// Where the page's links lead, absolute.
    pub(crate) fn links(&self) -> Vec<String> {
        let links = elements(&self.text(), "a");
        links.iter().filter_map(|link| attribute(link, "href")).map(|to| absolute(&self.url, &to)).collect()
    }
}

/// A reference against the page's URL: enough of RFC 3986 for what servers send.
fn absolute(base: &str, to: &str) -> String {
    if to.contains("://") {
        return to.to_owned();
    }
    let scheme_end = base.find("://").map_or(0, |at| at + 3);
    if let Some(rest) = to.strip_prefix("//") {
        return format!("{}{rest}", &base[..scheme_end]);
    }
    let path_at = base[scheme_end..].find(['/', '?', '#']).map_or(base.len(), |at| scheme_end + at);
    let (origin, path) = base.split_at(path_at);
    if to.starts_with('/') {
        return format!("{origin}{to}");
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    match to {
        "" => base.to_owned(),
        _ if to.starts_with('?') => format!("{origin}{path}{to}"),
        _ => format!("{origin}{}/{to}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
    }
}

/// The start tags of an element, without their angle brackets.
fn elements(html: &str, name: &str) -> Vec<String> {
    let start = format!("<{name}");
    let tags = html.split(&start).skip(1).filter(|rest| rest.starts_with([' ', '\n', '>', '\t']));
    tags.filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag.to_owned()).collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let at = tag.find(&format!(" {name}=\"")).or_else(|| tag.find(&format!("\n{name}=\"")))?;
    let value = tag[at..].split('"').nth(1)?;
    Some(unescape(value))
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let Some((entity, after)) = after.split_once(';') else {
            out.push('&');
            rest = after;
            continue;
        };
        let code = entity.strip_prefix("#x").map(|hex| u32::from_str_radix(hex, 16));
        let code = code.or_else(|| entity.strip_prefix('#').map(str::parse));
        out.push(match (entity, code) {
            ("amp", _) => '&',
            ("lt", _) => '<',
            ("gt", _) => '>',
            ("quot", _) => '"',
            ("apos", _) => '\'',
            (_, Some(Ok(code))) => char::from_u32(code).expect("a character"),
            _ => panic!("an entity that this page reader doesn't know: &{entity};"),
        });
        rest = after;
    }
    out + rest
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).expect("a chunk's size");
        if size == 0 {
            break;
        }
        let chunk = end + 2;
        body.extend_from_slice(rest.get(chunk..chunk + size).expect("a whole chunk"));
        rest = &rest[chunk + size + 2..];
    }
    body
}
