#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# quickstart, in a tree whose configure and make only pretend, on a machine whose packages only pretend.
set -u
export LC_ALL=C
srcdir=${UDS_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/uds-quickstart.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0 skipped=0
unset CI MAKEFLAGS MAKELEVEL

# ---- the pretended machine ----

bin=$scratch/bin
mkdir -p "$bin"
for tool in bash sh env make sed grep find cat sort wc sleep dirname nproc tail mkdir rm uniq awk cksum head cut tr \
	touch printf basename tee mktemp renice ls; do
	ln -s "$(type -P $tool)" "$bin/$tool" || exit 1
done

pretend() { # pretend TOOL: what it does comes from standard input
	{ echo '#!/bin/sh'; cat; } >"$bin/$1"
	chmod +x "$bin/$1"
}

pretend id <<-'END'
	echo "$PRETEND_ID"
END
pretend dpkg-query <<-'END'
	for last; do :; done
	case " $PRETEND_MISSING " in *" $last "*) exit 1 ;; esac
	[ "$PRETEND_MISSING" != everything ] && printf installed
END
pretend dpkg <<-'END'
	echo all
END
pretend pkg-config <<-'END'
	echo 1.0
END
pretend gcc <<-'END'
	echo 12
END
pretend apt-get <<-'END'
	echo "apt-get $*" >>"$PRETEND_LOG"
	case " $* " in *" ${PRETEND_SLOW:-none} "*)
		i=0
		while [ $i -lt 100 ] && [ ! -e build/compiled ]; do sleep 0.1; i=$((i + 1)); done
		sleep 0.5
		echo "arrived in build: $(ls build/compiled)" >>"$PRETEND_LOG" ;;
	esac
	case " $* " in *" ${PRETEND_UNKNOWN:-none} "*) exit 100 ;; esac
	[ "${PRETEND_OFFLINE:-no}" = no ]
END

# fresh_tree NAME: a tree with quickstart and a configure that makes three tests, one of them an example's.
fresh_tree() {
	tree=$scratch/$1
	mkdir -p "$tree/tests/cross"
	cp "$srcdir/quickstart" "$tree" && cp "$srcdir/tests/stages" "$srcdir/tests/summary" "$tree/tests" || return 1
	cp "$srcdir/tests/cross/prepare" "$tree/tests/cross" && cp -r "$srcdir/tests/models" "$tree/tests" || return 1
	: >"$tree/configure.ac"
	cat >"$tree/configure" <<-'END'
		#!/bin/sh
		echo "configure $* $(command -v python3 >/dev/null && echo with-python)" >>"$PRETEND_LOG"
		[ -z "$PRETEND_NO_CONFIGURE" ] || exit 1
		touch config.status
		cat >Makefile <<-'EOF'
			TESTS = tests/unit/test_a tests/tool/test_b.py examples/test_c
			THREADED_TESTS = tests/unit/test_a
			all: ; @[ -z "$$PRETEND_BREAKS" ] || { echo 'error: it is broken'; exit 1; }
			bench-programs:
			check: ; @[ -z "$(TESTS)" ] || echo "tests of $$(basename $$(pwd))" >>"$$PRETEND_LOG"; for t in $(TESTS); do n=$${t%.py}; mkdir -p $$(dirname $$n); \
			[ "$$t" = "$$PRETEND_DIES" ] && continue; : >$$n.trs; \
			if [ "$$t" = "$$PRETEND_FAILS" ]; then printf "FAILED: it\nresult: 0 passed, 1 failed, 0 skipped\n"; \
			else echo 'result: 1 passed, 0 failed, 0 skipped'; fi >$$n.log; done
		EOF
	END
	chmod +x "$tree/configure"
	: >"$scratch/log"
}

# quick ARGUMENT...: quickstart there; what it says is in $scratch/said.
quick() {
	(cd "$tree" && env PATH="$bin" PRETEND_ID="${PRETEND_ID:-0}" PRETEND_MISSING="${PRETEND_MISSING-}" \
		PRETEND_LOG="$scratch/log" ./quickstart "$@") >"$scratch/said" 2>&1 </dev/null
}

said() { grep -q -- "$1" "$scratch/said" || { cat "$scratch/said"; return 1; }; }
configured() { grep -c '^configure' "$scratch/log"; }

# ---- the tests ----

a_path_with_a_space_is_refused_in_a_sentence() {
	fresh_tree "with space" || return 1
	! quick build || return 1
	[ "$(wc -l <"$scratch/said")" = 1 ] && said 'has a space' && [ ! -s "$scratch/log" ]
}

