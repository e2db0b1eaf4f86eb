//! The numbers over HTTP, for Prometheus: one address, one method, one page.
//!
//! A server of the standard library's sockets: what a scraper asks is one line, and the small servers to be had bring
//! threads and buffers of their own for less than is here. Nobody is waited for: each client has what it sent so far, what it
//! is still to be told, and a limit of time and of bytes. Where there are too many, the one that came first goes.

use super::watch::Watch;
use crate::prometheus;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shmq_tool::failure::{Failure, say};
use shmq_tool::interrupt::Interrupt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait without a look at signals.
const SLICE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// How long one client may take, to ask and to be told.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest request that is read.
const LONGEST: usize = 8 << 10;
/// Clients at a time.
const MOST: usize = 64;

pub fn run(mut watch: Watch, address: SocketAddr) -> Result<(), Failure> {
    let failed = |e| Failure::io(format_args!("listen at {address}"), &e);
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let interrupt = Interrupt::catch()?;
    say(&format!("metrics at http://{}/metrics", listener.local_addr().map_err(failed)?));
    let mut clients = Vec::new();
    loop {
        interrupt.check()?;
        turn(&listener, &mut clients, || prometheus::text(&watch.scrape()));
    }
}

/// Waits until something can be done, and does it.
fn turn(listener: &TcpListener, clients: &mut Vec<Client>, mut page: impl FnMut() -> String) {
    let mut waiting = vec![PollFd::new(listener, PollFlags::IN)];
    waiting.extend(clients.iter().map(|client| PollFd::new(&client.stream, client.wants())));
    let _ = poll(&mut waiting, Some(&SLICE));
    match listener.accept() {
        // What goes wrong with one client is that client's.
        Ok((stream, _)) if stream.set_nonblocking(true).is_ok() => {
            if clients.len() == MOST {
                clients.remove(0);
            }
            clients.push(Client::new(stream));
        }
        Err(e) if e.kind() != io::ErrorKind::WouldBlock => {
            // Too many open files, say: it may pass, sooner without whoever came first.
            clients.drain(..clients.len().min(1));
            std::thread::sleep(Duration::from_millis(10));
        }
        _ => {}
    }
    clients.retain_mut(|client| client.goes_on(&mut page));
}

/// Whoever asks.
struct Client {
    stream: TcpStream,
    /// What it sent so far.
    head: Vec<u8>,
    /// What it is still to be told, once it has asked.
    answer: Option<Vec<u8>>,
    told: usize,
    deadline: Instant,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self { stream, head: Vec::new(), answer: None, told: 0, deadline: Instant::now() + PATIENCE }
    }

    fn wants(&self) -> PollFlags {
        if self.answer.is_some() { PollFlags::OUT } else { PollFlags::IN }
    }

    /// Does what can be done without waiting; `false` if it is done with.
    fn goes_on(&mut self, page: &mut impl FnMut() -> String) -> bool {
        match self.step(page) {
            Ok(done) => !done,
            Err(e) => {
                matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
                    && Instant::now() < self.deadline
            }
        }
    }

    fn step(&mut self, page: &mut impl FnMut() -> String) -> io::Result<bool> {
        // All up to the empty line: a client that still sends when it is answered might see its connection reset.
        while self.answer.is_none() {
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece)? {
                0 => return Ok(true),
                n => self.head.extend_from_slice(&piece[..n]),
            }
            if self.head.windows(4).any(|four| four == b"\r\n\r\n") {
                self.answer = Some(answer(&self.head, &mut *page).into_bytes());
                self.deadline = Instant::now() + PATIENCE;
            } else if self.head.len() > LONGEST {
                return Ok(true);
            }
        }
        let answer = self.answer.as_deref().unwrap_or_default();
        while self.told < answer.len() {
            match self.stream.write(&answer[self.told..])? {
                0 => return Ok(true),
                n => self.told += n,
            }
        }
        Ok(true)
    }
}

