//! What makes a run hard beside its plan of faults: a network that is far, applications that do not
//! wait, topics that are denied, a cluster that is gone for minutes, logs that become shorter.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_producer::config::ProducerConfig;
use ottla_protocol::compression::{Codec, Compression};

use crate::bed::PARTITIONS;
use crate::draw::Draw;
use crate::nemesis::{Fault, Nemesis, Plan, Silence};

/// The hardships of a run. They are drawn by a generator of their own, so that a seed has the same
/// plan and settings with and without them.
#[derive(Debug, Clone)]
pub(crate) struct Hardships {
    /// How long bytes take from one end of a connection to the other.
    pub(crate) distance: Duration,
    /// How long a slow codec takes for a batch at most.
    pub(crate) computing: Duration,
    /// The codec of producers, where it is not what the plan's seed says.
    pub(crate) codec: Option<Codec>,
    /// How long applications wait for a future before they drop it; for ever without one.
    pub(crate) patience: Option<Duration>,
    /// How long applications stand still now and then, at most.
    pub(crate) stalls: Option<Duration>,
    /// Whether producers end while there are records, and others take their place.
    pub(crate) renewals: bool,
    /// Whether consumers take one record after the other, not batches.
    pub(crate) by_record: bool,
    /// How often consumers commit by themselves; only when told to without it.
    pub(crate) auto_commit: Option<Duration>,
    /// How a topic is denied for ever that applications use beside the others.
    pub(crate) forbidden: Option<Forbidden>,
    /// Whether replicas that lack records may become leaders, and acknowledged ones are lost.
    pub(crate) unclean: bool,
    /// When the cluster is gone, for how long, and how.
    blackout: Option<(Duration, Duration, Silence)>,
    /// When topics are denied for a while: the time, which of the APIs, and for how long.
    denials: Vec<(Duration, usize, Duration)>,
    /// When a partition's leader alone has records, and is then gone: the time, the partition, for how
    /// long before and after.
    losses: Vec<(Duration, i32, Duration, Duration)>,
}

/// What is denied of the forbidden topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// Even to know of it.
    Describe,
    /// To read and to write.
    Use,
}

impl Hardships {
    /// None, as runs were before there were any.
    pub(crate) const NONE: Self = Self {
        distance: Duration::ZERO,
        computing: Duration::ZERO,
        codec: None,
        patience: None,
        stalls: None,
        renewals: false,
        by_record: false,
        auto_commit: None,
        forbidden: None,
        unclean: false,
        blackout: None,
        denials: Vec::new(),
        losses: Vec::new(),
    };

    /// Those of a seed, but those that `SIM_WITHOUT` names: what a failure does without had no part in
    /// it. A run takes several times as long with them, as clusters are gone for minutes, so one seed in
    /// ten has them; all with `SIM_HARDSHIPS=1`, and none with `SIM_HARDSHIPS=0`.
    pub(crate) fn draw(seed: u64, nemesis: &Nemesis) -> Self {
        let burdened = match std::env::var("SIM_HARDSHIPS").as_deref() {
            Ok("0") => false,
            Ok(_) => true,
            Err(_) => seed % 10 == 9,
        };
        if !burdened {
            return Self::NONE;
        }
        let without = std::env::var("SIM_WITHOUT").unwrap_or_default();
        let without: BTreeSet<&str> = without.split(',').collect();
        let mut drawn = Self::of(seed, nemesis);
        let none = Self::NONE;
        for name in without {
            match name {
                "" => {}
                "all" => drawn = none.clone(),
                "distance" => drawn.distance = none.distance,
                "codec" => (drawn.codec, drawn.computing) = (none.codec, none.computing),
                "patience" => drawn.patience = none.patience,
                "stalls" => drawn.stalls = none.stalls,
                "renewals" => drawn.renewals = none.renewals,
                "by_record" => drawn.by_record = none.by_record,
                "auto_commit" => drawn.auto_commit = none.auto_commit,
                "forbidden" => drawn.forbidden = none.forbidden,
                "unclean" => {
                    (drawn.unclean, drawn.losses) = (none.unclean, none.losses.clone());
                }
                "blackout" => drawn.blackout = none.blackout,
                "denials" => drawn.denials.clone_from(&none.denials),
                other => panic!("SIM_WITHOUT: there is no hardship `{other}`"),
            }
        }
        drawn
    }

