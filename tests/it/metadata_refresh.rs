//! IdPs' metadata through time: fetched from a server that behaves well or badly, read from files, kept, renewed and ended.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use samlgate::clock::Timestamp;
use samlgate::metadata::board::State;
use samlgate::metadata::{Board, Kept, MetadataUrl, Place, Source, Template, Watched, WatchedParts};
use samlgate::outbound::Client;
use samlgate::saml::{IdentityProvider, TrustedCertificate};
use samlgate::token::SystemEntropy;

use crate::support::app::{Setup, TestApp};
use crate::support::browser::Kind;
use crate::support::fake_idp::{Algorithm, FakeIdp, OTHER, RSA, UNSPECIFIED};
use crate::support::metadata_server::{Answer, MetadataServer};
use crate::support::site::{IDP, Jar, Plan, SSO, Site, idp, request_id};

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn source(place: Place) -> Source {
    Source {
        id: "corp".to_owned(),
        place,
        entity_id: None,
        signers: None,
        must_end: false,
        refresh: HOUR,
        template: Template::new(|metadata| Ok(IdentityProvider::new("corp", metadata))),
    }
}

pub(crate) fn at(url: &str) -> Source {
    source(Place::Url(MetadataUrl::parse(url, None).unwrap()))
}

/// A site that waits for the metadata of its only IdP.
pub(crate) fn waiting_site() -> Site {
    Plan { idps: Vec::new(), order: vec!["corp".to_owned()], ..Plan::new() }.build()
}

pub(crate) fn watch(site: &Site, source: Source, data_dir: Option<&Path>) -> (Watched, Arc<Board>) {
    let board = Arc::new(Board::default());
    let parts = WatchedParts {
        login: Arc::clone(&site.login),
        client: Client::new(),
        kept: data_dir.map(Kept::new),
        board: Arc::clone(&board),
        clock: site.clock(),
        entropy: Arc::new(SystemEntropy),
    };
    (Watched::new(source, Arc::new(parts)), board)
}

pub(crate) fn state(board: &Board) -> State {
    board.states().remove("corp").unwrap()
}

/// The IdP with its usual key, and with another one.
fn usual() -> FakeIdp {
    FakeIdp::new(IDP)
}

fn rotated() -> FakeIdp {
    FakeIdp::with_key(IDP, OTHER, Algorithm::RsaSha256)
}

/// Metadata that holds until then.
fn until(idp: &FakeIdp, time: &str) -> String {
    idp.metadata(SSO).replace(" entityID=", &format!(" validUntil=\"{time}\" entityID="))
}

/// What becomes of a login: "ok", or the reason code.
async fn login_by(site: &Site, idp: &FakeIdp) -> String {
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;
    if away.status != StatusCode::FOUND {
        return away.reason().to_owned();
    }
    let response = idp.response().to("https://app.example/_samlgate/metadata", "https://app.example/_samlgate/acs");
    let response = response.at(site.now()).subject("alice", UNSPECIFIED).in_response_to(&request_id(&away));
    let got = site.post(&mut jar, "/_samlgate/acs", &response.base64(), None).await;
    if got.status == StatusCode::SEE_OTHER { "ok".to_owned() } else { got.reason().to_owned() }
}

#[tokio::test]
async fn metadata_is_fetched_and_fetched_again_only_when_it_changed() {
    let server = MetadataServer::start("");
    server.answers(Answer::Document(usual().metadata(SSO).into_bytes(), Some("\"v1\"")));
    let site = waiting_site();
    let (mut watched, board) = watch(&site, at(&server.url()), None);
    let wait = watched.step().await;
    assert!(wait <= HOUR && wait > HOUR / 2, "{wait:?}");
    assert_eq!(login_by(&site, &usual()).await, "ok");
    let first = server.seen().pop().unwrap();
    assert_eq!(first.line(), "GET /metadata HTTP/1.1");
    assert_eq!(first.one("host"), Some(server.host().as_str()));
    assert_eq!((first.one("if-none-match"), first.one("cookie")), (None, None));
    assert!(first.one("accept").unwrap().starts_with("application/samlmetadata+xml"));

    site.pass(60);
    watched.step().await;
    assert_eq!(server.seen().pop().unwrap().one("if-none-match"), Some("\"v1\""));
    assert_eq!(state(&board), State { last_success: Some(site.now()), ..State::default() });

    // A new document: its keys count, and those that are gone count no more.
    server.answers(Answer::Document(rotated().metadata(SSO).into_bytes(), Some("\"v2\"")));
    watched.step().await;
    assert_eq!(login_by(&site, &rotated()).await, "ok");
    assert_eq!(login_by(&site, &usual()).await, "signature_invalid");
}

