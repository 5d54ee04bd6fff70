//! `admin`.

use crate::program::succeed;

#[tokio::test]
async fn the_admin_tour_creates_lists_and_deletes() {
    let shown = succeed("admin", &[]).await;
    assert!(shown.contains("admin-example: 3 partitions"), "{shown}");
    assert!(shown.contains("deleted admin-example"), "{shown}");
}
