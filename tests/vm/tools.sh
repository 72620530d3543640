#!/bin/bash
# SPDX-License-Identifier: MIT
# In the guest: the tools on a real node, and their errors.
smi=${X1_BUILD:?}/tools/sili-smi
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

no_card() {
	local ok=0
	modprobe -r siliflow && udevadm settle --timeout=10
	refused 1 'is siliflow.ko loaded?' || ok=1
	modprobe siliflow && udevadm settle --timeout=10
	return "$ok"
}

echo "1..6"
check "table of cards" table
check "JSON of one card" json
check "a node that is not there" refused 1 'No such file' -d /dev/sili63
check "a node of something else" refused 1 'not a SiliFlow X1' -d /dev/null
check "a bad option" refused 2 '--loop takes' --loop 0
check "no driver" no_card
