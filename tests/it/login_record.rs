//! What a login leaves in logs and metrics.

use std::sync::Arc;

use http::Method;

use crate::support::fake_idp::{EMAIL, FakeIdp, parse_logout};
use crate::support::site::{IDP, Jar, Plan, request_id};

const ACS: &str = "/_samlgate/acs";

#[tokio::test(flavor = "current_thread")]
async fn logins_are_counted_and_logged_once_without_a_secret() {
    let lines = Lines::default();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let prometheus = recorder.handle();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    // With one subscriber alive, tracing asks the thread that meets an event first whether anybody cares, and other tests' threads
    // say no for good; with two it asks the subscribers.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _log = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());

    let site = Plan::new().build();
    let mut jar = Jar::default();
    let request = request_id(&site.open_application(&mut jar, "/").await);
    let refused = site.response().in_response_to(&request).audience(Some("https://other.example\r\nlogin")).base64();
    site.post(&mut jar, ACS, &refused, None).await;
    let accepted = site.response().in_response_to(&request).base64();
    site.post(&mut jar, ACS, &accepted, None).await;
    let token = jar.session().unwrap().to_owned();
    let cookie = format!("__Host-samlgate={token}");
    site.send(Method::POST, "/_samlgate/logout", &[("cookie", &cookie)], "").await;

    let log = lines.text();
    let with = |word: &str| log.lines().filter(|line| line.contains("samlgate::web") && line.contains(word)).collect::<Vec<_>>();
    let ([refusal], [login], [logout]) =
        (&with("login refused")[..], &with(": login request_id")[..], &with(": logout request_id")[..])
    else {
        panic!("one event each: {log}");
    };
    assert!(refusal.contains("reason=\"audience_mismatch\"") && refusal.contains("sp.entity_id"), "{refusal}");
    assert!(login.contains("idp=\"corp\"") && login.contains("user=\"alice\"") && login.contains("request1"), "{login}");
    assert!(logout.contains("user=\"alice\""), "{logout}");
    let login_token = jar.names().contains(&"__Host-samlgate-login");
    assert!(login_token && !log.contains(&token) && !log.contains(&accepted[..60]) && !log.contains("<saml"), "{log}");

    let text = prometheus.render();
    for line in [
        "samlgate_logins_total{idp=\"corp\",outcome=\"success\",reason=\"\"} 1",
        "samlgate_logins_total{idp=\"corp\",outcome=\"refused\",reason=\"audience_mismatch\"} 1",
        "samlgate_logouts_total{idp=\"corp\",how=\"user\",outcome=\"here\",reason=\"\"} 1",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn logouts_are_counted_and_logged_once_without_a_secret() {
    let lines = Lines::default();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let prometheus = recorder.handle();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    // As above.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _log = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());

    let site = Plan::new().with_logout().build();
    let idp = FakeIdp::new(IDP);
    let mut jar = Jar::default();
    site.sign_in(&mut jar, "/").await;
    let token = jar.session().unwrap().to_owned();
    let away = site.log_out(&mut jar, "/_samlgate/logout", &[]).await;
    let told = parse_logout(away.location(), None).unwrap();
    let slo = async |query: String| site.send(Method::GET, &format!("/_samlgate/slo?{query}"), &[], "").await;
    let said = "Responder/\r\nlogout forged";
    slo(idp.logout_response(&told.id, said).at(site.now()).redirect(None)).await;

    site.pass(1);
    site.sign_in(&mut jar, "/").await;
    let request = idp.logout_request().id("_l1").at(site.now());
    let query = request.redirect(None);
    slo(query.clone()).await;
    slo(query.clone()).await;
    slo(idp.logout_request().subject("nobody", EMAIL).at(site.now()).redirect(None)).await;
    slo(request.unsigned().redirect(None)).await;

    let log = lines.text();
    let with = |word: &str| log.lines().filter(|line| line.contains("samlgate::web") && line.contains(word)).collect::<Vec<_>>();
    let ([user], [answer], [refused]) = (
        &with(": logout request_id")[..],
        &with(": logout incomplete at the identity provider")[..],
        &with(": logout refused")[..],
    ) else {
        panic!("one event each: {log}");
    };
    assert!(user.contains("idp_told=true") && user.contains(&told.id) && user.contains("user=\"alice\""), "{user}");
    assert!(answer.contains("logout_incomplete") && answer.contains("Responder"), "{answer}");
    assert!(refused.contains("reason=\"signature_missing\"") && refused.contains("Sign documents"), "{refused}");
    let at_idp = with(": logout at the identity provider request_id");
    assert_eq!(at_idp.len(), 3, "{log}");
    assert!(at_idp[0].contains("ended=1") && at_idp[0].contains("saml_request_id=\"_l1\""), "{}", at_idp[0]);
    assert!(at_idp[1].contains("repeated=true") && at_idp[2].contains("ended=0"), "{at_idp:?}");
    assert!(!log.contains(&token) && !log.contains(&query[..60]) && !log.contains("<saml"), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("logout forged")), "{log}");

    let text = prometheus.render();
    for (how, outcome, reason) in [
        ("user", "idp_told", ""),
        ("user", "incomplete", "logout_incomplete"),
        ("idp", "success", ""),
        ("idp", "repeated", ""),
        ("idp", "no_session", ""),
    ] {
        let line = format!("samlgate_logouts_total{{idp=\"corp\",how=\"{how}\",outcome=\"{outcome}\",reason=\"{reason}\"}} 1");
        assert!(text.contains(&line), "{line}: {text}");
    }
    let unknown = "samlgate_logouts_total{idp=\"unknown\",how=\"idp\",outcome=\"refused\",reason=\"signature_missing\"} 1";
    assert!(text.contains(unknown), "{text}");
}

/// What was logged.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl Lines {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