#[tokio::test]
async fn what_comes_and_is_no_good_never_replaces_what_was() {
    let good = usual().metadata(SSO);
    let raw = |head: &str, body: &str| Answer::Raw(format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes());
    let document = |text: String| Answer::Document(text.into_bytes(), Some("\"bad\""));
    let keyless = good.replace("use=\"signing\"", "use=\"encryption\"");
    let cases = [
        (document("garbage".to_owned()), "metadata_not_xml"),
        (document("<html/>".to_owned()), "metadata_wrong_document"),
        (document(format!("<!DOCTYPE x>{good}")), "metadata_forbidden_xml"),
        (document(keyless), "metadata_no_usable_key"),
        (document(until(&usual(), "2026-03-01T11:59:59Z")), "metadata_expired"),
        (document(FakeIdp::new("https://other.example").metadata(SSO)), "metadata_entity_changed"),
        (document(good.replace("SAML:2.0:protocol", "SAML:1.1:protocol")), "metadata_not_saml2"),
        (raw("500 Oh No\r\nContent-Length: 0", ""), "fetch_status"),
        (raw("304 Not Modified", ""), "fetch_status"),
        (raw(&format!("302 Found\r\nLocation: {}\r\nContent-Length: 0", "http://127.0.0.1/"), ""), "fetch_redirect"),
        (raw("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2", "\u{1f}\u{7f}"), "fetch_compressed"),
        (raw("200 OK\r\nContent-Length: 9999", &good), "fetch_broken"),
        (raw("200 OK\r\nContent-Length: 99999999", ""), "metadata_too_large"),
        (Answer::Raw(b"not HTTP at all\r\n\r\n".to_vec()), "fetch_broken"),
        (Answer::Raw(Vec::new()), "fetch_broken"),
        (Answer::Endless, "metadata_too_large"),
    ];
    let server = MetadataServer::start(&good);
    let site = waiting_site();
    let (mut watched, board) = watch(&site, at(&server.url()), None);
    watched.step().await;
    for (answer, reason) in cases {
        server.answers(answer);
        let before = site.login.idps();
        let wait = watched.step().await;
        assert!(wait <= Duration::from_secs(600), "{reason}: it is tried again soon, not after {wait:?}");
        assert_eq!(state(&board).failing, Some(reason));
        assert!(Arc::ptr_eq(&before, &site.login.idps()), "{reason}");
        assert_eq!(login_by(&site, &usual()).await, "ok", "{reason}");
        // And what was no good isn't asked for by its ETag, so that it isn't taken for unchanged.
        server.serves(&good);
        watched.step().await;
        assert_eq!(server.seen().pop().unwrap().one("if-none-match"), None, "{reason}");
        assert_eq!((state(&board).failing, state(&board).failures), (None, 0));
    }
}

#[tokio::test]
async fn a_source_that_is_silent_or_gone_is_given_up_in_time() {
    let server = MetadataServer::start("");
    server.answers(Answer::Silence);
    let site = waiting_site();
    let (mut watched, board) = watch(&site, at(&server.url()), None);
    let started = Instant::now();
    watched.step_within(Duration::from_millis(200)).await;
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(state(&board).failing, Some("fetch_timeout"));

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (mut watched, board) = watch(&site, at(&format!("http://{free}/")), None);
    // Without any metadata it is tried at least once a minute.
    for _ in 0..12 {
        assert!(watched.step().await <= Duration::from_secs(60));
    }
    assert_eq!((state(&board).failing, state(&board).failures), (Some("fetch_unreachable"), 12));
}

