#!/usr/bin/env bash
# Real kills, briefly: both ends of queues of both shapes, for SECONDS each (20), and the control that must fail.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
lab=${CARGO_TARGET_DIR:-target}/release/shmq-lab
cargo build --release -p shmq-lab

for shape in --records --slots; do
    echo "Torture of $shape for $seconds seconds."
    timeout $((seconds + 120)) "$lab" torture "$shape" --seconds "$seconds"
done

echo "The control: payload that arrives after the word that publishes it must be found."
for shape in --records --slots; do
    report=$(timeout 180 "$lab" torture "$shape" --seconds 60 --plant publish-before-payload --json) && status=0 || status=$?
    # What it kept for a post mortem is of no interest here.
    grep -o '/dev/shm/shmq-lab-[^"]*' <<<"$report" | sort -u | xargs --no-run-if-empty rm -f
    if ((status != 1)) || ! grep -q '"torn": [1-9]' <<<"$report"; then
        echo "the control came out wrong, with status $status: $report"
        exit 1
    fi
    echo "found with $shape"
done
