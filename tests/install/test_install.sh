#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What `make install` puts in place is complete: programs build against it, in C and C++, shared and
# static; exactly the names of the version script are exported, and each has a manual page. And the
# source tree keeps its own rules: licence lines, format, manual pages without lint.
set -u
export LC_ALL=C
srcdir=${UDS_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
builddir=${UDS_BUILDDIR:-.}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/uds-install.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root
passed=0 failed=0 skipped=0

# check NAME COMMAND...: a test case; what the command prints is shown when it fails.
check() {
	local name=$1
	shift
	if "$@" >"$scratch/log" 2>&1; then
		passed=$((passed + 1))
		echo "passed: $name"
	else
		failed=$((failed + 1))
		echo "FAILED: $name"
		head -40 "$scratch/log"
	fi
}

skip() {
	skipped=$((skipped + 1))
	echo "skipped: $1: $2"
}

have() { command -v "$1" >/dev/null; }

# The variable of the makefile.
setting() { sed -n "s/^$1 = //p" "$builddir/Makefile" | head -n 1; }

# Git also for a checkout that another user owns.
tree_git() { git -c safe.directory='*' -C "$srcdir" "$@" 2>/dev/null; }

# The files of the source tree, relative to it: those that git knows; all of a release, or where git cannot
# be asked, but for what git and builds keep there.
source_files() {
	(
		cd "$srcdir" || exit
		if [ "${UDS_TEST_GIT:-yes}" = yes ] && [ -n "$(tree_git ls-files | head -n 1)" ]; then
			tree_git ls-files
		else
			find . \( -name .git -o -path './build*' -o -path './_*' -o -name 'autom4te*' \
				-o -name .libs -o -name __pycache__ \) -prune -o -type f -print | sed 's,^\./,,'
		fi
	) | grep -v -e '^_\?build' -e '^_inst' -e '^autom4te'
}

# ---- installing ----

install_tree() { env -u MAKEFLAGS -u MAKELEVEL make -s -C "$builddir" install DESTDIR="$root"; }

uninstall_leaves_nothing() {
	env -u MAKEFLAGS -u MAKELEVEL make -s -C "$builddir" uninstall DESTDIR="$root" || return 1
	! find "$root" ! -type d | grep .
}

# condition NAME: of configure's, which are no variables of the Makefile
condition() { grep -qx "S\[\"$1_TRUE\"\]=\"\"" "$builddir/config.status"; }
has_nbd() { condition HAVE_LIBNBD; }
has_rbd() { condition HAVE_LIBRBD; }
has_shards() { condition HAVE_SHARDS; }

# Those of libuds-nbd, libuds-rbd and libuds-shards come with the library.
every_public_header_is_installed() {
	diff <(cd "$srcdir/include" && find . -name '*.h' -o -name '*.h.in' | sed 's/\.in$//' |
		{ if has_nbd; then cat; else grep -vx ./uds/nbd.h; fi; } |
		{ if has_rbd; then cat; else grep -vx ./uds/rbd.h; fi; } |
		{ if has_shards; then cat; else grep -vx ./uds/shards.h; fi; } | sort -u) \
		<(cd "$root$(setting prefix)/include" && find . -name '*.h' | sort)
}

# ---- names ----

library() { ls "$root$(setting prefix)"/lib/libuds.so.*.*.*; }
exported() {
	nm -D --defined-only "$(library)" | awk '$2 != "A" { sub("@.*", "", $3); print $3 }' | sort
}
promised() { sed -n 's/^[ \t]*\(uds_[a-z0-9_]*\);$/\1/p' "$srcdir/lib/libuds.map" | sort; }

exactly_the_promised_names_are_exported() {
	[ -n "$(promised)" ] && diff <(promised) <(exported)
}

# plugin_exports_exactly_the_promised_names nbd|rbd|shards
plugin_exports_exactly_the_promised_names() {
	diff <(sed -n 's/^[ \t]*\(uds_[a-z0-9_]*\);$/\1/p' "$srcdir/plugins/$1/libuds-$1.map") \
		<(nm -D --defined-only "$root$(setting prefix)"/lib/libuds-"$1".so.*.*.* |
			awk '$2 != "A" { sub("@.*", "", $3); print $3 }' | sort)
}

static_library() { echo "$root$(setting prefix)/lib/libuds.a"; }

# A static library shows each global name of its objects to the program that links it.
static_library_shows_only_the_promised_names() {
	diff <(promised) <(nm -g --defined-only "$(static_library)" | awk 'NF == 3 { print $3 }' | sort)
}

# What a library must not do to the program that links it: end it, or write to its output.
library_neither_ends_nor_prints() {
	! nm -u "$(static_library)" |
		grep -E ' (abort|_?exit|_Exit|quick_exit|__assert_fail|perror|puts|putchar|(v|f|vf)?printf|__(v|f|vf)?printf_chk|std(in|out|err)|raise|kill)$'
}

# The names that the parts of the library have for each other.
inner_names() {
	nm -g --defined-only "$builddir/lib/.libs/libcore.a" | awk 'NF == 3 { print $3 }' | sort -u |
		grep -vx -F -f <(promised)
}

# Each of them is the program's own here, and ends it.
program_with_the_same_names() {
	local program=$scratch/bin/same-names-$1
	[ "$(inner_names | wc -l)" -gt 100 ] || { echo "no names found in libcore.a"; return 1; }
	{
		printf '#include <stdlib.h>\n'
		inner_names | sed 's/.*/void &(void);\nvoid &(void) { abort(); }/'
	} >"$scratch/names.c"
	cat >"$scratch/program.c" <<-'END'
		#include <uds.h>
		int main(void)
		{
			struct uds_configuration c = UDS_CONFIGURATION_INIT;
			const struct uds_record_name name = { { 1 } };
			const struct uds_record_data data = { { 2 } };
			struct uds_index *index;
			struct uds_io *io, *cow;
			bool found = true;

			c.page_bytes = 4096;
			c.record_pages_per_chapter = 2;
			c.chapters_per_volume = 4;
			if (uds_io_open_uri("mem:", NULL, NULL, NULL, &io) != 0 ||
			    uds_io_open_uri("mem:?size=1048576", NULL, NULL, NULL, &cow) != 0 ||
			    uds_index_format(io, &c, NULL, NULL) != 0 ||
			    uds_index_open(io, NULL, NULL, &index) != 0 ||
			    uds_index_post(index, &name, &data, NULL, &found) != 0 || found ||
			    uds_index_save(index) != 0 || uds_index_close(index) != 0 ||
			    uds_exception_store_format(cow, NULL, NULL) != 0)
				return 1;
			c.page_bytes = 1; /* a failure: the library's failure() is called */
			return uds_index_format(io, &c, NULL, NULL) < 0 ? 0 : 1;
		}
	END
	# shellcheck disable=SC2046
	"$1" -std=c11 -fno-builtin -w $(flags cflags) "$scratch/program.c" "$scratch/names.c" \
		"$(static_library)" $(flags libs --static | tr ' ' '\n' | grep '^-l' | grep -vx -e -luds) \
		-o "$program" && "$program"
}

version_script_is_sorted() {
	diff <(sed -n 's/^[ \t]*\(uds_[a-z0-9_]*\);$/\1/p' "$srcdir/lib/libuds.map") <(promised)
}

every_exported_name_is_declared() {
	local name missing=0
	for name in $(promised); do
		grep -qrw "$name" "$srcdir/include" || { echo "not in include/: $name"; missing=1; }
	done
	return $missing
}

every_exported_name_has_a_manual_page() {
	local name missing=0
	for name in $(promised); do
		grep -qw "$name" "$srcdir"/man/*.3 || { echo "not in man/*.3: $name"; missing=1; }
	done
	return $missing
}

manual_pages_describe_nothing_else() {
	local name missing=0
	for name in $(sed -n 's/^\.F[no] "*[a-z_ *]*\(uds_[a-z][a-z0-9_]*\).*/\1/p' \
		"$srcdir"/man/*.3 | sort -u); do
		grep -qrw "$name" "$srcdir/include" || { echo "not in include/: $name"; missing=1; }
	done
	return $missing
}

# Headers, library, command and pkg-config have the same version.
versions_agree() {
	local version
	version=$(setting VERSION)
	[ -n "$version" ] || return 1
	cat >"$scratch/version.c" <<-'END'
		#include <stdio.h>
		#include <uds.h>
		#if UDS_VERSION < UDS_VERSION_NUMBER(0, 1, 0)
		#error "older than the first version"
		#endif
		int main(void)
		{
			printf("%d.%d.%d %s %s\n", UDS_VERSION_MAJOR, UDS_VERSION_MINOR,
			       UDS_VERSION_PATCH, UDS_VERSION_STRING, uds_version());
			return 0;
		}
	END
	mkdir -p "$scratch/bin"
	build version gcc -std=c11 "$scratch/version.c" || return 1
	[ "$(LD_LIBRARY_PATH=$root$(setting prefix)/lib "$scratch/bin/version")" = \
		"$version $version $version" ] || return 1
	[ "$(flags modversion)" = "$version" ] || return 1
	[ ! -x "$builddir/uds" ] || "$builddir/uds" --version | grep -qw -F "$version"
}

# ---- programs ----

flags() { # flags cflags|libs [--static]: of libuds, or of PACKAGE, which brings it with it
	local what=$1
	shift
	PKG_CONFIG_PATH=$root$(setting prefix)/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root \
		pkg-config "--$what" "$@" "${PACKAGE-libuds}"
}

# build NAME COMPILER... FILE: a program from what is installed; STATIC=-static for a static one.
build() {
	local name=$1 file=${*: -1}
	shift
	# shellcheck disable=SC2046
	"${@:1:$#-1}" -Wall -Wextra -Werror $(flags cflags) "$file" -o "$scratch/bin/$name" \
		${STATIC-} $(flags libs ${STATIC:+--static})
}

# Whether the libraries that a static program needs beside ours are there as static ones.
static_libraries_exist() {
	echo 'int main(void) { return 0; }' >"$scratch/static.c"
	# shellcheck disable=SC2046
	"$1" -static "$scratch/static.c" -o "$scratch/static" \
		$(flags libs --static | tr ' ' '\n' | grep '^-l' | grep -vx -e -luds) 2>/dev/null
}

header_stands_alone() { # header_stands_alone HEADER COMPILER...
	local header=$1
	shift
	printf '#include <%s>\nint main(void) { return 0; }\n' "$header" >"$scratch/header.c"
	# shellcheck disable=SC2046
	"$@" -Wall -Wextra -Werror -pedantic $(flags cflags) -fsyntax-only "$scratch/header.c"
}

# By its own .pc file, which brings libuds with it: program_with_plugin COMPILER nbd NBD or rbd RBD
program_with_plugin() {
	sed "s/PLUGIN/$3/; s/plugin/$2/" >"$scratch/$2.c" <<-'END'
		#include <uds.h>
		#include <uds/plugin.h>
		int main(void)
		{
			struct uds_plugin_options options = UDS_PLUGIN_OPTIONS_INIT;
			struct uds_message message;
			struct uds_io *io;
			options.write = true;
			if (uds_plugin_open("of no such form", &options, NULL, &message, &io) == 0)
				return 1;
			return uds_plugin_register_schemes(&message) != 0;
		}
	END
	mkdir -p "$scratch/bin"
	# shellcheck disable=SC2046
	"$1" -Wall -Wextra -Werror "$scratch/$2.c" -o "$scratch/bin/$2" \
		$(PKG_CONFIG_PATH=$root$(setting prefix)/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root \
			pkg-config --cflags --libs "libuds-$2") &&
		LD_LIBRARY_PATH=$root$(setting prefix)/lib "$scratch/bin/$2"
}

program_with_shards() {
	cat >"$scratch/shards.c" <<-'END'
		#include <uds.h>
		#include <uds/shards.h>
		int main(void)
		{
			struct uds_shards_options options = UDS_SHARDS_OPTIONS_INIT;
			struct uds_message message;
			struct uds_shards *shards;
			return uds_shards_open("/nowhere/manifest", &options, &message, &shards) == 0;
		}
	END
	mkdir -p "$scratch/bin"
	# shellcheck disable=SC2046
	"$1" -Wall -Wextra -Werror "$scratch/shards.c" -o "$scratch/bin/shards" \
		$(PKG_CONFIG_PATH=$root$(setting prefix)/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root \
			pkg-config --cflags --libs libuds-shards) &&
		LD_LIBRARY_PATH=$root$(setting prefix)/lib "$scratch/bin/shards"
}

program_in_cxx() {
	cat >"$scratch/program.cc" <<-'END'
		#include <cstring>
		#include <uds.h>
		int main()
		{
			uds_message message;
			uds_io *io = nullptr;
			if (uds_io_open_uri("mem:?size=4096", nullptr, nullptr, &message, &io) != 0)
				return 1;
			uint64_t size = 0;
			bool good = uds_io_size(io, &size) == 0 && size == 4096 &&
				    std::strlen(uds_strerror(0)) > 0;
			uds_io_close(io);
			return good ? 0 : 1;
		}
	END
	build "cxx-$1" "$1" -std=c++11 "$scratch/program.cc" &&
		LD_LIBRARY_PATH=$root$(setting prefix)/lib "$scratch/bin/cxx-$1"
}

# The examples' own tests, with the programs that were built from what is installed.
examples_run() {
	local test r=0
	mkdir -p "$scratch/run/examples"
	cp "$scratch"/bin/* "$scratch/run/examples/" || return 1
	for test in "$srcdir"/examples/test_*; do
		# The only one that may be left out above; each of the others has to be there.
		[ "${test##*/}" != test_shards ] || [ -x "$scratch/bin/shards_writer" ] || continue
		(cd "$scratch/run" && UDS_BUILDDIR=$scratch/run UDS_TOOL=$root$(setting prefix)/bin/uds \
			LD_LIBRARY_PATH=$root$(setting prefix)/lib "$test") || r=1
	done
	return $r
}

