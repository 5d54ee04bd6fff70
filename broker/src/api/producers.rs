//! Producer ids.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::world::{Context, World};

/// A fresh id, epoch 0, on any broker, always. An id for a transactional id is the transaction
/// coordinator's to give (slice 6); until it exists, no broker coordinates any.
pub(super) fn init(
    world: &mut World,
    cx: &Context,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    match assign(world, cx, request) {
        Ok(producer_id) => InitProducerIdResponse { producer_id, ..Default::default() },
        Err(code) => InitProducerIdResponse {
            error_code: code.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        },
    }
}

fn assign(
    world: &mut World,
    cx: &Context,
    request: &InitProducerIdRequest,
) -> Result<i64, ErrorCode> {
    cx.whole()?;
    match request.transactional_id.as_deref() {
        None => Ok(world.new_producer_id()),
        Some("") => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::CoordinatorNotAvailable),
    }
}
