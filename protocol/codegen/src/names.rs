//! Kafka's names as Rust writes them.

/// `ThrottleTimeMs` as `throttle_time_ms`.
pub(crate) fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| letters.get(index));
        let after = letters.get(index + 1);
        let starts_word = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                !before.is_ascii_uppercase() || after.is_some_and(char::is_ascii_lowercase)
            });
        if starts_word {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// The name of a field; raw where Rust has another use for it.
pub(crate) fn field(name: &str) -> String {
    let name = snake(name);
    if ["type", "match"].contains(&&name[..]) { format!("r#{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        for (name, expected) in [
            ("ThrottleTimeMs", "throttle_time_ms"),
            ("clusterId", "cluster_id"),
            ("TopicIDs", "topic_i_ds"),
            ("KRaftVersion", "k_raft_version"),
            ("ApiVersions", "api_versions"),
        ] {
            assert_eq!(snake(name), expected);
        }
    }

    #[test]
    fn a_keyword_becomes_a_raw_name() {
        assert_eq!(field("Type"), "r#type");
    }
}
