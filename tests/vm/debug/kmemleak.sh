#!/bin/bash
# SPDX-License-Identifier: MIT
# In the guest, after everything else: does anybody still hold what the driver
# has allocated? Objects count from the second scan on that does not find them.
leaks=/sys/kernel/debug/kmemleak
echo "1..2"
if modprobe -r siliflow && modprobe siliflow; then echo "ok 1 - unload and load"; else echo "not ok 1 - unload and load"; fi
for _ in 1 2; do
	sleep 6
	echo scan >"$leaks" || exit 1
done
if grep -B 20 -A 2 '\[siliflow\]' "$leaks"; then
	echo "not ok 2 - memory that nobody holds"
else
	echo "ok 2 - memory that nobody holds ($(grep -c '^unreferenced' "$leaks") objects of others)"
fi