#[tokio::test]
async fn without_metadata_there_is_a_page_and_others_work() {
    let server = MetadataServer::start("garbage");
    let site = waiting_site();
    let (mut watched, _) = watch(&site, at(&server.url()), None);
    watched.step().await;
    let page = site.open_application(&mut Jar::default(), "/page").await;
    assert_eq!((page.status, page.reason()), (StatusCode::SERVICE_UNAVAILABLE, "metadata_unavailable"));
    assert!(page.text.contains("details (its metadata) are not available") && page.button().contains("/login"), "{}", page.text);
    // Nor is anything believed that is posted in its name.
    let posted = usual().response().at(site.now()).base64();
    let page = site.post(&mut Jar::default(), "/_samlgate/acs", &posted, None).await;
    assert_eq!(page.reason(), "metadata_unavailable");

    let order = vec!["corp".to_owned(), "other".to_owned()];
    let idps = vec![idp("other", "https://other.example", "https://other.example/sso")];
    let site = Plan { idps, order, ..Plan::new() }.build();
    let (mut watched, _) = watch(&site, at(&server.url()), None);
    watched.step().await;
    let mut jar = Jar::default();
    let chooser = site.open(&mut jar, "/_samlgate/login?return_to=/page").await;
    assert!(chooser.text.contains("idp=corp") && chooser.text.contains("idp=other"), "{}", chooser.text);
    assert_eq!(site.open(&mut jar, "/_samlgate/login?idp=corp").await.reason(), "metadata_unavailable");
    assert!(site.open(&mut jar, "/_samlgate/login?idp=other").await.location().starts_with("https://other.example/sso"));
    // It comes later, into its place.
    server.serves(&usual().metadata(SSO));
    watched.step().await;
    assert_eq!(site.login.idps().iter().map(|idp| idp.id.clone()).collect::<Vec<_>>(), ["corp", "other"]);
    assert!(site.open(&mut jar, "/_samlgate/login?idp=corp").await.location().starts_with(SSO));
}

