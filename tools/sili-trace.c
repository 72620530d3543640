// SPDX-License-Identifier: MIT
/*
 * sili-trace: the timeline of a program's devices as JSON that Perfetto and
 * Chrome's tracing page read. Queues are one process with a thread for each,
 * every MCU is one with threads for its work-groups and engines.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sili.h>
#include <x1/x1_fault.h>
#include <x1/x1_limits.h>

#define FAILED      125 /* our own, as of timeout(1) */
#define CHUNK       4096u
#define PIDS        (X1_MAX_MCUS + 1u) /* of one device: its queues, then its MCUs */
#define TID_WG      0u
#define TID_ENGINE0 1u

static const char *const kind_names[X1_TL_KINDS] = {
	[X1_TL_LAUNCH] = "launch", [X1_TL_WG] = "wg",         [X1_TL_BUSY] = "busy",
	[X1_TL_STALL] = "stall",   [X1_TL_COPY] = "copy",     [X1_TL_CMD] = "cmd",
	[X1_TL_FAULT] = "fault",   [X1_TL_SWITCH] = "switch",
};

static const char *const engine_names[X1_ENGINE_COUNT] = {
	[X1_ENGINE_SEQ] = "SEQ",       [X1_ENGINE_LOAD] = "LOAD",   [X1_ENGINE_MATRIX] = "MATRIX",
	[X1_ENGINE_VECTOR] = "VECTOR", [X1_ENGINE_STORE] = "STORE",
};

static const char *const stall_names[X1_STALL_COUNT] = {
	[X1_STALL_SEM] = "semaphore", [X1_STALL_L2] = "L2",       [X1_STALL_HBM] = "HBM",
	[X1_STALL_PCIE] = "PCIe",     [X1_STALL_TLB] = "TLB",     [X1_STALL_SWITCH] = "switch",
	[X1_STALL_QUEUE] = "queue",   [X1_STALL_EMPTY] = "empty",
};

static const char *const cmd_names[X1_CMD_COUNT] = {
	[X1_CMD_NOP] = "NOP",
	[X1_CMD_LAUNCH] = "LAUNCH",
	[X1_CMD_COPY] = "COPY",
	[X1_CMD_FILL] = "FILL",
	[X1_CMD_FENCE] = "FENCE",
	[X1_CMD_WAIT] = "WAIT",
	[X1_CMD_CALL] = "CALL",
	[X1_CMD_TIMESTAMP] = "TIMESTAMP",
	[X1_CMD_BARRIER] = "BARRIER",
	[X1_CMD_FLUSH] = "FLUSH",
	[X1_CMD_PERF_BEGIN] = "PERF_BEGIN",
	[X1_CMD_PERF_END] = "PERF_END",
};

static const char *name_of(const char *const *names, unsigned int count, unsigned int i)
{
	return i < count ? names[i] : "unknown";
}

/* ---- output ---- */

struct writer {
	FILE *out;
	bool any;               /* an entry was written: the next needs a comma */
	unsigned int first_pid; /* of the device */
	double us;              /* of a cycle */
	uint64_t events, lost, odd;
	/* What has a name already: threads of queues, then of MCUs. */
	bool queue_seen[X1_NUM_QUEUES];
	uint8_t mcu_seen[X1_MAX_MCUS]; /* bit 7: the process, else a bit a thread */
};

static void entry(struct writer *w)
{
	fputs(w->any ? ",\n" : "\n", w->out);
	w->any = true;
}

/* {"ph":"M"}: the name of a process or a thread. `text` is ours or escaped. */
static void name_entry(struct writer *w, const char *what, unsigned int pid, unsigned int tid,
		       const char *text)
{
	entry(w);
	fprintf(w->out,
		"{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":%s}}", what,
		pid, tid, text);
}

