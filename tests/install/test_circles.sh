#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Files of a folder of lib/ stand on each other in one order: a file and its header are one module, and no
# module includes or calls, directly or in a circle, one that stands on it. And what a folder keeps to itself
# is included by nobody else.
set -u
src=${UDS_SRCDIR:-.}
build=${UDS_BUILDDIR:-.}
passed=0
failed=0
skipped=0

# The folders that have such an order.
folders='exceptions snapshot'

# Headers that only their own folder includes.
private='exceptions/store_private.h exceptions/exception_tree.h snapshot/device.h snapshot/merge_run.h'

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAILED: $*"; }

# "module other", for each include.
includes() {
	for file in "$src/lib/$1"/*.[ch]; do
		module=$(basename "$file" | sed 's/\.[ch]$//')
		sed -n "s|^#include \"$1/\([a-z_0-9]*\)\.h\"|$module \1|p" "$file"
	done
}

# "module other", for each call or other use of a symbol.
uses() {
	for object in "$build/lib/$1"/*.o; do
		nm "$object" | sed "s|^|$(basename "$object" .o) |"
	done | awk '
		$(NF - 1) == "U" { use[++n] = $1; symbol[n] = $NF; next }
		$(NF - 1) ~ /^[A-Z]$/ { where[$NF] = $1 }
		END { for (i = 1; i <= n; i++) if (symbol[i] in where) print use[i], where[symbol[i]] }'
}

# The edges on standard input without those of a module to itself; tsort names a circle.
circle() { awk '$1 != $2' | sort -u | tsort 2>&1 >/dev/null | tr '\n' ' '; }

for folder in $folders; do
	objects=$(ls "$build/lib/$folder"/*.o 2>/dev/null | wc -l)
	sources=$(ls "$src/lib/$folder"/*.c | wc -l)
	# Objects of files that are gone would be modules of their own.
	if [ "$objects" = "$sources" ] && command -v nm >/dev/null; then
		edges=$(includes "$folder"; uses "$folder")
		[ "$(uses "$folder" | wc -l)" -gt "$sources" ] && pass || fail "lib/$folder: no calls were found"
	else
		echo "skipped: the calls in lib/$folder: $objects objects of $sources files, or no nm"
		skipped=$((skipped + 1))
		edges=$(includes "$folder")
	fi
	found=$(echo "$edges" | circle)
	[ -z "$found" ] && pass || fail "lib/$folder: files stand on each other in a circle: $found"
done

for header in $private; do
	[ -f "$src/lib/$header" ] || fail "there is no lib/$header"
	others=$(grep -l "^#include \"$header\"" -r "$src/lib" "$src/tools" "$src/examples" | grep -v "/lib/${header%/*}/" | tr '\n' ' ')
	[ -z "$others" ] && pass || fail "lib/$header is private to its folder: $others"
done

echo "result: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
