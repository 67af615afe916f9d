//! Pages of the demo.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #1d2733; background: #f4f6f8; }
header { padding: 1rem 2rem; color: #fff; }
header.idp { background: #5b3a8c; } header.app { background: #14532d; }
header b { font-size: 1.2rem; } header a { color: #fff; margin-left: 1.5rem; }
main { max-width: 46rem; margin: 2rem auto; padding: 1.5rem 2rem; background: #fff; border-radius: 8px; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #e3e7eb; }
td { overflow-wrap: anywhere; } td:first-child { white-space: nowrap; } label { display: block; margin: .8rem 0; } input { font: inherit; padding: .3rem; }
button { font: inherit; padding: .4rem 1.2rem; } .wrong { color: #a4161a; font-weight: 600; } code { background: #eef1f4; padding: 0 .3rem; }
";

/// Text as it may stand in a page and in a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A page; `head` and `body` are HTML.
pub(crate) fn page(status: StatusCode, kind: &str, title: &str, links: &str, body: &str) -> Response {
    let title = escape(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
         <header class=\"{kind}\"><b>{title}</b>{links}</header><main>{body}</main></html>"
    );
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, html).into_response()
}
