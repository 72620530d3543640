#!/bin/bash
# SPDX-License-Identifier: MIT
# In the guest: what the driver's KUnit suites said when the module was loaded.
# Their cases are KTAP one level down; here they are counted through.
shopt -s nullglob
suites=(/sys/kernel/debug/kunit/siliflow_*/results)
echo "TAP version 13"
cat "${suites[@]}" /dev/null | awk '
	/^    (not )?ok / { sub(/^    /, ""); sub(/ok [0-9]+/, "ok " ++cases); print; next }
	/^    # Subtest: / { suites++ }
	/^ *#/ { print }
	END {
		# Each file of driver/tests is a suite.
		print (suites == wanted ? "ok " : "not ok ") ++cases " - " suites + 0 " of " wanted " suites"
		print "1.." cases
	}' wanted="$(find "${0%/tests/*}/driver/tests" -name '*_test.c' | wc -l)"
