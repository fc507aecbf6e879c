//! A way to a port that can be shut, so that a test decides when a client and its broker see each other.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Forwards connections while it is open; while it is shut it accepts and hangs up at once.
pub struct Gate {
    /// The port to connect to.
    pub port: u16,
    state: Arc<State>,
}

struct State {
    open: AtomicBool,
    accepted: AtomicUsize,
    connections: Mutex<Vec<(TcpStream, Arc<AtomicBool>)>>,
}

impl Gate {
    /// A gate to a port on the loopback.
    pub fn to(target: u16, open: bool) -> Gate {
        Gate::among(vec![target], open)
    }

    /// A gate to the first of these ports that anybody listens on: a load balancer.
    pub fn among(targets: Vec<u16>, open: bool) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            open: AtomicBool::new(open),
            accepted: AtomicUsize::new(0),
            connections: Mutex::new(Vec::new()),
        });
        let theirs = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                theirs.accepted.fetch_add(1, Ordering::SeqCst);
                if !theirs.open.load(Ordering::SeqCst) {
                    continue;
                }
                let mut servers = targets.iter().map(|&target| TcpStream::connect(("127.0.0.1", target)));
                let Some(server) = servers.find_map(Result::ok) else { continue };
                let mut connections = theirs.connections.lock().unwrap();
                let frozen = Arc::new(AtomicBool::new(false));
                for end in [&client, &server] {
                    connections.push((end.try_clone().unwrap(), Arc::clone(&frozen)));
                }
                forward(client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&frozen));
                forward(server, client, frozen);
            }
        });
        Gate { port, state }
    }

    /// Lets new connections through.
    pub fn open(&self) {
        self.state.open.store(true, Ordering::SeqCst);
    }

    /// Hangs up on new connections.
    pub fn shut(&self) {
        self.state.open.store(false, Ordering::SeqCst);
    }

    /// Cuts the connections there are, without a word to either side.
    pub fn cut(&self) {
        for (connection, _) in self.state.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Lets nothing through any more on the connections there are, and leaves them standing: a cable that is pulled.
    pub fn freeze(&self) {
        for (_, frozen) in self.state.connections.lock().unwrap().iter() {
            frozen.store(true, Ordering::SeqCst);
        }
    }

    /// How many connections came so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, frozen: Arc<AtomicBool>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n) = from.read(&mut buffer) {
            let frozen = frozen.load(Ordering::SeqCst);
            if n > 0 && frozen {
                continue;
            }
            if n == 0 && frozen {
                return;
            }
            if n == 0 || to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
