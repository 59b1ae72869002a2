//! A port that passes everything on to another one: what went over it can be searched, changed and cut off.
//!
//! Cut off, it neither passes a byte nor closes a connection, like a network that drops packets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long something is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Listens for as long as the test runs.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
}

#[derive(Debug, Default)]
struct Line {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What was sent, by connection, in either direction.
    seen: Vec<Vec<u8>>,
    sockets: Vec<TcpStream>,
    cut: bool,
    /// Something was held back since it was last cut.
    holds: bool,
    closed: bool,
    /// What the target says, and what is passed on instead, of the same length.
    forged: Option<(Vec<u8>, Vec<u8>)>,
}

impl Proxy {
    /// A port of this machine in front of `host:port`.
    ///
    /// # Panics
    /// No port is free.
    pub fn to(target: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of this machine is free");
        let address = listener.local_addr().expect("a listener has an address");
        let (line, target) = (Arc::new(Line::default()), target.to_owned());
        let shared = Arc::clone(&line);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if shared.state().closed {
                    return;
                }
                // Where nobody is there, there is nobody here either: the socket is closed.
                let Ok(far) = TcpStream::connect(&target) else { continue };
                shared.connect(&near, &far);
            }
        });
        Self { address, line }
    }

    /// Host and port to use instead of the target's.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// From now on, wherever the target says the one, the other passes.
    ///
    /// # Panics
    /// They differ in length.
    pub fn forge(&self, said: &str, passed: &str) {
        assert_eq!(said.len(), passed.len(), "what holds a text says how long it is");
        self.line.state().forged = Some((said.into(), passed.into()));
    }

    /// From now on no byte passes.
    pub fn cut(&self) {
        let mut state = self.line.state();
        (state.cut, state.holds) = (true, false);
    }

    /// Waits until something is held back.
    ///
    /// # Panics
    /// Nobody says anything.
    pub fn holds(&self) {
        let waited = self.line.changed.wait_timeout_while(self.line.state(), PATIENCE, |state| !state.holds);
        assert!(waited.is_ok_and(|(state, _)| state.holds), "nobody says anything");
    }

    /// What was held back passes, and everything after it.
    pub fn mend(&self) {
        self.line.state().cut = false;
        self.line.changed.notify_all();
    }

    /// Closes every connection; new ones may be made.
    pub fn hang_up(&self) {
        for socket in self.line.state().sockets.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Whether these bytes went over any connection.
    pub fn passed(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        self.line.state().seen.iter().any(|seen| seen.windows(bytes.len()).any(|window| window == bytes))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.state().closed = true;
        self.mend();
        self.hang_up();
        // Wakes the thread that waits for connections, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, near: &TcpStream, far: &TcpStream) {
        for (from, to) in [(near, far), (far, near)] {
            let (Ok(from), Ok(to), Ok(kept)) = (from.try_clone(), to.try_clone(), from.try_clone()) else { return };
            let mut state = self.state();
            state.sockets.push(kept);
            state.seen.push(Vec::new());
            let (number, line) = (state.seen.len() - 1, Arc::clone(self));
            drop(state);
            std::thread::spawn(move || line.pass(number, from, to));
        }
    }

    fn pass(&self, number: usize, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 << 10];
        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
            let mut state = self.state();
            if state.cut {
                state.holds = true;
                self.changed.notify_all();
            }
            let state = self.changed.wait_while(state, |state| state.cut);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            if let Some((said, passed)) = &state.forged {
                forge(&mut buffer[..bytes], said, passed);
            }
            state.seen[number].extend_from_slice(&buffer[..bytes]);
            drop(state);
            if to.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

fn forge(bytes: &mut [u8], said: &[u8], passed: &[u8]) {
    let mut at = 0;
    while at + said.len() <= bytes.len() {
        if bytes[at..].starts_with(said) {
            bytes[at..at + said.len()].copy_from_slice(passed);
        }
        at += 1;
    }
}
