//! Where the number of requests that a program has answered comes from: a number, or a counter in a file, behind a URL,
//! or printed by a command.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::options::UsageError;
use crate::terms::{Observation, ObservedRequests};

/// A server on this machine answers in less, or its counter is left out this time.
const PATIENCE: Duration = Duration::from_millis(250);

/// A process costs a millisecond or so; the watched program shall not notice.
const BETWEEN_COMMANDS: Duration = Duration::from_millis(500);

/// The most that is read of a file or an answer.
const MOST: u64 = 4 << 20;

/// A counter of requests, and its readings.
#[derive(Debug)]
pub(super) struct RequestCounter {
    /// As it was given.
    name: String,
    place: CounterPlace,
    /// The first and the last reading, each with its time.
    first: Cell<Option<(Instant, f64)>>,
    last: Cell<Option<(Instant, f64)>>,
}

/// Where the number is.
#[derive(Debug, PartialEq)]
enum CounterPlace {
    /// So many in all the time of watching.
    Total(f64),
    /// So many a second.
    Rate(f64),
    File(PathBuf, Option<String>),
    Url {
        address: SocketAddr,
        host: String,
        path: String,
        field: Option<String>,
    },
    Command(String),
}

/// What may be given, for those who gave something else.
const FORMS: &str =
    "write a number (12000 in all, 1200/s), file:PATH#FIELD, http://HOST:PORT/PATH#FIELD, or cmd:COMMAND";

impl RequestCounter {
    /// The counter that `text` names, which is read once to see that it is there.
    pub(super) fn named(text: &str) -> Result<Self, UsageError> {
        let wrong = |why: String| UsageError::Unknown(format!("--requests-from {text}: {why}"));
        let place = place(text).map_err(wrong)?;
        let counter = Self { name: text.into(), place, first: Cell::new(None), last: Cell::new(None) };
        counter.reading().map_err(wrong)?;
        Ok(counter)
    }

    /// As it was given.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The number so far; `None` when there is none this time.
    pub(super) fn read(&self) -> Option<f64> {
        let now = Instant::now();
        let recently = self.last.get().is_some_and(|(at, _)| now.duration_since(at) < BETWEEN_COMMANDS);
        if matches!(self.place, CounterPlace::Command(_)) && recently {
            return None;
        }
        let read = match self.place {
            CounterPlace::Rate(rate) => {
                self.first.get().map_or(0.0, |(began, _)| now.duration_since(began).as_secs_f64() * rate)
            }
            _ => self.reading().ok()?,
        };
        let known = self.first.get().unwrap_or((now, read));
        self.first.set(Some(known));
        self.last.set(Some((now, read)));
        Some(read)
    }

    /// Corrects the number for the whole time of watching: the first and the last reading lie within it.
    pub(super) fn complete(&self, observation: &mut Observation) {
        let whole = observation.wall.0 as f64 / 1e9;
        let count = match (&self.place, self.first.get(), self.last.get()) {
            (CounterPlace::Total(total), ..) => Some(*total),
            (CounterPlace::Rate(rate), ..) => Some(rate * whole),
            (_, Some((began, first)), Some((ended, last))) => {
                let span = ended.duration_since(began).as_secs_f64();
                // A counter that fell was that of another process.
                (span > 0.0 && last >= first).then(|| (last - first) * whole / span)
            }
            _ => None,
        };
        observation.requests = count.map(|count| ObservedRequests { count, source: self.name.clone() });
    }

    fn reading(&self) -> Result<f64, String> {
        let (text, field) = match &self.place {
            CounterPlace::Total(number) | CounterPlace::Rate(number) => return Ok(*number),
            CounterPlace::File(path, field) => {
                let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
                let mut text = String::new();
                file.take(MOST).read_to_string(&mut text).map_err(|error| error.to_string())?;
                (text, field)
            }
            CounterPlace::Url { address, host, path, field } => {
                (get(*address, host, path).map_err(|error| error.to_string())?, field)
            }
            CounterPlace::Command(line) => (printed(line)?, &None),
        };
        number_in(&text, field.as_deref()).ok_or_else(|| match field {
            Some(field) => format!("it has no number behind `{field}`"),
            None => "it has no number".into(),
        })
    }
}

fn place(text: &str) -> Result<CounterPlace, String> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    if let Some(rate) = text.strip_suffix("/s").and_then(number) {
        return Ok(CounterPlace::Rate(rate));
    }
    if let Some(total) = number(text) {
        return Ok(CounterPlace::Total(total));
    }
    let (place, field) = match text.split_once('#') {
        Some((place, field)) if !field.is_empty() => (place, Some(field.to_string())),
        _ => (text, None),
    };
    if let Some(line) = text.strip_prefix("cmd:") {
        return Ok(CounterPlace::Command(line.into()));
    }
    if let Some(path) = place.strip_prefix("file:") {
        return Ok(CounterPlace::File(path.into(), field));
    }
    let Some(rest) = place.strip_prefix("http://") else { return Err(FORMS.into()) };
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let whole = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_string()
    } else {
        format!("{host}:80")
    };
    let mut found: Vec<SocketAddr> = whole.to_socket_addrs().map_err(|error| error.to_string())?.collect();
    // `localhost` is often both, and most servers listen on one.
    found.sort_by_key(SocketAddr::is_ipv6);
    let address = *found.first().ok_or("no address has this name")?;
    Ok(CounterPlace::Url { address, host: host.into(), path: path.into(), field })
}

