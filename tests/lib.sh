# SPDX-License-Identifier: MIT
# Counting test results. Source it.
# shellcheck shell=bash

# What a kernel log must not have.
splat='WARNING: |BUG: |BUG at |Oops|Kernel panic|general protection|KASAN|UBSAN|KCSAN|INFO: (task|rcu)'
splat+='|rcu.*stall|refcount_t|list_(add|del) corruption|Call Trace|DMA-API|scheduling while atomic'

# tap_count FILE STATUS: print PASSED FAILED SKIPPED of a program that wrote
# TAP into FILE and ended with STATUS. A plan not kept and a bad status with no
# failed case are failures; a program without TAP is one case.
tap_count() {
	awk -v status="$2" '
		/^[ \t]*1\.\.[0-9]+/ { line = $0; sub(/^[ \t]*1\.\./, "", line); planned += line + 0; tap = 1 }
		/^(not )?ok / {
			tap = 1
			# cmocka calls a skipped case "not ok … # SKIP".
			if ($0 ~ /# *[Ss][Kk][Ii][Pp]/) skipped++
			else if ($0 ~ /^not ok / && $0 !~ /# *TODO/) failed++
			else passed++
		}
		END {
			seen = passed + failed + skipped
			if (!tap) {
				if (status == 0) passed = 1
				else if (status == 4 || status == 77) skipped = 1
				else failed = 1
			} else {
				if (planned > seen) failed += planned - seen
				if (status != 0 && status != 4 && status != 77 && !failed) failed = 1
			}
			print passed + 0, failed + 0, skipped + 0
		}' "$1"
}
