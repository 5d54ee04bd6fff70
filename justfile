# An index of commands. Each is one line that works typed by hand, so nobody needs `just` to work here.

# List these commands
default:
    @just --list --unsorted

# What to run before a commit: format, lints, tests
check: format lint test

# Format every crate
format:
    cargo fmt --all

# Lints are errors
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# All tests; they need nothing but Rust
test:
    cargo test

# The documentation, as docs.rs shows it
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Write the messages again from protocol/schemas
gen:
    cargo run -p ottla-codegen

# Let Apache Kafka write the golden files again (JDK 17, Maven)
golden:
    protocol/golden/run generate

# Other people's clients against the reference broker
clients *NAMES:
    integration-tests/third-party/run {{NAMES}}

# The suites on Apache Kafka in containers: one_container, three_containers, or a test's name
kafka *NAMES:
    cargo test -p ottla-integration-tests --features containers --test suites -- {{NAMES}}

# Fuzz one target until it falls, or every target for a moment: `.ci/run fuzz`
fuzz TARGET *OPTIONS:
    cargo +nightly fuzz run {{TARGET}} -- {{OPTIONS}}

# Benchmarks; name one to run only that
bench *NAME:
    cargo bench --manifest-path benchmarks/Cargo.toml {{NAME}}

# All that a merge needs, or only the steps named
ci *STEPS:
    .ci/run {{STEPS}}
