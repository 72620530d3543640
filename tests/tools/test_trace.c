// SPDX-License-Identifier: MIT
/*
 * sili-trace: its JSON is JSON, has every event at its place, and says the same
 * as the device's counters; what is no timeline is refused. REQ-TIME-020
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <sili.h>

#define TRACE TOOLS "/sili-trace"
#define M     300u
#define N     200u
#define K     512u

/* ---- the program that is traced: this one, called with "work" ---- */

/* A product and a copy; counters to standard output. Status 7 in the end. */
static int work(const char *spec)
{
	struct sili_device *dev;
	struct sili_queue *queue;
	struct sili_bo *bo[3];
	struct x1_perf perf;
	union x1_cmd cmds[16];
	struct sili_gemm g = {.size = sizeof(g),
			      .m = M,
			      .n = N,
			      .k = K,
			      .a_fmt = X1_FMT_E4M3,
			      .b_fmt = X1_FMT_E4M3,
			      .c_fmt = X1_FMT_FP32};
	char err[160];
	int n;

	if (sili_open(&dev, spec, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	for (int i = 0; i < 3; i++)
		if (sili_bo_new(dev, 4 << 20, SILI_HBM, 0, &bo[i]))
			return 1;
	g.a = sili_bo_dva(bo[0]);
	g.b = sili_bo_dva(bo[1]);
	g.c = sili_bo_dva(bo[2]);
	n = sili_gemm(dev, &g, cmds, 15, NULL);
	if (n < 0 || sili_queue_new(dev, NULL, &queue))
		return 1;
	sili_cmd_copy(&cmds[n], g.b, g.a, 1 << 20);
	if (sili_run_perf(queue, cmds, (uint32_t)n + 1, &perf))
		return 1;
	printf("%ju %ju %ju %ju\n", (uintmax_t)perf.work_groups, (uintmax_t)perf.mcu_cycles,
	       (uintmax_t)perf.busy[X1_ENGINE_MATRIX],
	       (uintmax_t)perf.stall[X1_ENGINE_SEQ][X1_STALL_SEM]);
	sili_queue_free(queue);
	for (int i = 0; i < 3; i++)
		sili_bo_free(bo[i]);
	sili_close(dev);
	return 7;
}

/* ---- running the tool ---- */

static char dir[] = "/tmp/x1-trace-XXXXXX";

/* The tool's exit status; its output is in dir/out, dir/err. */
static int tool(const char *args)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "cd %s && %s %s >out 2>err", dir, TRACE, args);
	return WEXITSTATUS(system(cmd));
}

/* Run the program under the tool with some options. */
static int traced(const char *options, const char *spec)
{
	char args[256], self[128];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = 0;
	snprintf(args, sizeof(args), "%s %s work %s", options, self, spec);
	return tool(args);
}

static json_t *load(const char *name)
{
	char path[64];
	json_error_t error;
	json_t *root;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		fail_msg("%s:%d: %s", name, error.line, error.text);
	return root;
}

static bool err_has(const char *text)
{
	char path[64], got[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/err", dir);
	f = fopen(path, "re");
	assert_non_null(f);
	got[fread(got, 1, sizeof(got) - 1, f)] = 0;
	fclose(f);
	return strstr(got, text);
}

struct sums {
	uint64_t n, wgs, wg_cycles, matrix, waits, launches, copies, named, faults;
};

static json_int_t arg(json_t *e, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(e, "args"), name));
}

static struct sums add_up(json_t *root)
{
	json_t *events = json_object_get(root, "traceEvents"), *e;
	struct sums s = {0};
	size_t i;

	json_array_foreach(events, i, e)
	{
		const char *ph = json_string_value(json_object_get(e, "ph"));
		const char *name = json_string_value(json_object_get(e, "name"));
		const char *cat = json_string_value(json_object_get(e, "cat"));
		double ts = json_number_value(json_object_get(e, "ts"));
		uint64_t cycles;

		assert_non_null(name);
		assert_true(json_is_integer(json_object_get(e, "pid")));
		assert_true(json_is_integer(json_object_get(e, "tid")));
		if (!strcmp(ph, "M")) {
			s.named++;
			continue;
		}
		s.n++;
		/* At 1 GHz a cycle is a nanosecond. */
		assert_int_equal((uint64_t)(ts * 1000 + 0.5), arg(e, "start"));
		if (!strcmp(ph, "i")) {
			s.faults++;
			continue;
		}
		assert_string_equal(ph, "X");
		cycles = (uint64_t)arg(e, "cycles");
		s.launches += !strcmp(cat, "launch");
		s.copies += !strcmp(cat, "copy");
		if (!strcmp(cat, "wg")) {
			s.wgs++;
			s.wg_cycles += cycles;
		}
		if (!strcmp(cat, "busy") && !strcmp(name, "MATRIX"))
			s.matrix += cycles;
		if (!strcmp(name, "waits: semaphore") &&
		    json_integer_value(json_object_get(e, "tid")) == 1)
			s.waits += cycles;
	}
	return s;
}

