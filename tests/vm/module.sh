#!/bin/bash
# SPDX-License-Identifier: MIT
# In the guest: siliflow.ko as a user meets it. Device node by udev, loading and
# unloading, unbinding, removal, and firmware that is missing or damaged.
mapfile -t cards < <(grep -ls '^0x120000' /sys/bus/pci/devices/*/class | xargs -n 1 dirname | xargs -n 1 basename)
pci=${cards[0]}
sys=/sys/bus/pci/devices/$pci
image=/lib/firmware/siliflow/x1-fw.bin
kept=$(mktemp)
number=0

# The other cards stay without a driver meanwhile, so that this one is sili0.
alone() {
	local card
	modprobe -r siliflow
	for card in "${cards[@]:1}"; do echo none >"/sys/bus/pci/devices/$card/driver_override"; done
	modprobe siliflow && udevadm settle --timeout=10
}

together() {
	local card
	for card in "${cards[@]:1}"; do
		echo >"/sys/bus/pci/devices/$card/driver_override"
		echo "$card" >/sys/bus/pci/drivers_probe
	done
	udevadm settle --timeout=10
}

check() {
	local name=$1
	shift
	number=$((number + 1))
	if "$@"; then echo "ok $number - $name"; else echo "not ok $number - $name"; fi
}

load() { modprobe siliflow && udevadm settle --timeout=10; }
unload() { modprobe -r siliflow && udevadm settle --timeout=10; }
has_node() { [ -c /dev/sili0 ]; }
no_node() { [ ! -e /dev/sili0 ]; }

node() {
	has_node && [ "$(stat -Lc '%a %G' /dev/sili0)" = '660 render' ] &&
		[[ $(realpath /dev/sili0) == /dev/accel/accel* ]]
}

reload() {
	for _ in 1 2 3 4 5; do
		if ! { unload && no_node && load && has_node; }; then return 1; fi
	done
}

rebind() {
	echo "$pci" >/sys/bus/pci/drivers/siliflow/unbind
	udevadm settle --timeout=10
	no_node || return 1
	echo "$pci" >/sys/bus/pci/drivers/siliflow/bind
	udevadm settle --timeout=10
	has_node
}

replug() {
	echo 1 >"$sys/remove"
	udevadm settle --timeout=10
	no_node || return 1
	echo 1 >/sys/bus/pci/rescan
	udevadm settle --timeout=10
	has_node
}

busy() {
	# An open file keeps the module; closing it lets it go.
	exec 9<>/dev/sili0
	if modprobe -r siliflow 2>/dev/null; then return 1; fi
	exec 9>&-
	has_node && unload && load && has_node
}

# refused TEXT: probing fails, with one error of the driver's in the log, which
# has TEXT in it. Debian's firmware loader adds lines of its own.
refused() {
	local before lines
	unload || return 1
	before=$(dmesg | wc -l)
	load 2>/dev/null
	no_node || return 1
	lines=$(dmesg | tail -n +$((before + 1)) | grep "siliflow $pci: .*firmware" |
		grep -v 'firmware: failed to load')
	echo "# $lines"
	[[ $lines == *"$1"* && $lines != *$'\n'* ]]
}

truncated() {
	head -c 1000 "$kept" >"$image"
	refused truncated
}

damaged() {
	head -c -1 "$kept" >"$image"
	printf '\125' >>"$image"
	cmp -s "$kept" "$image" && printf '\252' | dd of="$image" bs=1 conv=notrunc \
		seek=$(($(stat -c %s "$image") - 1)) status=none
	refused SHA-256
}

# A whole image with a right hash, for another device.
wrong_abi() {
	local sum
	cp "$kept" "$image"
	printf '\377' | dd of="$image" bs=1 seek=16 conv=notrunc status=none
	head -c 32 /dev/zero | dd of="$image" bs=1 seek=32 conv=notrunc status=none
	sum=$(sha256sum <"$image" | cut -c 1-64)
	printf %s "$sum" | sed 's/../\\x&/g' | xargs -0 printf %b |
		dd of="$image" bs=1 seek=32 conv=notrunc status=none
	refused 'wrong ABI'
}

empty() {
	: >"$image"
	refused firmware
}

missing() {
	rm -f "$image"
	refused firmware
}

restored() {
	cp "$kept" "$image"
	unload && load && has_node
}

cp "$image" "$kept"
alone
echo "1..11"
check "device node: group and mode by udev" node
check "load and unload, five times" reload
check "an open file keeps the module" busy
check "unbind and bind" rebind
check "remove and rescan" replug
check "truncated firmware" truncated
check "damaged firmware" damaged
check "firmware of another ABI" wrong_abi
check "empty firmware" empty
check "no firmware" missing
check "good firmware again" restored
together
rm -f "$kept"
