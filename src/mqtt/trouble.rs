//! Why there is no connection, in a person's words, with what to do about it.

use std::fmt;

/// One name for all that is logged about the connection.
const TARGET: &str = "vigie::mqtt";

/// The kind of a [`Trouble`]: two of the same kind in a row are one state, and logged once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The broker's name has no address.
    Resolve,
    /// Nothing listens there.
    Refused,
    /// No way there, or no answer in time.
    Unreachable,
    /// The broker's certificate is not trusted, has expired, or is for another name.
    Certificate,
    /// The broker does not accept our certificate, or wants one.
    ClientCertificate,
    /// TLS failed otherwise.
    Tls,
    /// The password file or a certificate can't be read any more.
    Options,
    /// Wrong user name or password.
    BadCredentials,
    /// The user may not connect.
    NotAuthorised,
    /// The broker refuses the client id.
    ClientId,
    /// The broker says that it is not available.
    Unavailable,
    /// What answers is no broker, or one of us is mistaken about the protocol.
    Protocol,
    /// The broker does not speak this version of MQTT.
    Version,
    /// The broker can't do what is needed.
    Unsupported,
    /// A limit of the broker's for this client is reached.
    Quota,
    /// Something was larger than the broker takes.
    TooLarge,
    /// The broker hangs up before it has accepted us.
    ClosedAtOnce,
    /// An established connection is gone.
    Lost,
    /// The broker does not answer any more.
    Silent,
    /// The broker sent something that can't be read.
    Incoming,
    /// Another client takes the connection again and again.
    TakenOver,
    /// The client panicked.
    Bug,
}

/// What went wrong, towards which broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which kind.
    pub kind: Kind,
    /// What the system or the broker said beyond that; may be empty.
    pub detail: String,
}

impl Trouble {
    pub(super) fn new(kind: Kind, detail: impl fmt::Display) -> Trouble {
        Trouble { kind, detail: detail.to_string() }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self.kind {
            Kind::Resolve => "check the host in [mqtt] url, and the board's network and DNS",
            Kind::Refused => "is the broker running, and is the port right?",
            Kind::Unreachable => "check the network and the broker's firewall",
            Kind::Certificate => {
                "does [mqtt] ca_file hold the authority that signed the broker's certificate, \
                                  for the name in url, and is the clock right?"
            }
            Kind::ClientCertificate => {
                "check client_cert and client_key in [mqtt], and the authority that the broker trusts"
            }
            Kind::Tls => {
                "does the broker speak TLS on this port? mqtt:// is usually port 1883, mqtts:// 8883"
            }
            Kind::Options => "put the file back or correct [mqtt]",
            Kind::BadCredentials => "check username and password_file or credential in [mqtt]",
            Kind::NotAuthorised => "does the broker know this user, and is the password right?",
            Kind::ClientId => "set another client_id in [mqtt]",
            Kind::Unavailable => "look at the broker's log",
            Kind::Protocol => "is it an MQTT broker, and is the port right?",
            Kind::Version => "set protocol = \"3.1.1\" in [mqtt]",
            Kind::Unsupported => {
                "Vigie needs retained messages and QoS 1; look at the broker's configuration"
            }
            Kind::Quota => "look at the broker's limits for this client; it will be tried again",
            Kind::TooLarge => "raise the broker's packet size limit",
            Kind::ClosedAtOnce => "does this port want TLS (mqtts://)? the broker's log tells more",
            Kind::Lost => "it will be tried again",
            Kind::Silent => "the network or the broker hangs; it will be tried again",
            Kind::Incoming => {
                "somebody publishes something too large to a …/set topic of this device; is it retained? then remove it \
                 there with an empty retained message"
            }
            Kind::TakenOver => "give every device its own client_id in [mqtt]",
            Kind::Bug => "please report it with the log; it starts anew by itself",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Resolve => "can't resolve the broker's name",
            Kind::Refused => "connection refused",
            Kind::Unreachable => "broker unreachable",
            Kind::Certificate => "the broker's certificate is not accepted",
            Kind::ClientCertificate => "the broker does not accept our certificate",
            Kind::Tls => "TLS failed",
            Kind::Options => "an option became unusable",
            Kind::BadCredentials => "the broker refuses the user name or password",
            Kind::NotAuthorised => "the broker does not authorise this client",
            Kind::ClientId => "the broker refuses the client id",
            Kind::Unavailable => "the broker says that it is unavailable",
            Kind::Protocol => "what answers does not speak MQTT as expected",
            Kind::Version => "the broker does not speak MQTT 5",
            Kind::Unsupported => "the broker can't do what is needed",
            Kind::Quota => "a limit of the broker is reached",
            Kind::TooLarge => "the broker does not take a packet of that size",
            Kind::ClosedAtOnce => "the broker closed the connection at once",
            Kind::Lost => "connection lost",
            Kind::Silent => "the broker does not answer",
            Kind::Incoming => "a message from the broker can't be read",
            Kind::TakenOver => "another client is using this client id",
            Kind::Bug => "the client panicked",
        };
        match self.detail.as_str() {
            "" => write!(f, "{what} ({})", self.hint()),
            detail => write!(f, "{what}: {detail} ({})", self.hint()),
        }
    }
}

