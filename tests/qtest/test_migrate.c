// SPDX-License-Identifier: MIT
/*
 * Migration with work in flight, to another QEMU by socket and by file, and
 * by a snapshot into an image: the same memory and the same cycles in the end
 * as without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "x1_card.h"

#define S(n)      X1_SEM(n)
#define OUT_DVA   (BIG_DVA + 0x100000)
#define OUT_BYTES 0x80000u
#define TIME_DVA  (HBM_DVA + 0x20000) /* TIMESTAMP, then counters */
#define MANY      24u
#define RESULT    0x1234u

/*
 * The shape of a GEMM: tiles through two buffers, products that add up, a
 * vector operation that waits in its engine's queue, a store.
 */
static const struct image {
	struct x1_insn insn[32];
	struct x1_desc desc[4];
} gemm = {
	.insn =
		{
			{.op = X1_OP_MUL, .rd = 20, .ra = 1, .rb = X1_REG_IMM, .imm = 4096},
			{.op = X1_OP_ADD, .rd = 21, .ra = 20, .rb = X1_REG_IMM, .imm = BIG_DVA},
			{.op = X1_OP_ADD, .rd = 22, .ra = 20, .rb = X1_REG_IMM, .imm = OUT_DVA},
			{.op = X1_OP_ADD, .rd = 23, .ra = 0, .rb = X1_REG_IMM, .imm = X1_ACC_ADDR},
			{.op = X1_OP_ADD, .rd = 24, .ra = 0, .rb = X1_REG_IMM, .imm = 0x4000},
			{.op = X1_OP_NOP, .sig = {S(0), S(0)}},
			{.op = X1_OP_LOAD, .rd = 24, .ra = 21, .imm = 32 * 16},
			{.op = X1_OP_SYNC},
			{.op = X1_OP_LOOPI, .rd = 60, .imm = 21},
			{.op = X1_OP_LOAD,
			 .rd = 0,
			 .ra = 21,
			 .wait = {S(0)},
			 .sig = {S(1)},
			 .imm = 32 * 16},
			{.op = X1_OP_MM,
			 .rd = 23,
			 .ra = 0,
			 .rb = 24,
			 .wait = {S(1)},
			 .sig = {S(0), S(2)},
			 .imm = 32 * 16 + 128},
			{.op = X1_OP_VEC,
			 .rd = 23,
			 .ra = 23,
			 .wait = {S(2), S(3)},
			 .sig = {S(4)},
			 .imm = 32 * 16 + 256},
			{.op = X1_OP_ADD, .rd = 25, .ra = 0, .rb = X1_REG_IMM, .imm = 1},
			{.op = X1_OP_ADD, .rd = 30, .ra = 0, .rb = X1_REG_IMM, .imm = 8000},
			{.op = X1_OP_LOOP, .ra = 30, .imm = 18},
			{.op = X1_OP_ADD, .rd = 31, .ra = 31, .rb = X1_REG_IMM, .imm = 3},
			{.op = X1_OP_XOR, .rd = 31, .ra = 31, .rb = 1},
			{.op = X1_OP_NOP},
			{.op = X1_OP_NOP, .sig = {S(3)}},
			{.op = X1_OP_NOP, .wait = {S(4)}},
			{.op = X1_OP_ADD, .rd = 21, .ra = 21, .rb = X1_REG_IMM, .imm = 2048},
			{.op = X1_OP_STORE, .rd = 23, .ra = 22, .imm = 32 * 16 + 384},
			{.op = X1_OP_SYNC},
			{.op = X1_OP_STM, .rd = 31, .ra = 22, .rb = 3, .imm = 8},
			{.op = X1_OP_END},
		},
	.desc =
		{
			{.f = {[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1), [X1_DMA_COUNT0] = 2048}},
			{.regs = 1ull << X1_MM_ACCUMULATE,
			 .f = {[X1_MM_M] = 32,
			       [X1_MM_N] = 32,
			       [X1_MM_K] = 64,
			       [X1_MM_FMT] = X1_MM_FMT(X1_FMT_E4M3, X1_FMT_E4M3),
			       [X1_MM_ACCUMULATE] = 25,
			       [X1_MM_A_STRIDE] = 64,
			       [X1_MM_B_STRIDE] = 64,
			       [X1_MM_ACC_STRIDE] = 128}},
			{.f = {[X1_VEC_OP] = X1_VEC_RELU,
			       [X1_VEC_ROWS] = 32,
			       [X1_VEC_COLS] = 32,
			       [X1_VEC_D_STRIDE] = 128,
			       [X1_VEC_S0_STRIDE] = 128}},
			{.f = {[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1) | X1_DMA_CTRL_LFMT(X1_FMT_FP32) |
					       X1_DMA_CTRL_MFMT(X1_FMT_FP32),
			       [X1_DMA_COUNT0] = 1024}},
		},
};

