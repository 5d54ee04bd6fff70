//! Apache Kafka in containers: brokers that are controllers as well (KRaft), on a network of their
//! own, each reached from outside on a free port of this host.

mod engine;
mod image;

use std::mem::ManuallyDrop;
use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use testcontainers::core::IntoContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ImageExt};

pub(crate) use engine::{Engine, Reaper};
use image::{Kafka, Member};

use crate::backend::Act;

/// Brokers in containers. Dropping them removes the containers and their network.
#[derive(Debug)]
pub(crate) struct Containers {
    engine: Engine,
    network: String,
    members: Vec<Member>,
    _reaper: Reaper,
}

impl Containers {
    /// Creates and starts them. When this returns they run, but may not serve yet.
    pub(crate) async fn start(engine: Engine, brokers: u16) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        // The process id lets several runs share an engine.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let network = format!("ottla-{}-{number}", process::id());
        let ports = free_ports(brokers);
        let member = |(id, port)| Member { id, port, host: format!("{network}-k{id}") };
        let members: Vec<Member> = (1..).zip(ports).map(member).collect();
        let hosts: Vec<String> = members.iter().map(|member| member.host.clone()).collect();
        let reaper = Reaper::watch(&network, &hosts);
        engine.docker(&["network", "create", &network]).await;
        let started = Self { engine, network, members, _reaper: reaper };
        for member in &started.members {
            started.create(member).await;
        }
        started
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("localhost:{}", member.port)).collect()
    }

    pub(crate) async fn apply(&self, act: Act, broker: i32) {
        let member = self.members.iter().find(|member| member.id == broker);
        let host = &*member.expect("there is a broker with this id").host;
        let network = &*self.network;
        let command: &[&str] = match act {
            Act::Kill => &["kill", "--signal", "KILL", host],
            Act::Stop => &["stop", "--time", "60", host],
            Act::Start => &["start", host],
            Act::Pause => &["pause", host],
            Act::Unpause => &["unpause", host],
            Act::CutOff => &["network", "disconnect", network, host],
            Act::Reconnect => &["network", "connect", network, host],
            Act::Starve => &["update", "--cpus", "0.33", host],
        };
        self.engine.docker(command).await;
    }

    async fn create(&self, member: &Member) {
        let (name, tag) = self.engine.image();
        let image = Kafka::new(name, tag, member, &self.members);
        let request = image
            .with_container_name(&member.host)
            .with_network(&self.network)
            .with_mapped_port(member.port, member.port.tcp());
        let started: ContainerAsync<Kafka> =
            request.start().await.expect("the engine starts the container");
        // The reaper removes it, whatever becomes of this process; its own destructor would need
        // this very runtime, and a test that has not panicked.
        let _kept = ManuallyDrop::new(started);
    }
}

/// Ports that were free a moment ago: what a broker advertises must be known before it starts.
fn free_ports(count: u16) -> Vec<u16> {
    let listen = |_| TcpListener::bind("0.0.0.0:0").expect("a port is free");
    // All at once, so that they differ.
    let listeners: Vec<TcpListener> = (0..count).map(listen).collect();
    let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
    listeners.iter().map(port).collect()
}
