#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Each folder of lib/ is a layer: what it may include is listed here, once. A lower layer never includes a
# higher one, and no two modules know each other: a module is a header with the .c file of its name.
set -u
src=${UDS_SRCDIR:-.}
passed=0
failed=0

# folder: the folders that it may include besides its own
rules='
base:
io: base
delta: base
geometry: base delta
chapter: base delta geometry
volume_index: base delta geometry
extras: base io delta geometry
volume: base io vdo delta geometry extras chapter
sparse: base io delta geometry chapter volume_index volume
index: base io delta geometry chapter extras volume_index volume sparse
check: base io delta geometry extras chapter volume_index volume sparse index
exceptions: base io
snapshot: base io exceptions
vdo: base io
uri: base io vdo lvm
testing: base io
lvm: base io
'

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAILED: $*"; }

# Prints "file folder/header.h" for each include of a header of lib/.
includes() {
	find "$src/lib" -name '*.[ch]' -exec sed -n 's|^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*|'"{}"' \1|p' {} \; |
		sed "s|^$src/lib/||"
}

list=$(mktemp) || exit 99
trap 'rm -f "$list"' EXIT
includes >"$list"
[ -s "$list" ] && pass || fail "no include was found below $src/lib"

for folder in $(cd "$src/lib" && ls -d */ | tr -d /); do
	allowed=$(echo "$rules" | sed -n "s/^$folder://p")
	if ! echo "$rules" | grep -q "^$folder:"; then
		fail "lib/$folder has no rule: say in tests/install/test_layers.sh what it stands on"
		continue
	fi
	wrong=$(grep "^$folder/" "$list" | while read -r file header; do
		case " $folder $allowed " in
		*" ${header%%/*} "*) ;;
		*) echo "lib/$file includes $header;" ;;
		esac
	done)
	[ -z "$wrong" ] && pass || fail "lib/$folder may include its own files and:${allowed:- nothing}: $wrong"
done

# circle_in: reads "module module" lines, prints the modules that stand in a circle; tsort names them.
circle_in() { tsort 2>&1 >/dev/null | sed 's/^tsort: //' | tr '\n' ' '; }

# Prints "module module" for each include of another module.
modules() { sed 's/\.[ch]\( \|$\)/\1/g' "$1" | awk '$1 != $2' | sort -u; }

# The search itself finds one: a header that includes what its own .c file is included by.
found=$(printf 'x/a.c x/a.h\nx/a.c x/b.h\nx/b.h x/c.h\nx/c.c x/a.h\n' >"$list.try" && modules "$list.try" | circle_in)
rm -f "$list.try"
case $found in
*x/a*x/c* | *x/c*x/a* | *x/b*x/a* | *x/a*x/b*) pass ;;
*) fail "a circle of three modules was not found: $found" ;;
esac

circle=$(modules "$list" | circle_in)
[ -z "$circle" ] && pass || fail "modules include each other in a circle: $circle"

# The headers of one layer do not reach into another one's file by a relative path.
relative=$(grep -n ' \.\./\| [^/]*$' "$list" | tr '\n' ' ')
[ -z "$relative" ] && pass || fail "name the folder in an include: $relative"

echo "result: $passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
