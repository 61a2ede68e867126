//! Small clients for what the sandbox runs: HTTP, TLS, redis.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

fn request(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// The whole answer to a GET on port 80.
pub(crate) fn exchange(host: &str, path: &str) -> String {
    let mut stream = connect(80);
    stream.write_all(request(host, path).as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// Status and body of the answer to a GET on port 80. PHP's come in one chunk, which is taken out of its frame.
pub(crate) fn fetch(host: &str, path: &str) -> (u16, String) {
    let answer = exchange(host, path);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let body = match body.strip_suffix("\r\n0\r\n\r\n").and_then(|body| body.split_once("\r\n")) {
        Some((_, chunk)) if head.contains("Transfer-Encoding: chunked") => chunk,
        _ => body,
    };
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// What `openssl s_client` says of a GET on port 443.
pub(crate) fn tls(host: &str, path: &str, options: &[&str]) -> String {
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", "127.0.0.1:443", "-servername", host])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A client whose handshake was refused may have gone before it reads.
    let _gone = client.stdin.take().unwrap().write_all(request(host, path).as_bytes());
    String::from_utf8_lossy(&client.wait_with_output().unwrap().stdout).into_owned()
}

/// The first piece of redis's answer to one command, after AUTH if there is a password.
pub(crate) fn redis(port: u16, password: &str, words: &[&str]) -> String {
    let mut stream = connect(port);
    let mut ask = |words: &[&str]| {
        let mut text = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| text.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).unwrap_or(0);
        String::from_utf8(answer[..read].to_vec()).unwrap()
    };
    if !password.is_empty() {
        assert_eq!(ask(&["AUTH", password]), "+OK\r\n");
    }
    ask(words)
}
