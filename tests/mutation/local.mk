# SPDX-License-Identifier: BSD-2-Clause
#
# Small faults planted in the library, to see whether the tests notice. Run by hand or by "quickstart check-long".

EXTRA_DIST += \
	tests/mutation/mutants.py \
	tests/mutation/mutation.py \
	tests/mutation/survivors \
	tests/mutation/workshop.py
