//! Addresses and paths of this site: what is refused, and what is the same however it is spelled.

use super::*;

fn with_url(url: &str) -> String {
    SMALLEST.replace("http://127.0.0.1:3000", url)
}

fn with_site(url: &str) -> String {
    SMALLEST.replace("https://reports.example.com", url)
}

#[test]
fn a_port_that_is_none_is_refused_and_never_becomes_another() {
    for url in ["http://127.0.0.1:99999", "http://127.0.0.1:", "http://127.0.0.1:0", "https://app:65536", "http://[::1]:0"] {
        assert!(refused(&with_url(url))[0].contains("has no port after the colon"), "{url}: {:?}", refused(&with_url(url)));
    }
    assert!(refused(&with_url("http://127.0.0.1:abc"))[0].starts_with("upstream.url: "));
    for url in ["https://localhost:99999", "https://localhost:0", "https://localhost:"] {
        assert!(refused(&with_site(url))[0].starts_with("public_url: "), "{url}");
    }
    let port = |url: &str| match loaded(&with_url(url)).unwrap().upstream.url {
        UpstreamUrl::Http { port, .. } | UpstreamUrl::H2c { port, .. } | UpstreamUrl::Https { port, .. } => port,
        UpstreamUrl::Unix(_) => 0,
    };
    assert_eq!((port("http://app"), port("https://app"), port("http://[::1]:65535"), port("h2c://app")), (80, 443, 65535, 80));
}

#[test]
fn where_to_listen_may_be_left_to_systemd_and_whom_to_believe_may_not() {
    let with = |lines: &str| SMALLEST.replace("[upstream]", &format!("[listen]\n{lines}\n[upstream]"));
    assert_eq!(loaded(&with("address = \"systemd\"")).unwrap().listen.address.to_string(), "systemd");
    assert!(refused(&with("proxy_protocol = true"))[0].starts_with("listen.proxy_protocol: needs listen.trusted_proxies"));
    let unix = "address = \"unix:/run/samlgate.sock\"\nproxy_protocol = true\ntrusted_proxies";
    assert!(refused(&with(&format!("{unix} = [\"10.0.0.0/8\"]")))[0].starts_with("listen.proxy_protocol: needs 127.0.0.1"));
    assert!(loaded(&with(&format!("{unix} = [\"127.0.0.1\"]"))).is_ok());
    let asked = |lines: &str| {
        let warnings = loaded(&with(&format!("trusted_proxies = [\"10.0.0.1\"]\n{lines}"))).unwrap().warnings;
        warnings.iter().any(|warning| warning.starts_with("listen.forward_auth"))
    };
    assert!(asked("") && !asked("forward_auth = true") && !asked("forward_auth = false"));
    assert!(loaded(&with("proxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]")).unwrap().listen.proxy_protocol);
}

#[test]
fn the_ops_address_is_no_upstream() {
    for url in ["http://127.0.0.1:9090", "https://LOCALHOST:9090", "http://[::ffff:127.0.0.1]:9090", "http://0.0.0.0:9090"] {
        assert!(refused(&with_url(url))[0].starts_with("upstream.url: is listen.ops_address"), "{url}");
    }
    assert!(loaded(&with_url("http://10.0.0.1:9090")).is_ok());
    let off = SMALLEST.replace("[upstream]", "[listen]\nops_address = \"off\"\n[upstream]");
    assert!(loaded(&off.replace("127.0.0.1:3000", "127.0.0.1:9090")).is_ok());
}

#[test]
fn a_path_may_have_an_application_of_its_own() {
    let rules = |urls: &[&str]| {
        let rule =
            |(at, url): (usize, &&str)| format!("[[access]]\npath = \"/{at}\"\nallow = \"signed-in\"\nupstream = \"{url}\"\n");
        format!("{SMALLEST}\n{}", urls.iter().enumerate().map(rule).collect::<String>())
    };
    let urls =
        ["http://127.0.0.1:3001", "http://127.0.0.1:3000", "unix:app.sock", "http://127.0.0.1:3001/", "h2c://127.0.0.1:3001"];
    let config = loaded(&rules(&urls)).unwrap();
    assert_eq!(config.rules.iter().map(|rule| rule.application).collect::<Vec<_>>(), [1, 0, 2, 1, 3]);
    let others: Vec<String> = config.other_upstreams.iter().map(|other| other.url.to_string()).collect();
    assert!(
        others[0] == "http://127.0.0.1:3001" && others[1].ends_with("/app.sock") && others[2] == "h2c://127.0.0.1:3001",
        "{others:?}"
    );
    let refused = refused(&rules(&["http://127.0.0.1:9090", "ftp://x", "", "http://a/b"]));
    for (at, why) in
        ["is listen.ops_address", "\"ftp://x\" has another scheme", "\"\" is no address", "\"http://a/b\" has a path"]
            .iter()
            .enumerate()
    {
        assert!(refused[at].starts_with(&format!("access.{at}.upstream: {why}")), "{}", refused[at]);
    }
}

#[test]
fn what_is_said_about_tls_holds_for_the_applications_of_paths_but_for_the_name() {
    let text = |url: &str, of_path: &str| {
        let main = SMALLEST.replace("[upstream]", "[upstream]\nserver_name = \"app.internal\"\nconnect_timeout = \"7s\"");
        format!(
            "{}\n[[access]]\npath = \"/x\"\nallow = \"signed-in\"\nupstream = \"{of_path}\"\n",
            main.replace("http://127.0.0.1:3000", url)
        )
    };
    let config = loaded(&text("https://app", "https://other")).unwrap();
    let other = &config.other_upstreams[0];
    assert_eq!((config.upstream.server_name.as_deref(), other.server_name.as_deref()), (Some("app.internal"), None));
    assert_eq!(other.connect_timeout, std::time::Duration::from_secs(7));
    // Of no use to any of them.
    assert!(refused(&text("http://app", "https://other"))[0].starts_with("upstream.server_name: has no meaning without TLS"));
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    for url in ["http://u:s3cret@h", "ftp://u:s3cret@h/x", "u:s3cret@h"] {
        for text in [with_url(url), with_site(url)] {
            assert!(!refused(&text).join("\n").contains("s3cret"), "{:?}", refused(&text));
        }
        for section in ["[sp]\nacs_url", "[logout]\nreturn_to"] {
            let problems = refused_after(&format!("{section} = \"{url}\"\n"));
            assert!(problems.len() == 1 && !problems[0].contains("s3cret"), "{problems:?}");
        }
    }
}

