/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page: the table, and images of it. Each image has a panel for each workload and a curve for
 * each peer, with the lowest and the highest of all runs: over the size, over the size of batches,
 * over the threads; what is not varied is the first of its list, but the size, which is the last.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compare_output.h"
#include "plot.h"

#define MOST_CURVES ((size_t)WORKLOADS * COMPARE_MOST_PEERS)

enum axis { AXIS_RECORDS, AXIS_BATCH, AXIS_THREADS, AXES };

static const struct {
	const char *name, *title, *label;
} axes[AXES] = { { "size", "Time of an operation over the size of the index", "records" },
		 { "batch", "Time of an operation over the size of batches", "requests in a call" },
		 { "threads", "Time of an operation over the number of threads", "threads" } };

/* One image. */
struct image {
	const struct compare_report *report;
	enum axis axis;
	unsigned int place;
	char path[4096]; /* of the SVG */
	/* Curves, in the order in which the data file has them. */
	struct curve {
		enum workload_kind workload;
		unsigned int peer;
	} curves[MOST_CURVES];
	size_t curve_count;
};

/* ---- what an axis is ---- */

static size_t axis_length(const struct compare_plan *plan, enum axis axis)
{
	size_t calls = 0;

	switch (axis) {
	case AXIS_RECORDS:
		return plan->records_count;
	case AXIS_BATCH:
		while (calls < plan->mode_count && !plan->modes[calls].in_flight)
			calls++;
		return calls;
	default:
		return plan->threads_count;
	}
}

static uint64_t axis_value(const struct compare_plan *plan, enum axis axis, size_t i)
{
	if (axis == AXIS_RECORDS)
		return plan->records[i];
	return axis == AXIS_BATCH ? plan->modes[i].count : plan->threads[i];
}

/* The row at step @i of the axis; NULL: there is none. */
static const struct compare_row *row_at(const struct image *image, struct curve curve,
					unsigned int i)
{
	const struct compare_plan *plan = image->report->plan;
	struct compare_point point = { image->place, (unsigned int)plan->records_count - 1, 0 };
	unsigned int mode = 0;

	switch (image->axis) {
	case AXIS_RECORDS:
		point.records = i;
		break;
	case AXIS_BATCH:
		mode = i;
		break;
	default:
		point.threads = i;
		break;
	}
	return compare_find(image->report->results, point, curve.peer, mode, curve.workload);
}

/* ---- files for gnuplot ---- */

/* Microseconds: median, lowest and highest. Returns whether there was anything to write. */
static bool write_curve(const struct image *image, struct curve curve, FILE *out)
{
	bool any = false;

	for (unsigned int i = 0; i < axis_length(image->report->plan, image->axis); i++) {
		const struct compare_row *row = row_at(image, curve, i);
		struct compare_spread rate;

		if (row == NULL)
			continue;
		rate = compare_spread_of(row->rates, row->count);
		if (rate.lowest <= 0)
			continue;
		fprintf(out, "%" PRIu64 " %.6g %.6g %.6g\n",
			axis_value(image->report->plan, image->axis, i), 1e6 / rate.median,
			1e6 / rate.highest, 1e6 / rate.lowest);
		any = true;
	}
	if (any)
		fputs("\n\n", out);
	return any;
}

static void write_curves(struct image *image, FILE *out)
{
	image->curve_count = 0;
	for (int kind = 0; kind < WORKLOADS; kind++) {
		for (unsigned int peer = 0; peer < image->report->peers->count; peer++) {
			struct curve curve = { (enum workload_kind)kind, peer };

			if (write_curve(image, curve, out))
				image->curves[image->curve_count++] = curve;
		}
	}
}

/* A little more than what was measured, so that one value alone has a range, too. */
static void write_range(const struct image *image, FILE *out)
{
	const struct compare_plan *plan = image->report->plan;
	uint64_t least = UINT64_MAX, most = 0;

	for (size_t i = 0; i < axis_length(plan, image->axis); i++) {
		const uint64_t value = axis_value(plan, image->axis, i);

		least = value < least ? value : least;
		most = value > most ? value : most;
	}
	fprintf(out, "set xrange [%g:%g]\n", (double)least / 1.3, (double)most * 1.3);
}

static size_t count_panels(const struct image *image)
{
	size_t panels = 0;

	for (size_t i = 0; i < image->curve_count; i++)
		panels += i == 0 || image->curves[i].workload != image->curves[i - 1].workload;
	return panels;
}

