//! What all workloads have: a cluster, somebody who writes to it, and what goes wrong meanwhile.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use ottla_core::net::Client;
use ottla_producer::Producer;
use ottla_producer::config::ProducerConfig;

use crate::bed::Bed;
use crate::draw::Draw;
use crate::nemesis::{Nemesis, Plan};
use crate::produce;

/// A run that is about to be played.
pub(crate) struct Scene {
    pub(crate) bed: Bed,
    /// The time in which each record must have an outcome.
    pub(crate) deadline: Duration,
    plan: Plan,
    client: Client,
    producer: Producer,
}

impl Scene {
    /// A producer and a plan, as the seed draws them.
    pub(crate) async fn begin(bed: Bed, nemesis: &Nemesis, draw: &mut Draw) -> Self {
        Self::begin_with(bed, nemesis, draw, |config| config).await
    }

    /// The same with what `change` makes of the producer's settings.
    pub(crate) async fn begin_with(
        bed: Bed,
        nemesis: &Nemesis,
        draw: &mut Draw,
        change: impl FnOnce(ProducerConfig) -> ProducerConfig,
    ) -> Self {
        let plan = nemesis.plan(draw);
        let config = change(produce::config(draw));
        let deadline = produce::deadline(&config);
        let client = bed.client(1).await;
        let producer = Producer::builder(&client).config(config).build().await.unwrap();
        Self { bed, deadline, plan, client, producer }
    }

    /// Has so many records written while things go wrong and something else happens, and the
    /// cluster mended after it.
    pub(crate) async fn play(&self, counts: Range<u64>, meanwhile: impl Future<Output = ()>) {
        let Self { bed, plan, producer, .. } = self;
        let mut draw = Draw::new(bed.seed ^ 0xf0);
        tokio::join!(
            produce::send(producer, &bed.log, &mut draw, counts),
            plan.run(&bed.cluster, |event| bed.log.note(event)),
            meanwhile,
        );
        bed.healed().await;
    }

    /// Closes the producer's client, and leaves what is to be judged.
    pub(crate) async fn end(self) -> (Bed, Duration) {
        self.client.close().await;
        (self.bed, self.deadline)
    }
}
