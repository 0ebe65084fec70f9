#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The models are models of this library: each function that one names is still defined where it says. Whether they
# hold is for "./quickstart check-long models".
set -u
export LC_ALL=C
srcdir=$(cd "${UDS_SRCDIR:-$(dirname "$0")/../..}" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/uds-models.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0
models=$(grep -l '^init' "$srcdir"/tests/models/*.pml)

# functions MODEL: "FILE FUNCTION" for each that its comment names; a list goes on in lines with two tabs.
functions() {
	awk '
	/^ \* Models: / { file = $3; sub(/:$/, "", file); sub(/^ \* Models: [^ ]*/, ""); list() ; next }
	/^ \*\t\t/ && file != "" { sub(/^ \*/, ""); list(); next }
	{ file = "" }
	function list(i) { for (i = 1; i <= NF; i++) print file, $i }' "$1"
}

# is_defined TREE FILE FUNCTION: at the left margin, and not only declared.
is_defined() { grep -E "^[A-Za-z].*[ *]$3\(" "$1/$2" 2>/dev/null | grep -qv ';$'; }

# missing TREE MODEL...: the functions that are not there.
missing() {
	local tree=$1 model file function
	shift
	for model in "$@"; do
		functions "$model" | while read -r file function; do
			is_defined "$tree" "$file" "$function" || echo "$(basename "$model"): $file: $function"
		done
	done
}

numbers() { tr ' ' '\n' | sort -nu; }

# Those that its comment tells of, and those that are in its code.
told() { sed -n 's/^ \* MUTANT \([0-9]*\): .*/\1/p' "$1" | numbers; }
coded() {
	grep -oE 'MUTANT [!=]= [0-9]+|(EXCEPT|ONLY)_IN\([0-9]+' "$1" | grep -oE '[0-9]+$' | numbers
}

# ---- the tests ----

modelled_functions_exist() {
	local model
	for model in $models; do
		[ "$(functions "$model" | wc -l)" -ge 3 ] || { echo "$model names too few functions"; return 1; }
	done
	# shellcheck disable=SC2086
	missing "$srcdir" $models >"$scratch/missing"
	[ ! -s "$scratch/missing" ] || { cat "$scratch/missing"; return 1; }
}

a_function_that_is_gone_is_noticed() {
	mkdir -p "$scratch/lib"
	printf 'static int kept(void)\n{\n}\nint declared(void);\n/* gone() */\n' >"$scratch/lib/a.c"
	printf ' * Models: lib/a.c: kept gone\n *\t\tdeclared\n * Models: lib/b.c: kept\n *\n * words\n' \
		>"$scratch/model.pml"
	[ "$(missing "$scratch" "$scratch/model.pml" | tr '\n' ' ')" = \
		"model.pml: lib/a.c: gone model.pml: lib/a.c: declared model.pml: lib/b.c: kept " ]
}

each_mutant_is_told_and_coded() {
	local model
	for model in $models; do
		[ -n "$(told "$model")" ] && [ "$(told "$model")" = "$(coded "$model")" ] ||
			{ echo "$model: told: $(told "$model"), coded: $(coded "$model")"; return 1; }
	done
}

each_model_is_in_the_readme() {
	local model
	for model in $models; do
		grep -q "\`$(basename "$model" .pml)\`" "$srcdir/tests/models/README.md" || { echo "$model"; return 1; }
	done
}

for test in modelled_functions_exist a_function_that_is_gone_is_noticed each_mutant_is_told_and_coded \
	each_model_is_in_the_readme; do
	if $test >"$scratch/output" 2>&1; then
		passed=$((passed + 1))
		echo "passed: $test"
	else
		failed=$((failed + 1))
		echo "FAILED: $test"
		cat "$scratch/output"
	fi
done
echo "result: $passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