# The program of the README, word for word: what it stores is initialised, and a second run finds it.
readme_program_works() {
	local file=$scratch/readme.c index=$scratch/readme.uds memcheck=
	sed -n '/^```c$/,/^```$/p' "$srcdir/README.md" | sed '/^```/d' >"$file"
	grep -q '^int main(' "$file" || { echo "no program in README.md"; return 1; }
	mkdir -p "$scratch/bin"
	build readme gcc -std=c11 -g "$file" || return 1
	"$builddir/uds" create --chapters 8 --record-pages 4 --page-size 4096 "$index" || return 1
	head -c 1048576 /dev/urandom >"$scratch/readme.data"
	if have valgrind; then
		# Kept bytes that were never set are seen where they are written: by write(2).
		memcheck="valgrind -q --error-exitcode=9 --leak-check=full"
	fi
	local -x LD_LIBRARY_PATH=$root$(setting prefix)/lib
	[ "$($memcheck "$scratch/bin/readme" "$index" "$scratch/readme.data")" = \
		"0 blocks are known already" ] || return 1
	[ "$($memcheck "$scratch/bin/readme" "$index" "$scratch/readme.data")" = \
		"256 blocks are known already" ] || return 1
	! "$scratch/bin/readme" "$scratch/absent/x.uds" "$scratch/readme.data" 2>"$scratch/err" || return 1
	grep -q 'absent/x.uds' "$scratch/err" || return 1
	# What is no file that can be read is named, too.
	for file in "$scratch" "$scratch/absent"; do
		! "$scratch/bin/readme" "$index" "$file" 2>"$scratch/err" || return 1
		grep -q "$file: " "$scratch/err" || { cat "$scratch/err"; return 1; }
	done
}

