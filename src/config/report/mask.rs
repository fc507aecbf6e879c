//! Hides what looks like a secret in a text that is about to be quoted: it would reach the journal.
//!
//! The text may be no TOML at all, so nothing here relies on its being one. In doubt too much is hidden: stars where there
//! is no secret cost a look into the file, a password in a log costs more.

use std::ops::Range;

/// A key with one of these in its name has a secret for its value.
const SECRET_WORDS: [&str; 4] = ["pass", "pwd", "secret", "token"];

/// The text with a `*` for every byte of a secret, and a blank for every byte of a control character (it would reach the
/// terminal); of the same length, byte for byte, and with the same lines.
pub(super) fn mask(text: &str) -> String {
    let mut masked = Vec::with_capacity(text.len());
    let mut scanner = Scanner::default();
    for line in text.split_inclusive('\n') {
        let mut hidden = vec![false; line.len()];
        for secret in scanner.secrets_in(line) {
            hidden[secret].fill(true);
        }
        for (at, c) in line.char_indices() {
            if hidden[at] && !c.is_whitespace() {
                masked.resize(masked.len() + c.len_utf8(), b'*');
            } else if c.is_control() && !matches!(c, '\n' | '\t') {
                masked.resize(masked.len() + c.len_utf8(), b' ');
            } else {
                masked.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    String::from_utf8(masked).unwrap_or_default()
}

/// What the lines so far mean for the next one.
#[derive(Default)]
struct Scanner {
    /// The delimiter that ends the multi-line string in which the line begins.
    string: Option<&'static str>,
    /// The line is what is left of a secret of the line before, whatever it looks like.
    rest_of_secret: bool,
    /// The line has the rest of a URL that was broken in two.
    rest_of_url: bool,
    /// The line may go on with the secret value of the line before.
    after_secret: bool,
    /// It does, until its bracket is closed.
    in_brackets: bool,
    /// The table's name says that its values are secrets.
    in_secret_table: bool,
}

impl Scanner {
    /// Where in the next line there are secrets.
    fn secrets_in(&mut self, line: &str) -> Vec<Range<usize>> {
        let in_string = self.string.is_some();
        let mut secrets = self.multi_line_strings(line);
        let trimmed = line.trim();
        if std::mem::take(&mut self.rest_of_url) {
            secrets.push(0..line.rfind('@').unwrap_or(0));
        }
        if std::mem::take(&mut self.rest_of_secret) {
            secrets.push(0..line.len());
            return secrets;
        }
        if self.in_brackets {
            self.in_brackets = !trimmed.ends_with([']', '}']);
            secrets.push(0..line.len());
            return secrets;
        }
        // A string that nobody closed, or a value that begins in the line after its key.
        let goes_on = !begins_something(trimmed) && !trimmed.is_empty();
        if self.after_secret && (goes_on || in_string) {
            secrets.push(0..line.len());
            return secrets;
        }
        let mut body = 0;
        if trimmed.starts_with('[') && !goes_on {
            body = line.find(']').map_or(line.len(), |at| at + 1);
            self.in_secret_table = has_secret_word(&line[..body]);
        }
        let inner = &line[body..];
        // What is secret by its table may have a secret's name in it, and does not begin behind that.
        let in_table = self.in_secret_table.then(|| inner.find('=').map_or(0, |at| at + 1));
        let value = secret_value(inner).into_iter().chain(in_table).min();
        if let Some(start) = value.map(|value| body + value) {
            let value = line[start..].trim();
            self.in_brackets = value.starts_with(['[', '{']) && !value.ends_with([']', '}']);
            let open = |quote| !value.matches(quote).count().is_multiple_of(2);
            self.rest_of_secret = body == 0 && (value.is_empty() || open('"') || open('\''));
            self.after_secret = true;
            secrets.push(start..line.len());
        } else if !trimmed.is_empty() {
            self.after_secret = false;
        }
        if let Some(user) = user_in_url(line, goes_on) {
            self.rest_of_url = user.end == line.len();
            secrets.push(user);
        }
        secrets
    }

    /// The parts of the line that lie in multi-line strings, delimiters included: no key of a configuration needs one.
    fn multi_line_strings(&mut self, line: &str) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let (mut at, mut start) = (0, 0);
        while at < line.len() {
            let rest = &line[at..];
            match self.string {
                None => {
                    let delimiter = DELIMITERS.into_iter().find(|delimiter| rest.starts_with(delimiter));
                    if let Some(delimiter) = delimiter {
                        (self.string, start) = (Some(delimiter), at);
                        at += delimiter.len();
                        continue;
                    }
                }
                Some(delimiter) if rest.starts_with(delimiter) => {
                    at += delimiter.len();
                    // A string may end with quotes of its own, before the three that close it.
                    at += line[at..]
                        .bytes()
                        .take_while(|byte| *byte == delimiter.as_bytes()[0])
                        .take(2)
                        .count();
                    parts.push(start..at);
                    self.string = None;
                    continue;
                }
                Some(BASIC) if rest.starts_with('\\') => at += 1,
                Some(_) => {}
            }
            at += line[at..].chars().next().map_or(1, char::len_utf8);
        }
        if self.string.is_some() {
            parts.push(start..line.len());
        }
        parts
    }
}

const BASIC: &str = "\"\"\"";
const DELIMITERS: [&str; 2] = [BASIC, "'''"];

fn has_secret_word(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| text.contains(word))
}

/// Whether a line begins with a key or a comment, or is a table's header; otherwise it may be the rest of the line before.
fn begins_something(line: &str) -> bool {
    let key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '"' | '\'');
    match line.trim_start_matches('[') {
        _ if line.starts_with('#') => true,
        header if header.len() < line.len() => {
            header.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && header.contains(']')
        }
        line => line.split_once('=').is_some_and(|(name, _)| {
            let closed = |quote| name.matches(quote).count().is_multiple_of(2);
            !name.is_empty() && name.chars().all(key) && closed('"') && closed('\'')
        }),
    }
}