static void name_queue(struct writer *w, unsigned int queue)
{
	char text[32];

	if (w->queue_seen[queue])
		return;
	w->queue_seen[queue] = true;
	snprintf(text, sizeof(text), "\"queue %u\"", queue);
	name_entry(w, "thread_name", w->first_pid, queue, text);
}

static void name_mcu(struct writer *w, unsigned int mcu, unsigned int tid)
{
	unsigned int pid = w->first_pid + 1 + mcu;
	char text[32];

	if (!(w->mcu_seen[mcu] & 0x80)) {
		snprintf(text, sizeof(text), "\"MCU %u\"", mcu);
		name_entry(w, "process_name", pid, 0, text);
	}
	if (!(w->mcu_seen[mcu] >> tid & 1)) {
		snprintf(text, sizeof(text), "\"%s\"",
			 tid == TID_WG ? "work-groups" : engine_names[tid - TID_ENGINE0]);
		name_entry(w, "thread_name", pid, tid, text);
	}
	w->mcu_seen[mcu] |= (uint8_t)(0x80 | 1u << tid);
}

/* The thread that an event belongs to: of a queue, or of an MCU. */
static bool place(struct writer *w, const struct x1_tl_event *e, unsigned int *pid,
		  unsigned int *tid)
{
	unsigned int mcu = X1_TL_MCU(e), engine = e->arg & 0xff;

	switch (e->kind) {
	case X1_TL_WG:
		*tid = TID_WG;
		break;
	case X1_TL_SWITCH:
		*tid = TID_ENGINE0 + X1_ENGINE_MATRIX;
		break;
	case X1_TL_BUSY:
	case X1_TL_STALL:
		if (engine >= X1_ENGINE_COUNT)
			return false;
		*tid = TID_ENGINE0 + engine;
		break;
	default:
		if (e->queue >= X1_NUM_QUEUES)
			return false;
		*pid = w->first_pid;
		*tid = e->queue;
		name_queue(w, e->queue);
		return true;
	}
	if (mcu >= X1_MAX_MCUS)
		return false;
	*pid = w->first_pid + 1 + mcu;
	name_mcu(w, mcu, *tid);
	return true;
}

static void event_name(const struct x1_tl_event *e, char *out, size_t len)
{
	switch (e->kind) {
	case X1_TL_LAUNCH:
		snprintf(out, len, "LAUNCH %u", e->arg);
		break;
	case X1_TL_WG:
		snprintf(out, len, "work-group %u", e->arg);
		break;
	case X1_TL_BUSY:
		snprintf(out, len, "%s", engine_names[e->arg & 0xff]);
		break;
	case X1_TL_STALL:
		snprintf(out, len, "waits: %s", name_of(stall_names, X1_STALL_COUNT, e->arg >> 8));
		break;
	case X1_TL_COPY:
		snprintf(out, len, "COPY %u", e->arg);
		break;
	case X1_TL_CMD:
		snprintf(out, len, "%s", name_of(cmd_names, X1_CMD_COUNT, e->arg));
		break;
	case X1_TL_FAULT:
		snprintf(out, len, "fault: %s", x1_fault_name(e->arg));
		break;
	default:
		snprintf(out, len, "to %s, %s", sili_format_name(e->arg & 0xff),
			 sili_format_name(e->arg >> 8));
		break;
	}
}

static void write_event(struct writer *w, const struct x1_tl_event *e)
{
	unsigned int pid, tid;
	char name[64];

	if (e->kind >= X1_TL_KINDS || !place(w, e, &pid, &tid)) {
		w->odd++;
		return;
	}
	event_name(e, name, sizeof(name));
	entry(w);
	fprintf(w->out, "{\"name\":\"%s\",\"cat\":\"%s\",\"pid\":%u,\"tid\":%u,\"ts\":%.4f", name,
		kind_names[e->kind], pid, tid, (double)X1_TL_START(e) * w->us);
	if (e->kind == X1_TL_FAULT)
		fputs(",\"ph\":\"i\",\"s\":\"t\"", w->out);
	else
		fprintf(w->out, ",\"ph\":\"X\",\"dur\":%.4f", (double)e->cycles * w->us);
	fprintf(w->out, ",\"args\":{\"start\":%" PRIu64 ",\"cycles\":%" PRIu32 ",\"queue\":%u}}",
		(uint64_t)X1_TL_START(e), e->cycles, e->queue);
	w->events++;
}