static void test_counters(void **state)
{
	unsigned long long wgs, cycles, matrix, waits;
	char path[64];
	json_t *root;
	struct sums s;
	FILE *out;

	(void)state;
	/* The program's own status comes back. */
	assert_int_equal(traced("-o t.json", "sim:mcus=8,hbm=64M,clock=1000000000"), 7);
	snprintf(path, sizeof(path), "%s/out", dir);
	out = fopen(path, "re");
	assert_non_null(out);
	assert_int_equal(fscanf(out, "%llu %llu %llu %llu", &wgs, &cycles, &matrix, &waits), 4);
	fclose(out);
	root = load("t.json");
	s = add_up(root);
	assert_int_equal(s.n, json_integer_value(json_object_get(json_object_get(root, "otherData"),
								 "events")));
	assert_int_equal(s.launches, 1);
	assert_int_equal(s.copies, 1);
	assert_int_equal(s.wgs, wgs);
	assert_int_equal(s.wg_cycles, cycles);
	assert_int_equal(s.matrix, matrix);
	assert_int_equal(s.waits, waits);
	/* The queues' process, each MCU's, and their threads. */
	assert_true(s.named > 1 + wgs);
	json_decref(root);
}

static void test_kinds(void **state)
{
	json_t *root;
	struct sums s;

	(void)state;
	assert_int_equal(
		traced("-k launch,copy -o -", "sim:mcus=4,hbm=64M,clock=1000000000 >/dev/null"), 7);
	assert_int_equal(traced("-k launch,copy -o t.json", "sim:mcus=4,hbm=64M,clock=1000000000"),
			 7);
	root = load("t.json");
	s = add_up(root);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.launches + s.copies, 2);
	json_decref(root);
}

/* More events than there is room for: the rest is counted. */
static void test_lost(void **state)
{
	json_t *root;

	(void)state;
	assert_int_equal(traced("-n 256 -o t.json", "sim:mcus=8,hbm=64M,clock=1000000000"), 7);
	assert_true(err_has("events lost"));
	root = load("t.json");
	assert_int_equal(add_up(root).n, 256);
	assert_true(json_integer_value(
			    json_object_get(json_object_get(root, "otherData"), "lost")) > 0);
	json_decref(root);
}

static void put(const char *name, const void *data, size_t n)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	fclose(f);
}

/* Two devices in one file; events that no device makes are left out. */
static void test_decode(void **state)
{
	struct {
		struct sili_timeline_header head;
		struct x1_tl_event e[4];
	} file[2] = {0};
	json_t *root;
	struct sums s;

	(void)state;
	for (int i = 0; i < 2; i++) {
		file[i].head = (struct sili_timeline_header){.magic = SILI_TIMELINE_MAGIC,
							     .bytes = sizeof(file[i].head),
							     .mcus = 4,
							     .clock_hz = 1000000000,
							     .events = 4,
							     .device = "a\"\\\n\xff"};
		file[i].e[0] = (struct x1_tl_event){.kind = X1_TL_FAULT, .arg = 1, .when = 5};
		file[i].e[1] = (struct x1_tl_event){.kind = X1_TL_KINDS, .when = 5};
		file[i].e[2] = (struct x1_tl_event){.kind = X1_TL_CMD, .queue = 200, .when = 5};
		file[i].e[3] = (struct x1_tl_event){.kind = X1_TL_BUSY, .arg = 99, .when = 5};
	}
	put("raw", file, sizeof(file));
	assert_int_equal(tool("-d raw -o t.json"), 0);
	assert_true(err_has("6 events of an unknown kind"));
	root = load("t.json");
	s = add_up(root);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.faults, 2);
	json_decref(root);
}

static void test_bad(void **state)
{
	struct sili_timeline_header head = {
		.magic = SILI_TIMELINE_MAGIC, .bytes = sizeof(head), .clock_hz = 1, .events = 10};

	(void)state;
	assert_int_equal(tool("-d none"), 125);
	assert_true(err_has("No such file"));
	put("raw", "not a timeline", 14);
	assert_int_equal(tool("-d raw"), 125);
	put("raw", &head, sizeof(head));
	assert_int_equal(tool("-d raw"), 125);
	assert_true(err_has("cut short"));
	/* What was written is JSON all the same. */
	json_decref(load("trace.json"));
	assert_int_equal(tool("-k launch,lunch true"), 2);
	assert_true(err_has("lunch"));
	assert_int_equal(tool("-n 1000 true"), 2);
	assert_int_equal(tool(""), 2);
	assert_int_equal(tool("-d raw true"), 2);
	assert_int_equal(tool("/nonexistent/program"), 125);
	assert_int_equal(tool("-o /nonexistent/x.json true"), 125);
	assert_int_equal(tool("true"), 0);
}

static int remove_dir(void **state)
{
	char cmd[64];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counters), cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_lost),     cmocka_unit_test(test_decode),
		cmocka_unit_test(test_bad),
	};

	if (argc > 2 && !strcmp(argv[1], "work"))
		return work(argv[2]);
	assert_non_null(mkdtemp(dir));
	return cmocka_run_group_tests(tests, NULL, remove_dir);
}
