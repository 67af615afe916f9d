//! Where a browser may be sent.

/// Whether this is an absolute http or https URL that can stand in a Location header and in a form's action: a host, no user
/// information, no fragment (it would swallow the message), printable ASCII without quotes, brackets and white space.
pub(crate) fn is_absolute_http(url: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_graphic() && !br#""<>\`{}#"#.contains(&octet);
    if !url.bytes().all(plain) {
        return false;
    }
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let web = uri.scheme_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http"));
    web && uri.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_web_addresses() {
        for good in [
            "https://idp.example/sso",
            "http://localhost:8080/realms/x/protocol/saml",
            "https://accounts.google.com/o/saml2/idp?idpid=C01aa60hc",
            "HTTPS://idp.example",
            "https://[2001:db8::1]:8443/a;b=c?x=%20|y",
        ] {
            assert!(is_absolute_http(good), "{good}");
        }
        for bad in [
            "",
            "/sso",
            "//idp.example/sso",
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "ftp://idp.example/",
            "https://",
            "https:///sso",
            "https://user@idp.example/",
            "https://idp.example/#x",
            "https://idp.example/\"onclick=",
            "https://idp.example/a b",
            "https://idp.example/\r\nSet-Cookie:x",
            "https://login.example/{tenant}/saml2",
            "https://idp.\u{e9}xample/",
        ] {
            assert!(!is_absolute_http(bad), "{bad}");
        }
    }
}
