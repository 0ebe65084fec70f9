# SPDX-License-Identifier: BSD-2-Clause

udsinclude_HEADERS += include/uds/async.h include/uds/index.h

lib_libcore_la_SOURCES += \
	lib/index/batch.c lib/index/batch.h \
	lib/index/chapter_group.c lib/index/chapter_group.h \
	lib/index/checkpoint.c lib/index/checkpoint.h \
	lib/index/close_chapter.c lib/index/close_chapter.h \
	lib/index/drive.c lib/index/drive.h \
	lib/index/dropped_records.c lib/index/dropped_records.h \
	lib/index/flush.c lib/index/flush_group.c lib/index/flush_group.h \
	lib/index/gather.c lib/index/gather.h \
	lib/index/index.c lib/index/index.h \
	lib/index/journal.c lib/index/journal.h lib/index/journal_recover.c \
	lib/index/journal_replay.c \
	lib/index/lane.c lib/index/lane.h \
	lib/index/left_out.c lib/index/left_out.h \
	lib/index/load.c lib/index/load.h \
	lib/index/lookup.c lib/index/lookup.h \
	lib/index/open.c \
	lib/index/operation.c lib/index/operation.h \
	lib/index/pages.c lib/index/pages.h \
	lib/index/queue.c lib/index/queue.h lib/index/queue_private.h \
	lib/index/queue_done.c lib/index/queue_drive.c \
	lib/index/rebuild.c lib/index/rebuild.h \
	lib/index/replay.c lib/index/replay.h \
	lib/index/replay_crew.c lib/index/replay_crew.h \
	lib/index/request_kind.c lib/index/request_kind.h \
	lib/index/run.c \
	lib/index/save.c lib/index/save.h \
	lib/index/saved_records.c lib/index/saved_records.h \
	lib/index/statistics.c \
	lib/index/triage.c lib/index/triage.h \
	lib/index/unconfirmed.c lib/index/unconfirmed.h
