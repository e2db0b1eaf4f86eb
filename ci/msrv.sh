#!/usr/bin/env bash
# The oldest compiler that the libraries promise, Debian's rustc-web 1.85, builds them with every feature and runs their unit tests.
# Where it cannot be fetched, Clippy's list of what is newer has to do; that knows the standard library but not the language.
# No compiler is fetched for the command: what it asks for is compared with what its dependencies ask for.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
libraries=()
for manifest in $(grep -l '^rust-version.workspace' crates/*/Cargo.toml); do
    libraries+=(-p "$(basename "$(dirname "$manifest")")")
done
version=1.85.0+dfsg3-1~deb12u3
folder=$target/debian/rustc-1.85
ci/debian.sh "$folder" {rustc-web,libstd-rust-web-1.85,libstd-rust-web-dev}=$version libllvm19=1:19.1.7-3~deb12u1 && status=0 || status=$?
case $status in
0)
    rustc=$folder/rustc
    cat >"$rustc" <<END
#!/bin/sh
LD_LIBRARY_PATH=\$(echo "$folder"/usr/lib/*-linux-gnu) exec "$folder/usr/bin/rustc" "\$@"
END
    chmod +x "$rustc"
    "$rustc" --version
    export RUSTC=$rustc CARGO_TARGET_DIR=$target/msrv CARGO_PROFILE_DEV_DEBUG=0
    cargo check "${libraries[@]}" --lib --no-default-features
    cargo test "${libraries[@]}" --lib --all-features
    ;;
75)
    echo "Only Clippy's list of what is newer than Rust 1.85, because the compiler cannot be fetched."
    cargo clippy "${libraries[@]}" --lib --all-features -- -D clippy::incompatible_msrv
    ;;
*) exit "$status" ;;
esac

echo "What the command and its dependencies ask for."
asked=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' crates/shmq-cli/Cargo.toml)
cargo fetch --locked --quiet
cargo tree --locked -p shmq-cli -e normal,build --prefix none --all-features | sort -u | while read -r name version _; do
    # The crates of this workspace are not there, and need not be looked at.
    manifests=("${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-${version#v}"/Cargo.toml)
    [ -f "${manifests[0]}" ] || continue
    wants=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "${manifests[0]}")
    if [ "$(printf '%s\n' "$asked.0" "$wants" | sort -V | tail -n 1)" != "$asked.0" ]; then
        echo "$name $version wants Rust $wants, but shmq-cli says $asked" >&2
        exit 1
    fi
done
echo "None wants more than $asked."
