# SPDX-License-Identifier: MIT
# Shared by the set-up scripts: paths, progress, private apt. Source it.
# shellcheck shell=bash disable=SC2034

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${X1_BUILD:-$top/build}
cache=$build/cache
logs=$build/log
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
jobs=$(nproc)

mkdir -p "$cache" "$logs"

say() { printf '%s\n' "$*" >&2; }
die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# step NAME COMMAND…: run with its output in build/log/NAME.log, show elapsed time.
step() {
	local name=$1 log start pid s
	shift
	log=$logs/$name.log
	start=$SECONDS
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		s=$((SECONDS - start))
		if [ -t 2 ]; then
			printf '\r  %-28s %3d s' "$name" "$s" >&2
		elif [ "$s" -gt 0 ] && [ $((s % 30)) -eq 0 ]; then
			printf '  %-28s %3d s …\n' "$name" "$s" >&2
		fi
		sleep 1
	done
	if wait "$pid"; then
		[ -t 2 ] && printf '\r' >&2
		printf '  %-28s %3d s  done\n' "$name" $((SECONDS - start)) >&2
		return 0
	fi
	[ -t 2 ] && printf '\r' >&2
	printf '  %-28s %3d s  FAILED; the end of %s:\n' "$name" $((SECONDS - start)) "$log" >&2
	tail -n 25 "$log" >&2
	return 1
}

# The Debian mirror that this machine's own apt uses.
debian_mirror() {
	local uri
	uri=$({
		sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p' \
			/etc/apt/sources.list.d/*.sources 2>/dev/null
		sed -n 's/^deb[[:space:]]\+\(\[[^]]*\][[:space:]]*\)\?\([^[:space:]]*\).*/\2/p' \
			/etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null
	} | grep -E '/debian/?$' | head -n 1 || true)
	[ -n "$uri" ] || die "no Debian mirror (a URI that ends in /debian) in this machine's apt sources"
	printf '%s\n' "${uri%/}"
}

# Private apt state below the build folder: this machine's own lists and
# sources stay as they are.
papt_init() {
	local dir=$cache/apt mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -r "$keyring" ] || die "missing $keyring: install the package debian-archive-keyring"
	mirror=$(debian_mirror)
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/etc" "$dir/parts"
	: >"$dir/status"
	cat >"$dir/etc/sources.list" <<-END
		deb [signed-by=$keyring] $mirror trixie main
		deb-src [signed-by=$keyring] $mirror trixie main
		deb [signed-by=$keyring] $mirror trixie-backports main
		deb [signed-by=$keyring] $mirror bookworm-backports main
	END
	papt_opts=(
		-o "Dir::Etc::sourcelist=$dir/etc/sources.list"
		-o "Dir::Etc::sourceparts=$dir/parts"
		-o "Dir::State::lists=$dir/lists"
		-o "Dir::State::status=$dir/status"
		-o "Dir::Cache=$dir/cache"
		-o "APT::Sandbox::User="
		-o "Acquire::Languages=none"
		-o "Acquire::Retries=3"
		-o "APT::Get::Assume-Yes=true"
	)
	if ! cmp -s "$dir/etc/sources.list" "$dir/updated"; then
		step apt-update apt-get "${papt_opts[@]}" update
		cp "$dir/etc/sources.list" "$dir/updated"
	fi
}

papt() { apt-get "${papt_opts[@]}" "$@"; }

# Newest package name that matches a regular expression in the private lists.
papt_newest() { apt-cache "${papt_opts[@]}" pkgnames | grep -E "^$1\$" | sort -V | tail -n 1; }

# fetch_debs DIR PACKAGE[/SUITE]…: download into DIR.
fetch_debs() {
	local dir=$1
	shift
	mkdir -p "$dir"
	(cd "$dir" && papt download "$@")
}
