//! The machine of the server, as far as its power goes: switched on before the server starts, and off whatever the server does.

use tokio::sync::Mutex;

use super::launch::Server;
use super::orders::failed;
use super::{LiveWorld, NOT_OURS, NOWHERE, OrderError};
use crate::world::process::disk::{self, Disk};

impl LiveWorld {
    /// Switches the machine on, where the server has one of its own; the answer is the process whose files it has to see.
    pub(super) async fn power_on(&self) -> Result<Option<u32>, OrderError> {
        match self.disk() {
            Some(disk) => disk.lock().await.power_on().await.map(Some).map_err(failed),
            None => Ok(None),
        }
    }

    /// What the first start left behind reaches the disk before anything is tested.
    pub(super) async fn settle(&self) -> Result<(), OrderError> {
        match self.disk() {
            Some(disk) => disk.lock().await.settle().await.map_err(failed),
            None => Ok(()),
        }
    }

    /// The power goes, whether the server runs or not. First it stands still, so that nothing is acknowledged after the moment
    /// whose disk it will find.
    pub(super) async fn lose_power(&self) -> Result<String, OrderError> {
        let Some(disk) = self.disk() else {
            return Err(OrderError::NotHere(disk::why_not().unwrap_or(NOT_OURS).to_owned()));
        };
        let (mut node, mut disk) = (self.node.lock().await, disk.lock().await);
        let Some(process) = node.as_mut() else {
            return Err(OrderError::Failed("the server was never started".to_owned()));
        };
        if !disk.is_on() {
            return Ok("n1 had no power when it was to lose it".to_owned());
        }
        if process.id().is_some() {
            process.pause().await.map_err(failed)?;
        }
        let lost = disk.lose_power().await;
        if process.id().is_some() {
            // Where the disk could not be copied, the power did not go.
            let switched = if lost.is_ok() {
                self.proxy.set_upstream(NOWHERE.into());
                process.kill().await
            } else {
                process.resume().await
            };
            switched.map_err(failed)?;
        }
        let found_bytes = lost.map_err(failed)?;
        self.tell("power lost");
        Ok(format!("n1 lost power with {found_bytes} bytes on its disk"))
    }

    fn disk(&self) -> Option<&Mutex<Disk>> {
        match &self.server {
            Server::Program { disk, .. } => disk.as_deref(),
            Server::Running(_) | Server::Elsewhere => None,
        }
    }
}