/* Two LAUNCHes with a copy to system memory between them; then time, counters, fence. */
static void work(struct qt *qt)
{
	struct queue q = qc_create(qt, HBM_DVA);
	union x1_cmd cmd = {.perf = {.hdr = {.op = X1_CMD_PERF_BEGIN}}};
	uint8_t data[4096];

	for (uint32_t i = 0; i < 64; i++) {
		for (uint32_t k = 0; k < sizeof(data); k++)
			data[k] = (uint8_t)(k * 7 + i * 13 + k / 250) & 0x6f;
		qt_mem_write(qt, QT_BAR2 + BIG_DVA + i * sizeof(data), data, sizeof(data));
	}
	qt_mem_write(qt, QT_BAR2 + PROG_DVA, &gemm, sizeof(gemm));
	qt_set(qt, X1_REG_GATE_LO, ~0u);
	qc_submit(qt, &q, &cmd);
	for (uint32_t i = 0; i < 2; i++) {
		cmd = (union x1_cmd){.launch = {.hdr = {.op = X1_CMD_LAUNCH, .tag = i},
						.program = PROG_DVA,
						.program_bytes = sizeof(gemm),
						.num_insns = 25,
						.grid = {MANY, 1, 1}}};
		qc_submit(qt, &q, &cmd);
		qc_copy(qt, &q, RAM_DVA + 12, OUT_DVA, 0x10000);
	}
	cmd = (union x1_cmd){.sync = {.hdr = {.op = X1_CMD_TIMESTAMP}, .addr = TIME_DVA}};
	qc_submit(qt, &q, &cmd);
	cmd = (union x1_cmd){.perf = {.hdr = {.op = X1_CMD_PERF_END}, .addr = TIME_DVA + 64}};
	qc_submit(qt, &q, &cmd);
	qc_fence(qt, &q, FENCE_DVA, RESULT);
	qt_set(qt, X1_REG_GATE_LO, 0);
}

struct result {
	uint8_t out[OUT_BYTES], ram[0x10000], time[2048];
};

static struct result *result(struct qt *qt)
{
	struct result *r = malloc(sizeof(*r));

	qc_wait_word(qt, QT_BAR2 + FENCE_DVA, RESULT);
	qc_wait_word(qt, MSI_WORD, 0xfe7ce);
	qt_mem_read(qt, QT_BAR2 + OUT_DVA, r->out, sizeof(r->out));
	qt_mem_read(qt, QT_RAM + 12, r->ram, sizeof(r->ram));
	qt_mem_read(qt, QT_BAR2 + TIME_DVA, r->time, sizeof(r->time));
	return r;
}

static struct result *undisturbed;

static void same(struct qt *qt)
{
	struct result *r = result(qt);
	struct x1_mbox_msg ping = {.op = X1_MBOX_PING, .arg = {77}};

	assert_memory_equal(r->out, undisturbed->out, sizeof(r->out));
	assert_memory_equal(r->ram, undisturbed->ram, sizeof(r->ram));
	assert_memory_equal(r->time, undisturbed->time, sizeof(r->time));
	free(r);
	/* Firmware came along, and queues can be made. */
	qc_request(qt, &ping);
	assert_int_equal(ping.arg[0], 77);
	qc_works(qt);
}

