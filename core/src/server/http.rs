//! HTTP/1.1 as far as a server of one page needs it: requests are parsed by httparse, answers are heads and a body.

use std::io::Write;

/// The longest head of a request, as with other servers; more is answered with 431.
pub(super) const LONGEST_HEAD: usize = 16 * 1024;

/// The longest body that is read and thrown away; more is answered with 413.
pub(super) const LONGEST_BODY: u64 = 1024 * 1024;

const MOST_HEADERS: usize = 64;

/// What stands at the beginning of a connection's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The beginning of a request, or nothing.
    Partial,
    /// A request.
    Whole(RequestHead),
    /// What no answer but this error fits.
    Refused(Status),
}

/// A request's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestHead {
    /// Bytes of the head.
    pub(super) head: usize,
    /// Bytes of the body behind it.
    pub(super) body: u64,
    /// Whether the client wants the connection to stay open.
    pub(super) keep_alive: bool,
    /// Whether an answer has a body: not for HEAD.
    pub(super) with_body: bool,
    /// Whether the path is that of the static file.
    pub(super) file: bool,
    /// What is answered: 200, or an error that leaves the connection open.
    pub(super) status: Status,
}

/// The first line of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    LengthRequired,
    ContentTooLarge,
    HeadTooLarge,
    NotImplemented,
    VersionNotSupported,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::LengthRequired => "411 Length Required",
            Self::ContentTooLarge => "413 Content Too Large",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::NotImplemented => "501 Not Implemented",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

/// The path of the static file.
const FILE: &str = "/file";

/// Parses the request at the beginning of `input`.
pub(super) fn parse(input: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(input) {
        Ok(httparse::Status::Complete(head)) if head <= LONGEST_HEAD => head,
        Ok(httparse::Status::Partial) if input.len() < LONGEST_HEAD => return Parsed::Partial,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Parsed::Refused(Status::HeadTooLarge),
        Err(httparse::Error::Version) => return Parsed::Refused(Status::VersionNotSupported),
        Err(_) => return Parsed::Refused(Status::BadRequest),
    };
    let (mut body, mut keep_alive) = (None, request.version == Some(1));
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value).ok().map(str::trim).filter(|text| is_number(text));
            // Two that differ are a way to smuggle a request past a proxy (RFC 9112, 6.3).
            let Some(length) = length.filter(|_| body.is_none()) else { return Parsed::Refused(Status::BadRequest) };
            body = Some(length.parse().unwrap_or(u64::MAX));
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Parsed::Refused(Status::NotImplemented);
        } else if header.name.eq_ignore_ascii_case("connection") {
            let wants = |what: &str| {
                header
                    .value
                    .split(|&byte| byte == b',')
                    .any(|one| one.trim_ascii().eq_ignore_ascii_case(what.as_bytes()))
            };
            keep_alive = (keep_alive || wants("keep-alive")) && !wants("close");
        }
    }
    if body.is_some_and(|body| body > LONGEST_BODY) {
        return Parsed::Refused(Status::ContentTooLarge);
    }
    let path = request.path.unwrap_or("/");
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let method = request.method.unwrap_or_default();
    let status = match method {
        "GET" | "HEAD" => Status::Ok,
        "POST" | "PUT" if body.is_none() => Status::LengthRequired,
        "POST" | "PUT" => Status::Ok,
        _ => Status::MethodNotAllowed,
    };
    let (with_body, file) = (method != "HEAD", path == FILE);
    Parsed::Whole(RequestHead { head, body: body.unwrap_or(0), keep_alive, with_body, file, status })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes the head of an answer with a body of `length` bytes behind `output`.
pub(super) fn write_head(output: &mut Vec<u8>, status: Status, length: u64, keep_alive: bool) {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    // Writing into a vector does not fail.
    let _ = write!(
        output,
        "HTTP/1.1 {}\r\nServer: switchcost\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: \
         {connection}\r\n\r\n",
        status.line()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> RequestHead {
        match parse(text.as_bytes()) {
            Parsed::Whole(request) => request,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn requests_are_understood() {
        let plain = whole("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((plain.head, plain.body, plain.keep_alive, plain.file), (27, 0, true, false));
        assert!(!whole("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(whole("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
        assert!(!whole("GET / HTTP/1.1\r\nConnection: upgrade, close\r\n\r\n").keep_alive);
        assert!(whole("GET /file?x=1 HTTP/1.1\r\n\r\n").file);
        assert!(!whole("HEAD / HTTP/1.1\r\n\r\n").with_body);
        assert_eq!(whole("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde").body, 5);
        assert_eq!(whole("DELETE / HTTP/1.1\r\n\r\n").status, Status::MethodNotAllowed);
        assert_eq!(whole("POST / HTTP/1.1\r\n\r\n").status, Status::LengthRequired);
    }

    #[test]
    fn what_is_no_request_is_refused_and_what_is_not_yet_one_is_not() {
        assert_eq!(parse(b""), Parsed::Partial);
        assert_eq!(parse(b"GET / HTTP/1.1\r\nHost: a\r\n"), Parsed::Partial);
        let long = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(LONGEST_HEAD));
        assert_eq!(parse(long.as_bytes()), Parsed::Refused(Status::HeadTooLarge));
        for (text, status) in [
            ("\u{1}\u{2}\u{3} nonsense\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/3.7\r\n\r\n", Status::VersionNotSupported),
            ("POST / HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n", Status::ContentTooLarge),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", Status::ContentTooLarge),
            ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", Status::BadRequest),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Status::BadRequest),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Status::NotImplemented),
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Refused(status), "{text:?}");
        }
    }
}
