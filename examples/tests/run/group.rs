//! `group`.

use crate::program::{fail, succeed};

#[tokio::test]
async fn a_group_reads_every_record() {
    let shown = succeed("group", &["--members", "2", "--records", "50"]).await;
    assert!(shown.contains("all 50 records were read"), "{shown}");
}

#[tokio::test]
async fn a_member_that_fails_ends_the_program() {
    let session = ["-X", "session.timeout.ms=5", "-X", "heartbeat.interval.ms=1"];
    let told = fail("group", &session).await;
    assert!(told.contains("session.timeout.ms must lie within"), "{told}");
}
