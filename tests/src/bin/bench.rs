//! `make bench`: what Reeve costs, each time as a ratio to a bare two-hop ping-pong of the same run.
//!
//! The limit is three processes that do nothing but pass 250-byte frames on, over the same kind of sockets: client, relay,
//! echo. Rounds of the limit and of Reeve alternate, and medians of their ratios are printed: these machines are noisy.
use reeve_tests::daemon::{Daemon, SECRET, Setup};
use reeve_tests::wire::{Request, frame};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 9;
const PINGS: usize = 4000;
/// The size of a ping, signed: what the bare frames have too.
const FRAME: usize = 250;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["relay"] => relay(),
        ["echo"] => echo(),
        ["latency"] => latency(),
        ["nonces"] => nonces(),
        [] => all(),
        other => panic!("unknown arguments {other:?}"),
    }
}

fn all() {
    println!("two hops of {FRAME} bytes, p50 of {PINGS} pings, medians of {ROUNDS} interleaved rounds");
    latency();
    let me = std::env::current_exe().unwrap();
    println!("the same with every process on one CPU:");
    let status =
        Command::new("taskset").args(["-c", "0"]).arg(me).arg("latency").status().expect("taskset, of util-linux");
    assert!(status.success());
    many();
    nonces();
    at_rest();
}

/// The three processes of the limit.
struct Bare {
    client: UnixStream,
    processes: Vec<Child>,
}