/// Finds the rustls error inside an I/O error, and says whose fault it is; otherwise judges the I/O error itself.
pub(super) fn from_io(error: &std::io::Error, otherwise: Kind) -> Trouble {
    use rustls::{AlertDescription, Error as Tls};
    use std::io::ErrorKind;

    if let Some(tls) = error.get_ref().and_then(|e| e.downcast_ref::<Tls>()) {
        let kind = match tls {
            Tls::InvalidCertificate(_) => Kind::Certificate,
            Tls::AlertReceived(
                AlertDescription::BadCertificate
                | AlertDescription::CertificateRequired
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError
                | AlertDescription::HandshakeFailure,
            ) => Kind::ClientCertificate,
            _ => Kind::Tls,
        };
        return Trouble::new(kind, tls);
    }
    let kind = match error.kind() {
        ErrorKind::ConnectionRefused => return Trouble::new(Kind::Refused, ""),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::TimedOut => Kind::Unreachable,
        _ => otherwise,
    };
    Trouble::new(kind, error)
}

/// Says each state once: trouble when its kind changes, and that all is well again.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    last: Option<Kind>,
    attempts: u64,
    /// Why the broker did not take messages: each reason is said once.
    not_taken: Vec<String>,
}

/// So many reasons are told apart.
const REASONS: usize = 20;

impl Reporter {
    /// There is trouble.
    pub fn trouble(&mut self, broker: &str, trouble: &Trouble) {
        log::log!(target: TARGET, self.level(trouble.kind), "broker {broker}: {trouble}");
    }

    /// The broker did not take a message.
    pub fn not_taken(&mut self, broker: &str, topic: &str, why: &str) {
        // Not the size of each that is too large.
        let kind: String = why.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.not_taken.len() < REASONS && !self.not_taken.contains(&kind) {
            self.not_taken.push(kind);
            log::warn!(
                target: TARGET,
                "broker {broker}: does not take a message to {topic}: {why}; it is given up, as others will be for the same \
                 reason, and the stats count them (rejected)"
            );
        }
    }

    /// News is worth a warning; the next attempt's same failure is not.
    fn level(&mut self, kind: Kind) -> log::Level {
        self.attempts += 1;
        if self.last.replace(kind) == Some(kind) { log::Level::Debug } else { log::Level::Warn }
    }

    /// There is a connection. While another client fights for the id that is no news.
    pub fn connected(&mut self, broker: &str) {
        match (self.last, self.attempts) {
            (Some(Kind::TakenOver), _) => log::debug!(target: TARGET, "broker {broker}: connected again"),
            (Some(_), n) if n > 1 => {
                log::info!(target: TARGET, "broker {broker}: connected after {n} failures")
            }
            _ => log::info!(target: TARGET, "broker {broker}: connected"),
        }
        if self.last != Some(Kind::TakenOver) {
            self.last = None;
        }
        self.attempts = 0;
    }

    /// The connection has held for long.
    pub fn stable(&mut self, broker: &str) {
        if self.last.take() == Some(Kind::TakenOver) {
            log::info!(target: TARGET, "broker {broker}: the connection holds, nobody else uses the client id any more");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rustls_error_inside_an_io_error_is_found() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, unknown);
        assert_eq!(from_io(&error, Kind::Lost).kind, Kind::Certificate);
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, alert);
        assert_eq!(from_io(&error, Kind::Lost).kind, Kind::ClientCertificate);
    }

    #[test]
    fn each_state_is_told_once() {
        use log::Level::{Debug, Warn};
        let mut reporter = Reporter::default();
        let kinds = [
            Kind::Refused,
            Kind::Refused,
            Kind::Refused,
            Kind::NotAuthorised,
            Kind::NotAuthorised,
            Kind::Refused,
        ];
        assert_eq!(kinds.map(|kind| reporter.level(kind)), [Warn, Debug, Debug, Warn, Debug, Warn]);
        reporter.connected("b");
        assert_eq!(reporter.level(Kind::Refused), Warn, "a new outage is news");
        assert_eq!(reporter.level(Kind::TakenOver), Warn);
        reporter.connected("b");
        assert_eq!(
            reporter.level(Kind::TakenOver),
            Debug,
            "a fight for the id is one state, whoever is ahead"
        );
        reporter.connected("b");
        reporter.stable("b");
        assert_eq!(reporter.level(Kind::TakenOver), Warn);
    }

    #[test]
    fn trouble_says_what_happened_and_what_to_do() {
        let error = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let text = from_io(&error, Kind::Lost).to_string();
        assert_eq!(text, "connection refused (is the broker running, and is the port right?)");
    }
}
