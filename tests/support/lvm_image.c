/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvm_image.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define ID(c) \
	c c c c c c "-" c c c c "-" c c c c "-" c c c c "-" c c c c "-" c c c c "-" c c c c c c

const char lvm_image_text[] =
	"vg {\n"
	"\tid = \"" ID(
		"g") "\"\n"
		     "\tseqno = 7\n"
		     "\tformat = \"lvm2\" # informational {\n"
		     "\tstatus = [\"RESIZEABLE\", \"READ\", \"WRITE\"]\n"
		     "\tflags = []\n"
		     "\textent_size = 8\n"
		     "\n\tphysical_volumes {\n"
		     "\t\tpv0 {\n\t\t\tid = \"" ID(
			     "a") "\"\n\t\t\tdevice = \"/dev/sda\"\t# Hint only\n"
				  "\t\t\tdev_size = 512\n\t\t\tpe_start = 128\n\t\t\tpe_count = "
				  "48\n\t\t}\n"
				  "\t\tpv1 {\n\t\t\tid = \"" ID(
					  "b") "\"\n\t\t\tdevice = \"/dev/\\\"sdb\\\"\"\n"
					       "\t\t\tdev_size = 512\n\t\t\tpe_start = "
					       "128\n\t\t\tpe_count = 48\n\t\t}\n"
					       "\t}\n"
					       "\n\tlogical_volumes {\n"
					       "\t\torigin {\n\t\t\tid = \"" ID(
						       "o") "\"\n"
							    "\t\t\tstatus = [\"READ\", \"WRITE\", "
							    "\"VISIBLE\"]\n\t\t\tsegment_count = "
							    "3\n"
							    "\t\t\tsegment1 "
							    "{\n\t\t\t\tstart_extent = "
							    "0\n\t\t\t\textent_count = 4\n"
							    "\t\t\t\ttype = "
							    "\"striped\"\n\t\t\t\tstripe_count = "
							    "1\t# linear\n"
							    "\t\t\t\tstripes = "
							    "[\n\t\t\t\t\t\"pv0\", "
							    "2\n\t\t\t\t]\n\t\t\t}\n"
							    "\t\t\tsegment2 "
							    "{\n\t\t\t\tstart_extent = "
							    "4\n\t\t\t\textent_count = 3\n"
							    "\t\t\t\ttype = "
							    "\"striped\"\n\t\t\t\tstripe_count = "
							    "1\n"
							    "\t\t\t\tstripes = [\"pv1\", "
							    "0]\n\t\t\t}\n"
							    "\t\t\tsegment3 "
							    "{\n\t\t\t\tstart_extent = "
							    "7\n\t\t\t\textent_count = 2\n"
							    "\t\t\t\ttype = "
							    "\"striped\"\n\t\t\t\tstripe_count = "
							    "1\n"
							    "\t\t\t\tstripes = [\"pv0\", "
							    "46]\n\t\t\t}\n\t\t}\n"
							    "\t\tstripes {\n\t\t\tid = \"" ID(
								    "s") "\"\n"
									 "\t\t\tstatus = "
									 "[\"READ\", \"WRITE\", "
									 "\"VISIBLE\"]"
									 "\n\t\t\tsegment_count = "
									 "1\n"
									 "\t\t\tsegment1 "
									 "{\n\t\t\t\tstart_extent "
									 "= "
									 "0\n\t\t\t\textent_count "
									 "= 8\n"
									 "\t\t\t\ttype = "
									 "\"striped\"\n\t\t\t\tstri"
									 "pe_count = "
									 "2\n\t\t\t\tstripe_size = "
									 "4\n"
									 "\t\t\t\tstripes = "
									 "[\"pv0\", 10, \"pv1\", "
									 "20]\n\t\t\t}\n\t\t}\n"
									 "\t\tplain {\n\t\t\tid = "
									 "\"" ID("p") "\"\n"
										      "\t\t\tstatus"
										      " = "
										      "[\"READ\", "
										      "\"WRITE\", "
										      "\"VISIBLE\"]"
										      "\n\t\t\tsegm"
										      "ent_count = "
										      "1\n"
										      "\t\t\tsegmen"
										      "t1 "
										      "{\n\t\t\t\ts"
										      "tart_extent "
										      "= "
										      "0\n\t\t\t\te"
										      "xtent_count "
										      "= 1\n"
										      "\t\t\t\ttype"
										      " = "
										      "\"striped\""
										      "\n\t\t\t\tst"
										      "ripe_count "
										      "= 1\n"
										      "\t\t\t\tstri"
										      "pes = "
										      "[\"pv0\", "
										      "30]\n\t\t\t}"
										      "\n\t\t}\n"
										      "\t\tmirrored"
										      " {"
										      "\n\t\t\tid "
										      "= \"" ID(
											      "m") "\"\n"
												   "\t\t\tstatus = [\"READ\", \"VISIBLE\"]\n\t\t\tsegment_count = 1\n"
												   "\t\t\tsegment1 {\n\t\t\t\tstart_extent = 0\n\t\t\t\textent_count = 1\n"
												   "\t\t\t\ttype = \"mirror\"\n\t\t\t\tmirrors = [\"plain\", 0]\n\t\t\t}\n\t\t}\n"
												   "\t\tsnap {\n\t\t\tid = \"" ID(
													   "c") "\"\n"
														"\t\t\tstatus = [\"READ\", \"WRITE\"]\n\t\t\tsegment_count = 1\n"
														"\t\t\tsegment1 {\n\t\t\t\tstart_extent = 0\n\t\t\t\textent_count = 5\n"
														"\t\t\t\ttype = \"striped\"\n\t\t\t\tstripe_count = 1\n"
														"\t\t\t\tstripes = [\"pv1\", 30]\n\t\t\t}\n\t\t}\n"
														"\t\tmerging {\n\t\t\tid = \"" ID(
															"d") "\"\n"
															     "\t\t\tstatus = [\"READ\", \"WRITE\"]\n\t\t\tsegment_count = 1\n"
															     "\t\t\tsegment1 {\n\t\t\t\tstart_extent = 0\n\t\t\t\textent_count = 6\n"
															     "\t\t\t\ttype = \"striped\"\n\t\t\t\tstripe_count = 1\n"
															     "\t\t\t\tstripes = [\"pv1\", 40]\n\t\t\t}\n\t\t}\n"
															     "\t\tsnapshot0 {\n\t\t\tid = \"" ID(
																     "e") "\"\n"
																	  "\t\t\tstatus = [\"READ\", \"WRITE\", \"VISIBLE\"]\n\t\t\tsegment_count = 1\n"
																	  "\t\t\tsegment1 {\n\t\t\t\tstart_extent = 0\n\t\t\t\textent_count = 9\n"
																	  "\t\t\t\ttype = \"snapshot\"\n\t\t\t\tchunk_size = 8\n"
																	  "\t\t\t\torigin = \"origin\"\n\t\t\t\tcow_store = \"snap\"\n\t\t\t}\n\t\t}\n"
																	  "\t\tsnapshot1 {\n\t\t\tid = \"" ID(
																		  "f") "\"\n"
																		       "\t\t\tstatus = [\"READ\", \"WRITE\", \"VISIBLE\"]\n\t\t\tsegment_count = 1\n"
																		       "\t\t\tsegment1 {\n\t\t\t\tstart_extent = 0\n\t\t\t\textent_count = 8\n"
																		       "\t\t\t\ttype = \"snapshot\"\n\t\t\t\tchunk_size = 16\n"
																		       "\t\t\t\torigin = \"stripes\"\n\t\t\t\tmerging_store = \"merging\"\n\t\t\t}\n\t\t}\n"
																		       "\t}\n"
																		       "}\n"
																		       "# Generated by hand\n"
																		       "contents = \"Text Format Volume Group\"\n"
																		       "version = 1\n"
																		       "creation_time = -1.5\n";

