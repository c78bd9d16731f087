//! Threads that carry connections: each has an event loop of its own, and shares nothing with the others.

use std::io;
use std::sync::Arc;
use std::thread::Builder;

use tokio::net::TcpStream;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::world::proxy::EventLoop;

/// Threads at most.
const WORKERS_MAX: usize = 16;

/// See the module's header. Dropping it ends the threads, and the connections with them.
#[derive(Default)]
pub struct Workers {
    loops: Vec<(Handle, Arc<EventLoop>)>,
    /// A thread ends when its sender is gone. Nobody waits for it: it may itself hold the last of what holds this.
    ends_with: Vec<oneshot::Sender<()>>,
}

impl Workers {
    /// So many threads, at most sixteen. With one, connections are carried by the caller's own event loop.
    pub fn start(count: usize) -> io::Result<Self> {
        let mut workers = Self::default();
        if count <= 1 {
            return Ok(workers);
        }
        for number in 0..count.min(WORKERS_MAX) {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            workers.loops.push((runtime.handle().clone(), Arc::default()));
            let (sender, ends) = oneshot::channel();
            workers.ends_with.push(sender);
            let wait = move || {
                let _gone = runtime.block_on(ends);
            };
            Builder::new().name(format!("proxy-{number}")).spawn(wait)?;
        }
        Ok(workers)
    }

    /// Where a connection is carried, if it may wait busily there: not on the caller's own event loop, which has more to do.
    pub(super) fn event_loop(&self, ordinal: u32) -> Option<Arc<EventLoop>> {
        self.place(ordinal).map(|(_, event_loop)| Arc::clone(event_loop))
    }

    fn place(&self, ordinal: u32) -> Option<&(Handle, Arc<EventLoop>)> {
        self.loops.get(ordinal as usize % self.loops.len().max(1))
    }

    /// Carries the connection with an ordinal: `carry` gets its stream on the event loop where it is to stay.
    pub(super) fn spawn<F: Future<Output = ()> + Send>(
        &self,
        pumps: &mut JoinSet<()>,
        (ordinal, client): (u32, TcpStream),
        carry: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) {
        let Some((to, _)) = self.place(ordinal) else {
            pumps.spawn(async move { carry(client).await });
            return;
        };
        // A stream that cannot move is gone.
        let Ok(client) = client.into_std() else { return };
        pumps.spawn_on(
            async move {
                if let Ok(client) = TcpStream::from_std(client) {
                    carry(client).await;
                }
            },
            to,
        );
    }
}