static void write_script(const struct image *image, const char *data, FILE *out)
{
	const size_t panels = count_panels(image), lines = (panels + 1) / 2;

	fprintf(out, "set terminal svg size 1100,%zu background 'white'\nset output '%s'\n",
		320 * lines, image->path);
	fprintf(out,
		"set logscale xy\nset grid\nset key outside right\nset format x '%%.0s%%c'\n"
		"set xlabel '%s'\nset ylabel 'us an operation'\n"
		"set multiplot layout %zu,2\n",
		axes[image->axis].label, lines);
	write_range(image, out);
	for (size_t i = 0; i < image->curve_count; i++) {
		const struct curve curve = image->curves[i];
		const bool begins = i == 0 || image->curves[i - 1].workload != curve.workload;

		if (begins)
			fprintf(out, "set title '%s'\nplot ", workload_titles[curve.workload]);
		fprintf(out,
			"%s'%s' index %zu using 1:2:3:4 with yerrorlines linetype %u title '%s'",
			begins ? "" : ", ", data, i, curve.peer + 1,
			image->report->peers->list[curve.peer].name);
		if (i + 1 == image->curve_count || image->curves[i + 1].workload != curve.workload)
			fputs("\n", out);
	}
	fputs("unset multiplot\n", out);
}

/* Returns whether gnuplot made it. Without a curve there is none, and the path is "". */
static bool make_image(struct image *image)
{
	char data[4200], script[4200];
	FILE *out = plot_create(COMPARE, image->path, ".dat", data, sizeof(data));

	if (out == NULL)
		return false;
	write_curves(image, out);
	if (!plot_end(COMPARE, out, data))
		return false;
	if (image->curve_count == 0) {
		(void)remove(data);
		image->path[0] = '\0';
		return true;
	}
	out = plot_create(COMPARE, image->path, ".gnuplot", script, sizeof(script));
	if (out == NULL)
		return false;
	write_script(image, data, out);
	return plot_end(COMPARE, out, script) && plot_run(COMPARE, script, image->path);
}

/* ---- the page ---- */

static void write_escaped(const char *text, FILE *out)
{
	for (; *text != '\0'; text++) {
		if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '&')
			fputs("&amp;", out);
		else
			fputc(*text, out);
	}
}

/* The table as text, escaped. */
static bool write_page_table(const struct compare_report *report, FILE *out)
{
	char *text = NULL;
	size_t length = 0;
	FILE *table = open_memstream(&text, &length);

	if (table == NULL)
		return false;
	compare_write_table(report, table);
	if (fclose(table) != 0) {
		free(text);
		return false;
	}
	fputs("<pre>\n", out);
	write_escaped(text, out);
	fputs("</pre>\n", out);
	free(text);
	return true;
}

/* Returns whether all images were made; those that were are in the page. */
static bool write_images(const struct compare_report *report, const char *folder, FILE *out)
{
	static struct image image;
	bool good = true;

	image.report = report;
	for (image.place = 0; image.place < report->plan->place_count; image.place++) {
		for (int axis = 0; axis < AXES; axis++) {
			const struct compare_place *place = &report->plan->places[image.place];
			char file[32];

			image.axis = (enum axis)axis;
			if (axis_length(report->plan, image.axis) < 2)
				continue;
			snprintf(file, sizeof(file), "%s-%u.svg", axes[axis].name, image.place + 1);
			snprintf(image.path, sizeof(image.path), "%s/%s", folder, file);
			if (!make_image(&image)) {
				good = false;
				continue;
			}
			if (image.path[0] == '\0')
				continue;
			fprintf(out, "<h2>%s: ", axes[axis].title);
			write_escaped(place->folder, out);
			fprintf(out, "%s", place->options[0] != '\0' ? "?" : "");
			write_escaped(place->options, out);
			fprintf(out, "</h2>\n<img src=\"%s\" alt=\"%s\">\n", file,
				axes[axis].title);
		}
	}
	return good;
}

static bool write_page(const struct compare_report *report, const char *folder)
{
	char path[4200];
	FILE *out = plot_create(COMPARE, folder, "/index.html", path, sizeof(path));
	bool good;

	if (out == NULL)
		return false;
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	      "<title>bench/compare</title></head>\n<body>\n<h1>A deduplication index and its "
	      "peers</h1>\n",
	      out);
	good = write_images(report, folder, out);
	good = write_page_table(report, out) && good;
	fputs("<p>All values: <a href=\"results.json\">results.json</a>.</p>\n</body></html>\n",
	      out);
	return plot_end(COMPARE, out, path) && good;
}

static bool write_results(const struct compare_report *report, const char *folder)
{
	char path[4200];
	FILE *out = plot_create(COMPARE, folder, "/results.json", path, sizeof(path));

	if (out == NULL)
		return false;
	compare_write_json(report, out);
	return plot_end(COMPARE, out, path);
}

bool compare_write_report(const struct compare_report *report, const char *folder)
{
	if (!plot_name_is_good(COMPARE, folder))
		return false;
	if (mkdir(folder, 0777) < 0 && errno != EEXIST) {
		fprintf(stderr, COMPARE ": %s: %s\n", folder, strerror(errno));
		return false;
	}
	/* The page is written without an image that gnuplot did not make. */
	return write_results(report, folder) && write_page(report, folder);
}
