#!/usr/bin/env bash
# Builds the C++ queues that shmq is compared with: target/cpp-peers. With root it installs what is missing; otherwise, and
# where that fails, it says so and succeeds: the benchmarks then do without them.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
headers=(boost/lockfree/spsc_queue.hpp boost/interprocess/ipc/message_queue.hpp atomic_queue/atomic_queue.h)

missing() {
    command -v g++ >/dev/null || return 0
    for header in "${headers[@]}"; do
        echo "#include <$header>" | g++ -std=c++17 -E -x c++ - >/dev/null 2>&1 || return 0
    done
    return 1
}

if missing && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get install -y -qq --no-install-recommends g++ libboost-dev libatomic-queue-dev >/dev/null 2>&1 ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends g++ libboost-dev libatomic-queue-dev; } >/dev/null 2>&1 || true
fi
if missing; then
    echo "Skipped: the C++ peers need g++ and the Debian packages libboost-dev and libatomic-queue-dev."
    exit 0
fi
mkdir -p "$target"
if [ "$target/cpp-peers" -nt benches/cpp/peers.cpp ]; then
    echo "The C++ peers are up to date: $target/cpp-peers"
    exit 0
fi
g++ -std=c++17 -O3 -DNDEBUG -Wall -Wextra -pthread benches/cpp/peers.cpp -o "$target/cpp-peers" -lrt
echo "The C++ peers: $target/cpp-peers"