programs() {
	local compiler linking file name
	for compiler in gcc clang; do
		have $compiler || { skip "programs with $compiler" "not installed"; continue; }
		for linking in shared static; do
			if [ $linking = static ] && ! static_libraries_exist $compiler; then
				skip "static programs with $compiler" "no static libraries"
				continue
			fi
			rm -rf "$scratch/bin" "$scratch/run"
			mkdir -p "$scratch/bin"
			STATIC=
			[ $linking = static ] && STATIC=-static
			for file in "$srcdir"/examples/*.c; do
				name=$(basename "$file" .c)
				local PACKAGE=libuds
				if [[ $name = shards_* ]]; then
					PACKAGE=libuds-shards
					has_shards && [ $linking = shared ] || {
						skip "example_builds_$linking: $name" "no such libuds-shards"
						continue
					}
				fi
				check "example_builds_$linking: $name, $compiler" \
					build "$name" $compiler -std=c11 "$file"
			done
			check "examples_run_$linking: $compiler" examples_run
		done
		for file in $(cd "$root$(setting prefix)/include" && find . -name '*.h' | sed 's,^\./,,' | sort); do
			check "header_stands_alone: $file, $compiler" \
				header_stands_alone "$file" $compiler -std=c11
		done
	done
	STATIC=
	mkdir -p "$scratch/bin"
	for compiler in g++ clang++; do
		have $compiler || { skip "programs with $compiler" "not installed"; continue; }
		check "program_in_cxx: $compiler" program_in_cxx $compiler
		for file in $(cd "$root$(setting prefix)/include" && find . -name '*.h' | sed 's,^\./,,' | sort); do
			check "header_stands_alone: $file, $compiler" \
				header_stands_alone "$file" $compiler -x c++ -std=c++11
		done
	done
}

# ---- the release ----

# What would make two releases of one commit differ: times, owners, modes, the order of files.
release_is_reproducible() {
	local name=libuds-test-$$ list=$scratch/list
	(umask 077 && env -u MAKEFLAGS -u MAKELEVEL make -s -C "$builddir" dist \
		SOURCE_DATE_EPOCH=1234567890 XZ_OPT=-0 distdir="$name") >/dev/null || return 1
	mv "$builddir/$name.tar.xz" "$scratch/release.tar.xz" || return 1
	tar -tvJf "$scratch/release.tar.xz" --numeric-owner --full-time --utc >"$list" || return 1
	[ "$(wc -l <"$list")" -gt 100 ] || return 1
	awk '$2 != "0/0" || $4 != "2009-02-13" || $5 != "23:31:30" { print; bad = 1 }
		$1 !~ /^(-rw-r--r--|[-d]rwxr-xr-x)$/ { print; bad = 1 } END { exit bad }' "$list" ||
		return 1
	# Folder by folder: a slash sorts before everything else.
	tar -tJf "$scratch/release.tar.xz" | sed 's,/$,,' | tr / '\001' >"$list"
	diff "$list" <(sort "$list")
}

# ---- the source tree ----

# By their names, or as they begin like scripts; but what libtool and automake make.
every_source_file_has_a_licence_line() {
	(cd "$srcdir" && source_files | grep -vE '^(build-aux|m4)/|^(aclocal\.m4|configure|config\.status|libtool)$' |
		xargs -d '\n' awk '
			FNR == 1 && /^#!/ { script[FILENAME] = 1 }
			/temporary wrapper script/ { libtools[FILENAME] = 1 }
			FNR <= 4 && /SPDX-License-Identifier: BSD-2-Clause/ { has[FILENAME] = 1 }
			FNR == 5 { nextfile }
			END {
				for (i = 1; i < ARGC; i++) {
					file = ARGV[i]
					if ((file ~ /\.(c|h|py|sh|mk|am|ac|map|[1357])$/ || script[file]) && !has[file] && !libtools[file]) {
						print file
						missing = 1
					}
				}
				exit missing
			}')
}

# Without git the same files are looked at, and nothing of git's own.
files_are_known_without_git() {
	source_files >"$scratch/files.git"
	UDS_TEST_GIT=no source_files | sort >"$scratch/files.found"
	! grep -e '^\.git/' -e '/\.libs/' "$scratch/files.found" || return 1
	[ -s "$scratch/files.git" ] && ! sort "$scratch/files.git" | comm -23 - "$scratch/files.found" | grep .
}

anothers_checkout_is_read() {
	local srcdir=$scratch/theirs
	mkdir "$srcdir" && git -C "$srcdir" init -q && : >"$srcdir/tracked" && : >"$srcdir/not" || return 1
	git -C "$srcdir" add tracked && chown -R 65534 "$srcdir" || return 1
	[ "$(source_files)" = tracked ]
}

manual_pages_have_no_lint() {
	(cd "$srcdir" && mandoc -T lint -W warning man/*.[1357])
}

source_is_formatted() {
	(cd "$srcdir" && source_files | grep '\.[ch]$' | xargs clang-format --dry-run --Werror)
}

check install_tree install_tree
if [ "$failed" = 0 ]; then
	check every_public_header_is_installed every_public_header_is_installed
	if ! have pkg-config; then
		skip "programs from what is installed" "no pkg-config"
	else
		check exactly_the_promised_names_are_exported exactly_the_promised_names_are_exported
		if has_nbd; then
			check nbd_exports_exactly_the_promised_names plugin_exports_exactly_the_promised_names nbd
			check program_with_nbd program_with_plugin gcc nbd NBD
		else
			skip "libuds-nbd" "built without libnbd"
		fi
		if has_rbd; then
			check rbd_exports_exactly_the_promised_names plugin_exports_exactly_the_promised_names rbd
			check program_with_rbd program_with_plugin gcc rbd RBD
		else
			skip "libuds-rbd" "built without librbd"
		fi
		if has_shards; then
			check shards_exports_exactly_the_promised_names plugin_exports_exactly_the_promised_names shards
			check program_with_shards program_with_shards gcc
		else
			skip "libuds-shards" "built without jansson"
		fi
		if [ -f "$(static_library)" ]; then
			check static_library_shows_only_the_promised_names \
				static_library_shows_only_the_promised_names
			check library_neither_ends_nor_prints library_neither_ends_nor_prints
			mkdir -p "$scratch/bin"
			for compiler in gcc clang; do
				if have $compiler; then
					check "program_with_the_same_names: $compiler" \
						program_with_the_same_names $compiler
				else
					skip "program_with_the_same_names: $compiler" "not installed"
				fi
			done
		else
			skip static_library_shows_only_the_promised_names "only a shared library is built"
			skip library_neither_ends_nor_prints "only a shared library is built"
		fi
		check versions_agree versions_agree
		if [ -x "$builddir/uds" ]; then
			check readme_program_works readme_program_works
			have valgrind || skip "readme_program_works under valgrind" "not installed"
		else
			skip readme_program_works "the uds command is not built"
		fi
		programs
	fi
	check uninstall_leaves_nothing uninstall_leaves_nothing
fi
check release_is_reproducible release_is_reproducible
check version_script_is_sorted version_script_is_sorted
check every_exported_name_is_declared every_exported_name_is_declared
check every_exported_name_has_a_manual_page every_exported_name_has_a_manual_page
check manual_pages_describe_nothing_else manual_pages_describe_nothing_else
check every_source_file_has_a_licence_line every_source_file_has_a_licence_line
check files_are_known_without_git files_are_known_without_git
if ! have git || [ "$(id -u)" != 0 ]; then
	skip anothers_checkout_is_read "needs git, and root to give a folder away"
else
	check anothers_checkout_is_read anothers_checkout_is_read
fi
if have mandoc; then
	check manual_pages_have_no_lint manual_pages_have_no_lint
else
	skip manual_pages_have_no_lint "no mandoc"
fi
if have clang-format && clang-format --version | grep -q ' version 14\.'; then
	check source_is_formatted source_is_formatted
else
	skip source_is_formatted "no clang-format 14"
fi
echo "result: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
