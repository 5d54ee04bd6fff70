//! `group`.

use crate::program::succeed;

#[tokio::test]
async fn a_group_reads_every_record() {
    let shown = succeed("group", &["--members", "2", "--records", "50"]).await;
    assert!(shown.contains("all 50 records were read"), "{shown}");
}
