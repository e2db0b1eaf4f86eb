#!/usr/bin/env bash
# A few seconds of every fuzz target; ci/fuzz.sh SECONDS runs longer.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "Every fuzz target for 20 seconds."
ci/fuzz.sh 20
