//! A browser: keeps cookies by a browser's rules, sends what a browser sends, and shows every step.
//!
//! It speaks HTTP/1.1 over plain sockets, whatever the URL's scheme: a host name leads where the test says, as if an ingress
//! that ends TLS stood in between. So `https://app.example` behaves as such (Secure and `__Host-` cookies, Sec-Fetch headers)
//! without a certificate.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use samlgate::clock::{Clock, Timestamp};

use super::page::{Form, Page};

/// Where a request comes from: decides SameSite and Sec-Fetch-Site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From<'a> {
    /// The address bar, a bookmark, a mail.
    Outside,
    /// A page with this URL.
    Page(&'a str),
}

/// What kind of request a script or page element makes; all but `Navigation` are no page loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Navigation,
    /// `fetch()` of the page's own origin, cookies included.
    Fetch,
    /// `new EventSource()`.
    EventSource,
    /// An old browser's XMLHttpRequest: no Sec-Fetch headers.
    OldXhr,
    /// A command line tool: no Sec-Fetch headers, `Accept: */*`.
    Tool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum SameSite {
    Strict,
    Lax,
    None,
}

/// A cookie in the jar.
#[derive(Clone, Debug)]
pub(crate) struct StoredCookie {
    pub(crate) name: String,
    pub(crate) value: String,
    host: String,
    path: String,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    same_site: SameSite,
    expires: Option<Timestamp>,
}

/// One person's browser.
pub(crate) struct Browser {
    clock: Arc<dyn Clock>,
    hosts: HashMap<String, SocketAddr>,
    jar: Vec<StoredCookie>,
    /// Sent with every request, as they stand: what a hostile or odd client adds.
    pub(crate) extra: Vec<(String, String)>,
}