a_user_without_root_and_sudo_gets_the_line() {
	fresh_tree user || return 1
	! PRETEND_ID=1000 PRETEND_MISSING="libtool libjansson-dev" quick build || return 1
	said 'apt-get install --no-install-recommends libtool libjansson-dev$' && [ ! -s "$scratch/log" ]
}

a_failing_installation_ends_with_the_line() {
	fresh_tree offline || return 1
	! PRETEND_OFFLINE=yes PRETEND_MISSING=libtool quick build || return 1
	said 'apt-get install --no-install-recommends libtool$'
}

a_package_that_does_not_exist_keeps_none_away() {
	fresh_tree odd || return 1
	PRETEND_UNKNOWN=libnbd-bin PRETEND_MISSING="libnbd-bin python3 mandoc fio" quick check build ||
		{ cat "$scratch/said"; return 1; }
	grep -q 'apt-get install .* python3$' "$scratch/log" && grep -q 'apt-get install .* mandoc$' "$scratch/log" &&
		[ "$(grep -c 'apt-get update' "$scratch/log")" = 1 ] && said 'without .*libnbd-bin.*: what needs' || return 1
	# Nothing is tried one by one where nothing can be had.
	fresh_tree alone || return 1
	PRETEND_OFFLINE=yes PRETEND_MISSING="python3 clang mandoc fio" quick check build || { cat "$scratch/said"; return 1; }
	[ "$(grep -c apt-get "$scratch/log")" = 1 ] && said 'going on without clang python3: what needs' &&
		said 'going on without mandoc fio: what needs'
}

# A cluster that cannot be had is no failure.
all_without_what_it_asks_for_goes_on() {
	fresh_tree lacking || return 1
	PRETEND_UNKNOWN=ceph-osd PRETEND_MISSING="ceph-osd ceph-mon librbd-dev lvm2" quick check --all build ||
		{ cat "$scratch/said"; return 1; }
	said 'going on without .*ceph-osd.*: what needs' && grep -q 'apt-get install .* lvm2$' "$scratch/log" || return 1
	fresh_tree lonely || return 1
	PRETEND_OFFLINE=yes PRETEND_MISSING="ceph-osd ceph-mon librbd-dev lvm2" quick check --all build ||
		{ cat "$scratch/said"; return 1; }
	said 'going on without librbd-dev: what needs' && said 'going on without lvm2 ceph-mon ceph-osd: what needs' &&
		said '^3 passed, 0 failed, 0 skipped$'
}

# They mostly wait for the network and the disk; but the tests that use them begin afterwards.
packages_of_tests_arrive_while_it_is_built() {
	fresh_tree meanwhile || return 1
	PRETEND_SLOW=fio PRETEND_MISSING="g++ fio" quick check build || { cat "$scratch/said"; return 1; }
	grep -E '^(arrived|tests)' "$scratch/log" | tr '\n' ' ' |
		grep -qxF 'arrived in build: build/compiled tests of build ' || { cat "$scratch/log"; return 1; }
	# Not where a password may be asked for.
	pretend sudo <<-'EOF'
		exec "$@"
	EOF
	fresh_tree before || return 1
	PRETEND_ID=1000 PRETEND_MISSING="g++ fio" quick check build || { cat "$scratch/said"; return 1; }
	rm "$bin/sudo"
	grep -E '^(configure|apt-get install|tests)' "$scratch/log" | sed 's/apt-get .* //; s/configure .*/configure/' |
		tr '\n' ' ' | grep -qxF 'g++ fio configure tests of build '
}

# A cluster and LVM are for who asks for them; --all is no stage.
all_asks_for_what_few_tests_use() {
	fresh_tree all || return 1
	PRETEND_MISSING="ceph-osd librbd-dev lvm2" quick check --all build || { cat "$scratch/said"; return 1; }
	grep -q 'apt-get install .* librbd-dev$' "$scratch/log" && grep -q 'apt-get install .* lvm2 ceph-osd$' "$scratch/log" || return 1
	fresh_tree usual || return 1
	PRETEND_MISSING="ceph-osd librbd-dev lvm2" quick check build && ! grep apt-get "$scratch/log"
}

scan_asks_for_no_test_packages() {
	fresh_tree scan || return 1
	PRETEND_OFFLINE=yes PRETEND_MISSING=everything quick scan /
	said 'apt-get install .*libjansson-dev' || return 1
	! grep -Ew 'check|python3|clang|g\+\+|qemu' "$scratch/said"
}

