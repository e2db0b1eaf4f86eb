#!/usr/bin/env bash
# Runs the litmus texts of tests/litmus through herd7: whatever the memory models of C11 and of ARMv8 allow, no text may show its
# bad outcome, and each control, which is a text with an ordering weakened, must show it under one of them. Compares what comes out
# with tests/litmus/RESULTS.txt; --bless writes that anew.
#
# Takes herd7 from the PATH, or from HERD7; else unpacks Debian's, of this version, below target/.
set -euo pipefail
cd "$(dirname "$0")/.."
version=7.58
packages="herdtools7=$version-2 libc6 libgmp10"
sum=97a6e2bfbc2c516cd9816e8c87c3acc412953479a3351b308d139e0af9550672
work="${CARGO_TARGET_DIR:-target}/litmus"
mkdir -p "$work"
work=$(realpath "$work")

# Debian's package is of its newest release, so it brings its own C library and stays in a folder of its own.
unpack() {
    local lists="$work/apt" apt site
    # From where this machine has its own packages.
    site=$(apt-get indextargets --format '$(REPO_URI)' | grep -m 1 '/debian/*$') || return 1
    mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial" "$lists/deb"
    echo "deb $site sid main" >"$lists/sources.list"
    apt=(apt-get -qq -o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$lists/lists" -o "Dir::Cache=$lists/cache" -o APT::Sandbox::User=root)
    # shellcheck disable=SC2086 # several packages
    (cd "$lists/deb" && "${apt[@]}" update && "${apt[@]}" download $packages) &&
        echo "$sum  $(echo "$lists"/deb/herdtools7_*.deb)" | sha256sum --quiet -c &&
        for package in "$lists"/deb/*.deb; do dpkg-deb -x "$package" "$work/debian" || return 1; done
    rm -rf "$lists"
}

debian="$work/debian/usr"
herd=("${HERD7:-herd7}")
if ! command -v "${herd[0]}" >/dev/null; then
    if [ ! -x "$debian/bin/herd7" ] && [ "$(uname -m)" = x86_64 ] && command -v apt-get dpkg-deb >/dev/null; then
        unpack >/dev/null 2>&1 || rm -rf "$work/debian"
    fi
    libraries="$debian/lib/x86_64-linux-gnu"
    herd=("$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$debian/bin/herd7"
        -set-libdir "$debian/share/herdtools7/herd")
    if [ ! -x "$debian/bin/herd7" ]; then
        echo "Skipped: the litmus texts need herd7 (herdtools7), which is not installed and could not be had."
        [ -z "${SHMQ_NO_SKIPS:-}" ]
        exit
    fi
fi
models=$("${herd[@]}" -libdir)
echo "Litmus texts under herd7 $("${herd[@]}" -version | cut -d, -f1)."

# Four models: RC11; the same without its axiom against values out of thin air, which compilers do not keep to the letter; ARMv8;
# and ARMv8 where an acquiring load is LDAPR.
grep -v 'as no-thin-air' "$models/rc11.cat" >"$work/c11.cat"
if cmp -s "$work/c11.cat" "$models/rc11.cat"; then
    echo "rc11.cat has no axiom called no-thin-air: which one is to be left out?" >&2
    exit 1
fi
rm -rf "$work/rcpc"
mkdir "$work/rcpc"
for text in tests/litmus/*.aarch64.litmus tests/litmus/controls/*.aarch64.litmus; do
    sed 's/\bLDAR /LDAPR /' "$text" >"$work/rcpc/$(basename "$text")"
done
allows() { # name of the column, model, texts
    local column=$1 model=$2
    shift 2
    "${herd[@]}" -model "$model" "$@" | awk -v column="$column" '$1 == "Observation" {
        print $2, column, ($3 == "Never" ? "no" : "YES") }'
}
c11=(tests/litmus/*.c11.litmus tests/litmus/controls/*.c11.litmus)
aarch64=(tests/litmus/*.aarch64.litmus tests/litmus/controls/*.aarch64.litmus)
{
    allows 1 rc11.cat "${c11[@]}"
    allows 2 "$work/c11.cat" "${c11[@]}"
    allows 3 aarch64.cat "${aarch64[@]}"
    allows 4 aarch64.cat "$work"/rcpc/*
} | awk '
    { found[$1 " " $2] = $3; names[$1] = 1 }
    END {
        for (name in names) {
            print name, found[name " 1"], found[name " 2"], found[name " 3"], found[name " 4"]
        }
    }' | LC_ALL=C sort >"$work/found"
awk '
    BEGIN {
        print "Does the model allow the bad outcome? Written by ci/litmus.sh --bless."
        format = "%-72s %-4s %-4s %-4s %s\n"
        printf format, "text", "rc11", "c11", "a64", "rcpc"
    }
    { printf format, $1, $2, $3, $4, $5 }' "$work/found" >"$work/RESULTS.txt"

awk -v texts="${#c11[@]}" '
    NF != 5 { print "Not run under each model: " $0; bad = 1 }
    !/\+control-/ && /YES/ { print "Allowed: " $0; bad = 1 }
    /\+control-/ && !/YES/ { print "A control that shows nothing: " $0; bad = 1 }
    END {
        if (NR != texts) { print NR " texts were run, there are " texts; bad = 1 }
        print texts " texts and controls under four models"
        exit bad
    }' "$work/found"
if [ "${1:-}" = --bless ]; then
    cp "$work/RESULTS.txt" tests/litmus/RESULTS.txt
else
    diff -u tests/litmus/RESULTS.txt "$work/RESULTS.txt"
fi
