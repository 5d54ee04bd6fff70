//! What a client does in a case, and where.

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Writes as many records as it can.
    Produce,
    /// Reads as many records as it can.
    Consume,
    /// Writes on schedule, and times each record from when it was to be written until it is
    /// acknowledged.
    Latency,
    /// Writes in transactions.
    Transaction,
    /// Writes and reads the same records in one process, and times each.
    EndToEnd,
    /// Writes one record, from the start of the process on.
    ColdProduce,
    /// Reads one record, from the start of the process on.
    ColdConsume,
    /// Has many clients in a process, none of which does anything.
    IdleClients,
    /// Has many partitions assigned that nobody writes to.
    IdlePartitions,
    /// Writes four times what the cluster takes, which then dies for a while.
    Overload,
    /// Is assigned more than it ever takes, and takes nothing.
    Stall,
}

/// Against which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// One that costs next to nothing.
    Null,
    /// One that keeps what it is given.
    Reference,
    /// Apache Kafka, at the address that the runner was told.
    Kafka,
}

impl Op {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::Latency => "latency",
            Self::Transaction => "transaction",
            Self::EndToEnd => "end-to-end",
            Self::ColdProduce => "cold-produce",
            Self::ColdConsume => "cold-consume",
            Self::IdleClients => "idle-clients",
            Self::IdlePartitions => "idle-partitions",
            Self::Overload => "overload",
            Self::Stall => "stall",
        }
    }

    /// What a driver is asked to do.
    pub const fn driver_op(self) -> &'static str {
        match self {
            Self::ColdProduce => "produce",
            Self::ColdConsume => "consume",
            _ => self.name(),
        }
    }

    /// The broker that it takes.
    pub const fn site(self) -> Site {
        match self {
            Self::Transaction | Self::EndToEnd | Self::IdlePartitions => Site::Reference,
            Self::Produce
            | Self::Consume
            | Self::Latency
            | Self::ColdProduce
            | Self::ColdConsume
            | Self::IdleClients
            | Self::Overload
            | Self::Stall => Site::Null,
        }
    }

    /// Whether the figures are of records at full speed.
    pub const fn is_throughput(self) -> bool {
        matches!(self, Self::Produce | Self::Consume)
    }

    /// Whether a shorter run has as many records.
    pub const fn records_are_fixed(self) -> bool {
        matches!(self, Self::ColdProduce | Self::ColdConsume) || self.is_watched()
    }

    /// Whether a client is watched for a time, and held memory is what counts.
    pub const fn is_watched(self) -> bool {
        matches!(self, Self::IdleClients | Self::IdlePartitions | Self::Overload | Self::Stall)
    }
}
