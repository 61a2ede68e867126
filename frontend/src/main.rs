//! `reeve-frontend`: started by the executor, never by hand. Its standard input is the link, its standard output the listening
//! socket, its standard error the executor's log.
#![forbid(unsafe_code)]
use reeve_frontend::{Error, cage, log, server};
use reeve_ipc::frame::{Assembler, decode_hello};
use reeve_ipc::message::{Ready, Setup};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the frontend ends");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    log::init()?;
    let mut link = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let listener = UnixListener::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let setup = hello(&mut link)?;
    log::set_level(&setup.log_level);
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let ready = Ready { separations: cage::close(&setup)? };
    LocalSet::new().block_on(&runtime, server::run(setup, OwnedFd::from(link), listener, &ready))
}

/// Waits for the executor's hello, and leaves nothing of it behind in a buffer.
fn hello(link: &mut UnixStream) -> Result<Setup, Error> {
    let mut assembler = Assembler::default();
    loop {
        if let Some(frame) = assembler.next_frame()? {
            let setup = decode_hello(frame);
            assembler.wipe();
            return Ok(setup?);
        }
        let count = link.read(assembler.space())?;
        if count == 0 {
            return Err(reeve_ipc::Error::Closed.into());
        }
        assembler.filled(count);
    }
}