static void wait_status(struct qt *qt, const char *command, const char *good, const char *bad)
{
	for (int tries = 0;; tries++) {
		const char *said = qt_qmp_ask(qt, "{\"execute\":\"%s\"}", command);

		if (strstr(said, good))
			return;
		if (strstr(said, bad) || tries > 20000)
			fail_msg("%s: %s", command, said);
		usleep(2000);
	}
}

static struct qt *incoming(const char *props, const char *uri)
{
	struct qt *qt = qt_start_opt(&(struct qt_opt){
		.props = props, .incoming = true, .extra = {"-incoming", "defer"}});

	if (uri)
		assert_non_null(strstr(qt_qmp_ask(qt,
						  "{\"execute\":\"migrate-incoming\",\"arguments\":"
						  "{\"uri\":\"%s\"}}",
						  uri),
				       "return"));
	return qt;
}

static void migrate(struct qt *qt, const char *uri)
{
	assert_non_null(strstr(qt_qmp_ask(qt,
					  "{\"execute\":\"migrate\",\"arguments\":{\"uri\":"
					  "\"%s\"}}",
					  uri),
			       "return"));
	wait_status(qt, "query-migrate", "\"completed\"", "\"failed\"");
}

/* REQ-MIG-001, -002: live, by a socket, at several moments of the work. */
static void by_socket(void **state)
{
	char uri[64];
	bool midst = false;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct qt *from = qt_start(",threads=2"), *to;

		snprintf(uri, sizeof(uri), "unix:/tmp/x1-migrate-%d-%u", getpid(), i);
		to = incoming(",threads=3", uri);
		qc_prepare(from);
		work(from);
		usleep(i / 2 * 3000);
		/* Live, and stopped before, which leaves more in flight. */
		if (i % 2)
			qt_qmp(from, "stop");
		migrate(from, uri);
		if (i % 2)
			qt_qmp(to, "cont");
		wait_status(to, "query-status", "\"running\"", "\"guest-panicked\"");
		midst |= qt_read(to, QT_BAR2 + FENCE_DVA, 8) != RESULT;
		same(to);
		qt_stop(from);
		qt_stop(to);
		unlink(uri + 5);
	}
	assert_true(midst);
}

/* Through a file. */
static void by_file(void **state)
{
	struct qt *from = qt_start(""), *to;
	char file[64], uri[128];

	(void)state;
	snprintf(file, sizeof(file), "/tmp/x1-migrate-%d.state", getpid());
	qc_prepare(from);
	work(from);
	usleep(1000);
	snprintf(uri, sizeof(uri), "exec:cat > %s", file);
	migrate(from, uri);
	qt_stop(from);
	snprintf(uri, sizeof(uri), "exec:cat %s", file);
	to = incoming("", uri);
	wait_status(to, "query-status", "\"running\"", "\"guest-panicked\"");
	same(to);
	qt_stop(to);
	unlink(file);
}

/* REQ-MIG-004: another machine is refused, with a reason, and the source goes on. */
static void other_machine(void **state)
{
	struct qt *from = qt_start(""), *to;
	char file[64], uri[128];

	(void)state;
	snprintf(file, sizeof(file), "/tmp/x1-migrate-%d.other", getpid());
	qc_prepare(from);
	work(from);
	snprintf(uri, sizeof(uri), "exec:cat > %s", file);
	migrate(from, uri);
	to = incoming(",mcus=64", NULL);
	snprintf(uri, sizeof(uri), "exec:cat %s", file);
	assert_non_null(
		strstr(qt_qmp_ask(to,
				  "{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":"
				  "\"%s\",\"exit-on-error\":false}}",
				  uri),
		       "return"));
	wait_status(to, "query-migrate", "\"failed\"", "\"completed\"");
	qt_stop(to);
	qt_qmp(from, "cont");
	same(from);
	qt_stop(from);
	unlink(file);
}

