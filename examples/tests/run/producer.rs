//! `producer`.

use crate::program::{last_line, with_input};

#[tokio::test]
async fn what_was_delivered_is_counted() {
    let arguments = ["--topic", "lines", "--key-separator", ":"];
    let output = with_input("producer", &arguments, "a:1\nb:2\n").await;
    assert!(output.status.success());
    assert_eq!(last_line(&output.stderr), "2 delivered, 0 failed");
}