fn get(address: SocketAddr, host: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In HTTP/1.0 the end of the connection is the end of the answer.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: */*\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).unwrap_or("none");
    if status != "200" {
        return Err(std::io::Error::other(format!("it answered with status {status}")));
    }
    Ok(body.into())
}

fn printed(line: &str) -> Result<String, String> {
    let output = Command::new("sh").args(["-c", line]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.map_err(|error| format!("sh: {error}"))?;
    if !output.status.success() {
        return Err(format!("it ended with {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first number of a text, or those behind `field`, added up: `requests 12`, `requests: 12`, `"requests": 12`, and
/// of Prometheus `requests{code="200"} 12`.
fn number_in(text: &str, field: Option<&str>) -> Option<f64> {
    let Some(field) = field else { return first_number(text) };
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    let mut sum = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut rest = line;
        while let Some(at) = rest.find(field) {
            let (before, behind) = (&rest[..at], &rest[at + field.len()..]);
            rest = behind;
            // A longer name that this is a part of is another one.
            if before.ends_with(is_part) || behind.starts_with(is_part) {
                continue;
            }
            let labels = behind.strip_prefix('{').and_then(|labels| labels.split_once('}'));
            let value = labels.map_or(behind, |(_, value)| value).trim_start_matches(['"', '\'', ':', '=', ' ', '\t']);
            if let Some(number) = leading_number(value) {
                sum = Some(sum.unwrap_or(0.0) + number);
            }
        }
    }
    sum
}

fn first_number(text: &str) -> Option<f64> {
    let at = text.find(|character: char| character.is_ascii_digit())?;
    leading_number(&text[at..])
}

fn leading_number(text: &str) -> Option<f64> {
    let end = text.find(|character: char| !(character.is_ascii_digit() || ".eE+".contains(character)));
    let number = text[..end.unwrap_or(text.len())].trim_end_matches(['.', '+', 'e', 'E']);
    number.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_in_the_formats_that_programs_have() {
        for (text, field, number) in [
            ("12345\n", None, Some(12_345.0)),
            ("Requests: 1.5e3 now", None, Some(1500.0)),
            ("{\"requests_total\": 9, \"requests\": 17}", Some("requests"), Some(17.0)),
            ("# requests 4\nrequests{code=\"200\"} 10\nrequests{code=\"500\"} 2\n", Some("requests"), Some(12.0)),
            ("cmd_get 3\nSTAT cmd_set 44\r\n", Some("cmd_set"), Some(44.0)),
            ("nothing", None, None),
            ("requests: many", Some("requests"), None),
        ] {
            assert_eq!(number_in(text, field), number, "{text}");
        }
    }

    #[test]
    fn what_is_none_of_the_forms_is_told_what_they_are() {
        for wrong in ["soon", "-5", "0", "ftp://here/"] {
            let told = RequestCounter::named(wrong).unwrap_err().to_string();
            assert!(told.contains(wrong) && told.contains("cmd:COMMAND"), "{told}");
        }
        let told = RequestCounter::named("file:/nowhere#x").unwrap_err().to_string();
        assert!(told.contains("No such file"), "{told}");
        let told = RequestCounter::named("cmd:exit 3").unwrap_err().to_string();
        assert!(told.contains("status: 3"), "{told}");
    }

    #[test]
    fn a_counter_is_read_from_a_file_a_command_and_a_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counter");
        std::fs::write(&path, "served 100\n").unwrap();
        let counter = RequestCounter::named(&format!("file:{}#served", path.display())).unwrap();
        assert_eq!(counter.read(), Some(100.0));
        std::fs::write(&path, "served 160\n").unwrap();
        assert_eq!(counter.read(), Some(160.0));
        let counter = RequestCounter::named(&format!("cmd:cat {}", path.display())).unwrap();
        assert_eq!((counter.read(), counter.read()), (Some(160.0), None), "no process for each moment");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                let mut stream = listener.accept().unwrap().0;
                let _ = stream.read(&mut [0; 1024]);
                stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{\"hits\": 7}").unwrap();
            }
        });
        let counter = RequestCounter::named(&format!("http://{address}/status#hits")).unwrap();
        assert_eq!(counter.read(), Some(7.0));
        server.join().unwrap();
    }
}
