//! The client against a real mosquitto that wants a password, TLS, or a client certificate.
#![allow(clippy::unwrap_used, missing_docs)]

#[macro_use]
mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::certificates::Certificates;
use support::mosquitto::{Broker, PATIENCE, Setup};
use vigie::mqtt::client::{Client, Tuning};
use vigie::mqtt::{Options, Protocol, Secret, Tls};

const STATUS: &str = "vigie/porch/status";

fn options(broker: &Broker, tls: Option<Tls>, protocol: Protocol) -> Options {
    Options {
        host: "localhost".into(),
        port: broker.port,
        protocol,
        tls,
        username: None,
        password: None,
        client_id: "porch-1".into(),
        keep_alive: Duration::from_secs(5),
        prefix: "vigie".into(),
        queue_messages: 100,
        queue_bytes: 1 << 20,
        spool: None,
        commands: true,
    }
}

fn spawn(options: Options) -> Client {
    let tuning = Tuning {
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(200),
        ..Tuning::default()
    };
    Client::spawn_with(options, STATUS.into(), tuning).unwrap()
}

/// Waits until it is connected (`None`) or says what is wrong.
async fn outcome(client: &Client) -> Option<String> {
    let start = Instant::now();
    loop {
        let stats = client.publisher().stats();
        if stats.connected || stats.trouble.is_some() {
            return stats.trouble;
        }
        assert!(start.elapsed() < PATIENCE, "neither connected nor in trouble");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn ca(path: &std::path::Path) -> Option<Tls> {
    Some(Tls { ca_file: Some(path.into()), client: None })
}

in_both_protocols! {
    a_password_from_a_file
    no_user_at_all_is_refused_where_one_is_wanted
    a_password_file_that_is_missing_stops_the_start
    tls_with_our_own_authority
    a_broker_of_an_unknown_authority_is_refused
    a_certificate_for_another_name_is_refused
    mutual_tls
    plain_towards_tls_and_tls_towards_plain_say_so
    a_name_without_an_address_is_told
}

async fn a_password_from_a_file(protocol: Protocol) {
    let broker = Broker::with(&Setup { login: Some(("vigie", "s3cret word")), ..Setup::default() });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong\n").unwrap();
    let options = Options {
        username: Some("vigie".into()),
        password: Some(Secret::File(file.clone())),
        ..options(&broker, None, protocol)
    };
    let client = spawn(options);
    let trouble = outcome(&client).await.expect("a wrong password is refused");
    assert!(trouble.contains("does not authorise") && trouble.contains("password"), "{trouble}");

    // Corrected while the program runs: the next attempt reads it again.
    std::fs::write(&file, "s3cret word\n").unwrap();
    let subscriber = broker.subscribe(STATUS);
    assert_eq!(subscriber.next().payload, "online");
    assert!(client.close(Duration::from_secs(5)).await);
}

async fn no_user_at_all_is_refused_where_one_is_wanted(protocol: Protocol) {
    let broker = Broker::with(&Setup { login: Some(("vigie", "s3cret")), ..Setup::default() });
    let trouble = outcome(&spawn(options(&broker, None, protocol))).await.expect("refused");
    assert!(trouble.contains("does not authorise"), "{trouble}");
}

async fn a_password_file_that_is_missing_stops_the_start(protocol: Protocol) {
    let broker = Broker::start();
    let secret = Secret::File("/nonexistent/password".into());
    let options = Options {
        username: Some("vigie".into()),
        password: Some(secret),
        ..options(&broker, None, protocol)
    };
    let error = Client::spawn(options, STATUS.into()).err().unwrap().to_string();
    assert!(error.contains("/nonexistent/password"), "{error}");
}

async fn tls_with_our_own_authority(protocol: Protocol) {
    let certificates = Certificates::new();
    let broker = Broker::with(&Setup { tls: Some(&certificates), ..Setup::default() });
    let subscriber = broker.subscribe(STATUS);
    let client = spawn(options(&broker, ca(&certificates.ca), protocol));
    assert_eq!(subscriber.next().payload, "online");
    assert!(client.close(Duration::from_secs(5)).await);
    assert_eq!(subscriber.next().payload, "offline");

    let by_address = Options { host: "127.0.0.1".into(), ..options(&broker, ca(&certificates.ca), protocol) };
    assert_eq!(outcome(&spawn(by_address)).await, None, "the certificate is for the address too");
}

async fn a_broker_of_an_unknown_authority_is_refused(protocol: Protocol) {
    let certificates = Certificates::new();
    let broker = Broker::with(&Setup { tls: Some(&certificates), ..Setup::default() });
    let strangers = Certificates::new();
    let client = spawn(options(&broker, ca(&strangers.ca), protocol));
    let trouble = outcome(&client).await.expect("refused");
    assert!(trouble.contains("certificate is not accepted") && trouble.contains("ca_file"), "{trouble}");
    let system = outcome(&spawn(options(&broker, Some(Tls::default()), protocol))).await.expect("refused");
    assert!(system.contains("certificate is not accepted"), "{system}");
    assert!(!broker.log().contains("as porch-1"), "no CONNECT was ever sent");
}

async fn a_certificate_for_another_name_is_refused(protocol: Protocol) {
    let certificates = Certificates::for_hosts(&["elsewhere.lan"]);
    let broker = Broker::with(&Setup { tls: Some(&certificates), ..Setup::default() });
    let trouble = outcome(&spawn(options(&broker, ca(&certificates.ca), protocol))).await.expect("refused");
    assert!(
        trouble.contains("certificate is not accepted") && trouble.contains("elsewhere.lan"),
        "{trouble}"
    );
}

async fn mutual_tls(protocol: Protocol) {
    let certificates = Certificates::new();
    let broker = Broker::with(&Setup {
        tls: Some(&certificates),
        mutual: true,
        extra: "use_identity_as_username true\n",
        ..Setup::default()
    });
    let tls = Tls { ca_file: Some(certificates.ca.clone()), client: Some(certificates.client.clone()) };
    let client = spawn(options(&broker, Some(tls), protocol));
    assert_eq!(outcome(&client).await, None);
    assert!(client.close(Duration::from_secs(5)).await);
    assert!(broker.log().contains("u'porch'"), "the certificate's name is the user");

    let trouble =
        outcome(&spawn(options(&broker, ca(&certificates.ca), protocol))).await.expect("refused without one");
    assert!(
        trouble.contains("does not accept our certificate") && trouble.contains("client_cert"),
        "{trouble}"
    );

    let strangers = Certificates::new();
    let tls = Tls { ca_file: Some(certificates.ca.clone()), client: Some(strangers.client.clone()) };
    let trouble = outcome(&spawn(options(&broker, Some(tls), protocol)))
        .await
        .expect("refused with another authority's");
    assert!(trouble.contains("does not accept our certificate"), "{trouble}");
}

async fn plain_towards_tls_and_tls_towards_plain_say_so(protocol: Protocol) {
    let certificates = Certificates::new();
    let broker = Broker::with(&Setup { tls: Some(&certificates), ..Setup::default() });
    let trouble = outcome(&spawn(options(&broker, None, protocol))).await.expect("refused");
    assert!(trouble.contains("mqtts://"), "{trouble}");
    let plain = Broker::start();
    let trouble = outcome(&spawn(options(&plain, ca(&certificates.ca), protocol))).await.expect("refused");
    assert!(trouble.contains("TLS failed") && trouble.contains("8883"), "{trouble}");
}

async fn a_name_without_an_address_is_told(protocol: Protocol) {
    let broker = Broker::start();
    let options = Options { host: "broker.invalid".into(), ..options(&broker, None, protocol) };
    let trouble = outcome(&spawn(options)).await.expect("unresolved");
    assert!(trouble.contains("can't resolve"), "{trouble}");
}

#[test]
fn unusable_files_are_named() {
    let certificates = Certificates::new();
    let broker = Broker::prepare(&Setup::default());
    let noise = certificates.file("noise", "no pem at all");
    let (cert, key) = certificates.client.clone();
    let with = |ca: Option<&PathBuf>, client: Option<(PathBuf, PathBuf)>| {
        let tls = Tls { ca_file: ca.cloned(), client };
        vigie::mqtt::client::check(&options(&broker, Some(tls), Protocol::V311), None)[0].to_string()
    };
    let missing = PathBuf::from("/nonexistent/ca.pem");
    assert!(with(Some(&missing), None).contains("ca file /nonexistent/ca.pem"));
    assert!(with(Some(&noise), None).contains("holds no certificate"));
    let ca = Some(&certificates.ca);
    assert!(with(ca, Some((noise.clone(), key.clone()))).contains("holds no certificate"));
    assert!(with(ca, Some((cert.clone(), noise.clone()))).contains("client key"));
    let mixed = with(ca, Some((cert, certificates.server.1.clone())));
    assert!(mixed.contains("belong together"), "{mixed}");
}
