#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# How long things may be: in lib/ a file 600 lines, a function 60 (its braces included), and in all C
# code a line 100 columns.
set -u
src=${UDS_SRCDIR:-.}
passed=0
failed=0

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAILED: $*"; }

# Prints "file: N lines" for each file above the limit.
long_files() {
	find "$1" -name '*.[ch]' -exec awk 'END { if (FNR > 600) print FILENAME ": " FNR " lines" }' {} \;
}

# Prints "file:line: N lines" for each function above the limit: from a brace in the first column to the next
# closing one there, as clang-format puts them.
long_functions() {
	find "$1" -name '*.[ch]' -exec awk '
		/^{/ { start = FNR }
		/^}/ && start {
			if (FNR - start + 1 > 60)
				print FILENAME ":" start ": " FNR - start + 1 " lines"
			start = 0
		}' {} \;
}

# Prints "file:line: N columns" for each line above the limit, a tab going to the next multiple of 8.
wide_lines() {
	find "$@" -name '*.[ch]' -exec awk '
		length($0) > 12 {
			columns = 0
			count = split($0, part, "\t")
			for (i = 1; i < count; i++)
				columns += 8 * int(length(part[i]) / 8) + 8
			columns += length(part[count])
			if (columns > 100)
				print FILENAME ":" FNR ": " columns " columns"
		}' {} +
}

# lines TEXT N: the text N times.
lines() { for ((i = 0; i < $2; i++)); do printf '%s\n' "$1"; done; }

# The limits are really found, and only beyond.
try=$(mktemp -d) || exit 99
trap 'rm -rf "$try"' EXIT
{ echo "int f(void)"; echo "{"; lines "	;" 58; echo "}"; } >"$try/good.c"
lines "" 539 >>"$try/good.c"
[ -z "$(long_files "$try")$(long_functions "$try")" ] && pass || fail "600 lines and a function of 60 were refused"
echo >>"$try/good.c"
[ -n "$(long_files "$try")" ] && pass || fail "a file of 601 lines was not found"
{ echo "int f(void)"; echo "{"; lines "	;" 59; echo "}"; } >"$try/bad.c"
[ -n "$(long_functions "$try")" ] && pass || fail "a function of 61 lines was not found"
printf '\t/*%82s */\t;\n' "" >"$try/wide.c"
[ -z "$(wide_lines "$try/wide.c")" ] && pass || fail "a line of 97 columns was refused"
printf '\t%91s;\n%100s\n' "" "" >"$try/wide.c"
[ -z "$(wide_lines "$try")" ] && pass || fail "a line of 100 columns was refused"
printf '\t%92s;\n' "" >"$try/wide.c"
[ -n "$(wide_lines "$try")" ] && pass || fail "a line of 101 columns was not found"
printf '%98s\t\n' "" >"$try/wide.c"
[ -n "$(wide_lines "$try")" ] && pass || fail "a line of 104 columns, the last a tab, was not found"

[ -n "$(find "$src/lib" -name '*.c')" ] && pass || fail "no file was found below $src/lib"
found=$(long_files "$src/lib")
[ -z "$found" ] && pass || fail "files of more than 600 lines: $found"
found=$(long_functions "$src/lib")
[ -z "$found" ] && pass || fail "functions of more than 60 lines: $found"
found=$(wide_lines "$src"/{lib,include,tools,plugins,tests,examples,bench})
[ -z "$found" ] && pass || fail "lines of more than 100 columns: $found"

echo "result: $passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
