#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The public headers are the reference: each function has a comment of its own, right above it, that begins with
# what it does, and says what it returns, which errors too, from which threads it may be called, and since which
# version. Each is exported, and
# named in a page of section 3; how much stack it needs is measured, but for those of plugins. A struct that callers fill in begins with
# its size and has an INIT macro. The headers and pages use the usual words.
set -u
src=${UDS_SRCDIR:-.}
passed=0
failed=0

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAILED: $*"; }

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

# Prints "function what-its-comment-lacks" for each declaration of the headers given; "-": nothing.
cat >"$work/declarations.awk" <<'AWK'
FNR == 1 { comment = ""; inside = 0 }
/^\/\*/ { comment = ""; inside = 1 }
inside {
	line = $0
	sub(/^[ \t]*\*? */, "", line)
	comment = comment " " line # in one line, so that it can be searched
	if (/\*\//)
		inside = 0
	next
}
/^[a-z].*[ *]uds_[a-z_0-9]*\(/ && !/^typedef/ && !/^static/ {
	name = $0
	sub(/\(.*/, "", name)
	sub(/.*[ *]/, "", name)
	lacks = ""
	if (comment == "")
		lacks = lacks ",comment"
	else if (comment !~ /^ *\/[*]+ *[A-Z][a-z]+s[ :]/) # a verb
		lacks = lacks ",purpose"
	if (!/^void uds/ && comment !~ /Returns/)
		lacks = lacks ",Returns"
	else if (/^int uds/ && comment !~ /Returns.*(-E[A-Z]|UDS_ERR_|what |error|cannot fail)/)
		lacks = lacks ",errors"
	if (comment !~ /Threads: /)
		lacks = lacks ",Threads"
	if (comment !~ /Since [0-9]+\.[0-9]+/)
		lacks = lacks ",Since"
	print name, lacks == "" ? "-" : substr(lacks, 2)
}
/^$/ || /^[^ \t]/ { comment = "" }
AWK
declarations() { awk -f "$work/declarations.awk" "$@"; }

# The check sees what is wrong.
cat >"$work/bad.h" <<'H'
/* Does it. Returns 0 or -ENOMEM. Threads: any. Since 0.1. */
int uds_good(void);
int uds_shares_a_comment(void);

/* Does it. Threads: any. Since 0.1. */
int uds_no_returns(void);

/* Does it. Returns 0. Threads: any. Since 0.1. */
int uds_no_errors(void);

/* The same. Returns true. Threads: any. Since 0.1. */
bool uds_no_purpose(void);

/* Does it. Returns 0 or -ENOMEM. Since 0.1. */
int uds_no_threads(void);

/* Does it. Threads: any. */
void uds_no_since(void);

/* Returns 0. Threads: any. Since 0.1. */

const char *uds_far_away(void);
H
expected='uds_good -
uds_shares_a_comment comment,Returns,Threads,Since
uds_no_returns Returns
uds_no_errors errors
uds_no_purpose purpose
uds_no_threads Threads
uds_no_since Since
uds_far_away comment,Returns,Threads,Since'
if [ "$(declarations "$work/bad.h")" = "$expected" ]; then pass; else fail "the check of headers misses faults"; fi

declarations "$src"/include/uds/*.h >"$work/functions"
sed -n 's/^[[:space:]]*\(uds_[a-z_0-9]*\);.*/\1/p' "$src/lib/libuds.map" "$src"/plugins/*/*.map | sort >"$work/exported"
sed 's/ .*//' "$work/functions" | sort >"$work/declared"
[ -s "$work/declared" ] && pass || fail "no function was found in include/uds"
difference=$(diff "$work/declared" "$work/exported" | grep '^[<>]' | tr '\n' ' ')
[ -z "$difference" ] && pass || fail "in a header (<) or in a .map file (>) only: $difference"

# Calls that begin on the line after MEASURE( count, too.
sed -e ':a' -e '/MEASURE[A-Z_]*($/ { N; s/\n[[:space:]]*//; ba' -e '}' "$src"/tests/unit/test_small_stack*.c >"$work/measured"
while read -r function lacks; do
	[ "$lacks" = - ] && pass || fail "$function: its comment lacks $lacks"
	# mdoc: the names are in the NAME part, the prototype in the SYNOPSIS.
	if grep -q "^\.Nm $function\( ,\)*$" "$src"/man/*.3 && grep -q "^\.F[no] \"*$function\( \|$\)" "$src"/man/*.3; then
		pass
	else
		fail "$function: no page of section 3 has it in NAME and SYNOPSIS"
	fi
	# A library of its own stands on others', whose need of stack is theirs.
	grep -q "^[[:space:]]*$function;" "$src"/plugins/*/*.map && continue
	grep -q "MEASURE[A-Z_]*($function(" "$work/measured" && pass ||
		fail "$function: test_small_stack*.c do not measure the stack that it needs"
done <"$work/functions"

# Each function of a handle that has sentences, and that returns a status, is made to fail there. Not those that
# cannot fail, or only with what an I/O or the memory says, or that have a message of the caller's.
handles='io index exception_store snapshot io_engine volume open_chapter chapter_index page_format shards index_queue'
elsewhere='uds_index_queue_event_descriptor uds_shards_close uds_io_engine_event_descriptor uds_exception_store_lookup uds_exception_store_end_merge uds_snapshot_end_merge'
for handle in $handles; do
	sed -n "s/^int \(uds_[a-z_]*\)(\(const \)*struct uds_$handle \*.*/\1/p" "$src"/include/uds/*.h
done >"$work/failing"
[ -s "$work/failing" ] && pass || fail "no function of a handle was found in include/uds"
while read -r function; do
	case " $elsewhere " in *" $function "*) continue ;; esac
	# From its name to the end of the declaration.
	sed -n "/^int $function(/,/;/p" "$src"/include/uds/*.h | grep -q 'uds_message \*ret_message' && continue
	grep -q "$function(" "$src"/tests/unit/test_failures.c "$src"/tests/shards/test_shards*.c && pass ||
		fail "$function: test_failures.c does not make it fail"
done <"$work/failing"

# A function without such a handle has a message of the caller's. Those of a group of LVM fail only with what an
# I/O says in closing, or because the caller stopped them.
silent='uds_lvm_close_group uds_lvm_for_each_pv uds_lvm_for_each_volume'
withhandle=$(echo "$handles" | tr ' ' '|')
# Each declaration in one line.
awk '/^int uds_/ { all = "" }
	/^int uds_/, /;/ { gsub(/[ \t]+/, " "); all = all $0; if (/;/) print all }' "$src"/include/uds/*.h |
	grep -vE "\((const )?struct uds_($withhandle) \*" >"$work/without"
grep -q '^int uds_io_open_memory(' "$work/without" && pass || fail "the list of functions without a handle is wrong"
while read -r declaration; do
	function=${declaration#int }
	function=${function%%(*}
	case " $silent " in *" $function "*) continue ;; esac
	case $declaration in *"struct uds_message *ret_message"*) pass ;; *) fail "$function: no sentence of it can be read" ;; esac
done <"$work/without"

# A caller starts each struct that begins with its size from an INIT macro with the struct's name, unless
# only the library makes it.
awk '/^struct uds_[a-z_]* [{]/ { name = $2 }
	/^\tuint64_t size;/ && name != "" && !/set by the library/ { print toupper(name) "_INIT" }
	{ if (!/^struct/) name = "" }' "$src"/include/uds/*.h >"$work/initialisers"
[ -s "$work/initialisers" ] && pass || fail "no struct with a size was found in include/uds"
while read -r macro; do
	grep -q "^#define $macro\( \|$\)" "$src"/include/uds/*.h && pass || fail "there is no $macro"
done <"$work/initialisers"

# A status that no call returns is none.
for status in $(grep -o '^	UDS_ERR_[A-Z_]*' "$src/include/uds/status.h"); do
	grep -rqw "$status" "$src"/lib --include='*.c' --exclude=status.c && pass || fail "no call returns $status"
done

# Tables of errors: the second column of a row begins where that of the row above it does.
crooked=$(awk '
	FNR == 1 || !/^ \*   / { column = 0 }
	/^ \*   [-A-Z_]+[^ ]*(, [^ ]+)*  +[^ ]/ {
		row = substr($0, 6)
		match(row, /[^ ]  +[^ ]/)
		if (column != 0 && RSTART + RLENGTH != column)
			print FILENAME ":" FNR ":" $0
		column = RSTART + RLENGTH
	}' "$src"/include/uds/*.h)
[ -z "$crooked" ] && pass || fail "a table is crooked: $crooked"

# Expressions for which there is a usual one (CONTRIBUTING, Style).
say() {
	found=$(grep -rn -i -E -- "$1" $3 | head -3)
	[ -z "$found" ] && pass || fail "say \"$2\": $found"
}
reference="$src/include $(echo "$src"/man/*.[1357])"
while read -r line; do
	say "${line%% => *}" "${line##* => }" "$reference"
done <<'WORDS'
(^|[ *])Who  => To ..., do ...
(^|[ *(])Told  => Reports ...
makes way => is evicted
WORDS
while read -r line; do
	say "${line%% => *}" "${line##* => }" "$reference $src/lib $src/tools $src/README.md $src/CONTRIBUTING.md"
done <<'WORDS'
format's origin => the reference implementation
origin of the format => the reference implementation
original implementation => the reference implementation
nobody => may be NULL, or what happens instead
whoever => the thread, the caller, the program that ...
NULL is fine => may be NULL
without further ado => directly
[^a-z]anew[^a-z] => again
all told => in total
(not|to) be had => cannot be read, is missing
looked over => checked
evenly spread => uniformly distributed
lets one => allows to
WORDS

echo "result: $passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
