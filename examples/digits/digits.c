// SPDX-License-Identifier: MIT
/*
 * digits: read handwritten digits on the SiliFlow X1, in FP32, FP16, FP8 and
 * with the precision switched per layer, each without and with prefetch.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"
#include <x1/x1_fault.h>

#define MAX_RESULTS 16

struct options {
	const char *device, *mode, *model, *set, *digests, *compare;
	unsigned int draw;
};

static const char usage[] =
	"Usage: digits [OPTION]...\n"
	"Reads handwritten digits on a SiliFlow X1 and prints accuracy, speed and energy.\n\n"
	"  -d, --device=SPEC    /dev/siliN, \"drm\" (first card) or \"sim[:key=value,...]\";\n"
	"                       default: $SILI_DEVICE, then the first card\n"
	"  -m, --mode=MODE      fp32, fp16, fp8, mixed or all (default)\n"
	"      --model=FILE     weights (default: data/digits.model beside the sources)\n"
	"      --test=FILE      held-out images (default: data/digits.test)\n"
	"      --draw=N         draw N digits, 0..16 (default 6)\n"
	"      --digests=FILE   write \"mode prefetch digest cycles\" per run to FILE\n"
	"      --compare=FILE   compare with such a file from another machine or back end\n"
	"  -h, --help           this text\n"
	"  -V, --version        version\n\n"
	"Exit status: 0; 1 after a failed run or a difference; 2 for wrong usage.\n";

static int parse(int argc, char **argv, struct options *o)
{
	enum {
		MODEL = 256,
		TEST,
		DRAW,
		DIGESTS,
		COMPARE
	};
	static const struct option longs[] = {
		{"device", required_argument, NULL, 'd'},
		{"mode", required_argument, NULL, 'm'},
		{"model", required_argument, NULL, MODEL},
		{"test", required_argument, NULL, TEST},
		{"draw", required_argument, NULL, DRAW},
		{"digests", required_argument, NULL, DIGESTS},
		{"compare", required_argument, NULL, COMPARE},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "d:m:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'd':
			o->device = optarg;
			break;
		case 'm':
			o->mode = optarg;
			break;
		case MODEL:
			o->model = optarg;
			break;
		case TEST:
			o->set = optarg;
			break;
		case DRAW:
			o->draw = (unsigned int)strtoul(optarg, &end, 10);
			if (*end || end == optarg || o->draw > 16) {
				fprintf(stderr, "digits: --draw=%s: 0 to 16\n", optarg);
				return -1;
			}
			break;
		case DIGESTS:
			o->digests = optarg;
			break;
		case COMPARE:
			o->compare = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		case 'V':
			printf("digits %d.%d\n", SILI_VERSION_MAJOR, SILI_VERSION_MINOR);
			exit(0);
		default:
			fputs("Try 'digits --help'.\n", stderr);
			return -1;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "digits: unexpected argument '%s'\n", argv[optind]);
		return -1;
	}
	for (unsigned int i = 0; i < digits_num_modes; i++)
		if (!strcmp(o->mode, digits_modes[i].name))
			return 0;
	if (strcmp(o->mode, "all")) {
		fprintf(stderr, "digits: --mode=%s: fp32, fp16, fp8, mixed or all\n", o->mode);
		return -1;
	}
	return 0;
}

static void explain_fault(struct sili_queue *queue)
{
	struct sili_fault f = {.size = sizeof(f)};

	if (!sili_queue_fault(queue, &f) && f.code)
		fprintf(stderr, "digits: device fault %s at %#llx, unit %u, instruction %u\n",
			x1_fault_name(f.code), (unsigned long long)f.addr, f.unit, f.pc);
}

/* ---- digests ---- */

static int write_digests(const char *path, const struct digits_result *r, unsigned int n)
{
	FILE *f = fopen(path, "w");

	if (!f) {
		fprintf(stderr, "digits: %s: %s\n", path, strerror(errno));
		return -1;
	}
	for (unsigned int i = 0; i < n; i++)
		fprintf(f, "%s %s %016llx %llu\n", r[i].mode->name, r[i].prefetch ? "on" : "off",
			(unsigned long long)r[i].digest, (unsigned long long)r[i].cycles);
	if (fclose(f)) {
		fprintf(stderr, "digits: %s: %s\n", path, strerror(errno));
		return -1;
	}
	return 0;
}

