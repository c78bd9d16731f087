//! Devices that are programs of their own: what they are connected to is not the server but the program's standard input and output.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;

use crate::client::Connector;
use crate::world::process::program::{Conversation, Host, Invocation};

/// How the programs of a run are started.
pub(super) struct Clients {
    invocation: Invocation,
    names: Vec<String>,
    /// Where their logs go.
    folder: PathBuf,
}

impl Clients {
    /// The devices' programs; `names` of the devices, by number.
    pub(super) fn new(invocation: Invocation, names: Vec<String>, folder: PathBuf) -> Self {
        Self { invocation, names, folder }
    }

    /// Of one device. What ends the run is put down as a casualty.
    pub(super) fn connector(&self, device: u32, casualty: Rc<RefCell<Option<String>>>) -> ProgramConnector {
        let name = self.names.get(device as usize).cloned().unwrap_or_default();
        let log = self.folder.join(format!("d{device}.txt"));
        ProgramConnector { name, host: Host::new(self.invocation.clone(), &log).map(Rc::new), casualty }
    }
}

/// Starts the program of one device.
pub(super) struct ProgramConnector {
    name: String,
    host: io::Result<Rc<Host>>,
    casualty: Rc<RefCell<Option<String>>>,
}

impl Connector for ProgramConnector {
    type Stream = Conversation;

    fn connect(&self) -> Pin<Box<dyn Future<Output = io::Result<Conversation>>>> {
        let started = match &self.host {
            Ok(host) => host.start(),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        Box::pin(std::future::ready(started))
    }

    fn failed(&self, why: String) {
        let (name, casualty) = (self.name.clone(), self.casualty.clone());
        match &self.host {
            Ok(host) => {
                let host = host.clone();
                tokio::task::spawn_local(async move {
                    let epitaph = host.epitaph(&why).await;
                    casualty.borrow_mut().get_or_insert(format!("the client program of {name}: {epitaph}"));
                });
            }
            Err(error) => {
                let words = format!("the client program of {name}: its log cannot be written: {error}");
                casualty.borrow_mut().get_or_insert(words);
            }
        }
    }
}