/// Where the value begins in a line in which something secret is named: after the name and a `=` or `:`, if there is one.
fn secret_value(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    let named = SECRET_WORDS.iter().filter_map(|word| Some(lower.find(word)? + word.len())).min();
    // A key may be spelled with escapes.
    let escaped = line.split_once('=').filter(|(key, _)| key.contains('\\')).map(|(key, _)| key.len());
    let start = named.into_iter().chain(escaped).min()?;
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let rest = line[start..].trim_start_matches(name);
    let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    Some(line.len() - rest.len())
}

/// Who someone is to a server, in a URL: up to the last `@`, because a password may hold any character, be it one that a
/// URL does not allow. `goes_on`: the line has no key, so it may be the second half of such a URL.
fn user_in_url(line: &str, goes_on: bool) -> Option<Range<usize>> {
    let scheme = line.find("://").map(|at| at + 3);
    if let Some(at) = line.rfind('@') {
        let before = &line[..at];
        return match scheme.filter(|scheme| *scheme <= at) {
            Some(start) => Some(start..at),
            None if goes_on => Some(0..at),
            None if before.contains(':') || before.to_ascii_lowercase().contains("url") => {
                Some(before.find('=').map_or(0, |equals| equals + 1)..at)
            }
            None => None,
        };
    }
    // The `@` may have been lost to the next line, where a string was broken in two.
    let start = scheme?;
    // It may also be spelled as an escape.
    if line[start..].contains('\\') {
        return Some(start..line.len());
    }
    let quote = line[..start].chars().rev().find(|c| matches!(c, '"' | '\''))?;
    let host = line[start..].trim_end().strip_suffix(quote);
    let is_whole = host.is_some_and(is_host_and_port);
    (!is_whole).then_some(start..line.len())
}