# Another folder may be the current one: the paths are those that were typed there.
paths_are_those_of_the_caller() {
	fresh_tree called || return 1
	mkdir -p "$tree/build" "$scratch/elsewhere" && : >"$scratch/elsewhere/file" || return 1
	printf '#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\ncat "$1" && echo "seen $1"\n' >"$tree/build/uds"
	chmod +x "$tree/build/uds"
	for command in "scan" "uds info"; do
		# shellcheck disable=SC2086
		(cd "$scratch/elsewhere" && env PATH="$bin" PRETEND_ID=0 PRETEND_MISSING= PRETEND_LOG="$scratch/log" \
			../called/quickstart $command file) >"$scratch/said" 2>&1 </dev/null
		said '^seen file$' || return 1
	done
}

packages_that_arrive_are_found() {
	fresh_tree arrive || return 1
	quick build && quick build && [ "$(configured)" = 1 ] || return 1
	ln -s "$(type -P true)" "$bin/python3"
	quick build && quick build && [ "$(configured)" = 2 ]
	local r=$?
	grep -q with-python "$scratch/log" || r=1
	rm "$bin/python3"
	return $r
}

check_says_stage_and_count_and_counts_the_examples() {
	fresh_tree check || return 1
	quick check build tsan || { cat "$scratch/said"; return 1; }
	said '\[1/2\] build: 3 of 3 test programs' && said '\[2/2\] build-tsan: 1 of 1 test programs' &&
		said '^4 passed, 0 failed, 0 skipped$'
}

a_test_without_a_result_is_a_failure() {
	fresh_tree dies || return 1
	! PRETEND_DIES=examples/test_c quick check build || return 1
	said 'no result in build/examples/test_c.log'
}

a_failure_is_named_again_at_the_end() {
	fresh_tree fails || return 1
	! PRETEND_FAILS=tests/tool/test_b.py quick check build tsan || return 1
	tail -2 "$scratch/said" | tr '\n' ' ' | grep -qx 'failed: build/tests/tool/test_b.log:FAILED: it 3 passed, 1 failed, 0 skipped ' ||
		{ cat "$scratch/said"; return 1; }
}

a_stage_that_cannot_be_built_is_a_failure() {
	fresh_tree broken || return 1
	! PRETEND_BREAKS=yes quick check build tsan || return 1
	said 'error: it is broken' && said 'no test ran' || return 1
	fresh_tree unconfigured || return 1
	! PRETEND_NO_CONFIGURE=yes quick check build || return 1
	said 'stage build cannot be built'
}

a_stage_that_cannot_run_is_a_skip_with_its_reason() {
	fresh_tree skips || return 1
	pretend gcc <<-'END'
		case "$*" in *-m32*) exit 1 ;; esac
		echo 12
	END
	quick check build m32 || { cat "$scratch/said"; return 1; }
	said 'skipped: build-m32: gcc -m32 .* cannot build a program' && said '^3 passed, 0 failed, 1 skipped$'
}

models_without_spin_are_a_skip() {
	fresh_tree models || return 1
	PRETEND_MISSING=spin quick check-long models || { cat "$scratch/said"; return 1; }
	grep -q 'apt-get install .* spin$' "$scratch/log" || return 1
	said 'skipped: models: no spin' && said '^0 passed, 0 failed, 1 skipped$'
}

an_unknown_stage_is_refused() {
	fresh_tree unknown || return 1
	! quick check nonsense || return 1
	said 'no such stage: nonsense'
}

for test in a_path_with_a_space_is_refused_in_a_sentence a_user_without_root_and_sudo_gets_the_line \
	a_failing_installation_ends_with_the_line a_package_that_does_not_exist_keeps_none_away \
	all_asks_for_what_few_tests_use all_without_what_it_asks_for_goes_on packages_of_tests_arrive_while_it_is_built scan_asks_for_no_test_packages paths_are_those_of_the_caller \
	packages_that_arrive_are_found \
	check_says_stage_and_count_and_counts_the_examples a_test_without_a_result_is_a_failure \
	a_failure_is_named_again_at_the_end a_stage_that_cannot_be_built_is_a_failure \
	a_stage_that_cannot_run_is_a_skip_with_its_reason models_without_spin_are_a_skip an_unknown_stage_is_refused; do
	if $test >"$scratch/output" 2>&1; then
		passed=$((passed + 1))
		echo "passed: $test"
	else
		failed=$((failed + 1))
		echo "FAILED: $test"
		cat "$scratch/output" "$scratch/said"
	fi
done
echo "result: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
