//! `producer`.

use crate::program::{fail, last_line, with_input};

#[tokio::test]
async fn what_was_delivered_is_counted() {
    let arguments = ["--topic", "lines", "--key-separator", ":"];
    let output = with_input("producer", &arguments, "a:1\nb:2\n").await;
    assert!(output.status.success());
    assert_eq!(last_line(&output.stderr), "2 delivered, 0 failed");
}

#[tokio::test]
async fn who_wants_all_acknowledgements_keeps_idempotence_however_it_is_spelt() {
    for acks in ["--acks=all", "--acks=ALL", "--acks=-1"] {
        let told = fail("producer", &["--topic", "lines", acks, "-X", "max.in.flight=6"]).await;
        assert!(told.contains("at most 5 requests in flight"), "{acks}: {told}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    for file in [folder, "no-such-file"] {
        let told = fail("producer", &["--topic", "lines", "--file", file]).await;
        assert!(told.contains(file), "{told}");
    }
}