impl Browser {
    /// A fresh profile.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, hosts: HashMap::new(), jar: Vec::new(), extra: Vec::new() }
    }

    /// What DNS would say: requests to `authority` (host, and port when the URL has one) go to `address`.
    pub(crate) fn resolve(&mut self, authority: &str, address: SocketAddr) {
        self.hosts.insert(authority.to_owned(), address);
    }

    /// Types a URL: one step, redirects are not followed.
    pub(crate) fn open(&mut self, url: &str) -> Page {
        self.send("GET", url, From::Outside, Kind::Navigation, &[], None)
    }

    /// Types a URL and goes on until there is a page, or a redirect to a host that doesn't exist (the IdP's, in most tests).
    pub(crate) fn visit(&mut self, url: &str) -> Page {
        let page = self.open(url);
        self.follow(page)
    }

    /// Goes on from a redirect as [`Self::visit`] does.
    pub(crate) fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..20 {
            let Some(next) = page.location() else { return page };
            if !self.hosts.contains_key(&authority(&next)) {
                return page;
            }
            let origin = page.url.clone();
            page = self.send("GET", &next, From::Page(&origin), Kind::Navigation, &[], None);
        }
        panic!("more than 20 redirects, the last to {:?}", page.location());
    }

    /// Clicks a link on a page.
    pub(crate) fn click(&mut self, page_url: &str, url: &str) -> Page {
        self.send("GET", url, From::Page(page_url), Kind::Navigation, &[], None)
    }

    /// Posts a form that stands on the page with `page_url`, as people and auto-posting pages do.
    pub(crate) fn post(&mut self, page_url: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        self.send(
            "POST",
            action,
            From::Page(page_url),
            Kind::Navigation,
            &[("Content-Type", "application/x-www-form-urlencoded")],
            Some(encode(fields).as_bytes()),
        )
    }

    /// Submits the form of a page.
    pub(crate) fn submit(&mut self, page: &Page, form: &Form) -> Page {
        let fields: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match form.method.as_str() {
            "post" => self.post(&page.url, &form.action, &fields),
            _ => self.click(&page.url, &format!("{}?{}", form.action, encode(&fields))),
        }
    }

    /// A request of a script on a page of the same origin.
    pub(crate) fn script(&mut self, kind: Kind, method: &str, url: &str) -> Page {
        let page = format!("{}/", origin(url));
        self.send(method, url, From::Page(&page), kind, &[], None)
    }

    /// The cookies that a host has set.
    pub(crate) fn cookies(&self, host: &str) -> Vec<&StoredCookie> {
        self.jar.iter().filter(|cookie| cookie.host == host).collect()
    }

    /// A cookie by its name.
    pub(crate) fn cookie(&self, name: &str) -> Option<&StoredCookie> {
        self.jar.iter().find(|cookie| cookie.name == name)
    }

    /// Plants a cookie, as a thief or a neighbour on the same host would.
    pub(crate) fn plant(&mut self, host: &str, name: &str, value: &str) {
        self.jar.retain(|cookie| cookie.name != name || cookie.host != host);
        self.jar.push(StoredCookie {
            name: name.to_owned(),
            value: value.to_owned(),
            host: host.to_owned(),
            path: "/".to_owned(),
            secure: false,
            http_only: false,
            same_site: SameSite::Lax,
            expires: None,
        });
    }

    /// One request, exactly.
    pub(crate) fn send(
        &mut self,
        method: &str,
        url: &str,
        from: From<'_>,
        kind: Kind,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Page {
        let to = authority(url);
        let target = url[url.find(&to).expect("the authority is in the URL") + to.len()..].split('#').next().unwrap_or_default();
        let target = if target.is_empty() || target.starts_with('?') { format!("/{target}") } else { target.to_owned() };
        let mut lines = vec![("Host".to_owned(), to.clone()), ("User-Agent".to_owned(), "test browser".to_owned())];
        let mut line = |name: &str, value: &str| lines.push((name.to_owned(), value.to_owned()));
        let cross_site = matches!(from, From::Page(page) if site(page) != site(url));
        match kind {
            Kind::Navigation => line("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
            Kind::EventSource => line("Accept", "text/event-stream"),
            Kind::Fetch | Kind::OldXhr | Kind::Tool => line("Accept", "*/*"),
        }
        if kind == Kind::OldXhr {
            line("X-Requested-With", "XMLHttpRequest");
        }
        if trustworthy(url) && matches!(kind, Kind::Navigation | Kind::Fetch | Kind::EventSource) {
            let (mode, dest) = if kind == Kind::Navigation { ("navigate", "document") } else { ("cors", "empty") };
            line("Sec-Fetch-Mode", mode);
            line("Sec-Fetch-Dest", dest);
            line("Sec-Fetch-Site", relation(from, url));
        }
        if method != "GET"
            && kind != Kind::Tool
            && let From::Page(page) = from
        {
            line("Origin", &origin(page));
        }
        let cookies = self.cookies_for(url, &target, cross_site, kind == Kind::Navigation && matches!(method, "GET" | "HEAD"));
        if !cookies.is_empty() {
            line("Cookie", &cookies);
        }
        for (name, value) in headers {
            line(name, value);
        }
        for (name, value) in &self.extra {
            lines.push((name.clone(), value.clone()));
        }
        if let Some(body) = body {
            lines.push(("Content-Length".to_owned(), body.len().to_string()));
        }
        lines.push(("Connection".to_owned(), "close".to_owned()));
        let address = self.hosts.get(&to).unwrap_or_else(|| panic!("nobody told this browser where {to} is"));
        let page = Page::parse(url, &exchange(*address, method, &target, &lines, body.unwrap_or_default()));
        self.keep_cookies(url, &page);
        page
    }

    fn cookies_for(&mut self, url: &str, target: &str, cross_site: bool, top_level_get: bool) -> String {
        let (host, now) = (host(url), self.clock.now());
        self.jar.retain(|cookie| cookie.expires.is_none_or(|at| now < at));
        let path = target.split('?').next().unwrap_or_default();
        let sent = |cookie: &&StoredCookie| {
            let same_site =
                !cross_site || cookie.same_site == SameSite::None || (cookie.same_site == SameSite::Lax && top_level_get);
            cookie.host == host && path.starts_with(&cookie.path) && (!cookie.secure || trustworthy(url)) && same_site
        };
        let pairs: Vec<String> = self.jar.iter().filter(sent).map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        pairs.join("; ")
    }

    /// Takes the cookies of an answer, and refuses what browsers refuse (RFC 6265bis 5.7).
    fn keep_cookies(&mut self, url: &str, page: &Page) {
        let now = self.clock.now();
        for line in page.all("set-cookie") {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let mut cookie = StoredCookie {
                name: name.to_owned(),
                value: value.to_owned(),
                host: host(url),
                path: "/".to_owned(),
                secure: false,
                http_only: false,
                same_site: SameSite::Lax,
                expires: None,
            };
            let (mut domain, mut path_given) = (false, false);
            for part in parts {
                let (key, value) = part.split_once('=').unwrap_or((part, ""));
                match key.to_ascii_lowercase().as_str() {
                    "secure" => cookie.secure = true,
                    "httponly" => cookie.http_only = true,
                    "domain" => domain = true,
                    "path" => (cookie.path, path_given) = (value.to_owned(), true),
                    "samesite" => {
                        cookie.same_site = match value.to_ascii_lowercase().as_str() {
                            "strict" => SameSite::Strict,
                            "none" => SameSite::None,
                            _ => SameSite::Lax,
                        }
                    }
                    "max-age" => {
                        let seconds: i64 = value.parse().expect("Max-Age is a number");
                        cookie.expires = Some(now.plus(Duration::from_secs(seconds.max(0).unsigned_abs())));
                    }
                    _ => {}
                }
            }
            let unheard = cookie.secure && !trustworthy(url);
            let half_none = cookie.same_site == SameSite::None && !cookie.secure;
            let bad_host = name.starts_with("__Host-") && (!cookie.secure || domain || !path_given || cookie.path != "/");
            if unheard || half_none || bad_host {
                continue;
            }
            self.jar.retain(|known| known.name != cookie.name || known.host != cookie.host || known.path != cookie.path);
            self.jar.push(cookie);
        }
        self.jar.retain(|cookie| cookie.expires.is_none_or(|at| now < at));
    }
}

/// Sends octets and reads until the other side closes.
fn exchange(address: SocketAddr, method: &str, target: &str, lines: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in lines {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).expect("the request's head is taken");
    // A body that is refused early may not be read to its end; the answer is there all the same.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer,
        Err(_) if answer.windows(4).any(|end| end == b"\r\n\r\n") => answer,
        Err(error) => panic!("no answer to {method} {target}: {error}"),
    }
}