fn answer(head: &[u8], page: impl FnOnce() -> String) -> String {
    let (status, body) = match parse(head) {
        Some((_, "/metrics" | "/")) => ("200 OK", page()),
        Some(_) => ("404 Not Found", "metrics are at /metrics\n".into()),
        None => ("405 Method Not Allowed", "only GET and HEAD\n".into()),
    };
    let kind = prometheus::CONTENT_TYPE;
    let bytes = body.len();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n"
    );
    if !matches!(parse(head), Some(("HEAD", _))) {
        answer += &body;
    }
    answer
}

/// Method and path, without a query, of a request that only asks.
fn parse(head: &[u8]) -> Option<(&str, &str)> {
    let line = head.split(|b| *b == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let method = words.next().filter(|method| matches!(*method, "GET" | "HEAD"))?;
    let path = words.next()?;
    Some((method, path.split('?').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::JoinHandle;

    /// A server of one page, until it is dropped, and its address.
    struct Server(SocketAddr, Arc<AtomicBool>, Option<JoinHandle<()>>);

    impl Server {
        fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let (address, over) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
            let seen = over.clone();
            let serve = move || {
                let mut clients = Vec::new();
                while !seen.load(Ordering::Relaxed) {
                    turn(&listener, &mut clients, || "the page\n".into());
                }
            };
            Self(address, over, Some(std::thread::spawn(serve)))
        }

        fn client(&self) -> TcpStream {
            TcpStream::connect(self.0).unwrap()
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.1.store(true, Ordering::Relaxed);
            self.2.take().map(JoinHandle::join);
        }
    }

    /// What a client gets that sends these pieces.
    fn ask_of(server: &Server, pieces: &[&[u8]]) -> String {
        let mut client = server.client();
        for piece in pieces {
            client.write_all(piece).unwrap();
            client.flush().unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = client.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    fn ask(pieces: &[&[u8]]) -> String {
        ask_of(&Server::start(), pieces)
    }

    #[test]
    fn whoever_is_idle_keeps_nobody_else_waiting() {
        let server = Server::start();
        // More than there may be, half of which have begun to ask.
        let idle: Vec<_> = (0..MOST + 20)
            .map(|i| {
                let mut client = server.client();
                client.write_all(if i % 2 == 0 { b"" } else { b"GET /metr" }).unwrap();
                client
            })
            .collect();
        let began = Instant::now();
        for _ in 0..5 {
            assert!(ask_of(&server, &[b"GET /metrics HTTP/1.1\r\n\r\n"]).ends_with("the page\n"));
        }
        // One of them alone would have taken that long for each.
        assert!(began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
        drop(idle);
    }

    #[test]
    fn a_scraper_gets_the_page_and_nobody_else_anything() {
        let page = ask(&[b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"]);
        assert!(page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{page}");
        assert!(page.contains("Content-Length: 9\r\n") && page.ends_with("\r\n\r\nthe page\n"), "{page}");
        let pieces = ask(&[b"GET /metr", b"ics?x=1 HTTP/1.1\r", b"\n\r", b"\n"]);
        assert!(pieces.ends_with("the page\n"), "{pieces}");
        let head = ask(&[b"HEAD /metrics HTTP/1.0\r\n\r\n"]);
        assert!(head.contains("Content-Length: 9\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(ask(&[b"GET /etc/passwd HTTP/1.1\r\n\r\n"]).starts_with("HTTP/1.1 404"));
        assert!(ask(&[b"POST /metrics HTTP/1.1\r\n\r\n"]).starts_with("HTTP/1.1 405"));
        assert!(ask(&[b"\xff\xfe\r\n\r\n"]).starts_with("HTTP/1.1 405"));
        // Neither half a request nor an endless one is answered, and neither keeps the server.
        assert_eq!(ask(&[b"GET /metrics"]), "");
    }

    #[test]
    fn an_endless_request_is_cut_off() {
        let server = Server::start();
        let mut client = server.client();
        while client.write_all(&[b'x'; 4096]).is_ok() {}
        // The control: it goes on serving.
        assert!(ask_of(&server, &[b"GET / HTTP/1.1\r\n\r\n"]).ends_with("the page\n"));
    }
}
