// SPDX-License-Identifier: MIT
/* sili-smi: what X1 cards there are, how they are, and what they do. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <sili.h>
#include <x1/x1_fw.h>

#define MAX_CARDS 64

/* Of all MCUs of a card together, at some time of its clock. */
struct sums {
	uint64_t clock, work_groups, cycles, busy[X1_ENGINE_COUNT];
};

struct card {
	char spec[64];
	char pci[32];
	struct sili_device *dev;
	struct sums seen; /* when they were last printed */
};

static const char *const engine_names[X1_ENGINE_COUNT] = {
	[X1_ENGINE_SEQ] = "SEQ",       [X1_ENGINE_LOAD] = "LOAD",   [X1_ENGINE_MATRIX] = "MATRIX",
	[X1_ENGINE_VECTOR] = "VECTOR", [X1_ENGINE_STORE] = "STORE",
};

struct cards {
	struct card card[MAX_CARDS];
	unsigned int count;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* The PCI address behind a device node, "-" where there is none. */
static void pci_address(const char *node, char *out, size_t len)
{
	char link[64], path[PATH_MAX];
	struct stat st;

	snprintf(out, len, "-");
	if (stat(node, &st) || !S_ISCHR(st.st_mode))
		return;
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u/device", major(st.st_rdev),
		 minor(st.st_rdev));
	if (realpath(link, path))
		snprintf(out, len, "%s", basename(path));
}

static int add_card(struct cards *cards, const char *spec)
{
	struct card *c = &cards->card[cards->count];
	char err[256];
	int ret = sili_open(&c->dev, spec, err, sizeof(err));

	if (ret) {
		fprintf(stderr, "sili-smi: %s\n", err);
		return ret;
	}
	snprintf(c->spec, sizeof(c->spec), "%s", spec ? spec : "drm");
	pci_address(c->spec, c->pci, sizeof(c->pci));
	cards->count++;
	return 0;
}

/* Every node of the udev rule. Without one, sili_open() says what is missing. */
static int add_all(struct cards *cards)
{
	bool seen = false;
	int ret = 0;

	for (unsigned int i = 0; i < MAX_CARDS; i++) {
		char node[32];
		int one;

		snprintf(node, sizeof(node), "/dev/sili%u", i);
		if (access(node, F_OK))
			continue;
		seen = true;
		one = add_card(cards, node);
		ret = ret ? ret : one;
	}
	return seen ? ret : add_card(cards, NULL);
}

