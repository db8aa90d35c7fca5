//! The protocol state of one connection, without any I/O: bytes in, bytes out, and what it waits for.
//!
//! Every model drives this one type, so that models differ in how they wait and move bytes, and in nothing else. A
//! model asks [`Connection::step`] what comes next, does that, and asks again. Requests are answered one at a time:
//! the next is looked at when the answer before it has been sent, so that a client that only sends fills no memory.

use std::sync::Arc;

use super::Handling;
use super::activity::ServerWorker;
use super::config::Protocol;
use super::http::{self, Parsed, RequestHead, Status};
use crate::units::Nanos;

/// How much of a file is read at once by models that read it into the answer.
pub(super) const FILE_CHUNK: usize = 64 * 1024;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Bytes of the client: [`Connection::deliver`], or [`Connection::end_of_input`].
    Receive,
    /// Sending [`Connection::output`]: [`Connection::sent`].
    Send,
    /// So much time to pass: [`Connection::delayed`].
    Delay(Nanos),
    /// So many bytes of the static file, from `offset` on, with nothing else to send: [`Connection::file_read`], or
    /// [`Connection::file_sent`].
    File {
        /// The first byte.
        offset: u64,
        /// At most so many; not 0.
        length: usize,
    },
    /// Nothing: the connection is to be closed.
    Close,
}

/// Where the request in hand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestStage {
    /// Its head is not there yet.
    Head,
    /// So many bytes of its body are still to be thrown away.
    Body(RequestHead, u64),
    /// It is whole, and waits for its delay.
    Delay(Pending),
    /// It is to be answered.
    Due(Pending),
}

/// A whole request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    Http(RequestHead),
    /// The first so many bytes of the input, to be echoed.
    Echo(usize),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    handling: Arc<Handling>,
    worker: ServerWorker,
    /// Whether it is counted among those that are accepted and closed.
    counted: bool,
    /// What has come and was not looked at: `input[taken..]`.
    input: Vec<u8>,
    taken: usize,
    /// What is to be sent: `output[sent..]`.
    output: Vec<u8>,
    sent: usize,
    stage: RequestStage,
    /// What is left of the file in the answer in hand.
    file: Option<(u64, u64)>,
    /// The client sends nothing more.
    ended: bool,
    /// Nothing is answered beyond what is being sent.
    closing: bool,
    /// How often something has come to its end: a request, or part of an answer that the client took.
    progress: u64,
}

/// Memory for the longest request that is read and the longest answer that is not a file, for a process that must not
/// allocate.
#[derive(Debug, Default)]
pub(super) struct ReservedBuffers {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl ReservedBuffers {
    pub(super) fn new(handling: &Handling) -> Self {
        const HEAD: usize = 1024;
        let input = Vec::with_capacity(FILE_CHUNK + http::LONGEST_HEAD);
        Self { input, output: Vec::with_capacity(FILE_CHUNK.max(handling.body.len()) + HEAD) }
    }
}

impl Connection {
    /// A connection that was just accepted by `worker`.
    pub(super) fn new(handling: &Arc<Handling>, worker: ServerWorker) -> Self {
        worker.accepted();
        let mut connection = Self::uncounted(handling, worker);
        connection.counted = true;
        connection
    }

    /// The same for what is no connection: a datagram.
    pub(super) fn uncounted(handling: &Arc<Handling>, worker: ServerWorker) -> Self {
        Self {
            handling: Arc::clone(handling),
            worker,
            counted: false,
            input: Vec::new(),
            taken: 0,
            output: Vec::new(),
            sent: 0,
            stage: RequestStage::Head,
            file: None,
            ended: false,
            closing: false,
            progress: 0,
        }
    }

    /// Uses `buffers` from now on, so that nothing has to be allocated for requests and answers.
    pub(super) fn use_buffers(&mut self, buffers: ReservedBuffers) {
        (self.input, self.output) = (buffers.input, buffers.output);
    }

    /// Ends the connection, and returns the buffers that it has used.
    pub(super) fn end_and_return(mut self) -> ReservedBuffers {
        let (mut input, mut output) = (std::mem::take(&mut self.input), std::mem::take(&mut self.output));
        input.clear();
        output.clear();
        ReservedBuffers { input, output }
    }

    /// `bytes` have come from the client.
    pub(super) fn deliver(&mut self, bytes: &[u8]) {
        if self.closing {
            return;
        }
        if self.taken > 0 {
            self.input.drain(..self.taken);
            self.taken = 0;
        }
        self.input.extend_from_slice(bytes);
    }

    /// The client sends nothing more; what has come whole is still answered.
    pub(super) fn end_of_input(&mut self) {
        self.ended = true;
    }

    /// Closes the connection behind the answer in hand, and tells the client where the protocol can.
    pub(super) fn close_when_answered(&mut self) {
        self.ended = true;
    }

    /// What has come and was not looked at yet, in bytes.
    pub(super) fn waiting_input(&self) -> usize {
        self.input.len() - self.taken
    }