#[test]
fn an_acs_url_is_the_same_however_it_is_spelled() {
    let acs = |site: &str, url: &str| {
        let text = with("").replace("https://reports.example.com", site);
        let text = text.replacen("\"sp\":{", &format!("\"sp\":{{\"acs_url\":\"{url}\","), 1);
        loaded(&text).map(|config| config.service_provider.acs_urls)
    };
    let both = ["https://x.example/saml/acs", "https://x.example/_samlgate/acs"];
    for site in ["https://x.example", "https://x.example:443", "https://X.Example/"] {
        for url in ["/saml/acs", "https://x.example/saml/acs", "https://x.example:443/saml/acs", "https://X.EXAMPLE/saml/acs"] {
            assert_eq!(acs(site, url).unwrap(), both, "{site} {url}");
        }
    }
    assert_eq!(acs("https://x.example", "/_samlgate/acs").unwrap(), ["https://x.example/_samlgate/acs"]);
    for url in [
        "/_samlgate",
        "/_samlgate/metadata",
        "/.well-known/samlgate/jwks.json",
        "/saml//acs",
        "//evil.example/acs",
        "/",
        "/saml/../acs",
        "/saml/acs?x",
        "https://x.example",
        "http://x.example/saml/acs",
        "https://x.example.evil/saml/acs",
        "https://x.example:444/saml/acs",
        "saml/acs",
    ] {
        let problems = acs("https://x.example", url).unwrap_err();
        assert!(problems.all().len() == 1 && problems.all()[0].key == "sp.acs_url", "{url}: {problems}");
    }
}

#[test]
fn a_prefix_takes_no_place_that_belongs_to_others() {
    for prefix in ["/.well-known", "/.well-known/samlgate", "/.well-known/x"] {
        let problems = refused(&format!("prefix = \"{prefix}\"\n{SMALLEST}"));
        assert!(problems.len() == 1 && problems[0].starts_with("prefix: "), "{prefix}: {problems:?}");
    }
    assert!(loaded(&format!("prefix = \"/.well-known-x\"\n{SMALLEST}")).is_ok());
}

#[test]
fn nobody_is_sent_to_samlgate_itself_after_logging_out() {
    let change = |to: &str| format!("[sp]\nacs_url = \"/saml/acs\"\n[logout]\nreturn_to = \"{to}\"\n");
    for to in [
        "/_samlgate/logout",
        "/_samlgate",
        "/_samlgate/login?return_to=/",
        "/saml/acs",
        "/.well-known/samlgate/jwks.json",
        "https://reports.example.com/_samlgate/logout",
    ] {
        let problems = refused_after(&change(to));
        assert!(problems.len() == 1 && problems[0].starts_with("logout.return_to: "), "{to}: {problems:?}");
    }
    for (to, path) in
        [("/bye?x", "/bye?x"), ("https://Reports.example.com:443/bye", "/bye"), ("https://reports.example.com", "/")]
    {
        assert_eq!(loaded(&with(&change(to))).unwrap().logout_return_to.as_str(), path, "{to}");
    }
}

#[test]
fn limits_of_time_have_limits() {
    let idp = |line: &str| SMALLEST.replace("metadata_file = \"idp.xml\"", &format!("metadata_file = \"idp.xml\"\n{line}"));
    assert!(refused(&idp("clock_skew = \"61m\""))[0].starts_with("idp.0.clock_skew: is more than 1h"));
    assert!(refused(&idp("max_age = \"25h\""))[0].starts_with("idp.0.max_age: is more than 1d"));
    let config = loaded(&idp("clock_skew = \"1h\"\nmax_age = \"1d\"")).unwrap();
    assert!(config.warnings.iter().any(|warning| warning.starts_with("idp.0.clock_skew: 1h is long")), "{:?}", config.warnings);
}

#[test]
fn data_dir_is_judged_as_run_would_find_it() {
    let folder = folder();
    let text = SMALLEST.replace("[headers.assertion]\nkey = \"assertion.key\"", "");
    let problems = |data_dir: &str| {
        let loaded = load_in(&folder, "samlgate.toml", &format!("data_dir = \"{data_dir}\"\n{text}"), &[]);
        loaded.err().map(|problems| problems.to_string()).unwrap_or_default()
    };
    fs::create_dir(folder.path().join("junk")).unwrap();
    fs::write(folder.path().join("junk/assertion.key"), "junk").unwrap();
    assert!(problems("junk").starts_with("data_dir: "), "{}", problems("junk"));
    assert!(problems("idp.xml").contains("is not a folder"));
    assert!(problems("idp.xml/below").starts_with("data_dir: "), "{}", problems("idp.xml/below"));
    assert_eq!((problems("."), problems("new/folder")), (String::new(), String::new()));
    assert!(!folder.path().join("new").exists(), "nothing is made by looking");
    // Nothing is read or made there when the key is configured.
    let configured = format!("data_dir = \"junk\"\n{SMALLEST}");
    assert!(load_in(&folder, "samlgate.toml", &configured, &[]).is_ok());
}