char *lvm_image_edit(const char *text, const char *find, const char *replacement)
{
	const char *at = strstr(text, find);
	size_t before, room = strlen(text) + strlen(replacement) + 1;
	char *edited = malloc(room);

	if (at == NULL || edited == NULL || strstr(at + 1, find) != NULL)
		abort();
	before = (size_t)(at - text);
	memcpy(edited, text, before);
	strcpy(edited + before, replacement);
	strcat(edited, at + strlen(find));
	return edited;
}

/* CRC-32, a bit at a time, unlike the library; begun and ended as LVM does it. */
static uint32_t sum_of(const uint8_t *bytes, size_t length)
{
	uint32_t sum = UINT32_C(0xf597a6cf);

	for (size_t i = 0; i < length; i++) {
		sum ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			sum = (sum >> 1) ^ ((sum & 1) * UINT32_C(0xedb88320));
	}
	return sum;
}

void lvm_image_seal_label(uint8_t *image)
{
	uint8_t *label = image + LVM_IMAGE_LABEL_AT;

	put_le32(label + 16, sum_of(label + 20, 512 - 20));
}

void lvm_image_seal_area(uint8_t *image)
{
	uint8_t *header = image + LVM_IMAGE_AREA_AT;

	put_le32(header, sum_of(header + 4, 508));
}

void lvm_image_put_text(uint8_t *image, const char *text, size_t length, uint64_t at)
{
	uint8_t *area = image + LVM_IMAGE_AREA_AT;

	for (size_t i = 0; i < length; i++) {
		uint64_t to = at + i;

		if (to >= LVM_IMAGE_AREA)
			to -= LVM_IMAGE_AREA - 512;
		area[to] = (uint8_t)text[i];
	}
	put_le64(area + 40, at);
	put_le64(area + 48, length);
	put_le32(area + 56, sum_of((const uint8_t *)text, length));
	put_le32(area + 60, 0);
	lvm_image_seal_area(image);
}

static void put_label(uint8_t *image, char letter)
{
	uint8_t *label = image + LVM_IMAGE_LABEL_AT;

	memcpy(label, "LABELONE", 8);
	put_le64(label + 8, 1);
	put_le32(label + 20, 32);
	memcpy(label + 24, "LVM2 001", 8);
	memset(label + 32, letter, 32);
	put_le64(label + 64, LVM_IMAGE_BYTES);
	put_le64(label + 72, LVM_IMAGE_DATA_AT);
	put_le64(label + 104, LVM_IMAGE_AREA_AT);
	put_le64(label + 112, LVM_IMAGE_AREA);
	lvm_image_seal_label(image);
}

uint8_t *lvm_image_make(char letter, const char *text)
{
	uint8_t *image = calloc(1, LVM_IMAGE_BYTES), *area;

	if (image == NULL)
		abort();
	area = image + LVM_IMAGE_AREA_AT;
	put_label(image, letter);
	memcpy(area + 4, " LVM2 x[5A%r0N*>", 16);
	put_le32(area + 20, 1);
	put_le64(area + 24, LVM_IMAGE_AREA_AT);
	put_le64(area + 32, LVM_IMAGE_AREA);
	lvm_image_seal_area(image);
	if (text != NULL)
		lvm_image_put_text(image, text, strlen(text) + 1, 512);
	for (uint32_t i = 0; i < LVM_IMAGE_EXTENTS; i++) {
		uint8_t *extent = image + LVM_IMAGE_DATA_AT + (size_t)i * LVM_IMAGE_EXTENT;

		memset(extent, letter, LVM_IMAGE_EXTENT);
		put_le32(extent, i);
	}
	return image;
}