impl Bare {
    fn start() -> Self {
        let me = std::env::current_exe().unwrap();
        let (client, public) = UnixStream::pair().unwrap();
        let (upper, lower) = UnixStream::pair().unwrap();
        let spawn = |mode: &str, stdin: UnixStream, stdout: Stdio| {
            Command::new(&me).arg(mode).stdin(OwnedFd::from(stdin)).stdout(stdout).spawn().unwrap()
        };
        let processes = vec![spawn("relay", public, OwnedFd::from(upper).into()), spawn("echo", lower, Stdio::null())];
        Self { client, processes }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn socket(descriptor: impl AsFd) -> UnixStream {
    descriptor.as_fd().try_clone_to_owned().unwrap().into()
}

fn relay() {
    let (mut client, mut echo) = (socket(std::io::stdin()), socket(std::io::stdout()));
    let mut buffer = [0; 64 << 10];
    while let Ok(count) = client.read(&mut buffer) {
        if count == 0 || echo.write_all(&buffer[..count]).is_err() {
            return;
        }
        let mut left = count;
        while left > 0 {
            let count = echo.read(&mut buffer).unwrap();
            left -= count;
            client.write_all(&buffer[..count]).unwrap();
        }
    }
}

fn echo() {
    let mut link = socket(std::io::stdin());
    let mut buffer = [0; 64 << 10];
    while let Ok(count) = link.read(&mut buffer) {
        if count == 0 || link.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

fn reeve() -> Daemon {
    let mut setup = Setup::new();
    setup.set("security", "rate_limit_requests", "1000000").set("security", "rate_limit_window_seconds", "1");
    setup.set("security", "nonce_ttl_seconds", "3600");
    setup.set("logging", "level", "\"error\"");
    setup.start()
}

/// Signed pings, ready to be sent.
fn pings(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| frame(Request::new("system.ping", "{}").sign(SECRET).as_bytes())).collect()
}

/// Reads one whole answer.
fn read_answer(stream: &mut UnixStream, buffer: &mut [u8]) {
    let mut have = 0;
    loop {
        have += stream.read(&mut buffer[have..]).unwrap();
        assert!(have > 0, "the connection ended");
        if have >= 4 {
            let length = u32::from_be_bytes(buffer[..4].try_into().unwrap()) as usize;
            assert!(buffer[4..20].starts_with(b"{\"success\":true"), "{}", String::from_utf8_lossy(&buffer[..have]));
            if have == 4 + length {
                return;
            }
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn bare_p50(client: &mut UnixStream) -> f64 {
    let (ping, mut buffer) = ([b'x'; FRAME], [0; FRAME]);
    median(
        (0..PINGS)
            .map(|_| {
                let begun = Instant::now();
                client.write_all(&ping).unwrap();
                client.read_exact(&mut buffer).unwrap();
                micros(begun.elapsed())
            })
            .collect(),
    )
}

fn reeve_p50(client: &mut UnixStream) -> f64 {
    let mut buffer = [0; 4096];
    median(
        pings(PINGS)
            .iter()
            .map(|ping| {
                let begun = Instant::now();
                client.write_all(ping).unwrap();
                read_answer(client, &mut buffer);
                micros(begun.elapsed())
            })
            .collect(),
    )
}

fn latency() {
    let (mut bare, daemon) = (Bare::start(), reeve());
    let mut client = daemon.connect().0;
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (bare_p50(&mut bare.client), reeve_p50(&mut client))).collect();
    let (limit, ours) =
        (median(rounds.iter().map(|round| round.0).collect()), median(rounds.iter().map(|round| round.1).collect()));
    let ratio = median(rounds.iter().map(|round| round.1 / round.0).collect());
    println!("  ping: limit {limit:.1} us, reeve {ours:.1} us, ratio {ratio:.2} (goal: at most 1.4)");
}

/// Requests a second with `connections` clients that have `depth` in flight each.
fn rate(daemon: &Daemon, connections: usize, depth: usize) -> f64 {
    let turns = 40_000 / (connections * depth);
    let mut clients: Vec<UnixStream> = (0..connections).map(|_| daemon.connect().0).collect();
    let batches: Vec<Vec<Vec<u8>>> =
        (0..turns).map(|_| (0..connections).map(|_| pings(depth).concat()).collect()).collect();
    let mut buffer = vec![0; 64 << 10];
    let begun = Instant::now();
    for batch in &batches {
        for (client, bytes) in clients.iter_mut().zip(batch) {
            client.write_all(bytes).unwrap();
        }
        for client in &mut clients {
            let (mut have, mut answers) = (0, 0);
            while answers < depth {
                have += client.read(&mut buffer[have..]).unwrap();
                let mut at = 0;
                while have - at >= 4 {
                    let length = u32::from_be_bytes(buffer[at..at + 4].try_into().unwrap()) as usize;
                    if have - at < 4 + length {
                        break;
                    }
                    at += 4 + length;
                    answers += 1;
                }
                buffer.copy_within(at..have, 0);
                have -= at;
            }
        }
    }
    (turns * connections * depth) as f64 / begun.elapsed().as_secs_f64()
}

fn many() {
    let (mut bare, daemon) = (Bare::start(), reeve());
    println!("requests a second, as a ratio to the limit's one at a time:");
    for (connections, depth, goal) in [(8, 1, " (goal: at least 2.3)"), (4, 32, "")] {
        let ratios =
            (0..ROUNDS).map(|_| rate(&daemon, connections, depth) / (1e6 / bare_p50(&mut bare.client))).collect();
        println!("  {connections} connections with {depth} in flight: ratio {:.1}{goal}", median(ratios));
    }
}

fn nonces() {
    let (few, full) = (reeve(), reeve());
    let (mut few_client, mut full_client) = (few.connect().0, full.connect().0);
    fill(&mut few_client, 1000);
    fill(&mut full_client, 1_000_000);
    let ratios = (0..ROUNDS).map(|_| {
        let few = reeve_p50(&mut few_client);
        reeve_p50(&mut full_client) / few
    });
    println!(
        "ping with 1,000,000 live nonces to ping with 1,000: ratio {:.2} (goal: at most 1.1)",
        median(ratios.collect())
    );
    println!("  resident with 1,000,000 live nonces: frontend {:.1} MiB", resident(full.frontend().as_raw()));
}

fn fill(client: &mut UnixStream, count: usize) {
    let mut writer = client.try_clone().unwrap();
    let mut reader = client.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..count / 50 {
                writer.write_all(&pings(50).concat()).unwrap();
            }
        });
        let mut header = [0; 4];
        let mut body = vec![0; 4096];
        let mut reader = std::io::BufReader::new(&mut reader);
        for _ in 0..count / 50 * 50 {
            reader.read_exact(&mut header).unwrap();
            let length = u32::from_be_bytes(header) as usize;
            reader.read_exact(&mut body[..length]).unwrap();
        }
    });
}

/// Resident memory, in MiB.
fn resident(pid: i32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn at_rest() {
    let daemon = Setup::new().start();
    println!(
        "resident at rest: executor {:.1} MiB (goal: 4), frontend {:.1} MiB (goal: 8)",
        resident(daemon.pid().as_raw()),
        resident(daemon.frontend().as_raw())
    );
}