    /// What is to be sent.
    pub(super) fn output(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// Takes what is to be sent and how much of it is sent already, for a model that must own it meanwhile;
    /// [`Connection::put_back`] returns it.
    pub(super) fn take_output(&mut self) -> (Vec<u8>, usize) {
        (std::mem::take(&mut self.output), self.sent)
    }

    /// Returns what [`Connection::take_output`] took.
    pub(super) fn put_back(&mut self, output: Vec<u8>) {
        self.output = output;
    }

    /// The first `bytes` of the output have been sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        self.progress += 1;
        if self.sent >= self.output.len() {
            self.output.clear();
            self.sent = 0;
        }
    }

    /// The delay that [`NextStep::Delay`] asked for is over.
    pub(super) fn delayed(&mut self) {
        if let RequestStage::Delay(pending) = self.stage {
            self.stage = RequestStage::Due(pending);
        }
    }

    /// `bytes` are what [`NextStep::File`] asked for; none where the file has become shorter, or cannot be read.
    pub(super) fn file_read(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
        self.file_sent(bytes.len());
    }

    /// So many bytes of what [`NextStep::File`] asked for have been sent; none as with [`Connection::file_read`].
    pub(super) fn file_sent(&mut self, bytes: usize) {
        self.progress += 1;
        match &mut self.file {
            Some((offset, end)) if bytes > 0 && *offset + (bytes as u64) < *end => *offset += bytes as u64,
            // The head has promised more: only the end of the connection tells the client.
            Some(_) if bytes == 0 => (self.file, self.closing) = (None, true),
            _ => self.file = None,
        }
    }

    /// A number that changes whenever the connection gets on: a client that sends a byte now and then, and never a
    /// request, does not change it.
    pub(super) fn progress(&self) -> u64 {
        self.progress
    }

    /// What comes next.
    pub(super) fn step(&mut self) -> NextStep {
        loop {
            if !self.output().is_empty() {
                return NextStep::Send;
            }
            if let Some((offset, end)) = self.file {
                let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(FILE_CHUNK);
                return NextStep::File { offset, length };
            }
            if self.closing {
                return NextStep::Close;
            }
            match self.stage {
                RequestStage::Head => match self.parse() {
                    Some(stage) => self.stage = stage,
                    None if self.closing => {}
                    None if self.ended => return NextStep::Close,
                    None => return NextStep::Receive,
                },
                RequestStage::Body(request, left) => {
                    let here = (self.waiting_input() as u64).min(left);
                    self.taken += here as usize;
                    self.stage = match left - here {
                        0 => RequestStage::Delay(Pending::Http(request)),
                        _ if self.ended => return NextStep::Close,
                        left => {
                            self.stage = RequestStage::Body(request, left);
                            return NextStep::Receive;
                        }
                    };
                }
                RequestStage::Delay(pending) if self.handling.delay.0 == 0 => self.stage = RequestStage::Due(pending),
                RequestStage::Delay(_) => return NextStep::Delay(self.handling.delay),
                RequestStage::Due(pending) => {
                    self.stage = RequestStage::Head;
                    self.handling.work.perform();
                    self.answer(pending);
                    self.worker.answered();
                    self.progress += 1;
                }
            }
        }
    }

    /// Looks for a request at the beginning of the input.
    fn parse(&mut self) -> Option<RequestStage> {
        let input = &self.input[self.taken..];
        if !self.handling.protocol.is_http() {
            return (!input.is_empty()).then_some(RequestStage::Delay(Pending::Echo(input.len())));
        }
        if input.is_empty() {
            return None;
        }
        match http::parse(input) {
            Parsed::Partial => None,
            Parsed::Whole(request) => {
                self.taken += request.head;
                Some(RequestStage::Body(request, request.body))
            }
            Parsed::Refused(status) => {
                self.refuse(status);
                None
            }
        }
    }

    fn refuse(&mut self, status: Status) {
        self.closing = true;
        self.input.clear();
        self.taken = 0;
        http::write_head(&mut self.output, status, 0, false);
    }

    fn answer(&mut self, pending: Pending) {
        let request = match pending {
            Pending::Echo(length) if self.taken == 0 && self.input.len() == length && self.output.is_empty() => {
                return std::mem::swap(&mut self.input, &mut self.output);
            }
            Pending::Echo(length) => {
                self.output.extend_from_slice(&self.input[self.taken..][..length]);
                self.taken += length;
                return;
            }
            Pending::Http(request) => request,
        };
        let keeps = self.handling.protocol == Protocol::Http && request.keep_alive;
        let keeps = keeps && !self.ended && !self.worker.is_wanted_elsewhere();
        self.closing = !keeps;
        let file = self.handling.file.as_ref().filter(|_| request.file);
        let (status, length) = match (request.status, file) {
            (Status::Ok, Some(file)) => (Status::Ok, file.length),
            (Status::Ok, None) if request.file => (Status::NotFound, 0),
            (Status::Ok, None) => (Status::Ok, self.handling.body.len() as u64),
            (other, _) => (other, 0),
        };
        http::write_head(&mut self.output, status, length, keeps);
        if status != Status::Ok || !request.with_body || length == 0 {
            return;
        }
        match file {
            Some(_) => self.file = Some((0, length)),
            None => self.output.extend_from_slice(&self.handling.body),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.counted {
            self.worker.closed();
        }
    }
}

#[cfg(test)]
mod tests;
