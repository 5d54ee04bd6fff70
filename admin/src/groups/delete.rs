//! Deleting groups.

use std::collections::BTreeSet;

use ottla_protocol::ByteString;
use ottla_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use crate::call::{AdminCall, Asked, Route, Settled, check};

/// Deletes several groups.
#[derive(Debug)]
pub struct DeleteGroups {
    pub(crate) groups: BTreeSet<ByteString>,
}

/// Deletes one group.
#[derive(Debug)]
pub struct DeleteGroup {
    pub(crate) group: ByteString,
}

impl AdminCall for DeleteGroups {
    type Key = ByteString;
    type Request = DeleteGroupsRequest;
    type Value = ();

    fn subject(&self, group: &ByteString) -> String {
        format!("delete group {group}")
    }

    fn route(&self, group: &ByteString) -> Route {
        Route::Coordinator(group.clone())
    }

    fn request(&self, asked: &Asked<'_, ByteString>) -> DeleteGroupsRequest {
        DeleteGroupsRequest { groups_names: asked.keys.to_vec(), ..DeleteGroupsRequest::default() }
    }

    fn settle(
        &self,
        _: &Asked<'_, ByteString>,
        response: DeleteGroupsResponse,
    ) -> Vec<(ByteString, Settled<()>)> {
        let settled = response.results.into_iter();
        settled.map(|row| (row.group_id, check(row.error_code, row.error_message))).collect()
    }
}

#[cfg(test)]
mod tests {
    use ottla_core::error::ErrorCode;
    use ottla_protocol::messages::delete_groups::DeletableGroupResult;

    use super::*;
    use crate::call::tests::asked;

    #[test]
    fn each_group_has_its_own_outcome() {
        let row = |id: &'static str, code: ErrorCode| DeletableGroupResult {
            group_id: id.into(),
            error_code: code.code(),
            ..DeletableGroupResult::default()
        };
        let results = vec![row("a", ErrorCode::None), row("b", ErrorCode::NonEmptyGroup)];
        let response = DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() };
        let keys = ["a".into(), "b".into()];
        let call = DeleteGroups { groups: BTreeSet::new() };
        let settled = call.settle(&asked(&keys, 2), response);
        assert_eq!(settled[0].1, Ok(()));
        assert_eq!(settled[1].1, Err(ErrorCode::NonEmptyGroup.into()));
    }
}
