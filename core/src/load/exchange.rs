//! What goes over a connection: the bytes of a request, and which bytes are its answer. It makes no call.

use std::sync::Arc;

use super::http_exchange::{HttpRequest, HttpResponse};

/// What is sent to a server, and what it is to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadProtocol {
    /// HTTP/1.1.
    Http(HttpRequest),
    /// So many bytes over TCP, which the server sends back.
    TcpEcho {
        /// RequestBytes of a request; at least 1.
        payload: usize,
    },
    /// A datagram of so many bytes, which the server sends back.
    UdpEcho {
        /// RequestBytes of a request; at least 8, in which the number of the request stands.
        payload: usize,
    },
}

/// RequestBytes of a datagram that hold the number of its request.
const NUMBER: usize = size_of::<u64>();

impl LoadProtocol {
    /// Whether it has connections that a server accepts.
    pub fn is_stream(&self) -> bool {
        !matches!(self, Self::UdpEcho { .. })
    }

    /// Its scheme in URLs.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::TcpEcho { .. } => "tcp",
            Self::UdpEcho { .. } => "udp",
        }
    }

    /// Whether each request has a connection of its own.
    pub fn connects_each_time(&self) -> bool {
        matches!(self, Self::Http(request) if !request.keep_alive)
    }

    /// The bytes of a request, and what reads the answers to it.
    pub(super) fn exchange(&self) -> Exchange {
        match self {
            Self::Http(request) => {
                let reader = Reader::Http(HttpResponse::to(request));
                Exchange { request: RequestBytes::Shared(request.bytes().into()), reader }
            }
            Self::TcpEcho { payload } => {
                // A byte that is lost or moved is noticed: no two neighbours are alike.
                let bytes: Arc<[u8]> = (0..(*payload).max(1)).map(|index| (index % 251) as u8).collect();
                Exchange {
                    request: RequestBytes::Shared(Arc::clone(&bytes)),
                    reader: Reader::Echo { expected: bytes, at: 0 },
                }
            }
            Self::UdpEcho { payload } => {
                let bytes = vec![0; (*payload).max(NUMBER)];
                Exchange { request: RequestBytes::Own(bytes), reader: Reader::Datagram { number: 0 } }
            }
        }
    }
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerKind {
    /// What was asked for.
    Fine,
    /// The server said that it has too much to do: HTTP status 503 or 429.
    Shed,
    /// Another HTTP status of 400 and more.
    Status(u16),
}

/// A whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) answer: AnswerKind,
    /// Whether the connection may carry another request.
    pub(super) reusable: bool,
}

impl Answered {
    pub(super) const FINE: Self = Self { answer: AnswerKind::Fine, reusable: true };
}

/// Why bytes are no answer, in a few words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) String);

/// One connection's requests and answers, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    request: RequestBytes,
    reader: Reader,
}

#[derive(Debug, Clone)]
enum RequestBytes {
    Shared(Arc<[u8]>),
    Own(Vec<u8>),
}

#[derive(Debug, Clone)]
enum Reader {
    Http(HttpResponse),
    Echo { expected: Arc<[u8]>, at: usize },
    Datagram { number: u64 },
}

impl Exchange {
    /// Begins the request called `number`: what arrives from now on is its answer.
    #[inline]
    pub(super) fn begin(&mut self, number: u64) {
        match &mut self.reader {
            Reader::Http(response) => response.begin(),
            Reader::Echo { at, .. } => *at = 0,
            Reader::Datagram { number: expected } => {
                *expected = number;
                if let RequestBytes::Own(bytes) = &mut self.request {
                    bytes[..NUMBER].copy_from_slice(&number.to_ne_bytes());
                }
            }
        }
    }

    /// The bytes of the request.
    #[inline]
    pub(super) fn request(&self) -> &[u8] {
        match &self.request {
            RequestBytes::Shared(bytes) => bytes,
            RequestBytes::Own(bytes) => bytes,
        }
    }

    /// Takes bytes that arrived, or one datagram; returns the answer once it is whole.
    #[inline]
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Answered>, Malformed> {
        match &mut self.reader {
            Reader::Http(response) => response.receive(bytes),
            Reader::Echo { expected, at } => {
                let rest = &expected[*at..];
                if bytes.len() > rest.len() || *bytes != rest[..bytes.len()] {
                    return Err(Malformed("what came back is not what was sent".into()));
                }
                *at += bytes.len();
                Ok((*at == expected.len()).then_some(Answered::FINE))
            }
            Reader::Datagram { number } => match bytes.first_chunk::<NUMBER>() {
                Some(found) if u64::from_ne_bytes(*found) == *number => {
                    if bytes.len() == self.request().len() {
                        Ok(Some(Answered::FINE))
                    } else {
                        Err(Malformed("a datagram came back with another length".into()))
                    }
                }
                // The answer to a request that was given up before.
                Some(_) => Ok(None),
                None => Err(Malformed("a datagram came back without its number".into())),
            },
        }
    }

    /// The other side has closed the connection: an answer that this completes, or nothing.
    pub(super) fn end_of_stream(&mut self) -> Option<Answered> {
        match &mut self.reader {
            Reader::Http(response) => response.end_of_stream(),
            Reader::Echo { .. } | Reader::Datagram { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_whole_when_every_byte_is_back_in_its_place() {
        let mut exchange = LoadProtocol::TcpEcho { payload: 300 }.exchange();
        for _ in 0..2 {
            exchange.begin(0);
            let sent = exchange.request().to_vec();
            assert_eq!(exchange.receive(&sent[..100]), Ok(None));
            assert_eq!(exchange.receive(&sent[100..]), Ok(Some(Answered::FINE)));
        }
        exchange.begin(0);
        let moved = exchange.request()[1..].to_vec();
        assert!(exchange.receive(&moved).is_err());
        exchange.begin(0);
        let longer = [exchange.request(), &[0]].concat();
        assert!(exchange.receive(&longer).is_err(), "more than was sent");
    }

    #[test]
    fn a_datagram_that_comes_after_its_time_is_no_answer_to_the_next_request() {
        let mut exchange = LoadProtocol::UdpEcho { payload: 4 }.exchange();
        exchange.begin(7);
        let late = exchange.request().to_vec();
        assert_eq!(late.len(), 8);
        exchange.begin(8);
        assert_eq!(exchange.receive(&late), Ok(None));
        let sent = exchange.request().to_vec();
        assert_eq!(exchange.receive(&sent), Ok(Some(Answered::FINE)));
        assert!(exchange.receive(&[1]).is_err());
    }
}
