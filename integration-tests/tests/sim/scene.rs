//! What all workloads have: a cluster, somebody who writes to it, and what goes wrong meanwhile.

use std::ops::Range;
use std::time::Duration;

use ottla_producer::config::ProducerConfig;

use crate::bed::Bed;
use crate::draw::Draw;
use crate::nemesis::{Nemesis, Plan};
use crate::produce;
use crate::sender::Sender;

/// A run that is about to be played.
pub(crate) struct Scene {
    pub(crate) bed: Bed,
    /// The time in which each record must have an outcome.
    deadline: Duration,
    plan: Plan,
    sender: Sender,
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
        let mut plan = nemesis.plan(draw);
        let config = bed.hardships.harden(change(produce::config(draw)));
        bed.hardships.burden(&mut plan, nemesis);
        let deadline = produce::deadline(&config);
        let client = bed.client(1).await;
        let sender = Sender::begin(&bed, client, config).await;
        Self { bed, deadline, plan, sender }
    }

    /// Has so many records written while things go wrong and something else happens, and the
    /// cluster mended after it.
    pub(crate) async fn play(&mut self, counts: Range<u64>, meanwhile: impl AsyncFnOnce(&Bed)) {
        let Self { bed, plan, sender, .. } = self;
        let mut draw = Draw::new(bed.seed ^ 0xf0);
        let trespassing = bed.hardships.forbidden.map(|_| sender.trespass());
        let trespassing = async {
            if let Some(trespassing) = trespassing {
                trespassing.await;
            }
        };
        tokio::join!(sender.send(&mut draw, counts), plan.run(bed), meanwhile(bed), trespassing,);
        bed.healed().await;
        sender.prove().await;
    }

    /// Closes the producer's client, and leaves what is to be judged.
    pub(crate) async fn end(self) -> (Bed, Duration) {
        self.sender.end().await;
        (self.bed, self.deadline)
    }
}
