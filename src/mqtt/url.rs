//! A broker's URL: `mqtt://HOST[:PORT]` or `mqtts://HOST[:PORT]`.

use super::error::Error;

/// What a broker's URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port, 1883 or 8883 where none is given.
    pub port: u16,
    /// Whether it is `mqtts://`.
    pub tls: bool,
}

/// Reads a broker's URL. Secrets don't belong in one: a user or password in it is refused.
pub fn parse(text: &str) -> Result<Endpoint, Error> {
    let fail = |problem: String| Error::Url { url: without_password(text), problem };
    let url = ::url::Url::parse(text).map_err(|e| fail(e.to_string()))?;
    let (tls, port) = match url.scheme() {
        "mqtt" | "tcp" => (false, 1883),
        "mqtts" | "ssl" => (true, 8883),
        other => return Err(fail(format!("the scheme is \"{other}\""))),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fail("user and password belong into username and password_file".into()));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(fail("something follows the port".into()));
    }
    let host = url.host_str().filter(|h| !h.is_empty()).ok_or_else(|| fail("the host is missing".into()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    match url.port() {
        Some(0) => Err(fail("port 0 can't be connected to".into())),
        given => Ok(Endpoint { host, port: given.unwrap_or(port), tls }),
    }
}

/// An error must not carry somebody's password into a log.
fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}…{}", &text[..scheme + 3], &text[at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_schemes() {
        for (text, host, port, tls) in [
            ("mqtt://broker.lan", "broker.lan", 1883, false),
            ("mqtts://broker.lan", "broker.lan", 8883, true),
            ("mqtts://broker.lan:1234/", "broker.lan", 1234, true),
            ("mqtt://127.0.0.1:1884", "127.0.0.1", 1884, false),
            ("mqtt://[::1]:1884", "::1", 1884, false),
        ] {
            assert_eq!(parse(text).unwrap(), Endpoint { host: host.into(), port, tls }, "{text}");
        }
    }

    #[test]
    fn what_is_no_broker_url_is_refused_with_the_reason() {
        for (text, reason) in [
            ("broker.lan", "relative URL"),
            ("http://broker.lan", "scheme is \"http\""),
            ("mqtt://", "host"),
            ("mqtt://broker.lan:99999", "port"),
            ("mqtt://broker.lan:0", "port 0"),
            ("mqtt://broker.lan/topic", "follows the port"),
            ("mqtt://me:secret@broker.lan", "password_file"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
