//! MQTT 3.1.1 on the wire, as much of it as a broker without sessions reads and writes.

use std::io::{self, Read};

/// A packet from a client.
#[derive(Debug, PartialEq)]
pub enum Packet {
    Connect(Connect),
    /// The message, and for quality of service 1 and 2 the packet's identifier.
    Publish(Message, QoS),
    /// The second step of a message of quality of service 2.
    PubRel(u16),
    Subscribe(u16, Vec<String>),
    Unsubscribe(u16, Vec<String>),
    Ping,
    Disconnect,
    /// An acknowledgement; nothing here waits for one.
    Other,
}

/// The quality of service of a message, with its identifier: at most once, at least once, exactly once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum QoS {
    Zero,
    One(u16),
    Two(u16),
}

#[derive(Debug, PartialEq)]
pub struct Connect {
    /// `MQTT` 4 is 3.1.1.
    pub level: u8,
    pub client_id: String,
    /// Seconds; 0: none.
    pub keep_alive: u16,
    pub will: Option<Message>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retain: bool,
}

/// Reads a packet.
///
/// # Errors
/// `InvalidData` for what is no MQTT or is longer than `most` bytes, or what the stream says.
pub fn read(stream: &mut impl Read, most: usize) -> io::Result<Packet> {
    let [first] = array(stream)?;
    let (kind, flags) = (first >> 4, first & 0x0f);
    // said before the rest is waited for, which may never come from who speaks another protocol
    if !matches!((kind, flags), (3, _) | (6 | 8 | 10, 2) | (1 | 4 | 5 | 7 | 12 | 14, 0)) {
        return Err(invalid(format!("no packet of a client: kind {kind}, flags {flags:#x}")));
    }
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let [byte] = array(stream)?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        if shift == 21 {
            return Err(invalid("the length has more than four bytes"));
        }
    }
    if length > most {
        return Err(invalid(format!("a packet of {length} bytes; {most} are the most")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    let mut body = Body(&bytes);
    Ok(match kind {
        1 => Packet::Connect(connect(&mut body)?),
        3 => publish(&mut body, flags)?,
        6 => Packet::PubRel(body.u16()?),
        8 => {
            let id = body.u16()?;
            let mut filters = Vec::new();
            while !body.0.is_empty() {
                filters.push(body.text()?);
                body.take(1)?;
            }
            Packet::Subscribe(id, filters)
        }
        10 => {
            let id = body.u16()?;
            let mut filters = Vec::new();
            while !body.0.is_empty() {
                filters.push(body.text()?);
            }
            Packet::Unsubscribe(id, filters)
        }
        12 => Packet::Ping,
        14 => Packet::Disconnect,
        _ => Packet::Other,
    })
}

fn connect(body: &mut Body<'_>) -> io::Result<Connect> {
    let protocol = body.text()?;
    if protocol != "MQTT" && protocol != "MQIsdp" {
        return Err(invalid(format!("the protocol is '{protocol}', not MQTT")));
    }
    let level = body.u8()?;
    let flags = body.u8()?;
    let keep_alive = body.u16()?;
    if level != 4 {
        return Ok(Connect { level, client_id: String::new(), keep_alive, will: None });
    }
    let client_id = body.text()?;
    let will = if flags & 0x04 == 0 {
        None
    } else {
        let topic = body.text()?;
        Some(Message { topic, payload: body.counted()?.to_vec(), retain: flags & 0x20 != 0 })
    };
    for flag in [0x80, 0x40] {
        if flags & flag != 0 {
            body.counted()?; // user name, password: everybody is welcome
        }
    }
    Ok(Connect { level, client_id, keep_alive, will })
}

fn publish(body: &mut Body<'_>, flags: u8) -> io::Result<Packet> {
    let topic = body.text()?;
    let qos = match (flags >> 1) & 3 {
        0 => QoS::Zero,
        1 => QoS::One(body.u16()?),
        2 => QoS::Two(body.u16()?),
        _ => return Err(invalid("a message of quality of service 3")),
    };
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(invalid(format!("'{topic}' is no topic of a message")));
    }
    Ok(Packet::Publish(Message { topic, payload: body.0.to_vec(), retain: flags & 1 != 0 }, qos))
}

/// What of a packet has not been read yet.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| invalid("a packet is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> io::Result<u16> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn counted(&mut self) -> io::Result<&'a [u8]> {
        let count = self.u16()?;
        self.take(count.into())
    }

    fn text(&mut self) -> io::Result<String> {
        let bytes = self.counted()?;
        String::from_utf8(bytes.to_vec()).map_err(|_| invalid("a text is no UTF-8"))
    }
}

fn array<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn invalid(words: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words.into())
}

/// A message for a subscriber, of quality of service 0.
pub fn message(topic: &str, payload: &[u8], retain: bool) -> Vec<u8> {
    let mut body = Vec::with_capacity(2 + topic.len() + payload.len());
    body.extend((topic.len() as u16).to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend(payload);
    packet(0x30 | u8::from(retain), &body)
}

/// The answer to `Connect`; `code` 0 accepts, 1 refuses the version of the protocol.
pub fn connack(code: u8) -> Vec<u8> {
    packet(0x20, &[0, code])
}

/// The answer to `Subscribe`: per filter 0 (quality of service 0) or 0x80 (refused).
pub fn suback(id: u16, codes: &[u8]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(codes);
    packet(0x90, &body)
}

/// An answer that holds the identifier alone; `first` is the packet's first byte.
pub fn acknowledgement(first: u8, id: u16) -> Vec<u8> {
    packet(first, &id.to_be_bytes())
}

/// The answer to `Ping`.
pub fn pong() -> Vec<u8> {
    packet(0xd0, &[])
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(5 + body.len());
    bytes.push(first);
    let mut length = body.len();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        bytes.push(low | if length > 0 { 0x80 } else { 0 });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for size in [0, 1, 127, 128, 16_383, 16_384, 2_097_152] {
            let payload = vec![7; size];
            let bytes = message("a/b", &payload, true);
            let packet = read(&mut &bytes[..], 4 << 20).unwrap();
            assert_eq!(
                packet,
                Packet::Publish(Message { topic: "a/b".into(), payload, retain: true }, QoS::Zero)
            );
        }
    }

    #[test]
    fn what_is_no_mqtt_is_an_error_and_never_a_panic() {
        let http = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert_eq!(read(&mut &http[..], 100).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let long = [0x30, 0xff, 0xff, 0xff, 0x7f];
        assert!(
            read(&mut &long[..], 100).unwrap_err().to_string().contains("268435455 bytes; 100 are the most")
        );
        let endless = [0x30, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(read(&mut &endless[..], 100).is_err());
        // every beginning of a good packet, its length put right, in every kind of packet
        let body = [0, 4, b'M', b'Q', b'T', b'T', 4, 0xc6, 0, 5, 0, 1, b'c', 0, 1, b't', 0, 1, b'w'];
        for first in 0..=0xff {
            for end in 0..body.len() {
                let _ = read(&mut &packet(first, &body[..end])[..], 100);
            }
        }
    }

    #[test]
    fn wildcards_are_no_topic_of_a_message() {
        assert!(read(&mut &message("a/+", b"", false)[..], 100).is_err());
        assert!(read(&mut &message("", b"", false)[..], 100).is_err());
    }
}
