#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Files of a folder of lib/ stand on each other in one order: a file and its header are one module, and no
# module includes or calls, directly or in a circle, one that stands on it. And what a folder keeps to itself
# is included by nobody else. And no tag of a struct, union or enum is defined twice.
set -u
src=${UDS_SRCDIR:-.}
build=${UDS_BUILDDIR:-.}
passed=0
failed=0
skipped=0

# The folders that have such an order.
folders='base io delta geometry chapter volume_index volume sparse index check vdo lvm uri testing exceptions snapshot'

# Headers that only their own folder includes.
private='io/engine_private.h io/file.h exceptions/store_private.h exceptions/exception_tree.h snapshot/device.h snapshot/merge_run.h'

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAILED: $*"; }

# "module other", for each include.
includes() {
	for file in "$src/lib/$1"/*.[ch]; do
		module=$(basename "$file" | sed 's/\.[ch]$//')
		sed -n "s|^#include \"$1/\([a-z_0-9]*\)\.h\"|$module \1|p" "$file"
	done
}

# object FOLDER MODULE: where its .c file was compiled to; libtool puts the library's name in front, and
# position-independent code into a folder of its own.
object() {
	local object="$build/lib/$1/.libs/libcore_la-$2.o"
	[ -f "$object" ] || object="$build/lib/$1/libcore_la-$2.o"
	echo "$object"
}

# "module other", for each call or other use of a symbol.
uses() {
	for file in "$src/lib/$1"/*.c; do
		object "$1" "$(basename "$file" .c)"
	done | xargs nm -A | sed 's|^[^:]*/libcore_la-\([a-z_0-9]*\)\.o:|\1 |' | awk '
		$(NF - 1) == "U" { use[++n] = $1; symbol[n] = $NF; next }
		$(NF - 1) ~ /^[A-Z]$/ { where[$NF] = $1 }
		END { for (i = 1; i <= n; i++) if (symbol[i] in where) print use[i], where[symbol[i]] }'
}

# The edges on standard input without those of a module to itself; tsort names a circle.
circle() { awk '$1 != $2' | sort -u | tsort 2>&1 >/dev/null | tr '\n' ' '; }

[ -n "$(printf 'a b\nb c\nc a\n' | circle)" ] && pass || fail "a circle of three modules was not found"

calls=0
for folder in $folders; do
	missing=$(for file in "$src/lib/$folder"/*.c; do
		[ -f "$(object "$folder" "$(basename "$file" .c)")" ] || basename "$file"
	done)
	if [ -z "$missing" ] && command -v nm >/dev/null; then
		used=$(uses "$folder")
		calls=$((calls + $(echo "$used" | awk '$1 != $2' | wc -l)))
		edges=$(includes "$folder"; echo "$used")
	else
		echo "skipped: the calls in lib/$folder: no nm, or no object of" $missing
		skipped=$((skipped + 1))
		edges=$(includes "$folder")
	fi
	found=$(echo "$edges" | circle)
	[ -z "$found" ] && pass || fail "lib/$folder: files stand on each other in a circle: $found"
done
[ "$skipped" -gt 0 ] || [ "$calls" -gt 100 ] && pass || fail "only $calls calls between modules were found"

for header in $private; do
	[ -f "$src/lib/$header" ] || fail "there is no lib/$header"
	others=$(grep -l "^#include \"$header\"" -r "$src/lib" "$src/tools" "$src/examples" | grep -v "/lib/${header%/*}/" | tr '\n' ' ')
	[ -z "$others" ] && pass || fail "lib/$header is private to its folder: $others"
done

# Each tag has one meaning: prints those that are defined more than once.
tags_twice() {
	find "$@" -name '*.[ch]' -exec sed -n 's/^[[:space:]]*\(const \|static \|typedef \)*\(struct\|union\|enum\) \([a-z_0-9]*\) {.*/\3/p' {} + |
		sort | uniq -d | tr '\n' ' '
}

try=$(mktemp -d) || exit 99
trap 'rm -rf "$try"' EXIT
echo 'struct slot {' >"$try/a.c"
echo 'struct slot_table {' >"$try/b.h"
[ -z "$(tags_twice "$try")" ] && pass || fail "two tags were taken for one"
echo '	enum slot { A, B };' >"$try/c.c"
[ "$(tags_twice "$try")" = "slot " ] && pass || fail "a tag that is defined twice was not found"
twice=$(tags_twice "$src/lib" "$src/include")
[ -z "$twice" ] && pass || fail "tags that are defined twice: $twice"

echo "result: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