/// `application/x-www-form-urlencoded`.
pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

/// Host, and port when there is one.
pub(crate) fn authority(url: &str) -> String {
    let rest = url.split_once("://").unwrap_or_else(|| panic!("not an absolute URL: {url}")).1;
    rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned()
}

fn origin(url: &str) -> String {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    format!("{scheme}://{}", authority(url))
}

fn host(url: &str) -> String {
    authority(url).split(':').next().unwrap_or_default().to_owned()
}

/// Scheme and registrable domain: the last two labels will do for names in tests, and each name under localhost is its own site.
fn site(url: &str) -> String {
    let host = host(url);
    let labels: Vec<&str> = host.rsplit('.').take(2).collect();
    format!("{}://{}", origin(url).split("://").next().unwrap_or_default(), labels.join("."))
}

/// Where Secure cookies work and Sec-Fetch headers are sent: https, and loopback names.
fn trustworthy(url: &str) -> bool {
    let host = host(url);
    url.starts_with("https://") || host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.")
}

fn relation(from: From<'_>, url: &str) -> &'static str {
    match from {
        From::Outside => "none",
        From::Page(page) if origin(page) == origin(url) => "same-origin",
        From::Page(page) if site(page) == site(url) => "same-site",
        From::Page(_) => "cross-site",
    }
}
