//! The broker: its URL, who we are to it, and the files of TLS.

use std::ops::Range;
use std::path::PathBuf;

use super::Surroundings;
use super::files::{check_file, readable_file};
use crate::config::defaults;
use crate::config::read::{FilePath, Located, Text, raw, shorten};
use crate::config::report::{Kind, Problem, Problems};
use crate::mqtt::error::{Error, Pem};
use crate::mqtt::{Options, Secret, Tls, client, spool};

/// What the URL says.
struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
}

pub(super) fn options(
    mqtt: &raw::Mqtt,
    device: &str,
    around: &Surroundings,
    problems: &mut Problems,
) -> Option<Options> {
    let endpoint = mqtt.url.as_ref().map(|url| endpoint(&url.value.0).map_err(|wrong| (url, wrong)));
    let endpoint = match endpoint {
        Some(Ok(endpoint)) => Some(endpoint),
        Some(Err((url, (message, hint)))) => {
            problems.add(Problem::with(Kind::BadValue, url, message).hint(hint));
            None
        }
        None => None,
    };
    let plain = endpoint.as_ref().is_some_and(|endpoint| !endpoint.tls);
    let tls = tls(mqtt, plain, problems);
    let password = password(mqtt, problems);
    if let (Some(place), None) = (secret_place(mqtt), &mqtt.username)
        && !problems.touch("mqtt.username")
    {
        let problem = Problem::new(Kind::Conflict, "mqtt", "a password without a user name")
            .label(place.span, "this password");
        problems.add(problem.hint("add `username = …`: brokers take a password only with one"));
    }
    let spool = mqtt.spool.as_ref().map(|spool| self::spool(&spool.value, problems));
    let is_known = endpoint.is_some();
    // Without a usable URL the rest is looked at all the same, as far as it goes.
    let elsewhere = || Endpoint { tls: tls != Tls::default(), host: "localhost".to_owned(), port: 1883 };
    let endpoint = endpoint.unwrap_or_else(elsewhere);
    let options = Options {
        host: endpoint.host,
        port: endpoint.port,
        protocol: mqtt.protocol.as_ref().map_or(defaults::PROTOCOL, |protocol| protocol.value.0),
        tls: endpoint.tls.then_some(tls),
        username: text(&mqtt.username),
        password,
        client_id: text(&mqtt.client_id).unwrap_or_else(|| format!("vigie-{device}")),
        keep_alive: mqtt.keep_alive.as_ref().map_or(defaults::KEEP_ALIVE, |time| time.value.0),
        prefix: mqtt.prefix.as_ref().map_or(defaults::PREFIX.to_owned(), |prefix| prefix.value.0.clone()),
        queue_messages: mqtt.queue_messages.as_ref().map_or(defaults::QUEUE_MESSAGES, |count| count.value.0)
            as usize,
        queue_bytes: mqtt.queue_bytes.as_ref().map_or(defaults::QUEUE_BYTES, |bytes| bytes.value.0) as usize,
        spool: match spool {
            Some(spool) => Some(spool?),
            None => None,
        },
        commands: mqtt.commands.as_ref().map_or(defaults::COMMANDS, |commands| commands.value),
    };
    for error in client::check(&options, around.credentials.as_deref()) {
        unusable(&error, mqtt, problems);
    }
    is_known.then_some(options)
}

/// The spool. Whether its folder is there and can be written to is not asked: it may be on a disk that is mounted later,
/// and the daemon runs without it.
fn spool(spool: &raw::Spool, problems: &mut Problems) -> Option<spool::Options> {
    let path = spool.path.as_ref()?;
    let file = &path.value.0;
    if file.as_os_str().as_encoded_bytes().ends_with(b"/") || file.is_dir() || file.file_name().is_none() {
        let message = format!("{} is a folder, not a file", file.display());
        problems.add(Problem::with(Kind::BadValue, path, message).hint("name a file in it: `spool.redb`"));
        return None;
    }
    Some(spool::Options {
        path: file.clone(),
        max_bytes: spool.max_bytes.as_ref().map_or(defaults::SPOOL_BYTES, |bytes| bytes.value.0),
        max_age: spool.max_age.as_ref().map_or(defaults::SPOOL_AGE, |age| age.value.0),
    })
}

/// Where a key stands in the file.
struct Place<'a> {
    path: &'a str,
    span: Range<usize>,
}

fn place<T>(key: &Option<Located<T>>) -> Option<Place<'_>> {
    key.as_ref().map(|key| Place { path: &key.path, span: key.span.clone() })
}

