#!/usr/bin/env bash
# Weakens every site of the protocol in turn, one step at a time, and prints which tests notice: the table in
# docs/CORRECTNESS.md. What loom cannot miss, the searches over crash states must. Takes a quarter of an hour.
# ci/weaken.sh [SITE...]: these sites alone.
set -euo pipefail
cd "$(dirname "$0")/.."
export SHMQ_WEAKEN="$*"
cargo test --release -p shmq-tests --test loom_models -- \
    --ignored --exact report::report_which_test_notices_a_weaker_site --nocapture | sed -un '/^| /p;/^|-/p;/^nobody/p;/^test /p'