static const char *fw_state_name(uint32_t state)
{
	static const char *const names[] = {
		[X1_FW_STATE_RESET] = "reset",     [X1_FW_STATE_CHECKING] = "checking",
		[X1_FW_STATE_REFUSED] = "refused", [X1_FW_STATE_STARTED] = "started",
		[X1_FW_STATE_READY] = "ready",     [X1_FW_STATE_CRASHED] = "crashed",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

static void version(uint32_t v, char *out, size_t len)
{
	snprintf(out, len, "%u.%u.%u", v >> 16, v >> 8 & 0xff, v & 0xff);
}

static int read_card(const struct card *c, struct sili_info *info, struct sili_status *st)
{
	int ret;

	*info = (struct sili_info){.size = sizeof(*info)};
	*st = (struct sili_status){.size = sizeof(*st)};
	ret = sili_get_info(c->dev, info);
	if (!ret)
		ret = sili_get_status(c->dev, st);
	if (ret)
		fprintf(stderr, "sili-smi: %s: %s\n", c->spec, strerror(-ret));
	return ret;
}

static int read_counters(const struct card *c, uint32_t mcus, struct sums *sums)
{
	struct sili_mcu_counters *each = calloc(mcus, sizeof(*each));
	int n = each ? sili_get_counters(c->dev, each, mcus) : -ENOMEM, ret = n < 0 ? n : 0;

	*sums = (struct sums){0};
	if (!ret)
		ret = sili_clock(c->dev, &sums->clock);
	for (int i = 0; i < n; i++) {
		sums->work_groups += each[i].work_groups;
		sums->cycles += each[i].cycles;
		for (unsigned int e = 0; e < X1_ENGINE_COUNT; e++)
			sums->busy[e] += each[i].busy[e];
	}
	free(each);
	if (ret)
		fprintf(stderr, "sili-smi: %s: counters: %s%s\n", c->spec, strerror(-ret),
			ret == -EPERM ? ", they need root or CAP_PERFMON" : "");
	return ret;
}

static double percent(uint64_t part, double whole)
{
	return whole > 0 ? 100.0 * (double)part / whole : 0;
}

/* What the MCUs did since the last time, at first since the machine's start. */
static int print_counters(struct cards *cards)
{
	int ret = 0;

	printf("%-12s %12s %10s", "device", "work-groups", "occupied/%");
	for (unsigned int e = 0; e < X1_ENGINE_COUNT; e++)
		printf(" %7s/%%", engine_names[e]);
	putchar('\n');
	for (unsigned int i = 0; i < cards->count; i++) {
		struct card *c = &cards->card[i];
		struct sili_info info = {.size = sizeof(info)};
		struct sums now;
		uint64_t cycles;
		int one = sili_get_info(c->dev, &info);

		if (!one)
			one = read_counters(c, info.mcus, &now);
		if (one) {
			ret = one;
			continue;
		}
		cycles = now.cycles - c->seen.cycles;
		printf("%-12s %12" PRIu64 " %10.1f", c->spec, now.work_groups - c->seen.work_groups,
		       percent(cycles, (double)(now.clock - c->seen.clock) * info.mcus));
		for (unsigned int e = 0; e < X1_ENGINE_COUNT; e++)
			printf(" %9.1f", percent(now.busy[e] - c->seen.busy[e], (double)cycles));
		putchar('\n');
		c->seen = now;
	}
	fflush(stdout);
	return ret;
}

static int print_table(const struct cards *cards)
{
	int ret = 0;

	printf("%-12s %-12s %-18s %-16s %9s %19s %10s %7s %9s %6s\n", "device", "PCI", "serial",
	       "firmware", "MCUs", "HBM used/MiB", "system/MiB", "temp/C", "power/W", "util/%");
	for (unsigned int i = 0; i < cards->count; i++) {
		const struct card *c = &cards->card[i];
		char fw[32], state[48], mcus[32], hbm[32];
		struct sili_status st;
		struct sili_info info;
		int one = read_card(c, &info, &st);

		if (one) {
			ret = one;
			continue;
		}
		version(info.fw_version, fw, sizeof(fw));
		snprintf(state, sizeof(state), "%s %s", fw, fw_state_name(st.fw_state));
		snprintf(mcus, sizeof(mcus), "%u/%u", st.mcus_healthy, info.mcus);
		snprintf(hbm, sizeof(hbm), "%.1f/%.0f", (double)st.hbm_used / (1 << 20),
			 (double)st.hbm_bytes / (1 << 20));
		printf("%-12s %-12s 0x%016" PRIx64 " %-16s %9s %19s %10.1f %7.1f %9.1f %6.1f\n",
		       c->spec, c->pci, info.serial, state, mcus, hbm,
		       (double)st.system_used / (1 << 20), st.temp_mc / 1e3, st.power_mw / 1e3,
		       st.util_permille / 10.0);
	}
	fflush(stdout);
	return ret;
}

/* Adds nothing where they cannot be read. */
static int add_counters(json_t *object, const struct card *c, uint32_t mcus)
{
	json_t *busy = json_object();
	struct sums sums;
	int ret = read_counters(c, mcus, &sums);

	for (unsigned int e = 0; e < X1_ENGINE_COUNT; e++)
		json_object_set_new(busy, engine_names[e], json_integer((json_int_t)sums.busy[e]));
	if (!ret)
		json_object_set_new(object, "counters",
				    json_pack("{s:I, s:I, s:I, s:O}", "clock",
					      (json_int_t)sums.clock, "work_groups",
					      (json_int_t)sums.work_groups, "cycles",
					      (json_int_t)sums.cycles, "busy", busy));
	json_decref(busy);
	return ret;
}

static int print_json(const struct cards *cards, bool counters)
{
	json_t *list = json_array();
	int ret = 0;

	for (unsigned int i = 0; i < cards->count; i++) {
		const struct card *c = &cards->card[i];
		struct sili_status st;
		struct sili_info info;
		char fw[32], serial[24];
		json_t *object;
		int one = read_card(c, &info, &st);

		if (one) {
			ret = one;
			continue;
		}
		version(info.fw_version, fw, sizeof(fw));
		/* 64 bits do not fit a JSON number everywhere. */
		snprintf(serial, sizeof(serial), "0x%016" PRIx64, info.serial);
		object = json_pack(
			"{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:I, s:I, s:I, "
			"s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:b}",
			"device", c->spec, "pci", c->pci, "backend", info.backend, "serial", serial,
			"firmware_version", fw, "firmware_state", fw_state_name(st.fw_state),
			"firmware_heartbeat", (json_int_t)st.fw_heartbeat, "mcus", (int)info.mcus,
			"mcus_healthy", (int)st.mcus_healthy, "hbm_bytes", (json_int_t)st.hbm_bytes,
			"hbm_used", (json_int_t)st.hbm_used, "system_used",
			(json_int_t)st.system_used, "temp_mc", (int)st.temp_mc, "power_mw",
			(int)st.power_mw, "core_power_mw", (int)st.core_power_mw, "util_permille",
			(int)st.util_permille, "energy_core_uj", (json_int_t)st.energy_core_uj,
			"energy_package_uj", (json_int_t)st.energy_package_uj, "clock_hz",
			(json_int_t)info.clock_hz, "timing", (int)info.timing);
		json_array_append_new(list, object);
		if (counters && add_counters(object, c, info.mcus))
			ret = 1;
	}
	json_dumpf(list, stdout, JSON_INDENT(2));
	putchar('\n');
	fflush(stdout);
	json_decref(list);
	return ret;
}

static void usage(FILE *out)
{
	fputs("Usage: sili-smi [OPTION]…\n"
	      "\n"
	      "Lists SiliFlow X1 cards: firmware, MCUs, memory, temperature, power, use.\n"
	      "\n"
	      "  -c, --counters      what their MCUs and engines did, since the last time of\n"
	      "                      --loop or the machine's start; needs root or CAP_PERFMON\n"
	      "  -d, --device=SPEC   this device only: a node, or \"sim[:key=value,…]\";\n"
	      "                      may be repeated\n"
	      "  -j, --json          as JSON, one object a device\n"
	      "  -l, --loop=SECONDS  again every so many seconds, until interrupted\n"
	      "  -h, --help          this text\n"
	      "  -V, --version       the version\n"
	      "\n"
	      "Exit status: 0; 1 when a device could not be read; 2 for a bad option.\n",
	      out);
}

static bool seconds(const char *text, struct timespec *out)
{
	char *end;
	double s;

	errno = 0;
	s = strtod(text, &end);
	if (errno || end == text || *end || !(s >= 0.1 && s <= 86400))
		return false;
	out->tv_sec = (time_t)s;
	out->tv_nsec = (long)((s - (double)out->tv_sec) * 1e9);
	return true;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"counters", no_argument, NULL, 'c'},
		{"device", required_argument, NULL, 'd'},
		{"json", no_argument, NULL, 'j'},
		{"loop", required_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	static struct cards cards;
	struct timespec pause = {0};
	bool json = false, loop = false, counters = false;
	int opt, ret = 0;

	while ((opt = getopt_long(argc, argv, "cd:jl:hV", longs, NULL)) != -1) {
		switch (opt) {
		case 'c':
			counters = true;
			break;
		case 'd':
			if (cards.count == MAX_CARDS) {
				fprintf(stderr, "sili-smi: more than %d devices\n", MAX_CARDS);
				return 2;
			}
			if (add_card(&cards, optarg))
				ret = 1;
			break;
		case 'j':
			json = true;
			break;
		case 'l':
			if (!seconds(optarg, &pause)) {
				fprintf(stderr,
					"sili-smi: --loop takes 0.1 to 86400 seconds, not '%s'\n",
					optarg);
				return 2;
			}
			loop = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			printf("sili-smi %d.%d\n", SILI_VERSION_MAJOR, SILI_VERSION_MINOR);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sili-smi: unexpected '%s'\n", argv[optind]);
		return 2;
	}
	if (!cards.count && !ret && add_all(&cards))
		ret = 1;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	while (cards.count) {
		if (json ? print_json(&cards, counters) : print_table(&cards))
			ret = 1;
		if (counters && !json && print_counters(&cards))
			ret = 1;
		if (!loop || stop || (nanosleep(&pause, NULL) && stop))
			break;
	}
	for (unsigned int i = 0; i < cards.count; i++)
		sili_close(cards.card[i].dev);
	return ret;
}
