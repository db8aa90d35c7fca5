use super::*;
use crate::server::activity::Activity;
use crate::server::{FileWay, ServerConfig, StaticFile};

fn connection(change: impl FnOnce(&mut Handling)) -> Connection {
    let config = ServerConfig { payload: 5, ..ServerConfig::new(([127, 0, 0, 1], 0).into()) };
    let mut handling = Handling::new(&config).unwrap();
    change(&mut handling);
    Connection::new(&Arc::new(handling), Activity::new(0).unwrap().worker(0))
}

/// Takes what there is to send, and what comes next.
fn drain(connection: &mut Connection) -> (String, NextStep) {
    let mut sent = String::new();
    while connection.step() == NextStep::Send {
        // A byte at a time, as a client that takes its answer slowly makes it.
        sent.push(char::from(connection.output()[0]));
        connection.sent(1);
    }
    (sent, connection.step())
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_request_is_answered_however_its_bytes_come() {
    for piece in [1, 3, GET.len()] {
        let mut connection = connection(|_| {});
        for bytes in GET.as_bytes().chunks(piece) {
            assert_eq!(connection.step(), NextStep::Receive);
            connection.deliver(bytes);
        }
        let (answer, next) = drain(&mut connection);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nswitc"), "{answer:?}");
        assert!(answer.contains("Connection: keep-alive"), "{answer}");
        assert_eq!(next, NextStep::Receive);
    }
}

#[test]
fn requests_that_come_at_once_are_answered_in_turn() {
    let mut connection = connection(|_| {});
    connection.deliver(GET.repeat(3).as_bytes());
    let (answers, next) = drain(&mut connection);
    assert_eq!((answers.matches("200 OK").count(), next), (3, NextStep::Receive));
}

#[test]
fn a_client_that_has_ended_its_side_still_gets_its_answer_and_half_a_request_gets_none() {
    let mut whole = connection(|_| {});
    whole.deliver(GET.as_bytes());
    whole.end_of_input();
    let (answer, next) = drain(&mut whole);
    assert!(answer.contains("Connection: close"), "{answer}");
    assert_eq!(next, NextStep::Close);

    let mut half = connection(|_| {});
    half.deliver(&GET.as_bytes()[..10]);
    half.end_of_input();
    assert_eq!(drain(&mut half), (String::new(), NextStep::Close));
}

#[test]
fn bodies_are_thrown_away_and_not_kept() {
    let mut connection = connection(|_| {});
    connection.deliver(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
    for _ in 0..100 {
        assert_eq!(connection.step(), NextStep::Receive);
        connection.deliver(&[b'x'; 1000]);
    }
    connection.deliver(GET.as_bytes());
    let (answers, next) = drain(&mut connection);
    assert_eq!((answers.matches("200 OK").count(), next), (2, NextStep::Receive));
    assert!(connection.input.capacity() < 10_000, "{}", connection.input.capacity());
}

#[test]
fn what_is_no_request_is_answered_once_and_closed_whatever_follows() {
    let mut connection = connection(|_| {});
    connection.deliver(b"\x01\x02 nonsense\r\n\r\n");
    connection.deliver(GET.as_bytes());
    let (answer, next) = drain(&mut connection);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("Connection: close"), "{answer}");
    assert_eq!(next, NextStep::Close);
    connection.deliver(GET.as_bytes());
    assert_eq!(drain(&mut connection), (String::new(), NextStep::Close));
}

#[test]
fn an_endless_head_is_refused_before_it_fills_memory() {
    let mut connection = connection(|_| {});
    connection.deliver(b"GET / HTTP/1.1\r\nX: ");
    for _ in 0..1024 {
        if connection.step() != NextStep::Receive {
            break;
        }
        connection.deliver(&[b'x'; 1024]);
    }
    assert!(connection.input.capacity() < 4 * http::LONGEST_HEAD);
    assert!(drain(&mut connection).0.starts_with("HTTP/1.1 431 "));
}

#[test]
fn a_delay_comes_once_before_each_answer() {
    let mut connection = connection(|handling| handling.delay = Nanos(7));
    connection.deliver(GET.repeat(2).as_bytes());
    for _ in 0..2 {
        // Twice in a row it is the same delay.
        assert_eq!([connection.step(), connection.step()], [NextStep::Delay(Nanos(7)); 2]);
        connection.delayed();
        while connection.step() == NextStep::Send {
            connection.sent(connection.output().len());
        }
    }
    assert_eq!(connection.step(), NextStep::Receive);
}

#[test]
fn an_echo_returns_what_came_and_its_end_closes() {
    let mut connection = connection(|handling| handling.protocol = Protocol::TcpEcho);
    for text in ["abc", "d"] {
        connection.deliver(text.as_bytes());
        assert_eq!(drain(&mut connection), (text.to_string(), NextStep::Receive));
    }
    connection.end_of_input();
    assert_eq!(connection.step(), NextStep::Close);
}

#[test]
fn a_file_comes_behind_its_head_in_pieces_and_one_that_ends_early_closes() {
    let mut connection = connection(|handling| {
        let file = std::fs::File::open("/dev/null").unwrap();
        handling.file = Some(Arc::new(StaticFile { file, length: 100_000, way: FileWay::Inline }));
    });
    let get = b"GET /file HTTP/1.1\r\n\r\n";
    connection.deliver(get);
    let (head, next) = drain(&mut connection);
    assert!(head.contains("Content-Length: 100000\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(next, NextStep::File { offset: 0, length: FILE_CHUNK });
    connection.file_sent(40_000);
    assert_eq!(connection.step(), NextStep::File { offset: 40_000, length: 60_000 });
    connection.file_read(&[b'y'; 60_000]);
    assert_eq!((connection.step(), connection.output().len()), (NextStep::Send, 60_000));
    connection.sent(60_000);
    assert_eq!(connection.step(), NextStep::Receive);

    connection.deliver(get);
    drain(&mut connection);
    connection.file_read(&[]);
    assert_eq!(connection.step(), NextStep::Close);
}

#[test]
fn a_worker_that_others_wait_for_keeps_no_connection_open() {
    let handling = Arc::new(Handling::new(&ServerConfig::new(([127, 0, 0, 1], 0).into())).unwrap());
    let activity = Activity::new(2).unwrap();
    let answer = |connection: &mut Connection| {
        connection.deliver(GET.as_bytes());
        drain(connection).0.contains("keep-alive")
    };
    let mut first = Connection::new(&handling, activity.worker(0));
    assert!(answer(&mut first), "the other worker is free");
    let second = Connection::new(&handling, activity.worker(1));
    assert!(!answer(&mut first), "both have a connection");
    drop(second);
    assert_eq!((activity.counts().accepted, activity.counts().closed, activity.counts().answered), (2, 1, 2));
}

#[test]
fn what_comes_during_the_delay_of_an_echo_is_sent_back_behind_it() {
    let mut connection = connection(|handling| {
        handling.delay = Nanos(7);
        handling.protocol = Protocol::TcpEcho;
    });
    connection.deliver(b"ab");
    for (late, expected) in [(&b"cde"[..], "ab"), (b"", "cde")] {
        assert_eq!(connection.step(), NextStep::Delay(Nanos(7)));
        connection.deliver(late);
        connection.delayed();
        assert_eq!(connection.step(), NextStep::Send);
        assert_eq!(connection.output(), expected.as_bytes());
        connection.sent(expected.len());
    }
    assert_eq!(connection.step(), NextStep::Receive, "nothing is sent back twice");
}
