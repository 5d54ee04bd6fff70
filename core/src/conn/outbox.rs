//! Where a source puts its requests.

use std::time::{Duration, Instant};

use ottla_protocol::{Request, VersionRange};

use super::connection::{Connection, Sent};
use super::{BrokerVersions, Token};
use crate::error::{Certainty, Peer, RequestError};

/// Where a source puts its requests: the sending side of a connection that is up.
#[derive(Debug)]
pub struct Outbox<'a> {
    connection: &'a mut Connection,
    now: Instant,
}

impl<'a> Outbox<'a> {
    pub(super) fn new(connection: &'a mut Connection, now: Instant) -> Self {
        Self { connection, now }
    }

    /// How many more requests may be under way.
    #[must_use]
    pub fn room(&self) -> usize {
        self.connection.room()
    }

    /// What the broker speaks.
    #[must_use]
    pub fn versions(&self) -> &BrokerVersions {
        self.connection.versions()
    }

    /// The broker.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.connection.peer()
    }

    /// The newest version that both speak.
    ///
    /// # Errors
    ///
    /// [`RequestError::UnsupportedVersion`], when there is none.
    pub fn version<R: Request>(&self) -> Result<i16, RequestError> {
        self.version_within::<R>(R::API.stable_versions())
    }

    /// The newest version that the broker speaks within `ours`.
    ///
    /// # Errors
    ///
    /// [`RequestError::UnsupportedVersion`], when there is none.
    pub fn version_within<R: Request>(&self, ours: VersionRange) -> Result<i16, RequestError> {
        let versions = self.versions();
        versions.highest_within(R::API, ours).ok_or_else(|| RequestError::UnsupportedVersion {
            peer: self.connection.shared_peer(),
            api: R::API,
            theirs: versions.range(R::API),
            ours,
        })
    }

    /// Sends `request`, to be answered within `timeout` or the connection is closed.
    ///
    /// # Errors
    ///
    /// [`RequestError::Encode`], when `version` cannot carry the request; the token is not under way
    /// then.
    pub fn send<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        token: Token,
        timeout: Duration,
    ) -> Result<(), RequestError> {
        let sent = Sent::Answered { token, timeout };
        self.connection.send(request, version, sent, self.now)
    }

    /// Sends `request`, which the broker does not answer: Produce with `acks=0`. It is to be written
    /// within `timeout`, or the connection is closed.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_unanswered<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        token: Token,
        timeout: Duration,
    ) -> Result<(), RequestError> {
        let sent = Sent::Unanswered { token, timeout };
        self.connection.send(request, version, sent, self.now)
    }

    /// The failure of a request that was not sent over this connection.
    #[must_use]
    pub fn failure(&self, reason: crate::error::CloseReason) -> RequestError {
        let peer = self.connection.shared_peer();
        RequestError::Connection { peer, reason, certainty: Certainty::NotWritten }
    }
}
