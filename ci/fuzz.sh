#!/usr/bin/env bash
# Runs every fuzz target for some seconds each and says how far it came: ci/fuzz.sh [SECONDS [TARGET...]]
# As many at once as there are processors. Needs the nightly toolchain. Findings are left in fuzz/artifacts, what was found to reach
# more in fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
# Found by cargo as its subcommand.
PATH=$(dirname "$(ci/tool.sh cargo-fuzz 0.13.2)"):$PATH
[ $# = 0 ] && set -- $(cargo +nightly fuzz list)
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
cargo +nightly fuzz build

# One target; what it says is shown when it has ended.
fuzz() {
    local target=$1 log=$2/$1 dict=() status=0
    mkdir -p "fuzz/corpus/$target"
    [ -f "fuzz/dict/$target" ] && dict=(-dict="fuzz/dict/$target")
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/corpus-seed/$target" -- \
        -max_total_time="$3" -max_len=2048 -timeout=10 -print_final_stats=1 "${dict[@]}" >"$log" 2>&1 || status=$?
    printf '== %s, %s s\n%s\n' "$target" "$3" "$(grep -v 'REDUCE\|NEW ' "$log")"
    return "$status"
}
export -f fuzz
failed=0
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'fuzz "$@"' fuzz {} "$logs" "$seconds" || failed=1

printf '== summary\n'
for target in "$@"; do
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target")
    edges=$(sed -n 's/.* cov: \([0-9]*\) ft: \([0-9]*\) corp: \([0-9]*\).*/\1 edges, \2 features, \3 inputs/p' "$logs/$target" | tail -n 1)
    echo "$target: $executions executions, $edges"
done
exit "$failed"
