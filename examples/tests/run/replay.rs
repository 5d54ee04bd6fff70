//! `replay`.

use crate::program::succeed;

#[tokio::test]
async fn a_replay_begins_in_the_middle() {
    let shown = succeed("replay", &[]).await;
    assert!(shown.contains("minute 5") && shown.contains("minute 9"), "{shown}");
    assert!(!shown.contains("minute 4"), "{shown}");
}
