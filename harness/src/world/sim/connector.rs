//! Connections of simulated devices: turmoil's TCP, with the device's link in between.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use avouch_scenarios::plan::Plan;
use tokio::io::DuplexStream;

use super::node::PORT;
use crate::client::Connector;
use crate::link::Link;
use crate::recorder::Recorder;
use crate::world::Triggered;
use crate::world::news::{self, News, REFERENCE_FRAMING};
use crate::world::proxy::{Clock, Line, carry};

/// Bytes between a device and its link before the device feels that nobody reads.
const BUFFER_BYTES: usize = 64 * 1024;

pub(super) struct Links {
    lines: Vec<Arc<Line>>,
    news: News,
}

impl Links {
    pub(super) fn new(plan: &Plan, recorder: &Recorder) -> Self {
        let clock: Clock = Arc::new(super::now_ns);
        let (sink, news) = News::new(clock.clone(), recorder.clone());
        let line = |settings: crate::link::Settings| {
            Arc::new(Line::new(settings.device, Link::new(settings), clock.clone(), sink.clone()))
        };
        Self { lines: news::settings(plan, true).into_iter().map(line).collect(), news }
    }

    pub(super) fn connector(&self, device: u32, node: &str) -> SimConnector {
        SimConnector { line: self.lines[device as usize].clone(), node: node.to_owned() }
    }

    pub(super) fn set(&self, fault: u32, device: u32, active: bool) {
        if let Some(line) = self.lines.get(device as usize) {
            line.set(fault, active);
        }
    }

    pub(super) fn arm(&self) {
        self.lines.iter().for_each(|line| line.arm());
    }

    pub(super) fn heal(&self) {
        self.lines.iter().for_each(|line| line.heal());
    }

    pub(super) fn abandon(&self, device: u32) {
        if let Some(line) = self.lines.get(device as usize) {
            line.abandon();
        }
    }

    pub(super) async fn triggered(&self) -> Triggered {
        self.news.triggered().await
    }
}

/// Makes connections to the plan's first node.
pub(super) struct SimConnector {
    line: Arc<Line>,
    node: String,
}

impl Connector for SimConnector {
    type Stream = DuplexStream;

    fn connect(&self) -> Pin<Box<dyn Future<Output = io::Result<Self::Stream>>>> {
        let (line, node) = (self.line.clone(), self.node.clone());
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(BUFFER_BYTES);
            tokio::task::spawn_local(async move {
                let server = turmoil::net::TcpStream::connect((node, PORT));
                carry(&line, far, server, REFERENCE_FRAMING.splitters()).await;
            });
            Ok(near)
        })
    }
}
