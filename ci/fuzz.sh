#!/usr/bin/env bash
# Runs every fuzz target for some seconds each and says how far it came: ci/fuzz.sh [SECONDS [TARGET...]]
# Needs the nightly toolchain. Findings are left in fuzz/artifacts, what was found to reach more in fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
# Found by cargo as its subcommand.
PATH=$(dirname "$(ci/tool.sh cargo-fuzz 0.13.2)"):$PATH
[ $# = 0 ] && set -- $(cargo +nightly fuzz list)
summary=""
for target in "$@"; do
    echo "== $target, $seconds s"
    mkdir -p "fuzz/corpus/$target"
    dict=()
    [ -f "fuzz/dict/$target" ] && dict=(-dict="fuzz/dict/$target")
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/corpus-seed/$target" -- \
        -max_total_time="$seconds" -max_len=2048 -timeout=10 -print_final_stats=1 "${dict[@]}" 2>&1 | tee "$log" | grep -v "REDUCE\|NEW "
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) ft: \([0-9]*\) corp: \([0-9]*\).*/\1 edges, \2 features, \3 inputs/p' "$log" | tail -n 1)
    summary+="$target: $executions executions, $edges"$'\n'
    rm -f "$log"
done
printf '== summary\n%s' "$summary"
