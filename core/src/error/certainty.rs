//! Whether a broker may have acted on what failed.

use std::fmt;

/// Whether a broker may have acted on a request that failed.
///
/// It may weaken on its way up, from [`NotWritten`](Self::NotWritten) to
/// [`PossiblyWritten`](Self::PossiblyWritten), and never the other way: what two attempts did
/// together is the greater of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// Certainly not: sending it again cannot do it twice.
    NotWritten,
    /// Perhaps: it was on its way when the answer was lost, or the answer leaves it open.
    PossiblyWritten,
}

impl fmt::Display for Certainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotWritten => "not written",
            Self::PossiblyWritten => "possibly written",
        })
    }
}
