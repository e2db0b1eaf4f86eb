#!/usr/bin/env bash
# Unpacks Debian packages into a folder without installing them: ci/debian.sh FOLDER PACKAGE[:ARCHITECTURE]=VERSION...
# Wants apt and dpkg, not root; changes nothing outside the folder. Done once for the same list. With status 75 where nothing
# can be fetched.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
[ "$(cat "$folder/packages" 2>/dev/null)" = "$*" ] && exit 0

for tool in apt-get dpkg; do
    command -v "$tool" >/dev/null || { echo "no $tool here to fetch Debian packages with" >&2; exit 75; }
done
echo "Fetching from Debian 12: $*"
find "$folder" -mindepth 1 -delete
apt=$folder/apt
mkdir -p "$apt"/{lists/partial,archives/partial,preferences.d,sources.d}
touch "$apt/status"
key=/usr/share/keyrings/debian-archive-keyring.gpg
# From where this machine has its own packages.
sites=$(apt-get indextargets --format '$(REPO_URI)' | sort -u)
main=$(grep -m 1 '/debian/*$' <<<"$sites") && security=$(grep -m 1 '/debian-security/*$' <<<"$sites") ||
    { echo "apt knows no Debian archive here" >&2; exit 75; }
cat >"$apt/sources.list" <<END
deb [signed-by=$key] $main bookworm main
deb [signed-by=$key] $security bookworm-security main
END
# An apt of its own: its sources, lists, cache and architectures.
cat >"$apt/apt.conf" <<END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "$apt/sources.d";
Dir::Etc::Preferences "$apt/preferences";
Dir::Etc::PreferencesParts "$apt/preferences.d";
Dir::State::Lists "$apt/lists";
Dir::State::Status "$apt/status";
Dir::Cache "$apt";
APT::Architectures { "$(dpkg --print-architecture)"; "amd64"; "arm64"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
END
own_apt() { apt-get -qq -c "$apt/apt.conf" "$@"; }
own_apt update -o APT::Update::Error-Mode=any || { echo "Debian's package lists cannot be fetched" >&2; exit 75; }
(cd "$apt/archives" && own_apt download "$@")
for package in "$apt"/archives/*.deb; do
    dpkg -x "$package" "$folder"
done
rm -r "$apt"
echo "$*" >"$folder/packages"