fn secret_place(mqtt: &raw::Mqtt) -> Option<Place<'_>> {
    place(&mqtt.password_file).or(place(&mqtt.credential))
}

/// Writes down what the client says of its options, at the key that it is about.
fn unusable(error: &Error, mqtt: &raw::Mqtt, problems: &mut Problems) {
    let (place, other) = match error {
        Error::Secret { .. } | Error::SecretUnusable { .. } | Error::NoCredentials { .. } => {
            (secret_place(mqtt), None)
        }
        Error::Pem { what, .. } | Error::NoCertificate { what, .. } => {
            let place = match what {
                Pem::Authorities => place(&mqtt.ca_file),
                Pem::ClientCertificate => place(&mqtt.client_cert),
                Pem::ClientKey => place(&mqtt.client_key),
            };
            (place, None)
        }
        Error::Authority { .. } => (place(&mqtt.ca_file), None),
        Error::ClientCertificate { .. } => (place(&mqtt.client_cert), place(&mqtt.client_key)),
        Error::EmptyClientId => (place(&mqtt.client_id), None),
        // Was said above, unless the name is there and wrong.
        Error::PasswordWithoutUser => return,
        _ => (place(&mqtt.url), None),
    };
    let Some(place) = place else { return problems.add(Problem::new(Kind::File, "mqtt", error.to_string())) };
    if problems.touch(place.path) || other.as_ref().is_some_and(|other| problems.touch(other.path)) {
        return;
    }
    let kind = match error {
        Error::ClientCertificate { .. } => Kind::Conflict,
        Error::Ipv6Tls { .. } => Kind::BadValue,
        _ => Kind::File,
    };
    let mut problem = Problem::new(kind, place.path, error.to_string()).label(place.span, "here");
    if let Some(other) = other {
        problem = problem.label(other.span, "and here");
    }
    if let (Error::Secret { .. }, Some(name), None) = (error, &mqtt.credential, &mqtt.password_file) {
        problem = problem.hint(format!("add `LoadCredential={}:FILE` to the service", name.value.0));
    }
    problems.add(problem);
}

fn text(value: &Option<Located<Text>>) -> Option<String> {
    value.as_ref().map(|text| text.value.0.clone())
}

/// Takes a broker's URL apart; or says what is wrong with it, and a hint.
fn endpoint(text: &str) -> Result<Endpoint, (String, String)> {
    let example =
        || "write `mqtt://HOST`, `mqtt://HOST:PORT`, or the same with `mqtts://` for TLS".to_owned();
    // Before anything else: a password may hold what ends a host, and would stand in other messages.
    if text.contains('@') {
        let hint =
            "use `username`, and `password_file` or `credential`: secrets do not belong into this file";
        return Err(("the URL has a user name or a password in it".to_owned(), hint.to_owned()));
    }
    let url = url::Url::parse(text).map_err(|error| (format!("no URL: {error}"), example()))?;
    let tls = match url.scheme() {
        "mqtt" => false,
        "mqtts" => true,
        other => {
            let hint = match other {
                "tcp" => "write `mqtt://` instead of `tcp://`".to_owned(),
                "ssl" | "tls" | "mqtt+ssl" => format!("write `mqtts://` instead of `{other}://`"),
                "ws" | "wss" | "http" | "https" => {
                    "MQTT over WebSockets is not supported; ".to_owned() + &example()
                }
                _ => example(),
            };
            return Err((format!("the scheme `{}` is not supported", shorten(other)), hint));
        }
    };
    let host = match url.host() {
        Some(url::Host::Ipv6(address)) => address.to_string(),
        Some(host) => host.to_string(),
        None => String::new(),
    };
    if host.is_empty() {
        return Err(("the URL has no host".to_owned(), example()));
    }
    if host.contains('%') {
        let hint = "write the name in letters a-z, digits, `-` and `.` (an international one as `xn--…`)";
        return Err((format!("the host `{}` is no host name", shorten(&host)), hint.to_owned()));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(("the URL goes on after host and port".to_owned(), example()));
    }
    let port = url.port().unwrap_or(if tls { 8883 } else { 1883 });
    if port == 0 {
        return Err(("port 0 is none".to_owned(), example()));
    }
    Ok(Endpoint { tls, host, port })
}