#[tokio::test]
async fn nothing_is_believed_beyond_its_valid_until() {
    let server = MetadataServer::start(&until(&usual(), "2026-03-01T12:40:00Z"));
    let site = waiting_site();
    let folder = tempfile::tempdir().unwrap();
    let (mut watched, board) = watch(&site, at(&server.url()), Some(folder.path()));
    // It is looked at again before the end.
    assert!(watched.step().await <= Duration::from_secs(30 * 60));
    server.answers(Answer::Raw(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n".to_vec()));
    watched.step().await;
    site.pass(40 * 60 - 1);
    assert_eq!(login_by(&site, &usual()).await, "ok");
    let mut jar = Jar::default();
    let away = site.open_application(&mut jar, "/page").await;

    // No step was needed for this, and none of them helps.
    site.pass(1);
    let response = site.response().in_response_to(&request_id(&away)).base64();
    assert_eq!(site.post(&mut jar, "/_samlgate/acs", &response, None).await.reason(), "metadata_expired");
    let unsolicited = site.response().base64();
    assert_eq!(site.post(&mut jar, "/_samlgate/acs", &unsolicited, None).await.reason(), "metadata_expired");
    let page = site.open_application(&mut Jar::default(), "/page").await;
    assert_eq!((page.status, page.reason()), (StatusCode::SERVICE_UNAVAILABLE, "metadata_expired"));
    watched.step().await;
    assert_eq!(login_by(&site, &usual()).await, "metadata_expired");
    // A server that says "unchanged" of what has ended doesn't either.
    server.answers(Answer::Document(until(&usual(), "2026-03-01T12:40:00Z").into_bytes(), None));
    watched.step().await;
    assert_eq!((login_by(&site, &usual()).await.as_str(), state(&board).failing), ("metadata_expired", Some("metadata_expired")));

    server.serves(&until(&usual(), "2026-03-02T12:00:00Z"));
    watched.step().await;
    assert_eq!((login_by(&site, &usual()).await.as_str(), state(&board).failing), ("ok", None));
}

#[tokio::test]
async fn unchanged_metadata_that_has_ended_is_a_failure() {
    let server = MetadataServer::start("");
    server.answers(Answer::Document(until(&usual(), "2026-03-01T12:40:00Z").into_bytes(), Some("\"v1\"")));
    let site = waiting_site();
    let (mut watched, board) = watch(&site, at(&server.url()), None);
    watched.step().await;
    site.pass(40 * 60);
    watched.step().await;
    assert_eq!(server.seen().pop().unwrap().one("if-none-match"), Some("\"v1\""));
    assert_eq!(state(&board).failing, Some("metadata_expired"));
}

#[tokio::test]
async fn the_last_good_copy_serves_when_the_source_is_away_at_start() {
    let server = MetadataServer::start(&usual().metadata(SSO));
    let folder = tempfile::tempdir().unwrap();
    watch(&waiting_site(), at(&server.url()), Some(folder.path())).0.step().await;
    server.answers(Answer::Document(b"garbage".to_vec(), None));

    // A later start, in another process: what comes is no good, so the copy is believed.
    let site = waiting_site();
    let (mut watched, board) = watch(&site, at(&server.url()), Some(folder.path()));
    watched.step().await;
    assert_eq!(login_by(&site, &usual()).await, "ok");
    assert!(state(&board).from_copy && state(&board).failing.is_some() && state(&board).last_success.is_none());
    // The source is back with other keys: the copy has served its turn.
    server.serves(&rotated().metadata(SSO));
    watched.step().await;
    assert_eq!((login_by(&site, &usual()).await, login_by(&site, &rotated()).await), ("signature_invalid".into(), "ok".into()));
    assert!(!state(&board).from_copy);

    // The copy of another address is another one.
    server.answers(Answer::Document(b"garbage".to_vec(), None));
    let site = waiting_site();
    watch(&site, at(&format!("{}?2", server.url())), Some(folder.path())).0.step().await;
    assert_eq!(login_by(&site, &usual()).await, "metadata_unavailable");
}

#[tokio::test]
async fn a_copy_that_has_ended_or_was_damaged_is_no_use() {
    let server = MetadataServer::start(&until(&usual(), "2026-03-01T13:00:00Z"));
    let folder = tempfile::tempdir().unwrap();
    watch(&waiting_site(), at(&server.url()), Some(folder.path())).0.step().await;
    server.answers(Answer::Silence);
    let again = async |site: &Site| {
        watch(site, at(&server.url()), Some(folder.path())).0.step_within(Duration::from_millis(50)).await;
        login_by(site, &usual()).await
    };
    assert_eq!(again(&waiting_site()).await, "ok");
    let late = waiting_site();
    late.pass(3600);
    assert_eq!(again(&late).await, "metadata_unavailable");
    let copy = fs::read_dir(folder.path().join("metadata")).unwrap().next().unwrap().unwrap().path();
    let octets = fs::read(&copy).unwrap();
    fs::write(&copy, &octets[..octets.len() / 2]).unwrap();
    assert_eq!(again(&waiting_site()).await, "metadata_unavailable");
}

#[tokio::test]
async fn a_data_dir_that_cannot_be_written_costs_the_copy_only() {
    let server = MetadataServer::start(&usual().metadata(SSO));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let site = waiting_site();
    let (mut watched, board) = watch(&site, at(&server.url()), Some(&file));
    watched.step().await;
    assert_eq!((login_by(&site, &usual()).await.as_str(), state(&board).failing), ("ok", None));
}

#[tokio::test]
async fn caching_times_in_the_document_shorten_the_wait() {
    let short = usual().metadata(SSO).replace("<md:IDPSSODescriptor ", "<md:IDPSSODescriptor cacheDuration=\"PT10M\" ");
    let server = MetadataServer::start(&short);
    let site = waiting_site();
    let (mut watched, _) = watch(&site, at(&server.url()), None);
    let wait = watched.step().await;
    assert!(wait <= Duration::from_secs(600) && wait >= Duration::from_secs(480), "{wait:?}");
}

#[tokio::test]
async fn of_two_that_claim_one_entity_id_the_first_keeps_it() {
    let server = MetadataServer::start(&FakeIdp::new("https://other.example").metadata(SSO));
    let order = vec!["corp".to_owned(), "other".to_owned()];
    let idps = vec![idp("other", "https://other.example", "https://other.example/sso")];
    let site = Plan { idps, order, ..Plan::new() }.build();
    let (mut watched, board) = watch(&site, at(&server.url()), None);
    watched.step().await;
    assert_eq!(state(&board).failing, Some("metadata_entity_taken"));
    server.serves(&FakeIdp::new("https://app.example/_samlgate/metadata").metadata(SSO));
    watched.step().await;
    assert_eq!(state(&board).failing, Some("metadata_entity_taken"));
    assert_eq!(site.login.idps().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_replaced_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("idp.xml");
    let replace = |text: &str| {
        let new = folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &file).unwrap();
    };
    replace(&usual().metadata(SSO));
    let site = Plan { order: vec!["corp".to_owned()], ..Plan::new() }.build();
    let (mut watched, board) = watch(&site, source(Place::File(file.clone())), None);
    watched.step().await;
    assert_eq!(login_by(&site, &usual()).await, "ok");

    replace("half a docum");
    watched.step().await;
    watched.step().await;
    assert_eq!((state(&board).failing, state(&board).failures), (Some("metadata_not_xml"), 1));
    assert_eq!(login_by(&site, &usual()).await, "ok");
    fs::remove_file(&file).unwrap();
    watched.step().await;
    assert_eq!((login_by(&site, &usual()).await.as_str(), state(&board).failing), ("ok", Some("metadata_file")));

    replace(&rotated().metadata(SSO));
    let wait = watched.step().await;
    assert!(wait <= Duration::from_secs(10), "{wait:?}");
    assert_eq!((login_by(&site, &usual()).await, login_by(&site, &rotated()).await), ("signature_invalid".into(), "ok".into()));
    assert_eq!(state(&board).failing, None);
}

#[tokio::test]
async fn tls_is_checked() {
    use std::io::{Read as _, Write as _};
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            if stream.read(&mut [0; 4096]).is_ok() {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
                drop(stream.flush());
            }
        }
    });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let trusting = Client::trusting(roots);
    let get = async |client: &Client, host: &str| {
        let url = MetadataUrl::parse(&format!("https://{host}:{port}/"), None).unwrap();
        client.get(url.web(), &Default::default(), Duration::from_secs(10)).await.map(drop).map_err(|error| error.code())
    };
    assert_eq!(get(&trusting, "localhost").await, Ok(()));
    assert_eq!(get(&trusting, "127.0.0.1").await, Err("fetch_tls"));
    assert_eq!(get(&Client::new(), "localhost").await, Err("fetch_tls"));
    assert_eq!(get(&Client::trusting(rustls::RootCertStore::empty()), "localhost").await, Err("fetch_tls"));
}

