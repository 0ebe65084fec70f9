/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which slot of the volume holds which chapter, when chapters expire, and which are sparse
 * (uds-format, 11.2 to 11.5).
 *
 * A plain volume is a ring. A reduced one has lost its first slot in a conversion: the chapter that
 * was there lies in another slot, and the ring goes on from there.
 */
#include "geometry/geometry.h"

uint32_t geometry_physical_chapter(const struct geometry *g, uint64_t vcn)
{
	const uint64_t chapters = g->chapters_per_volume;
	uint64_t distance;

	if (!g->reduced)
		return (uint32_t)(vcn % chapters);
	if (vcn == g->remapped_virtual)
		return (uint32_t)g->remapped_physical;
	if (vcn > g->remapped_virtual) {
		distance = vcn - g->remapped_virtual;
		/*
		 * In front of the moved chapter's slot everything lies one slot lower than in a
		 * plain ring (11.3).
		 */
		return (uint32_t)(distance > g->remapped_physical ? distance % chapters
								  : distance - 1);
	}
	distance = g->remapped_virtual - vcn;
	/* Older chapters expired long ago, so the result does not matter. */
	return (uint32_t)(distance < chapters ? chapters - distance : 0);
}

unsigned int geometry_chapters_to_expire(const struct geometry *g, uint64_t newest)
{
	uint64_t leaving;

	/* Not yet once round: no slot is taken twice. */
	if (newest < g->chapters_per_volume)
		return 0;
	leaving = newest - g->chapters_per_volume;
	/* Without a moved chapter, a reduced volume is a plain ring of one slot less. */
	if (g->remapped_physical > 0) {
		/*
		 * The next chapter overwrites the slot of the moved one, so that one
		 * expires as well.
		 */
		if (leaving == g->remapped_virtual)
			return 2;
		/* Its slot was freed by the close that expired two (11.4). */
		if (leaving == g->remapped_virtual + g->remapped_physical)
			return 0;
	}
	return 1;
}

bool geometry_is_chapter_sparse(const struct geometry *g, uint64_t oldest, uint64_t newest,
				uint64_t vcn)
{
	/* Wraps as in the format: chapter numbers from a device may be anything. */
	return geometry_is_sparse(g) && newest - oldest + 1 > g->dense_chapters_per_volume &&
	       vcn + g->dense_chapters_per_volume <= newest;
}
