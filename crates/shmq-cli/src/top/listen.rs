//! The numbers over HTTP, for Prometheus: one address, one method, one page.
//!
//! A server of the standard library's sockets: what a scraper asks is one line, and the small servers to be had bring
//! threads and buffers of their own for less than is here. One connection at a time, each with a limit of time and of bytes,
//! so that nobody can hold it for long.

use super::watch::Watch;
use crate::failure::{Failure, say};
use crate::interrupt::Interrupt;
use crate::prometheus;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait without a look at signals.
const SLICE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// How long one client may take, to ask and to be told.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest request that is read.
const LONGEST: usize = 8 << 10;

pub fn run(mut watch: Watch, address: SocketAddr) -> Result<(), Failure> {
    let failed = |e| Failure::io(format_args!("listen at {address}"), &e);
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let interrupt = Interrupt::catch()?;
    say(&format!("metrics at http://{}/metrics", listener.local_addr().map_err(failed)?));
    loop {
        interrupt.check()?;
        let mut waiting = [PollFd::new(&listener, PollFlags::IN)];
        let _ = poll(&mut waiting, Some(&SLICE));
        match listener.accept() {
            // What goes wrong with one client is that client's.
            Ok((client, _)) => drop(serve(client, || prometheus::text(&watch.scrape()))),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            // Too many open files, say: it may pass.
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

fn serve(mut client: TcpStream, page: impl FnOnce() -> String) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let head = read_head(&mut client)?;
    let (status, body) = match parse(&head) {
        Some((_, "/metrics" | "/")) => ("200 OK", page()),
        Some(_) => ("404 Not Found", "metrics are at /metrics\n".into()),
        None => ("405 Method Not Allowed", "only GET and HEAD\n".into()),
    };
    let kind = prometheus::CONTENT_TYPE;
    let bytes = body.len();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n"
    );
    if !matches!(parse(&head), Some(("HEAD", _))) {
        answer += &body;
    }
    client.set_write_timeout(Some(PATIENCE))?;
    client.write_all(answer.as_bytes())
}

/// Method and path, without a query, of a request that only asks.
fn parse(head: &[u8]) -> Option<(&str, &str)> {
    let line = head.split(|b| *b == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let method = words.next().filter(|method| matches!(*method, "GET" | "HEAD"))?;
    let path = words.next()?;
    Some((method, path.split('?').next()?))
}

/// All up to the empty line: a client that still sends when it is answered might see its connection reset.
fn read_head(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || head.len() > LONGEST {
            return Err(io::ErrorKind::TimedOut.into());
        }
        client.set_read_timeout(Some(left))?;
        match client.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => head.extend_from_slice(&piece[..n]),
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client gets that sends these pieces.
    fn ask(pieces: &[&[u8]]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let server = std::thread::spawn(move || serve(server, || "the page\n".into()));
        for piece in pieces {
            client.write_all(piece).unwrap();
            client.flush().unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = client.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let _ = server.join().unwrap();
        answer
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let server = std::thread::spawn(move || serve(server, || unreachable!("no page for that")).is_err());
        while client.write_all(&[b'x'; 4096]).is_ok() {}
        assert!(server.join().unwrap());
    }
}
