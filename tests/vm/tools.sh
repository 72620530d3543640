#!/bin/bash
# SPDX-License-Identifier: MIT
# In the guest: the tools on a real node, and their errors.
smi=${X1_BUILD:?}/tools/sili-smi
trace=$X1_BUILD/tools/sili-trace
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
number=0

check() {
	local name=$1
	shift
	number=$((number + 1))
	if "$@"; then echo "ok $number - $name"; else echo "not ok $number - $name"; fi
}

table() {
	"$smi" | grep -qE '^/dev/sili0 +[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.0 .* ready '
}

json() {
	local out
	out=$("$smi" --json -d /dev/sili0) && [[ $out == *'"firmware_state": "ready"'* && $out == *'"backend": "drm"'* ]]
}

# refused STATUS TEXT ARGUMENT…
refused() {
	local want=$1 text=$2 out status=0
	shift 2
	out=$("$smi" "$@" 2>&1) || status=$?
	echo "# $out"
	[ "$status" -eq "$want" ] && [[ $out == *"$text"* ]]
}

counters() {
	local out
	out=$("$smi" --counters -d /dev/sili0) && grep -qE '^/dev/sili0 +[0-9]+ +[0-9.]+' <<<"${out##*occupied}" &&
		out=$("$smi" --counters --json -d /dev/sili0) && [[ $out == *'"MATRIX": '* ]]
}

# record DEVICE FILE: what a product does there, without the times.
record() {
	SILI_DEVICE=$1 "$trace" -k launch,wg,busy -o "$dir/json" "$X1_BUILD/examples/gemm" >"$dir/out" 2>&1 || {
		sed 's/^/# /' "$dir/out"
		return 1
	}
	grep -q '"lost":0}' "$dir/json" && sed -n 's/^{"name":\("[^"]*","cat":"[^"]*"\),.*/\1/p' "$dir/json" | sort >"$2"
}

# The second card has as many MCUs as this device in the process.
same_timeline() {
	record /dev/sili1 "$dir/card" && record sim:mcus=16,hbm=128M "$dir/sim" && [ "$(wc -l <"$dir/card")" -gt 100 ] &&
		cmp "$dir/card" "$dir/sim"
}

# The group may use cards, which is not enough.
not_for_all() {
	local out
	out=$(SILI_DEVICE=/dev/sili0 setpriv --reuid=65534 --regid=render --clear-groups \
		"$trace" -o /dev/null "$X1_BUILD/examples/hello" 2>&1) && return 1
	echo "# ${out//$'\n'/$'\n'# }"
	[[ $out == *CAP_PERFMON* ]]
}

no_card() {
	local ok=0
	modprobe -r siliflow && udevadm settle --timeout=10
	refused 1 'is siliflow.ko loaded?' || ok=1
	modprobe siliflow && udevadm settle --timeout=10
	return "$ok"
}

echo "1..9"
check "table of cards" table
check "JSON of one card" json
check "counters of one card" counters
check "a card's timeline is that of the same device in the process" same_timeline
check "a user's timeline is refused, with the reason" not_for_all
check "a node that is not there" refused 1 'No such file' -d /dev/sili63
check "a node of something else" refused 1 'not a SiliFlow X1' -d /dev/null
check "a bad option" refused 2 '--loop takes' --loop 0
check "no driver" no_card
