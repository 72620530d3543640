// SPDX-License-Identifier: MIT
/* Table, confusion matrix, pictures. */
#include <langinfo.h>
#include <string.h>

#include "digits.h"

void digits_print_head(FILE *out, const struct sili_info *info, const struct digits_model *model,
		       const struct digits_set *set)
{
	fprintf(out, "SiliFlow X1 (%s%s%s): %u MCUs at %.3f GHz, %llu MiB HBM, firmware %u.%u.%u\n",
		info->backend, *info->path ? " " : "", info->path, info->mcus,
		(double)info->clock_hz * 1e-9, (unsigned long long)(info->hbm_bytes >> 20),
		info->fw_version >> 16, info->fw_version >> 8 & 0xff, info->fw_version & 0xff);
	fprintf(out, "network %u", model->inputs[0]);
	for (uint32_t i = 0; i < model->layers; i++)
		fprintf(out, "-%u", model->outputs[i]);
	fprintf(out, ", %u held-out images, caches cold at each run\n\n", set->images);
	fprintf(out, "%-6s %-9s %9s %14s %12s %12s %9s\n", "mode", "prefetch", "accuracy",
		"images/s", "cycles", "nJ/image", "switches");
}

void digits_print_result(FILE *out, const struct digits_result *r, uint32_t images,
			 uint64_t clock_hz)
{
	char speed[32] = "-", energy[32] = "-";

	/* Without timing the device has no clock to speak of. */
	if (r->cycles) {
		snprintf(speed, sizeof(speed), "%.0f",
			 images / ((double)r->cycles / (double)clock_hz));
		snprintf(energy, sizeof(energy), "%.1f", r->energy_j * 1e9 / images);
	}
	fprintf(out, "%-6s %-9s %8.2f%% %14s %12llu %12s %9llu\n", r->mode->name,
		r->prefetch ? "on" : "off", 100.0 * r->right / images, speed,
		(unsigned long long)r->cycles, energy, (unsigned long long)r->switches);
	fflush(out);
}

void digits_print_confusion(FILE *out, const struct digits_set *set, const uint8_t *reads)
{
	unsigned int count[DIGITS_CLASSES][DIGITS_CLASSES] = {{0}};

	for (uint32_t i = 0; i < set->images; i++)
		count[set->labels[i]][reads[i]]++;
	fprintf(out, "written \\ read");
	for (unsigned int c = 0; c < DIGITS_CLASSES; c++)
		fprintf(out, "%5u", c);
	fputc('\n', out);
	for (unsigned int r = 0; r < DIGITS_CLASSES; r++) {
		fprintf(out, "%13u ", r);
		for (unsigned int c = 0; c < DIGITS_CLASSES; c++) {
			if (count[r][c])
				fprintf(out, "%5u", count[r][c]);
			else
				fprintf(out, "%5s", ".");
		}
		fputc('\n', out);
	}
}

static const char *shade(uint8_t pixel, bool utf8)
{
	static const char *const blocks[] = {"  ", "░░", "▒▒", "▓▓", "██"};
	static const char *const ascii[] = {"  ", "..", "::", "**", "##"};
	unsigned int level = pixel > 16 ? 4 : (pixel + 3) / 4;

	return utf8 ? blocks[level > 4 ? 4 : level] : ascii[level > 4 ? 4 : level];
}

void digits_print_images(FILE *out, const struct digits_set *set, const uint8_t *reads,
			 unsigned int n)
{
	bool utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	uint32_t pick[16];
	unsigned int picked = 0;

	if (n > sizeof(pick) / sizeof(pick[0]))
		n = sizeof(pick) / sizeof(pick[0]);
	/* Half of them misread ones, where there are any. */
	for (uint32_t i = 0; i < set->images && picked < n / 2; i++)
		if (reads[i] != set->labels[i])
			pick[picked++] = i;
	for (uint32_t i = 0; i < set->images && picked < n; i++)
		if (reads[i] == set->labels[i])
			pick[picked++] = i;
	for (unsigned int y = 0; y < DIGITS_SIDE; y++) {
		for (unsigned int p = 0; p < picked; p++) {
			const uint8_t *row = set->pixels + (size_t)pick[p] * DIGITS_PIXELS +
					     y * DIGITS_SIDE;

			for (unsigned int x = 0; x < DIGITS_SIDE; x++)
				fputs(shade(row[x], utf8), out);
			fputs("  ", out);
		}
		fputc('\n', out);
	}
	for (unsigned int p = 0; p < picked; p++) {
		unsigned int read = reads[pick[p]], label = set->labels[pick[p]];

		if (read == label)
			fprintf(out, "%-18s",
				(char[]){'r', 'e', 'a', 'd', ' ', (char)('0' + read), 0});
		else
			fprintf(out, "read %u, is %u%-7s", read, label, " !");
	}
	fputc('\n', out);
}
