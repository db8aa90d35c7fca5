//! HTTP/1.1 (RFC 9112) as a client sees it: the bytes of one request, sent again and again, and where a response ends.

use super::exchange::{AnswerKind, Answered, Malformed};

/// A request that is sent again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query: `/`.
    pub path: String,
    /// Host and port, as the header names them.
    pub host: String,
    /// Further headers, name and value.
    pub headers: Vec<(String, String)>,
    /// What follows the headers.
    pub body: Vec<u8>,
    /// Whether a connection carries more than one request.
    pub keep_alive: bool,
}

impl HttpRequest {
    /// `GET path` from `host`, over connections that are kept.
    pub fn get(host: &str, path: &str) -> Self {
        Self {
            method: "GET".into(),
            path: path.into(),
            host: host.into(),
            headers: Vec::new(),
            body: Vec::new(),
            keep_alive: true,
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let given = |name: &str| self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !given("host") {
            head += &format!("Host: {}\r\n", self.host);
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() && !given("content-length") {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        if !self.keep_alive && !given("connection") {
            head += "Connection: close\r\n";
        }
        head += "\r\n";
        [head.as_bytes(), &self.body].concat()
    }
}

/// The most headers and bytes of headers that a response may have.
const MOST_HEADERS: usize = 128;
const LONGEST_HEAD: usize = 64 << 10;

/// The response that is being read.
#[derive(Debug, Clone)]
pub(super) struct HttpResponse {
    /// Whether responses have no body whatever their headers say (RFC 9110, 9.3.2).
    headless: bool,
    /// A head whose end has not arrived.
    head: Vec<u8>,
    part: Part,
    answered: Answered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    /// So many bytes of the body are still to come.
    Body(u64),
    /// Up to the end of the connection.
    UntilClosed,
    Chunked(Chunk),
    Done,
}

/// Where in a chunked body the next byte belongs (RFC 9112, 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// The size so far, and whether extensions are being skipped.
    Size {
        size: u64,
        digits: u8,
        skipping: bool,
    },
    Data(u64),
    /// The line end behind the data.
    EndOfData,
    /// Trailers: whether the current line has anything in it.
    Trailers {
        empty: bool,
    },
}

impl Chunk {
    const START: Self = Self::Size { size: 0, digits: 0, skipping: false };
}

impl HttpResponse {
    pub(super) fn to(request: &HttpRequest) -> Self {
        let headless = request.method == "HEAD";
        Self { headless, head: Vec::new(), part: Part::Head, answered: Answered::FINE }
    }

    pub(super) fn begin(&mut self) {
        self.head.clear();
        self.part = Part::Head;
    }

    #[inline]
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Answered>, Malformed> {
        let mut rest = bytes;
        while self.part == Part::Head {
            let read = if self.head.is_empty() {
                let read = self.read_head(rest)?;
                if read.is_none() {
                    self.head.extend_from_slice(rest);
                }
                read
            } else {
                let before = self.head.len();
                self.head.extend_from_slice(rest);
                let head = std::mem::take(&mut self.head);
                let read = self.read_head(&head)?;
                // What was there before did not hold the whole head.
                let taken = read.map(|read| read - before);
                self.head = if read.is_none() { head } else { Vec::new() };
                taken
            };
            match read {
                Some(read) => rest = &rest[read..],
                None if self.head.len() > LONGEST_HEAD => {
                    return Err(Malformed(format!("a head of more than {LONGEST_HEAD} bytes")));
                }
                None => return Ok(None),
            }
        }
        self.read_body(rest)
    }

    /// Reads a head; returns its length once it is whole. An interim response (1xx) is passed over.
    #[inline]
    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => {
                let begin: String = bytes.iter().take(24).map(|byte| byte.escape_ascii().to_string()).collect();
                return Err(Malformed(format!("an answer that begins with \"{begin}\" is not HTTP/1.1: {error}")));
            }
        };
        let status = response.code.unwrap_or(0);
        let mut reusable = response.version == Some(1);
        let (mut length_told, mut chunked) = (None, false);
        for header in response.headers.iter() {
            let value = || std::str::from_utf8(header.value).unwrap_or("").trim();
            let holds = |word: &str| value().split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
            if header.name.eq_ignore_ascii_case("content-length") {
                let told = value().parse::<u64>();
                length_told =
                    Some(told.map_err(|_| Malformed(format!("a content-length of \"{}\"", value().escape_debug())))?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = holds("chunked");
            } else if header.name.eq_ignore_ascii_case("connection") {
                if holds("close") {
                    reusable = false;
                } else if holds("keep-alive") {
                    reusable = true;
                }
            }
        }
        if (100..200).contains(&status) && status != 101 {
            return Ok(Some(length));
        }
        let answer = match status {
            503 | 429 => AnswerKind::Shed,
            400.. => AnswerKind::Status(status),
            _ => AnswerKind::Fine,
        };
        self.part = if self.headless || matches!(status, 101 | 204 | 304) {
            Part::Body(0)
        } else if chunked {
            Part::Chunked(Chunk::START)
        } else if let Some(told) = length_told {
            Part::Body(told)
        } else {
            reusable = false;
            Part::UntilClosed
        };
        self.answered = Answered { answer, reusable };
        Ok(Some(length))
    }

    #[inline]
    fn read_body(&mut self, bytes: &[u8]) -> Result<Option<Answered>, Malformed> {
        let whole = match self.part {
            Part::UntilClosed => return Ok(None),
            Part::Body(left) if (bytes.len() as u64) < left => {
                self.part = Part::Body(left - bytes.len() as u64);
                return Ok(None);
            }
            Part::Body(left) => bytes.len() as u64 == left,
            Part::Chunked(chunk) => match read_chunks(chunk, bytes)? {
                Ok(rest) => rest == 0,
                Err(chunk) => {
                    self.part = Part::Chunked(chunk);
                    return Ok(None);
                }
            },
            Part::Head | Part::Done => bytes.is_empty(),
        };
        self.part = Part::Done;
        if whole { Ok(Some(self.answered)) } else { Err(Malformed("more bytes than the response announced".into())) }
    }

    pub(super) fn end_of_stream(&mut self) -> Option<Answered> {
        (self.part == Part::UntilClosed).then(|| {
            self.part = Part::Done;
            self.answered
        })
    }
}

/// Reads a chunked body on from `chunk`: how many bytes lie behind its end, or where it stands.
fn read_chunks(mut chunk: Chunk, mut bytes: &[u8]) -> Result<Result<usize, Chunk>, Malformed> {
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = rest;
        chunk = match chunk {
            Chunk::Size { size, digits, skipping } => match byte {
                b'\n' if digits == 0 => return Err(Malformed("a chunk without a size".into())),
                b'\n' if size == 0 => Chunk::Trailers { empty: true },
                b'\n' => Chunk::Data(size),
                b'\r' => chunk,
                _ if skipping => chunk,
                b';' | b' ' | b'\t' => Chunk::Size { size, digits, skipping: true },
                _ => match char::from(byte).to_digit(16) {
                    // 15 digits fit.
                    Some(digit) if digits < 15 => {
                        Chunk::Size { size: size * 16 + u64::from(digit), digits: digits + 1, skipping }
                    }
                    _ => return Err(Malformed("a chunk whose size is no number".into())),
                },
            },
            Chunk::Data(left) => {
                let skipped = (bytes.len() as u64).min(left - 1);
                bytes = &bytes[skipped as usize..];
                match left - 1 - skipped {
                    0 => Chunk::EndOfData,
                    left => Chunk::Data(left),
                }
            }
            Chunk::EndOfData => match byte {
                b'\r' => chunk,
                b'\n' => Chunk::START,
                _ => return Err(Malformed("a chunk that is longer than its size".into())),
            },
            Chunk::Trailers { empty } => match byte {
                b'\r' => chunk,
                b'\n' if empty => return Ok(Ok(bytes.len())),
                b'\n' => Chunk::Trailers { empty: true },
                _ => Chunk::Trailers { empty: false },
            },
        };
    }
    Ok(Err(chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(method: &str) -> HttpResponse {
        HttpResponse::to(&HttpRequest { method: method.into(), ..HttpRequest::get("localhost", "/") })
    }

    /// What comes of a response that arrives in pieces of each length.
    fn in_pieces(method: &str, text: &str) -> Vec<Result<Option<Answered>, Malformed>> {
        let outcome = |length: usize| {
            let mut response = response(method);
            response.begin();
            let mut last = Ok(None);
            for piece in text.as_bytes().chunks(length) {
                last = response.receive(piece);
                if !matches!(last, Ok(None)) {
                    break;
                }
            }
            last
        };
        [1, 2, 3, 7, 50, 10_000].map(outcome).to_vec()
    }

    fn answers(method: &str, text: &str, answer: AnswerKind, reusable: bool) {
        for outcome in in_pieces(method, text) {
            assert_eq!(outcome, Ok(Some(Answered { answer, reusable })), "{text}");
        }
    }

    #[test]
    fn a_response_ends_where_its_head_says() {
        answers("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", AnswerKind::Fine, true);
        answers("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", AnswerKind::Fine, false);
        answers(
            "GET",
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx",
            AnswerKind::Fine,
            true,
        );
        answers("GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", AnswerKind::Fine, false);
        answers("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", AnswerKind::Fine, true);
        answers("GET", "HTTP/1.1 204 No Content\r\n\r\n", AnswerKind::Fine, true);
        answers("GET", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", AnswerKind::Shed, true);
        answers("GET", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", AnswerKind::Status(404), true);
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
        answers("GET", interim, AnswerKind::Fine, true);
    }

    #[test]
    fn a_chunked_response_ends_behind_its_trailers() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = "4\r\nWiki\r\n6;x=y\r\npedia \r\nC\r\nin \r\n\r\nchunk\r\n0\r\nA: b\r\n\r\n";
        answers("GET", &format!("{head}{body}"), AnswerKind::Fine, true);
        answers("GET", &format!("{head}0\r\n\r\n"), AnswerKind::Fine, true);
        for wrong in ["x\r\n", "\r\n", "4\r\nWikipedia", "1234567890123456\r\n"] {
            for outcome in in_pieces("GET", &format!("{head}{wrong}")) {
                assert!(outcome.is_err(), "{wrong:?}: {outcome:?}");
            }
        }
    }

    #[test]
    fn a_response_without_a_length_ends_with_the_connection() {
        let mut response = response("GET");
        response.begin();
        assert_eq!(response.receive(b"HTTP/1.1 200 OK\r\n\r\nhel"), Ok(None));
        assert_eq!(response.receive(b"lo"), Ok(None));
        assert_eq!(response.end_of_stream(), Some(Answered { answer: AnswerKind::Fine, reusable: false }));
        response.begin();
        assert_eq!(response.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"), Ok(None));
        assert_eq!(response.end_of_stream(), None, "cut short");
    }

    #[test]
    fn what_is_no_response_is_told_with_its_first_bytes() {
        let told = in_pieces("GET", "SSH-2.0-OpenSSH_9\r\n").pop().unwrap().unwrap_err().to_string();
        assert!(told.starts_with("an answer that begins with \"SSH-2.0-OpenSSH_9\\r\\n\" is not HTTP/1.1"), "{told}");
        let told = in_pieces("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy").pop().unwrap();
        assert!(told.is_err(), "more than it announced");
        assert!(in_pieces("GET", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").iter().all(Result::is_err));
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(LONGEST_HEAD));
        let mut response = response("GET");
        response.begin();
        assert!(response.receive(endless.as_bytes()).is_err());
    }

    #[test]
    fn a_request_names_its_host_and_what_follows() {
        let request = HttpRequest {
            method: "POST".into(),
            body: b"abc".to_vec(),
            headers: vec![("X-A".into(), "1".into())],
            keep_alive: false,
            ..HttpRequest::get("h:1", "/p?q")
        };
        let expected = "POST /p?q HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
        assert_eq!(String::from_utf8(request.bytes()).unwrap(), expected);
    }
}