/// Whether it is nothing but a host, and perhaps a port; what a password may look like that lost its `@` is none.
fn is_host_and_port(text: &str) -> bool {
    let text = text.strip_suffix('/').unwrap_or(text);
    let bracketed = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    let (host, rest) = bracketed.unwrap_or_else(|| text.split_at(text.find(':').unwrap_or(text.len())));
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let is_port = rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    !host.is_empty() && host.chars().all(is_host) && is_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn masks(text: &str, expected: &str) {
        assert_eq!(mask(text), expected);
    }

    #[test]
    fn the_values_of_secret_keys_are_hidden() {
        masks("password = \"hünter\" # x\n", "password = ********* * *\n");
        masks("mqtt_password = \"x\"\nurl = \"a\"\n", "mqtt_password = ***\nurl = \"a\"\n");
        masks("API-Token: abc\n", "API-Token: ***\n");
        masks("'my secret' = 'a'\n", "'my secret' = ***\n");
        masks("password hunter2\n", "password *******\n");
        masks("\"p\\u0061ss\" = \"x\"\n", "\"p\\u0061ss\" = ***\n");
        masks("mqtt = { url = \"a\", password = \"b\" }\n", "mqtt = { url = \"a\", password = *** *\n");
        masks("#password = \"old\"\n", "#password = *****\n");
    }

    #[test]
    fn a_secret_may_be_spread_over_lines() {
        masks("pass = \"\"\"\nab\n\"\"\"\nfps = 5\n", "pass = ***\n**\n***\nfps = 5\n");
        masks("x = '''a\nb = c'''\ny = 1\n", "x = ****\n* * ****\ny = 1\n");
        masks("x = \"\"\"a\\\"\"\"b\"\"\"\"\" # c\n", "x = ************** # c\n");
        masks("password = [\n\"a=b\",\nk = 1\n]\nx = 1\n", "password = *\n******\n* * *\n*\nx = 1\n");
        masks("password =\n\"abc\"\nx = 1\n", "password =\n*****\nx = 1\n");
        masks("password = \"ab\ncd\"\n\nx\n", "password = ***\n***\n\n*\n");
        masks("[password]\nvalue = \"a pwd b\"\n", "[password]\nvalue = ** *** **\n");
        masks("\"p\\u0061ss\" = \"a token b\"\n", "\"p\\u0061ss\" = ** ***** **\n");
        masks("[mqtt] password = \"x\"\n", "[mqtt] password = ***\n");
        masks("[Secrets]\na = 1\nb\n[mqtt]\nc = 1\n", "[Secrets]\na = *\n*\n[mqtt]\nc = 1\n");
    }

    #[test]
    fn users_and_passwords_of_urls_are_hidden() {
        for (inside, stars) in [("me:pa/ss", "********"), ("a#?\"'@b", "*******"), ("me", "**")] {
            masks(&format!("url = \"mqtt://{inside}@h\"\n"), &format!("url = \"mqtt://{stars}@h\"\n"));
        }
        masks("url = \"me:word@h\"\n", "url = ********@h\"\n");
        masks("url = \"word@h\"\n", "url = *****@h\"\n");
        masks("url = \"mqtt://me:wo\nrd@h\"\n", "url = \"mqtt://*****\n**@h\"\n");
        masks("url = \"mqtt://me:wo#:\"\nrd@h\"\n", "url = \"mqtt://********\n**@h\"\n");
        masks("url = \"mqtt://h.lan:1883/\"\n", "url = \"mqtt://h.lan:1883/\"\n");
        masks("url = \"mqtt://me\\u0040h\"\n", "url = \"mqtt://**********\n");
        masks("url = \"mqtt://[::1]:1883\"\n", "url = \"mqtt://[::1]:1883\"\n");
        masks("url = mqtt://host\n", "url = mqtt://host\n");
        masks("pictures = \"me@home/\"\n", "pictures = \"me@home/\"\n");
    }

    #[test]
    fn control_characters_are_blanks_and_nothing_moves() {
        masks("a\x1b[31m\u{85}b", "a [31m  b");
        masks("a = [\n  [1, 2],\n]\n", "a = [\n  [1, 2],\n]\n");
    }

    proptest::proptest! {
        #[test]
        fn length_and_lines_are_kept(text in "([ab=\"'@:/\\\\#\\[\\]{}é\u{1b} \n]|pass|://|\"\"\"){0,60}") {
            let masked = mask(&text);
            proptest::prop_assert_eq!(masked.len(), text.len());
            let breaks = |text: &str| text.match_indices('\n').map(|(at, _)| at).collect::<Vec<_>>();
            proptest::prop_assert_eq!(breaks(&masked), breaks(&text));
        }
    }
}
