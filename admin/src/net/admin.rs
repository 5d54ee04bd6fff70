//! The handle.

use ottla_core::error::{ErrorCode, RequestError};
use ottla_core::net::Client;
use ottla_core::retry::Deadline;

use super::drive::drive;
use crate::call::AdminCall;
use crate::{AdminError, Results};

/// Administers a cluster. Cheap to clone.
///
/// Each method gives a [`Pending`](super::Pending) that is refined by its own methods and done when
/// it is awaited:
///
/// ```no_run
/// # async fn example(admin: ottla_admin::Admin) -> Result<(), Box<dyn std::error::Error>> {
/// admin.create_topic("orders").partitions(6).replication(3)
///     .config("retention.ms", "86400000").if_not_exists().await?;
/// for (partition, behind) in admin.lag("billing").await?.into_result()? {
///     println!("{partition}: {behind}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// What is about several items gives [`Results`], one for each: an item that fails, or whose broker
/// is silent, takes no other with it. Its `into_result` is for whoever wants all of them or an
/// error. Requests go to the broker that can answer them and are
/// retried where that can help, until the call's one deadline.
///
/// A retry may meet what an earlier attempt did whose answer was lost: a topic that is to be
/// created exists then, and one that is to be deleted does not. Such errors say
/// [`PossiblyWritten`](ottla_core::error::Certainty::PossiblyWritten), and `if_not_exists` and
/// `if_exists` accept them.
///
/// # Kafka
///
/// Java's `Admin`.
#[derive(Debug, Clone)]
pub struct Admin {
    client: Client,
}

impl Admin {
    /// Administers the cluster that `client` is connected to.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The connections that this uses.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Does something to several items.
    pub(super) async fn all<C: AdminCall>(
        &self,
        call: C,
        keys: impl IntoIterator<Item = C::Key> + Send,
        deadline: Deadline,
    ) -> Results<C::Key, C::Value> {
        drive(&self.client, call, keys, deadline).await
    }

    /// Does something to one item.
    pub(super) async fn one<C: AdminCall>(
        &self,
        call: C,
        key: C::Key,
        deadline: Deadline,
    ) -> Result<C::Value, AdminError> {
        let subject = call.subject(&key).into();
        let error = RequestError::Unroutable { code: ErrorCode::UnknownServerError };
        let only = self.all(call, [key], deadline).await.only();
        // There always is one.
        only.unwrap_or(Err(AdminError::Request { subject, error }))
    }
}
