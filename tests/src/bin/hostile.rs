//! A frontend that was taken over, for `--frontend`. What it does is the text of the operator's template `mode`.
use reeve_ipc::frame::{Assembler, append, append_hello, decode_hello};
use reeve_ipc::message::{Ready, Request, Setup, ToExecutor};
use reeve_shared::command::{FileDelete, SystemPing};
use reeve_shared::{AbsolutePath, Command};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

fn main() {
    let mut link = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let setup = hello(&mut link);
    let mode = setup.templates.iter().find(|template| template.name.as_str() == "mode").unwrap().source.clone();
    let mut out = Vec::new();
    append_hello(&mut out, &Ready { separations: vec![] }).unwrap();
    let ping = Command::SystemPing(SystemPing {});
    let path = AbsolutePath::try_from("/home/x").unwrap();
    let request = |command| ToExecutor::Request(Request { id: 0, connection: 0, command });
    match mode.trim() {
        "silent" => return wait(&mut link),
        "old" => {
            if let Some(version) = out.get_mut(4) {
                *version = 0xff;
            }
        }
        "garbage" => out.extend_from_slice(&[0x2a; 4096]),
        "too long" => out.extend_from_slice(&u32::MAX.to_le_bytes()),
        "trailing" => {
            append(&mut out, &(request(ping), 0_u8)).unwrap();
        }
        "opened without a descriptor" => append(&mut out, &ToExecutor::Opened).unwrap(),
        "a reload that was not" => append(&mut out, &ToExecutor::Reloaded(None)).unwrap(),
        "begun and not finished" => out.extend_from_slice(&[9, 0, 0, 0, 1]),
        "never reads" => {
            for _ in 0..200_000 {
                append(&mut out, &request(ping.clone())).unwrap();
            }
        }
        "strange connection" => append(&mut out, &request(Command::FileDelete(FileDelete { path }))).unwrap(),
        "exit" => return,
        "leaves its link to another" => {
            // Whoever takes it in waits for it.
            drop(
                std::process::Command::new("/bin/sleep").arg("60").stdout(Stdio::null()).stderr(Stdio::null()).spawn(),
            );
            return;
        }
        "leaves its log to another" => {
            let sleep =
                std::process::Command::new("/bin/sleep").arg("60").stdin(Stdio::null()).stdout(Stdio::null()).spawn();
            // Whoever takes it in waits for it.
            drop(sleep.unwrap());
            return;
        }
        other => panic!("no mode {other:?}"),
    }
    // The executor may end the link before all of it is written.
    let _ = link.write_all(&out);
    if mode.trim() == "never reads" {
        loop {
            std::thread::park();
        }
    }
    wait(&mut link);
}

fn hello(link: &mut UnixStream) -> Setup {
    let mut assembler = Assembler::default();
    loop {
        if let Some(frame) = assembler.next_frame().unwrap() {
            return decode_hello(frame).unwrap();
        }
        let count = link.read(assembler.space()).unwrap();
        assembler.filled(count);
    }
}

/// Until the executor ends the link.
fn wait(link: &mut UnixStream) {
    let mut rest = Vec::new();
    let _ = link.read_to_end(&mut rest);
}