    /// All those of a seed.
    pub(crate) fn of(seed: u64, nemesis: &Nemesis) -> Self {
        let draw = &mut Draw::new(seed ^ 0x4a4d);
        let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
        let maybe = |draw: &mut Draw, percent| draw.chance(percent).then_some(());
        let mut drawn = Self {
            distance: millis(*draw.pick(&[0, 0, 0, 3, 40, 40])),
            computing: millis(*draw.pick(&[0, 2, 10, 40, 200])),
            codec: maybe(draw, 40).map(|()| {
                let slow = [Compression::Gzip, Compression::Zstd, Compression::Snappy];
                Codec::new(*draw.pick(&slow))
            }),
            patience: maybe(draw, 40).map(|()| millis(*draw.pick(&[1, 7, 50, 50, 300]))),
            stalls: maybe(draw, 25).map(|()| seconds(*draw.pick(&[1, 12, 25]))),
            renewals: draw.chance(25),
            by_record: draw.chance(40),
            auto_commit: maybe(draw, 30).map(|()| millis(*draw.pick(&[10, 300, 2_000]))),
            forbidden: maybe(draw, 20).map(|()| *draw.pick(&[Forbidden::Describe, Forbidden::Use])),
            unclean: nemesis.unclean && draw.chance(20),
            ..Self::NONE
        };
        drawn.blackout = maybe(draw, 20).map(|()| {
            let (at, lasts) = (draw.duration(millis(100)..seconds(12)), seconds(20)..seconds(150));
            (at, draw.duration(lasts), *draw.pick(&[Silence::Dead, Silence::Frozen]))
        });
        let denials = if draw.chance(30) { draw.within(1..5) } else { 0 };
        drawn.denials = (0..denials)
            .map(|_| {
                let at = draw.duration(millis(50)..nemesis.lasts);
                let which = usize::try_from(draw.within(0..97)).unwrap_or(0);
                (at, which, draw.duration(millis(20)..seconds(8)))
            })
            .collect();
        let losses = if drawn.unclean { draw.within(1..4) } else { 0 };
        drawn.losses = (0..losses)
            .map(|_| {
                let at = draw.duration(millis(100)..seconds(20));
                let partition = i32::try_from(draw.within(0..97)).unwrap_or(0) % PARTITIONS;
                let before = draw.duration(seconds(3)..seconds(8));
                (at, partition, before, draw.duration(millis(100)..seconds(5)))
            })
            .collect();
        drawn
    }

    /// Adds what goes wrong at certain times.
    pub(crate) fn burden(&self, plan: &mut Plan, nemesis: &Nemesis) {
        for (at, which, lasts) in &self.denials {
            let (api, topic) = nemesis.deniable[which % nemesis.deniable.len()];
            plan.add(*at, Fault::Deny { api, topic, lasts: *lasts });
        }
        for (at, partition, before, after) in &self.losses {
            let partition = *partition;
            plan.add(*at, Fault::Lag { partition, lasts: *before + Duration::from_millis(1) });
            plan.add(*at + *before, Fault::CrashLeader { partition, down: *after });
        }
        if let Some((at, lasts, silence)) = &self.blackout {
            plan.add(*at, Fault::Blackout { silence: *silence, lasts: *lasts });
        }
    }

    /// What they make of a producer's settings.
    pub(crate) fn harden(&self, config: ProducerConfig) -> ProducerConfig {
        let compression = self.codec.unwrap_or(config.compression);
        ProducerConfig { compression, ..config }
    }
}