/* ---- snapshots ---- */

static void job(struct qt *qt, const char *json)
{
	if (strstr(qt_qmp_ask(qt, "%s", json), "\"error\""))
		fail_msg("%s", json);
	wait_status(qt, "query-jobs", "\"concluded\"", "nothing of this kind");
	assert_null(strstr(qt_qmp_ask(qt, "{\"execute\":\"query-jobs\"}"), "\"error\""));
	assert_non_null(strstr(qt_qmp_ask(qt, "{\"execute\":\"job-dismiss\",\"arguments\":"
					      "{\"id\":\"j\"}}"),
			       "return"));
}

static void add(struct qt *qt, const char *file)
{
	if (strstr(qt_qmp_ask(qt,
			      "{\"execute\":\"blockdev-add\",\"arguments\":{\"driver\":\"qcow2\","
			      "\"node-name\":\"d\",\"file\":{\"driver\":\"file\",\"filename\":"
			      "\"%s\"}}}",
			      file),
		   "\"error\""))
		fail_msg("cannot add %s", file);
}

/* REQ-MIG-001: saved in the midst, gone back to, again in another QEMU. */
static void by_snapshot(void **state)
{
	static const char save[] = "{\"execute\":\"snapshot-save\",\"arguments\":{\"job-id\":\"j\","
				   "\"tag\":\"s\",\"vmstate\":\"d\",\"devices\":[\"d\"]}}";
	static const char load[] = "{\"execute\":\"snapshot-load\",\"arguments\":{\"job-id\":\"j\","
				   "\"tag\":\"s\",\"vmstate\":\"d\",\"devices\":[\"d\"]}}";
	struct qt *qt = qt_start("");
	char file[64], text[512];

	(void)state;
	snprintf(file, sizeof(file), "/tmp/x1-migrate-%d.qcow2", getpid());
	snprintf(text, sizeof(text),
		 "{\"execute\":\"blockdev-create\",\"arguments\":{\"job-id\":\"j\","
		 "\"options\":{\"driver\":\"file\",\"filename\":\"%s\",\"size\":0}}}",
		 file);
	job(qt, text);
	snprintf(text, sizeof(text),
		 "{\"execute\":\"blockdev-add\",\"arguments\":{\"driver\":\"file\","
		 "\"node-name\":\"f\",\"filename\":\"%s\"}}",
		 file);
	assert_non_null(strstr(qt_qmp_ask(qt, "%s", text), "return"));
	job(qt, "{\"execute\":\"blockdev-create\",\"arguments\":{\"job-id\":\"j\",\"options\":"
		"{\"driver\":\"qcow2\",\"file\":\"f\",\"size\":1048576}}}");
	qt_qmp_ask(qt, "{\"execute\":\"blockdev-del\",\"arguments\":{\"node-name\":\"f\"}}");
	add(qt, file);
	qc_prepare(qt);
	work(qt);
	usleep(1000);
	job(qt, save);
	same(qt);
	for (int i = 0; i < 2; i++) {
		/* What happened since then has not happened. */
		job(qt, load);
		qt_qmp(qt, "cont");
		same(qt);
	}
	qt_stop(qt);
	qt = qt_start("");
	add(qt, file);
	job(qt, load);
	qt_qmp(qt, "cont");
	same(qt);
	qt_stop(qt);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_socket),
		cmocka_unit_test(by_file),
		cmocka_unit_test(other_machine),
		cmocka_unit_test(by_snapshot),
	};
	struct qt *qt = qt_start("");
	int ret;

	qc_prepare(qt);
	work(qt);
	undisturbed = result(qt);
	qt_stop(qt);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	free(undisturbed);
	return ret;
}