fn password(mqtt: &raw::Mqtt, problems: &mut Problems) -> Option<Secret> {
    if let (Some(file), Some(credential)) = (&mqtt.password_file, &mqtt.credential) {
        let problem = Problem::new(Kind::Conflict, "mqtt", "the password is said to be at two places");
        let problem = problem.label(credential.span.clone(), "a systemd credential");
        problems.add(
            problem
                .label(file.span.clone(), "and a file")
                .hint("keep one of `password_file` and `credential`"),
        );
    }
    let file = mqtt.password_file.as_ref().and_then(|file| password_file(file, problems));
    let credential = mqtt.credential.as_ref().and_then(|credential| {
        let name = &credential.value.0;
        if name.contains('/') || name.starts_with('.') {
            let message = "is no credential's name: it has a `/` in it, or begins with a dot";
            let problem = Problem::with(Kind::BadValue, credential, message);
            problems
                .add(problem.hint("a name as in `LoadCredential=mqtt-password:/etc/vigie/mqtt-password`"));
            return None;
        }
        Some(name.clone())
    });
    file.map(Secret::File).or(credential.map(Secret::Credential))
}

fn password_file(file: &Located<FilePath>, problems: &mut Problems) -> Option<PathBuf> {
    let path = &file.value.0;
    // What is no path may well be the password itself, which no message may repeat.
    if path.is_relative() && readable_file(path).is_err() {
        let message = "no such file can be read in the working directory";
        let hint = "the path of a file that holds the password belongs here, not the password";
        problems.add(Problem::with(Kind::File, file, message).hint(hint));
        return None;
    }
    check_file(file, readable_file, problems)
}

fn tls(mqtt: &raw::Mqtt, plain: bool, problems: &mut Problems) -> Tls {
    let keys =
        [("ca_file", &mqtt.ca_file), ("client_cert", &mqtt.client_cert), ("client_key", &mqtt.client_key)];
    for (key, file) in keys.iter().filter_map(|(key, file)| Some((key, file.as_ref()?))).filter(|_| plain) {
        let message = format!("`{key}` is for TLS, and the URL asks for none");
        problems.add(Problem::with(Kind::Conflict, file, message).hint("begin the URL with `mqtts://`"));
    }
    let [ca_file, cert, key] =
        keys.map(|(_, file)| file.as_ref().and_then(|file| check_file(file, readable_file, problems)));
    let lonely = match (&mqtt.client_cert, &mqtt.client_key) {
        (Some(cert), None) => Some((cert, "client_key")),
        (None, Some(key)) => Some((key, "client_cert")),
        _ => None,
    };
    if let Some((place, missing)) = lonely.filter(|(_, missing)| !problems.touch(&format!("mqtt.{missing}")))
    {
        let message = format!("`{missing}` is missing: certificate and key go together");
        problems.add(
            Problem::with(Kind::MissingKey, place, message).hint(format!("add `{missing} = …` to [mqtt]")),
        );
    }
    Tls { ca_file, client: cert.zip(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let get = |text: &str| endpoint(text).map(|endpoint| (endpoint.tls, endpoint.host, endpoint.port));
        assert_eq!(get("mqtt://localhost"), Ok((false, "localhost".into(), 1883)));
        assert_eq!(get("mqtts://broker.lan/"), Ok((true, "broker.lan".into(), 8883)));
        assert_eq!(get("mqtts://[fe80::1]:99"), Ok((true, "fe80::1".into(), 99)));
        assert_eq!(get("mqtt://10.0.0.7:1884"), Ok((false, "10.0.0.7".into(), 1884)));
    }

    #[test]
    fn wrong_urls_are_explained() {
        let wrong = |text: &str| endpoint(text).map(|_| ()).expect_err(text);
        assert_eq!(wrong("broker.lan:1883").0, "the scheme `broker.lan` is not supported");
        assert_eq!(wrong("tcp://broker").1, "write `mqtt://` instead of `tcp://`");
        assert_eq!(wrong("mqtt://").0, "the URL has no host");
        assert_eq!(wrong("mqtt:broker").0, "the URL has no host");
        for user in ["me:secret", "me:se/cret", "me:se#c?ret", "me:se%cret", "secret"] {
            let (message, _) = wrong(&format!("mqtt://{user}@broker"));
            assert_eq!(message, "the URL has a user name or a password in it", "{user}");
        }
        assert_eq!(wrong("mqtt://broker/vigie").0, "the URL goes on after host and port");
        assert_eq!(wrong("mqtt://broker:0").0, "port 0 is none");
        assert!(wrong("mqtt://broker:99999").0.starts_with("no URL"));
        assert!(wrong("mqtt://bröker").0.contains("is no host name"));
        assert!(wrong("broker").0.starts_with("no URL"));
    }
}
