//! The executor's end of the frontend: one task that writes, one that reads.
use crate::error::Error;
use crate::readiness::watch;
use crate::server::SharedServer;
use reeve_ipc::frame::{self, Assembler};
use reeve_ipc::message::{Ready, ToExecutor, ToFrontend};
use reeve_ipc::nonblocking::{Outgoing, receive};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::spawn_local;

/// What waits for the executor. All that one turn of the event loop has to say leaves in one write.
#[derive(Default)]
pub(crate) struct Link {
    outgoing: Outgoing,
    failure: Option<reeve_ipc::Error>,
    wake: Rc<Notify>,
    woken: bool,
}

impl Link {
    /// Says hello: the cage is closed.
    pub(crate) fn greet(&mut self, ready: &Ready) {
        let result = self.outgoing.push_hello(ready);
        self.pushed(result);
    }

    /// Appends a message.
    pub(crate) fn send(&mut self, message: &ToExecutor) {
        let result = self.outgoing.push(message);
        self.pushed(result);
    }

    /// Appends a message with a descriptor.
    pub(crate) fn send_with(&mut self, message: &ToExecutor, descriptor: OwnedFd) {
        let result = self.outgoing.push_with_descriptor(message, descriptor);
        self.pushed(result);
    }

    fn pushed(&mut self, result: Result<(), reeve_ipc::Error>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
        self.wake();
    }

    /// Wakes the writing task, once a turn.
    pub(crate) fn wake(&mut self) {
        if !self.woken {
            self.woken = true;
            self.wake.notify_one();
        }
    }

    /// The bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.outgoing.len()
    }
}

/// Writes and reads until the link ends.
///
/// # Errors
/// Why it ended; a link that ends while nothing is left to do ended well.
pub(crate) async fn run(socket: OwnedFd, server: SharedServer) -> Result<(), Error> {
    let writing = socket.try_clone()?;
    let readable = watch(socket, Interest::READABLE)?;
    // Tasks of their own: what is polled by the root future costs one more turn of the event loop each time it is woken.
    let mut writer = spawn_local(write(writing, Rc::clone(&server)));
    let ended = tokio::select! {
        biased;
        ended = read(&readable, &server) => ended,
        ended = &mut writer => ended.unwrap_or_else(|_| Err(reeve_ipc::Error::Closed.into())),
    };
    writer.abort();
    ended
}

async fn write(socket: OwnedFd, server: SharedServer) -> Result<(), Error> {
    let wake = Rc::clone(&server.borrow().link.wake);
    loop {
        wake.notified().await;
        let slow = {
            let mut server = server.borrow_mut();
            server.link.woken = false;
            server.take_slow()
        };
        for connection in slow {
            spawn_local(connection.write_on(Rc::clone(&server)));
        }
        if !flush(&socket, &server)? {
            // Registered only now: an interest in writing would wake this process whenever the executor has read.
            let writable = watch(socket.try_clone()?, Interest::WRITABLE)?;
            while !flush(&socket, &server)? {
                writable.writable().await?.clear_ready();
            }
        }
    }
}

fn flush(socket: &OwnedFd, server: &SharedServer) -> Result<bool, Error> {
    let link = &mut server.borrow_mut().link;
    match link.failure.take() {
        Some(error) => Err(error.into()),
        None => Ok(link.outgoing.flush(socket)?),
    }
}

async fn read(readable: &AsyncFd<OwnedFd>, server: &SharedServer) -> Result<(), Error> {
    let mut assembler = Assembler::default();
    let mut touched = Vec::new();
    loop {
        let mut guard = readable.readable().await?;
        match receive(readable.get_ref(), &mut assembler)? {
            Some(false) => {}
            Some(true) | None => guard.clear_ready(),
        }
        let mut server = server.borrow_mut();
        while let Some(bytes) = assembler.next_frame()? {
            match frame::decode(bytes)? {
                ToFrontend::Answer(answer) => touched.extend(server.answered(&answer)),
                ToFrontend::Watchdog(pulse) => server.link.send(&ToExecutor::Watchdog(pulse)),
                ToFrontend::Drain => server.drain(),
                ToFrontend::Reload(setup) => {
                    let reason = |error: Error| error.to_string().chars().take(ToExecutor::MAX_REASON / 4).collect();
                    let refusal = server.reload(&setup).err().map(reason);
                    server.link.send(&ToExecutor::Reloaded(refusal));
                    drop(setup);
                    assembler.wipe();
                }
            }
        }
        for connection in touched.drain(..) {
            connection.flush(&mut server);
        }
    }
}