/* ---- input ---- */

/* One device's section; 0, 1 = no more, -1 = not of this kind. */
static int section(struct writer *w, FILE *in)
{
	struct sili_timeline_header head;
	struct x1_tl_event *e;
	char title[sizeof(head.device) + 16];
	json_t *text;
	char *quoted;
	size_t n = fread(&head, 1, sizeof(head), in);

	if (!n && feof(in))
		return 1;
	if (n != sizeof(head) || head.magic != SILI_TIMELINE_MAGIC || head.bytes != sizeof(head) ||
	    !head.clock_hz)
		return -1;
	e = malloc(CHUNK * sizeof(*e));
	head.device[sizeof(head.device) - 1] = 0;
	snprintf(title, sizeof(title), "%s queues", head.device);
	text = json_string(title);
	quoted = text ? json_dumps(text, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
	json_decref(text);
	w->us = 1e6 / (double)head.clock_hz;
	w->lost += head.lost;
	memset(w->queue_seen, 0, sizeof(w->queue_seen));
	memset(w->mcu_seen, 0, sizeof(w->mcu_seen));
	name_entry(w, "process_name", w->first_pid, 0, quoted ? quoted : "\"queues\"");
	free(quoted);
	while (head.events && e) {
		size_t want = head.events < CHUNK ? (size_t)head.events : CHUNK;

		n = fread(e, sizeof(*e), want, in);
		for (size_t i = 0; i < n; i++)
			write_event(w, &e[i]);
		if (n < want)
			break;
		head.events -= n;
	}
	free(e);
	w->first_pid += PIDS;
	return head.events ? -1 : 0;
}

/* Everything of `in` to the file `to`, or standard output; the exit status. */
static int convert(FILE *in, const char *from, const char *to)
{
	struct writer w = {.out = to ? fopen(to, "we") : stdout};
	int ret;

	if (!w.out) {
		fprintf(stderr, "sili-trace: %s: %s\n", to, strerror(errno));
		return FAILED;
	}
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", w.out);
	while (!(ret = section(&w, in)))
		;
	fprintf(w.out, "\n],\"otherData\":{\"events\":%" PRIu64 ",\"lost\":%" PRIu64 "}}\n",
		w.events, w.lost);
	if (ret < 0)
		fprintf(stderr, "sili-trace: %s: not a timeline, or cut short\n", from);
	if (w.odd)
		fprintf(stderr, "sili-trace: %" PRIu64 " events of an unknown kind left out\n",
			w.odd);
	if (w.lost)
		fprintf(stderr,
			"sili-trace: %" PRIu64 " events lost: more room (-n) or fewer kinds (-k)\n",
			w.lost);
	if (ferror(w.out) || (to ? fclose(w.out) : fflush(w.out))) {
		fprintf(stderr, "sili-trace: %s: %s\n", to ? to : "output", strerror(errno));
		return FAILED;
	}
	return ret < 0 ? FAILED : 0;
}

static int decode(const char *path, const char *to)
{
	FILE *in = fopen(path, "re");
	int ret;

	if (!in) {
		fprintf(stderr, "sili-trace: %s: %s\n", path, strerror(errno));
		return FAILED;
	}
	ret = convert(in, path, to);
	fclose(in);
	return ret;
}

/* ---- running a program ---- */

static int run(char **argv, const char *to)
{
	char path[] = "/tmp/sili-trace-XXXXXX";
	int fd = mkstemp(path), status, ret;
	pid_t child;

	if (fd < 0) {
		fprintf(stderr, "sili-trace: %s: %s\n", path, strerror(errno));
		return FAILED;
	}
	close(fd);
	setenv("SILI_TIMELINE", path, 1);
	child = fork();
	if (!child) {
		execvp(argv[0], argv);
		fprintf(stderr, "sili-trace: %s: %s\n", argv[0], strerror(errno));
		_exit(FAILED);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		fprintf(stderr, "sili-trace: %s\n", strerror(errno));
		ret = FAILED;
	} else {
		ret = decode(path, to);
		if (!ret)
			ret = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	unlink(path);
	return ret;
}

/* ---- options ---- */

static void usage(FILE *out)
{
	fputs("Usage: sili-trace [OPTION]… PROGRAM [ARGUMENT]…\n"
	      "       sili-trace [-o FILE] -d FILE\n"
	      "\n"
	      "Runs a program and writes what its SiliFlow X1 did, cycle by cycle, as JSON for\n"
	      "https://ui.perfetto.dev or chrome://tracing. A card needs root or CAP_PERFMON.\n"
	      "\n"
	      "  -o, --output=FILE     JSON goes there (trace.json; \"-\" = standard output)\n"
	      "  -k, --kinds=KIND,…    these events only: launch, wg, busy, stall, copy, cmd,\n"
	      "                        fault, switch (default: all)\n"
	      "  -n, --events=N        room for so many events, a power of two (1048576)\n"
	      "  -d, --decode=FILE     what SILI_TIMELINE=FILE has left there, run nothing\n"
	      "  -h, --help            this text\n"
	      "  -V, --version         the version\n"
	      "\n"
	      "Exit status: the program's; 125 when sili-trace itself failed; 2 for a bad option.\n",
	      out);
}

static bool parse_kinds(char *list, uint32_t *kinds)
{
	char *save = NULL;

	*kinds = 0;
	for (char *one = strtok_r(list, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
		unsigned int k = 0;

		while (k < X1_TL_KINDS && strcmp(one, kind_names[k]))
			k++;
		if (k == X1_TL_KINDS) {
			fprintf(stderr, "sili-trace: no kind of event '%s'\n", one);
			return false;
		}
		*kinds |= X1_TL_MASK(k);
	}
	return *kinds;
}

static bool parse_events(const char *text)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 0);
	if (errno || end == text || *end || n & (n - 1) || n < 1ul << X1_TL_MIN_LOG2 ||
	    n > 1ul << X1_TL_MAX_LOG2) {
		fprintf(stderr,
			"sili-trace: --events takes a power of two from %u to %u, not '%s'\n",
			1u << X1_TL_MIN_LOG2, 1u << X1_TL_MAX_LOG2, text);
		return false;
	}
	return !setenv("SILI_TIMELINE_EVENTS", text, 1);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"output", required_argument, NULL, 'o'},
		{"kinds", required_argument, NULL, 'k'},
		{"events", required_argument, NULL, 'n'},
		{"decode", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	const char *to = "trace.json", *from = NULL;
	char mask[16];
	uint32_t kinds;
	int opt;

	while ((opt = getopt_long(argc, argv, "+o:k:n:d:hV", longs, NULL)) != -1) {
		switch (opt) {
		case 'o':
			to = optarg;
			break;
		case 'k':
			if (!parse_kinds(optarg, &kinds))
				return 2;
			snprintf(mask, sizeof(mask), "%#x", kinds);
			setenv("SILI_TIMELINE_KINDS", mask, 1);
			break;
		case 'n':
			if (!parse_events(optarg))
				return 2;
			break;
		case 'd':
			from = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			printf("sili-trace %d.%d\n", SILI_VERSION_MAJOR, SILI_VERSION_MINOR);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (!strcmp(to, "-"))
		to = NULL;
	if (!from == (optind == argc)) {
		usage(stderr);
		return 2;
	}
	return from ? decode(from, to) : run(argv + optind, to);
}
