//! What two servers could cut at different places, octet by octet: either it is refused and the application sees nothing of it, or it is
//! so many requests, for everybody.

use std::io::Write as _;

use samlgate::access::{Allow, Rule};

use crate::support::gateway::{Gateway, Wanted};
use crate::support::raw::Raw;
use crate::support::upstream::{Seen, Upstream};

/// Follows whatever is sent: what an attacker would want the application to see.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n";
const GET: &str = "GET / HTTP/1.1";
const POST: &str = "POST / HTTP/1.1";
const POST_10: &str = "POST / HTTP/1.0";

/// What must become of a row.
enum Verdict {
    /// 400, the end of the connection, and nothing for the application.
    Refused,
    /// The request is lawful until its body: the application may have seen the beginning of one, which it can't take for a whole one.
    Cut,
    /// These requests, by line and body; then whatever the client sends next.
    Passed(&'static [(&'static str, &'static str)]),
    /// These, and then the end of the connection: what follows isn't read.
    Last(&'static [(&'static str, &'static str)]),
}
use Verdict::{Cut, Last, Passed, Refused};

struct Row(&'static str, String, Verdict);

/// A request with these lines behind its Host, each with its end, and with this body.
fn request(line: &str, lines: &str, body: &str) -> String {
    format!("{line}\r\nHost: app.example\r\n{lines}\r\n{body}")
}

fn framed(name: &'static str, lines: &str, body: &str, verdict: Verdict) -> Row {
    Row(name, request(POST, lines, body), verdict)
}

fn lengths() -> Vec<Row> {
    const THREE: &[(&str, &str)] = &[(POST, "abc")];
    let mut rows = vec![
        framed("both lengths", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nX", Refused),
        framed("both, the other way round", "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\nX", Refused),
        framed("both, the length is 0", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", Refused),
        framed("two lengths", "Content-Length: 0\r\nContent-Length: 3\r\n", "abc", Refused),
        framed("two equal lengths", "Content-Length: 3\r\nContent-Length: 3\r\n", "abc", Refused),
        framed("two lengths far apart", "Content-Length: 3\r\nX: y\r\ncontent-length: 3\r\n", "abc", Refused),
        framed("a length that is folded", "Content-Length:\r\n 3\r\n", "abc", Refused),
        framed("a length with zeros", "Content-Length: 0003\r\n", "abc", Passed(THREE)),
        framed("a length with space around it", "Content-Length: \t 3 \t\r\n", "abc", Passed(THREE)),
        framed("a length without space", "cONTENT-lENGTH:3\r\n", "abc", Passed(THREE)),
        framed("no body", "Content-Length: 0\r\n", "", Passed(&[(POST, "")])),
        framed("neither", "", "", Passed(&[(POST, "")])),
    ];
    for (name, value) in [
        ("a list of lengths", "0, 3"),
        ("a list of equal lengths", "3, 3"),
        ("a list that ends", "3,"),
        ("a list that begins", ",3"),
        ("a length with a plus", "+3"),
        ("a length with a minus", "-3"),
        ("minus nothing", "-0"),
        ("two numbers", "3 3"),
        ("a length in base 16", "0x3"),
        ("a length with a point", "3.0"),
        ("a length with an exponent", "3e0"),
        ("a length with an underscore", "0_3"),
        ("a length in quotes", "\"3\""),
        ("a length with a parameter", "3;q=1"),
        ("a length in other digits", "\u{ff13}"),
        ("a length behind a vertical tab", "\u{b}3"),
        ("a length behind a form feed", "\u{c}3"),
        ("a length before a NUL", "3\0"),
        ("a length that overflows 63 bits", "9223372036854775808"),
        ("the largest number", "18446744073709551615"),
        ("a length that overflows to 0", "18446744073709551616"),
        ("a length that overflows to 3", "18446744073709551619"),
        ("no length", ""),
        ("a word", "three"),
    ] {
        rows.push(framed(name, &format!("Content-Length: {value}\r\n"), "abc", Refused));
    }
    rows
}

fn codings() -> Vec<Row> {
    const CHUNKED: &[(&str, &str)] = &[(POST, "abc")];
    const BODY: &str = "3\r\nabc\r\n0\r\n\r\n";
    let mut rows = vec![
        framed("upper case", "TRANSFER-ENCODING: CHUNKED\r\n", BODY, Passed(CHUNKED)),
        framed("space around it", "Transfer-Encoding:\t chunked \t\r\n", BODY, Passed(CHUNKED)),
        framed("no space", "Transfer-Encoding:chunked\r\n", BODY, Passed(CHUNKED)),
        framed("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", BODY, Refused),
        framed("chunked, then another", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", BODY, Refused),
        framed("another, then chunked", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", BODY, Refused),
        framed("identity, then chunked", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", BODY, Refused),
        framed("nothing, then chunked", "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", BODY, Refused),
        framed("space before the colon", "Transfer-Encoding : chunked\r\n", BODY, Refused),
        framed("tab before the colon", "Transfer-Encoding\t: chunked\r\n", BODY, Refused),
        framed("vertical tab before the colon", "Transfer-Encoding\u{b}: chunked\r\n", BODY, Refused),
        framed("NUL in the name", "Transfer-\0Encoding: chunked\r\n", BODY, Refused),
        framed("NUL before the colon", "Transfer-Encoding\0: chunked\r\n", BODY, Refused),
        framed("space before the name", "X: y\r\n Transfer-Encoding: chunked\r\n", BODY, Refused),
        framed("folded", "Transfer-Encoding:\r\n chunked\r\n", BODY, Refused),
        framed("folded by a tab", "Transfer-Encoding:\r\n\tchunked\r\n", BODY, Refused),
        framed("behind a bare CR", "X: y\rTransfer-Encoding: chunked\r\n", BODY, Refused),
        framed("behind a bare LF", "X: y\nTransfer-Encoding: chunked\r\n", BODY, Refused),
        Row("chunked in HTTP/1.0", request(POST_10, "Transfer-Encoding: chunked\r\n", BODY), Refused),
        Row("both in HTTP/1.0", request(POST_10, "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", BODY), Refused),
        // Under another name it is no framing; such names don't reach the application.
        framed(
            "an underscore in the name",
            "Transfer_Encoding: chunked\r\nContent-Length: 3\r\n",
            "abc",
            Passed(&[(POST, "abc")]),
        ),
        framed("named in Connection", "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n", BODY, Passed(CHUNKED)),
    ];
    for (name, value) in [
        ("an odd coding", "xchunked"),
        ("identity", "identity"),
        ("identity before chunked", "identity, chunked"),
        ("identity after chunked", "chunked, identity"),
        ("gzip before chunked", "gzip, chunked"),
        ("chunked twice in one", "chunked, chunked"),
        ("a list that ends", "chunked,"),
        ("a list that begins", ", chunked"),
        ("a parameter", "chunked;q=1"),
        ("in quotes", "\"chunked\""),
        ("two words", "chunked chunked"),
        ("no value", ""),
        ("vertical tab before it", "\u{b}chunked"),
        ("vertical tab behind it", "chunked\u{b}"),
        ("form feed before it", "\u{c}chunked"),
        ("form feed behind it", "chunked\u{c}"),
        ("NUL behind it", "chunked\0"),
        ("the Kelvin sign", "chun\u{212a}ed"),
        ("a no-break space", "\u{a0}chunked"),
    ] {
        rows.push(framed(name, &format!("Transfer-Encoding: {value}\r\n"), BODY, Refused));
    }
    rows
}

fn chunks() -> Vec<Row> {
    const ABC: &[(&str, &str)] = &[(POST, "abc")];
    let last = format!("3\r\nabc\r\n0;{}\r\n\r\n", "x".repeat(5000));
    let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(5000));
    let rows = [
        ("an extension", "3;a=b\r\nabc\r\n0\r\n\r\n", Passed(ABC)),
        ("an extension in quotes", "3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n", Passed(ABC)),
        ("zeros before the size", "0003\r\nabc\r\n000\r\n\r\n", Passed(ABC)),
        ("a size in capitals", "A\r\n0123456789\r\n0\r\n\r\n", Passed(&[(POST, "0123456789")])),
        ("trailers that frame", "3\r\nabc\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\n\r\n", Passed(ABC)),
        (
            "trailers that route or name",
            "3\r\nabc\r\n0\r\nHost: evil.example\r\nX-User: root\r\nX_User: root\r\n\r\n",
            Passed(ABC),
        ),
        ("a request in a trailer", "3\r\nabc\r\n0\r\nX: GET /smuggled HTTP/1.1\r\n\r\n", Passed(ABC)),
        ("a size in base 16, said so", "0x3\r\nabc\r\n0\r\n\r\n", Cut),
        ("a size with a plus", "+3\r\nabc\r\n0\r\n\r\n", Cut),
        ("a size with a minus", "-3\r\nabc\r\n0\r\n\r\n", Cut),
        ("minus nothing", "-0\r\n\r\n", Cut),
        ("nothing in base 16, said so", "0x0\r\n\r\n", Cut),
        ("space before the size", " 3\r\nabc\r\n0\r\n\r\n", Cut),
        ("space behind the size", "3 \r\nabc\r\n0\r\n\r\n", Cut),
        ("tab behind the size", "3\t\r\nabc\r\n0\r\n\r\n", Cut),
        ("vertical tab before the size", "\u{b}3\r\nabc\r\n0\r\n\r\n", Cut),
        ("a size with an underscore", "0_3\r\nabc\r\n0\r\n\r\n", Cut),
        ("no size", "\r\nabc\r\n0\r\n\r\n", Cut),
        ("no size but an extension", ";a=b\r\nabc\r\n0\r\n\r\n", Cut),
        ("bare LF in the last extension", "3\r\nabc\r\n0;a\n\r\n", Cut),
        ("bare CR in the last extension", "3\r\nabc\r\n0;a\r\r\n", Cut),
        ("a last extension that doesn't end", last.as_str(), Cut),
        ("no number", "g\r\nabc\r\n0\r\n\r\n", Cut),
        ("a size that overflows to 3", "10000000000000003\r\nabc\r\n0\r\n\r\n", Cut),
        ("a size of more digits than there are", "00000000000000003\r\nabc\r\n0\r\n\r\n", Cut),
        ("bare LF behind the size", "3\nabc\r\n0\r\n\r\n", Cut),
        ("bare CR behind the size", "3\rabc\r\n0\r\n\r\n", Cut),
        ("bare LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n", Cut),
        ("bare CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n", Cut),
        ("an extension that doesn't end", long.as_str(), Cut),
        ("nothing behind the data", "3\r\nabc0\r\n\r\n", Cut),
        ("bare LF behind the data", "3\r\nabc\n0\r\n\r\n", Cut),
        ("bare CR behind the data", "3\r\nabc\r0\r\n\r\n", Cut),
        ("too much data", "3\r\nabcd\r\n0\r\n\r\n", Cut),
        ("too little data", "3\r\nab\r\n0\r\n\r\n", Cut),
        ("bare LF behind the last size", "3\r\nabc\r\n0\n\r\n", Cut),
        ("bare LF at the end", "3\r\nabc\r\n0\r\n\n", Cut),
        ("bare CR at the end", "3\r\nabc\r\n0\r\n\r", Cut),
        ("bare LF behind a trailer", "3\r\nabc\r\n0\r\nX: y\n\r\n", Cut),
        ("a folded trailer", "3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n", Cut),
        ("a trailer without a colon", "3\r\nabc\r\n0\r\nX\r\n\r\n", Cut),
        ("space before a trailer's colon", "3\r\nabc\r\n0\r\nX : y\r\n\r\n", Cut),
        ("NUL in a trailer's name", "3\r\nabc\r\n0\r\nX\0: y\r\n\r\n", Cut),
        ("NUL in a trailer", "3\r\nabc\r\n0\r\nX: y\0\r\n\r\n", Cut),
    ];
    rows.into_iter().map(|(name, body, verdict)| framed(name, "Transfer-Encoding: chunked\r\n", body, verdict)).collect()
}

fn heads() -> Vec<Row> {
    let lines = [
        ("a header without a colon", "X\r\n"),
        ("a header without a name", ": y\r\n"),
        ("a header of nothing but space", " \r\n"),
        ("space before the colon", "X : y\r\n"),
        ("space in a name", "X Y: z\r\n"),
        ("a name in brackets", "(X): y\r\n"),
        ("a name that isn't ASCII", "X-\u{fc}: y\r\n"),
        ("DEL in a name", "X\u{7f}: y\r\n"),
        ("a folded header", "X: y\r\n z\r\n"),
        ("a header folded by a tab", "X: y\r\n\tz\r\n"),
        ("NUL in a value", "X: y\0z\r\n"),
        ("BEL in a value", "X: y\u{7}z\r\n"),
        ("vertical tab in a value", "X: y\u{b}z\r\n"),
        ("DEL in a value", "X: y\u{7f}z\r\n"),
        ("bare LF behind a header", "X: y\n"),
        ("bare CR behind a header", "X: y\rZ: z\r\n"),
        ("two CRs behind a header", "X: y\r\r\n"),
        ("bare LF behind the head", "X: y\r\n\n"),
    ];
    let mut rows: Vec<Row> = lines.into_iter().map(|(name, lines)| Row(name, request(GET, lines, ""), Refused)).collect();
    for (name, line) in [
        ("two spaces before the target", "GET  / HTTP/1.1"),
        ("two spaces before the version", "GET /  HTTP/1.1"),
        ("space behind the version", "GET / HTTP/1.1 "),
        ("space before the method", " GET / HTTP/1.1"),
        ("a tab before the target", "GET\t/ HTTP/1.1"),
        ("a tab before the version", "GET /\tHTTP/1.1"),
        ("a space in the target", "GET /a b HTTP/1.1"),
        ("NUL in the target", "GET /a\0b HTTP/1.1"),
        ("ESC in the target", "GET /a\u{1b}b HTTP/1.1"),
        ("DEL in the target", "GET /a\u{7f}b HTTP/1.1"),
        ("a fragment", "GET /#x HTTP/1.1"),
        ("no target", "GET HTTP/1.1"),
        ("an empty target", "GET  HTTP/1.1"),
        ("no method", " / HTTP/1.1"),
        ("a method in lower case", "get / HTTP/1.1"),
        ("a method in mixed case", "Get / HTTP/1.1"),
        ("NUL in a method", "G\0T / HTTP/1.1"),
        ("a colon in a method", "GET: / HTTP/1.1"),
        ("no version", "GET /"),
        ("a version in lower case", "GET / http/1.1"),
        ("HTTP/1.2", "GET / HTTP/1.2"),
        ("HTTP/1.10", "GET / HTTP/1.10"),
        ("HTTP/1", "GET / HTTP/1"),
        ("HTTP/01.1", "GET / HTTP/01.1"),
        ("HTTP/0.9, said so", "GET / HTTP/0.9"),
        ("HTTP/2.0", "GET / HTTP/2.0"),
        ("another protocol", "GET / ICY/1.1"),
        ("bare LF behind the request line", "GET / HTTP/1.1\nX: y"),
        ("bare CR behind the request line", "GET / HTTP/1.1\rX: y"),
        ("a header begins with space", "GET / HTTP/1.1\r\n X: y"),
        ("another host in the target", "GET http://evil.example/ HTTP/1.1"),
        ("another port in the target", "GET http://app.example:81/ HTTP/1.1"),
        ("another scheme in the target", "GET ftp://app.example/ HTTP/1.1"),
        ("somebody's name in the target", "GET http://root@app.example/ HTTP/1.1"),
        ("a target that is only a host", "GET app.example:80 HTTP/1.1"),
        ("a path that doesn't begin", "GET x/y HTTP/1.1"),
        ("a star", "GET * HTTP/1.1"),
        ("a star for OPTIONS", "OPTIONS * HTTP/1.1"),
        ("a tunnel", "CONNECT app.example:443 HTTP/1.1"),
        ("a tunnel to a path", "CONNECT / HTTP/1.1"),
        ("TRACE", "TRACE / HTTP/1.1"),
    ] {
        rows.push(Row(name, request(line, "", ""), Refused));
    }
    rows.extend([
        Row("HTTP/0.9", "GET /\r\n\r\n".to_owned(), Refused),
        Row("HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0".to_owned(), Refused),
        Row("TLS", "\u{16}\u{3}\u{1}\0\u{5}\u{1}\0\0\u{1}\0\r\n".to_owned(), Refused),
        Row("bare LF everywhere", "GET / HTTP/1.1\nHost: app.example\n\n".to_owned(), Refused),
        Row("bare CR everywhere", "GET / HTTP/1.1\rHost: app.example\r\r\n".to_owned(), Refused),
        Row("an empty line first", format!("\r\n{}", request(GET, "", "")), Passed(&[(GET, "")])),
        Row("a bare LF first", format!("\n{}", request(GET, "", "")), Refused),
        Row("a method of its own", request("M-SEARCH / HTTP/1.1", "", ""), Passed(&[("M-SEARCH / HTTP/1.1", "")])),
        Row(
            "our host in the target",
            request("GET http://app.example/x?y HTTP/1.1", "", ""),
            Passed(&[("GET /x?y HTTP/1.1", "")]),
        ),
    ]);
    rows
}

fn hosts() -> Vec<Row> {
    let hosts = [
        ("no host", ""),
        ("two hosts", "Host: app.example\r\nHost: evil.example\r\n"),
        ("two equal hosts", "Host: app.example\r\nHost: app.example\r\n"),
        ("two hosts far apart", "Host: app.example\r\nX: y\r\nhOST: evil.example\r\n"),
        ("an empty host", "Host:\r\n"),
        ("a list of hosts", "Host: app.example, evil.example\r\n"),
        ("two words", "Host: app.example evil.example\r\n"),
        ("somebody's name", "Host: root@app.example\r\n"),
        ("a scheme", "Host: http://app.example\r\n"),
        ("a path", "Host: app.example/x\r\n"),
        ("a query", "Host: app.example?x\r\n"),
        ("a fragment", "Host: app.example#x\r\n"),
        ("a backslash", "Host: app.example\\x\r\n"),
        ("a port that is none", "Host: app.example:80x\r\n"),
        ("a port with a sign", "Host: app.example:+80\r\n"),
        ("a port that is too large", "Host: app.example:65616\r\n"),
        ("two ports", "Host: app.example:80:81\r\n"),
        ("only a port", "Host: :80\r\n"),
        ("half an IPv6 address", "Host: [::1\r\n"),
        ("something behind an IPv6 address", "Host: [::1]evil.example\r\n"),
        ("NUL in the host", "Host: app.example\0.evil.example\r\n"),
        ("a host that isn't ASCII", "Host: \u{e4}pp.example\r\n"),
        ("space before the colon", "Host : app.example\r\n"),
        ("a folded host", "Host:\r\n app.example\r\n"),
    ];
    let mut rows: Vec<Row> = hosts.into_iter().map(|(name, host)| Row(name, format!("{GET}\r\n{host}\r\n"), Refused)).collect();
    rows.push(Row("no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n".to_owned(), Refused));
    rows
}

fn several() -> Vec<Row> {
    const INSIDE: &str = "GET /inside HTTP/1.1\r\nHost: app.example\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", INSIDE.len());
    let chunk = format!("{:x}\r\n{INSIDE}\r\n0\r\n\r\n", INSIDE.len());
    let second = request("GET /2 HTTP/1.1", "", "");
    const TWO: (&str, &str) = ("GET /2 HTTP/1.1", "");
    vec![
        Row("two requests", format!("{}{second}", request(GET, "", "")), Passed(&[(GET, ""), TWO])),
        Row("a GET with a body", format!("{}{second}", request(GET, &length, INSIDE)), Passed(&[(GET, INSIDE), TWO])),
        Row("a POST with a body", format!("{}{second}", request(POST, &length, INSIDE)), Passed(&[(POST, INSIDE), TWO])),
        Row(
            "a GET with a body in chunks",
            format!("{}{second}", request(GET, "Transfer-Encoding: chunked\r\n", &chunk)),
            Passed(&[(GET, INSIDE), TWO]),
        ),
        Row(
            "an empty line between",
            format!("{}\r\n{second}", request(POST, "Content-Length: 0\r\n", "")),
            Passed(&[(POST, ""), TWO]),
        ),
        Row(
            "something between",
            format!("{}X\r\n{second}", request(POST, "Content-Length: 3\r\n", "abc")),
            Last(&[(POST, "abc")]),
        ),
        Row("close", format!("{}{second}", request(GET, "Connection: close\r\n", "")), Last(&[(GET, "")])),
        Row("HTTP/1.0", format!("{}{second}", request("GET / HTTP/1.0", "", "")), Last(&[(GET, "")])),
        Row(
            "HTTP/1.0 that is kept",
            format!("{}{second}", request("GET / HTTP/1.0", "Connection: keep-alive\r\n", "")),
            Passed(&[(GET, ""), TWO]),
        ),
        Row(
            "HTTP/1.0 with a body",
            format!("{}{second}", request(POST_10, "Connection: keep-alive\r\nContent-Length: 3\r\n", "abc")),
            Passed(&[(POST, "abc"), TWO]),
        ),
    ]
}

fn application() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let rules = vec![Rule::new("/**", Allow::Anyone)];
    let gateway = Wanted::before(upstream.address).rules(rules).start();
    (upstream, gateway)
}

/// Requests by line and body, however it was cut into chunks; what follows the last chunk counts as body.
fn as_pairs(seen: &[Seen]) -> Vec<(&str, String)> {
    let body = |seen: &Seen| {
        let body = std::str::from_utf8(&seen.body).unwrap();
        if seen.one("transfer-encoding").is_none() {
            return body.to_owned();
        }
        let (mut rest, mut data) = (body, String::new());
        loop {
            let (size, behind) = rest.split_once("\r\n").unwrap();
            let (chunk, behind) = behind.split_at(usize::from_str_radix(size, 16).unwrap());
            if chunk.is_empty() {
                return data + behind.strip_suffix("\r\n").unwrap();
            }
            data += chunk;
            rest = behind.strip_prefix("\r\n").unwrap();
        }
    };
    seen.iter().map(|seen| (seen.line(), body(seen))).collect()
}

/// What stands in a row, against what client and application see.
fn judge(name: &str, verdict: &Verdict, raw: &mut Raw, upstream: &Upstream, before: usize) {
    let new = || upstream.seen().split_off(before);
    match verdict {
        Refused => {
            let answer = raw.answer().unwrap_or_else(|| panic!("{name}: no answer"));
            assert_eq!(answer.status(), 400, "{name}: {}", answer.head);
            assert!(raw.is_closed(), "{name}");
            assert!(new().is_empty(), "{name}: {:?}", new());
        }
        Cut => {
            let status = raw.answer().map(|answer| answer.status());
            assert!([Some(400), None].contains(&status), "{name}: {status:?}");
            assert!(raw.is_closed(), "{name}");
            for seen in new() {
                assert_eq!(seen.line(), POST, "{name}");
                assert!(!seen.body.ends_with(b"0\r\n\r\n"), "{name}: a broken body was passed off as whole");
            }
        }
        Passed(requests) | Last(requests) => {
            for _ in *requests {
                let answer = raw.answer().unwrap_or_else(|| panic!("{name}: no answer"));
                assert_eq!(answer.status(), 200, "{name}: {}", answer.head);
            }
            let mut expected = requests.to_vec();
            if matches!(verdict, Passed(_)) {
                assert_eq!(raw.answer().map(|answer| answer.status()), Some(200), "{name}");
                expected.push(("GET /smuggled HTTP/1.1", ""));
            } else {
                let last = raw.answer().map(|answer| answer.status());
                assert!([Some(400), None].contains(&last), "{name}: {last:?}");
                assert!(raw.is_closed(), "{name}");
            }
            let expected: Vec<_> = expected.into_iter().map(|(line, body)| (line, body.to_owned())).collect();
            assert_eq!(as_pairs(&new()), expected, "{name}");
            for seen in new() {
                assert_eq!((seen.one("host"), seen.all("x-user")), (Some("app.example"), Vec::new()), "{name}");
            }
        }
    }
}

fn try_out(rows: Vec<Row>, least: usize) {
    assert!(rows.len() >= least);
    for Row(name, sent, verdict) in rows {
        let (upstream, gateway) = application();
        let mut raw = Raw::connect(gateway.address);
        raw.send(format!("{sent}{SMUGGLED}"));
        judge(name, &verdict, &mut raw, &upstream, 0);

        // The same, dripping in behind a lawful request.
        let (upstream, gateway) = application();
        let mut raw = Raw::connect(gateway.address);
        assert_eq!(raw.ask("GET /first HTTP/1.1\r\nHost: app.example\r\n\r\n").status(), 200);
        for octet in format!("{sent}{SMUGGLED}").as_bytes() {
            if raw.stream.write_all(&[*octet]).is_err() {
                break; // closed already, and rightly so
            }
        }
        judge(name, &verdict, &mut raw, &upstream, 1);
    }
}

#[test]
fn a_body_has_one_length() {
    try_out(lengths(), 36);
}

#[test]
fn there_is_one_coding() {
    try_out(codings(), 41);
}

#[test]
fn chunks_are_cut_at_one_place() {
    try_out(chunks(), 44);
}

#[test]
fn heads_are_read_in_one_way() {
    try_out(heads(), 68);
}

#[test]
fn a_host_is_named_once() {
    try_out(hosts(), 25);
}

#[test]
fn requests_in_one_packet_are_as_many_as_they_say() {
    try_out(several(), 10);
}