/* Every run of ours must be in the file, with the same bits and cycles. */
static int compare_digests(const char *path, const struct digits_result *r, unsigned int n)
{
	unsigned int found = 0, bits = 0, cycles = 0;
	FILE *f = fopen(path, "r");
	char mode[16], prefetch[8];
	unsigned long long digest, clock;

	if (!f) {
		fprintf(stderr, "digits: %s: %s\n", path, strerror(errno));
		return -1;
	}
	while (fscanf(f, "%15s %7s %llx %llu", mode, prefetch, &digest, &clock) == 4) {
		for (unsigned int i = 0; i < n; i++) {
			if (strcmp(mode, r[i].mode->name) ||
			    strcmp(prefetch, r[i].prefetch ? "on" : "off"))
				continue;
			found++;
			bits += digest == r[i].digest;
			cycles += clock == r[i].cycles;
			if (digest != r[i].digest)
				printf("%s, prefetch %s: bits differ\n", mode, prefetch);
			if (clock != r[i].cycles)
				printf("%s, prefetch %s: %llu cycles here, %llu there\n", mode,
				       prefetch, (unsigned long long)r[i].cycles, clock);
		}
	}
	fclose(f);
	printf("against %s: %u of %u runs with the same bits, %u with the same cycles\n", path,
	       bits, n, cycles);
	return found == n && bits == n && cycles == n ? 0 : -1;
}

/* ---- main ---- */

static int run_all(const struct options *o, struct sili_device *dev, struct sili_queue *queue,
		   const struct digits_model *model, const struct digits_set *set)
{
	struct sili_info info = {.size = sizeof(info)};
	struct digits_result res[MAX_RESULTS];
	unsigned int n = 0;
	int ret = 0;

	sili_get_info(dev, &info);
	digits_print_head(stdout, &info, model, set);
	for (unsigned int i = 0; i < 2 * digits_num_modes && !ret; i++) {
		const struct digits_mode *mode = &digits_modes[i / 2];

		if (strcmp(o->mode, "all") && strcmp(o->mode, mode->name))
			continue;
		ret = digits_run(dev, queue, model, set, mode, i % 2, &res[n]);
		if (ret) {
			fprintf(stderr, "digits: %s: %s\n", mode->name, strerror(-ret));
			explain_fault(queue);
			break;
		}
		digits_print_result(stdout, &res[n], set->images, info.clock_hz);
		n++;
	}
	if (!ret && n) {
		const uint8_t *reads = res[n - 1].reads;

		printf("\nconfusion, mode %s:\n", res[n - 1].mode->name);
		digits_print_confusion(stdout, set, reads);
		if (o->draw) {
			putchar('\n');
			digits_print_images(stdout, set, reads, o->draw);
		}
	}
	if (!ret && o->digests)
		ret = write_digests(o->digests, res, n);
	if (!ret && o->compare) {
		putchar('\n');
		ret = compare_digests(o->compare, res, n);
	}
	while (n)
		free(res[--n].reads);
	return ret;
}

int main(int argc, char **argv)
{
	struct options o = {
		.mode = "all",
		.model = DATA_DIR "/digits.model",
		.set = DATA_DIR "/digits.test",
		.draw = 6,
	};
	struct digits_model model = {0};
	struct digits_set set = {0};
	struct sili_queue *queue = NULL;
	struct sili_device *dev = NULL;
	char err[256];
	int ret;

	setlocale(LC_CTYPE, "");
	if (parse(argc, argv, &o))
		return 2;
	if (digits_load_model(&model, o.model, err, sizeof(err)) ||
	    digits_load_set(&set, o.set, err, sizeof(err)) ||
	    sili_open(&dev, o.device, err, sizeof(err))) {
		fprintf(stderr, "digits: %s\n", err);
		ret = -1;
		goto out;
	}
	ret = sili_queue_new(dev, NULL, &queue);
	if (ret)
		fprintf(stderr, "digits: no queue: %s\n", strerror(-ret));
	else
		ret = run_all(&o, dev, queue, &model, &set);
out:
	sili_queue_free(queue);
	sili_close(dev);
	digits_free_set(&set);
	digits_free_model(&model);
	return ret ? 1 : 0;
}
