# SPDX-License-Identifier: BSD-2-Clause
#
# Models of the protocols. Spin checks them in "quickstart check-long"; here only that they model what there is.

model_names = tests/models/test_models.sh
if !SANITIZED
TESTS += $(model_names)
endif
EXTRA_DIST += $(model_names) tests/models/run tests/models/README.md tests/models/device.pml \
	tests/models/area_commit.pml tests/models/chapter_close.pml tests/models/journal.pml tests/models/merge_commit.pml \
	tests/models/saves.pml tests/models/take_off_areas.pml