#[tokio::test(flavor = "current_thread")]
async fn what_happens_to_metadata_is_logged_with_its_keys() {
    let lines = crate::login_record::Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    // See login_record.rs.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _log = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
    let fingerprint = |pair: (&str, &str)| TrustedCertificate::from_pem(pair.1.as_bytes()).unwrap().fingerprint();
    let server = MetadataServer::start("<html>\n forged line</html>");
    let site = waiting_site();
    let (mut watched, _) = watch(&site, at(&server.url()), None);
    watched.step().await;
    server.serves(&until(&usual(), "2026-03-01T18:00:00Z"));
    watched.step().await;
    // A new date and nothing else is no news.
    server.serves(&until(&usual(), "2026-03-01T19:00:00Z"));
    watched.step().await;
    server.serves(&until(&rotated(), "2026-03-01T19:00:00Z"));
    watched.step().await;
    server.answers(Answer::Raw(b"HTTP/1.1 503 Away\r\n\r\n".to_vec()));
    watched.step().await;
    site.pass(8 * 3600);
    watched.step().await;
    watched.step().await;
    samlgate::metadata::warn_of_ends(&site.login, site.now());
    let end = TrustedCertificate::from_pem(OTHER.1.as_bytes()).unwrap().not_after;
    samlgate::metadata::warn_of_ends(&site.login, Timestamp::from_unix(end - 10 * 86_400));

    let log = lines.text();
    let with = |event: &str| -> Vec<String> {
        let event = format!("event=\"{event}\"");
        log.lines().filter(|line| line.contains(&event)).map(str::to_owned).collect()
    };
    let failed = with("metadata_failed");
    assert_eq!(failed.len(), 4, "{log}");
    assert!(
        failed[0].contains("ERROR") && failed[0].contains("metadata_wrong_document") && failed[0].contains("NOBODY CAN SIGN IN")
    );
    assert!(failed[1].contains("WARN") && failed[1].contains("is believed until 2026-03-01T19:00:00Z"), "{}", failed[1]);
    assert!(failed[2].contains("ERROR") && failed[2].contains("has ended"), "{}", failed[2]);
    let changed = with("metadata_changed");
    assert_eq!(changed.len(), 2, "{log}");
    assert!(changed[0].contains(&format!("keys_added=\"{}\"", fingerprint(RSA))), "{}", changed[0]);
    assert!(changed[1].contains(&format!("keys_added=\"{}\"", fingerprint(OTHER))), "{}", changed[1]);
    assert!(changed[1].contains(&format!("keys_removed=\"{}\"", fingerprint(RSA))), "{}", changed[1]);
    assert_eq!((with("metadata_back").len(), with("metadata_expired").len()), (1, 1), "{log}");
    assert_eq!(with("metadata_ends").len(), 2, "{log}");
    let ends = with("certificate_ends");
    assert!(ends.len() == 1 && ends[0].contains("days=10") && ends[0].contains(&fingerprint(OTHER)), "{log}");
}

