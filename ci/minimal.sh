#!/usr/bin/env bash
# The libraries alone, without any feature and without what other packages of the workspace ask of them, so that what only tests use
# shows; then what is told of by features that nothing else turns on; then the command without its live view.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "The libraries without default features."
cargo clippy -p shmq-core -p shmq -p shmq-raw -p shmq-pool --lib --no-default-features -- -D warnings
echo "The async ends, for each runtime alone, and for none."
cargo clippy -p shmq-async --lib -- -D warnings
for feature in tokio async-io pool; do
    cargo clippy -p shmq-async --lib --features "$feature" -- -D warnings
done
echo "Events and metrics of the library."
cargo clippy -p shmq --all-targets --features tracing,metrics -- -D warnings
cargo test --release -p shmq --features tracing,metrics --test observe
echo "The command without the live view."
cargo clippy -p shmq-cli --all-targets --no-default-features -- -D warnings
