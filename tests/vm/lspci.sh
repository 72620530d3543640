#!/bin/bash
# SPDX-License-Identifier: MIT
# In the guest: what lspci -vvv says of each X1. The capabilities, a link as fast
# and as wide as it can be, MSI-X in use, errors masked and reported as they
# should be, and none of the marks with which lspci points at something odd.
mapfile -t cards < <(lspci -Dn -d 1234:5831 | cut -d' ' -f1)
number=0

# check NAME PATTERN: the card's text has a line that matches.
check() {
	number=$((number + 1))
	if grep -qE -- "$2" <<<"$text"; then
		echo "ok $number - $card: $1"
	else
		echo "not ok $number - $card: $1"
		echo "# error: no line matches '$2'"
	fi
}

# none NAME PATTERN: no line does.
none() {
	local found
	number=$((number + 1))
	found=$(grep -E -- "$2" <<<"$text")
	echo "${found:+not }ok $number - $card: $1"
	[ -z "$found" ] || printf '%s\n' "$found" | sed 's/^/# error: /'
}

for card in "${cards[@]}"; do
	text=$(lspci -vvv -s "$card" 2>&1)
	while IFS= read -r line; do echo "# $line"; done <<<"$text"
	check 'class' '^[^ ]+ Processing accelerators: '
	check 'bus master and memory on' '^	Control: I/O- Mem\+ BusMaster\+ '
	check 'registers' '^	Region 0: Memory at [0-9a-f]+ \(64-bit, non-prefetchable\) \[size='
	check 'HBM' '^	Region 2: Memory at [0-9a-f]+ \(64-bit, prefetchable\) \[size='
	check 'vectors' '^	Region 4: Memory at [0-9a-f]+ \(.*\) \[size='
	check 'power management' '^	Capabilities: \[40\] Power Management version 3$'
	# An idle card may sleep.
	check 'state kept by D3hot' '^		Status: D[03] NoSoftRst\+ '
	check 'an Express endpoint' '^	Capabilities: \[80\] Express \(v2\) Endpoint'
	check 'FLR' 'FLReset\+'
	check 'link it can have' '^		LnkCap:	Port #0, Speed 32GT/s, Width x16, '
	check 'link it has' '^		LnkSta:	Speed 32GT/s, Width x16$'
	check 'link it is to have' '^		LnkCtl2: Target Link Speed: 32GT/s, '
	check 'link equalised' 'EqualizationComplete\+ EqualizationPhase1\+'
	check 'MSI-X in use' '^	Capabilities: \[[0-9a-f]+\] MSI-X: Enable\+ Count=[0-9]+ Masked-$'
	check 'AER' '^	Capabilities: \[100 v2\] Advanced Error Reporting$'
	check 'serial number' '^	Capabilities: \[150 v1\] Device Serial Number '
	check 'driver' '^	Kernel driver in use: siliflow$'
	none 'errors' '^		(UESta|CESta|DevSta):.*(Err|TLP|Cmplt|ECRC|UnsupReq|ACSViol|Rollover|Timeout|AdvNonFatalErr)\+'
	none 'signs of something odd' '!!!|<access denied>|<unreadable|<ignored>|<\?|[Uu]nknown|downgraded|overdriven|disabled\]|^lspci|pcilib'
done
[ ${#cards[@]} -gt 0 ] || echo 'not ok - no card'
echo "1..$number"