/// A whole samlgate whose IdP's metadata is fetched.
fn app_with(server: &MetadataServer) -> TestApp {
    Setup::new().metadata(&format!("metadata_url = \"{}\"", server.url())).start()
}

#[test]
fn a_whole_samlgate_fetches_tells_and_renews() {
    let server = MetadataServer::start(&usual().metadata(SSO));
    let app = app_with(&server);
    let mut browser = app.browser();
    app.login(&mut browser, "/page");
    let mut operator = app.browser();
    let mut ops = |method: &str, path: &str| operator.script(Kind::Tool, method, &format!("http://ops.localhost{path}"));
    let ready = ops("GET", "/readyz");
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["identity_providers"]["corp"]["metadata"], "ok");
    let metrics = ops("GET", "/metrics").text();
    let now = app.clock_seconds();
    for line in [
        "samlgate_idp_metadata_valid{idp=\"corp\"} 1".to_owned(),
        format!("samlgate_idp_metadata_last_success_timestamp_seconds{{idp=\"corp\"}} {now}"),
        "samlgate_idp_metadata_failing{idp=\"corp\"} 0".to_owned(),
        "samlgate_certificate_expires_timestamp_seconds{owner=\"idp\",idp=\"corp\",fingerprint=\"".to_owned(),
        "samlgate_certificate_expires_timestamp_seconds{owner=\"sp\",idp=\"\",fingerprint=\"".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }

    // The IdP rotates its key, and an operator doesn't want to wait.
    server.serves(&rotated().metadata(SSO));
    assert_eq!(ops("POST", "/metadata/refresh").status, 202);
    let mut browser = app.browser();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let request = app.begin(&mut browser, "/page");
        let response = rotated().response().to("https://app.example/_samlgate/metadata", "https://app.example/_samlgate/acs");
        let page = app.finish(&mut browser, &request, response.at(app.now()).in_response_to(&request.id));
        if page.status == 303 {
            break;
        }
        assert!(Instant::now() < deadline, "{}", page.text());
    }
}

#[test]
fn a_whole_samlgate_starts_without_its_metadata_and_is_not_ready() {
    let server = MetadataServer::start("garbage");
    let app = app_with(&server);
    let page = app.browser().visit(&app.url("/page"));
    assert_eq!(page.status, 503);
    assert!(page.text().contains("metadata_unavailable"), "{}", page.text());
    let mut operator = app.browser();
    let mut ops = |method: &str, path: &str| operator.script(Kind::Tool, method, &format!("http://ops.localhost{path}"));
    let ready = ops("GET", "/readyz");
    assert_eq!(ready.status, 503);
    let corp = ready.json()["identity_providers"]["corp"].clone();
    assert_eq!((corp["metadata"].as_str(), corp["failing"].as_str()), (Some("missing"), Some("metadata_not_xml")));
    assert!(ops("GET", "/metrics").text().contains("samlgate_idp_metadata_valid{idp=\"corp\"} 0"));
    server.serves(&usual().metadata(SSO));
    assert_eq!(ops("POST", "/metadata/refresh").status, 202);
    let deadline = Instant::now() + Duration::from_secs(20);
    while ops("GET", "/readyz").status != 200 {
        assert!(Instant::now() < deadline);
    }
    app.login(&mut app.browser(), "/page");
}
