// SPDX-License-Identifier: MIT
/*
 * What the capability registers say, a LAUNCH can do: operands in HBM, LOAD, MM
 * with block scales and sparsity, STORE, through a queue of the whole device.
 */
#include <string.h>

#include "host.h"

#define DATA T_UDATA /* operand, scales, metadata: 4 KiB each */
#define OUT  (T_UDATA + 0x10000)
#define M    8
#define N    8
#define K    128

/* LOAD 16 KiB, MM with formats from arguments, STORE the accumulators. */
static uint32_t program(uint8_t *image)
{
	const struct x1_insn code[] = {
		{.op = X1_OP_LOAD, .ra = 16, .sig = {X1_SEM(0)}, .imm = 4 * 16},
		{.op = X1_OP_MM,
		 .rd = 18,
		 .rb = 19,
		 .wait = {X1_SEM(0)},
		 .sig = {X1_SEM(1)},
		 .imm = 4 * 16 + 128},
		{.op = X1_OP_STORE, .rd = 18, .ra = 17, .wait = {X1_SEM(1)}, .imm = 4 * 16 + 256},
		{.op = X1_OP_END},
	};
	struct x1_desc d[3] = {{0}};

	d[0].f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1);
	d[0].f[X1_DMA_COUNT0] = 16384;
	d[1].f[X1_MM_M] = M;
	d[1].f[X1_MM_N] = N;
	d[1].f[X1_MM_K] = K;
	d[1].f[X1_MM_FMT] = 20;
	d[1].f[X1_MM_SCALE] = 21;
	d[1].regs = 1ull << X1_MM_FMT | 1ull << X1_MM_SCALE;
	d[1].f[X1_MM_A_STRIDE] = d[1].f[X1_MM_B_STRIDE] = 512;
	d[1].f[X1_MM_ACC_STRIDE] = N * 4;
	d[1].f[X1_MM_SA_ADDR] = d[1].f[X1_MM_SB_ADDR] = 8192;
	d[1].f[X1_MM_META_ADDR] = 12288;
	d[1].f[X1_MM_SA_STRIDE] = d[1].f[X1_MM_SB_STRIDE] = 0;
	d[2].f[X1_DMA_CTRL] = X1_DMA_CTRL_NDIM(1) | X1_DMA_CTRL_LFMT(X1_FMT_FP32) |
			      X1_DMA_CTRL_MFMT(X1_FMT_FP32);
	d[2].f[X1_DMA_COUNT0] = M * N;
	memcpy(image, code, sizeof(code));
	memcpy(image + sizeof(code), d, sizeof(d));
	return sizeof(code) + sizeof(d);
}

/* Code of 1 in the formats of MATRIX. */
static uint32_t one(enum x1_format f)
{
	static const uint32_t code[X1_FMT_COUNT] = {
		0x3f800000, 0x3f800000, 0x3f80, 0x3c00, 0x38, 0x3c, 0xc, 0x8, 0x2, 1, 1};

	return code[f];
}

/* n values of `bits` bits, those of odd index `odd`, the others `even`. */
static void put_codes(uint8_t *p, uint32_t bits, uint32_t n, uint32_t even, uint32_t odd)
{
	memset(p, 0, (n * bits + 7) / 8);
	for (uint32_t b = 0; b < n * bits; b++)
		p[b / 8] |= (uint8_t)(((b / bits % 2 ? odd : even) >> b % bits & 1) << b % 8);
}

static void put_ones(uint8_t *p, enum x1_format f, uint32_t n)
{
	put_codes(p, x1_format_bits(f), n, one(f), one(f));
}

/* The first place of each group, and its last where two are kept. */
static void put_places(uint8_t *p, enum x1_sparsity s)
{
	if (s == X1_SPARSE_2_4)
		put_codes(p, 2, 64, 0, 3);
	else if (s == X1_SPARSE_2_8)
		put_codes(p, 3, 32, 0, 7);
	else if (s == X1_SPARSE_2_16)
		put_codes(p, 4, 16, 0, 15);
	else
		memset(p, 0, 64);
}

/* Scales of 2 in every mode. */
static void put_scales(uint8_t *p, enum x1_scale_mode s)
{
	const float two = 2;

	for (uint32_t i = 0; i < 256; i += 4) {
		if (s == X1_SCALE_MX32)
			memset(p + i, 128, 4);
		else if (s == X1_SCALE_NV16)
			memset(p + i, 0x40, 4);
		else
			memcpy(p + i, &two, 4);
	}
}

static uint32_t stored(enum x1_sparsity s)
{
	static const uint8_t kept[X1_SPARSE_COUNT] = {1, 2, 1, 2, 1, 2};
	static const uint8_t group[X1_SPARSE_COUNT] = {1, 4, 4, 8, 8, 16};

	return K / group[s] * kept[s];
}

/* One LAUNCH with scales of B alone; 0 or the queue's fault. */
static uint32_t launch(struct t_host *t, enum x1_format f, enum x1_scale_mode scale,
		       enum x1_sparsity s)
{
	static uint64_t value;
	uint64_t args[6] = {DATA,
			    OUT,
			    X1_ACC_ADDR,
			    4096,
			    (uint64_t)f | (uint64_t)f << 8,
			    (uint64_t)scale << 8 | (uint64_t)s << 16};
	uint8_t *data = t->hbm + t->udata;
	union x1_cmd c = t_cmd_launch(T_UPROG, 4, 1);
	uint32_t code = 0;

	c.launch.program_bytes = program(t->hbm + t->uprog);
	c.launch.args = DATA + 0x20000;
	c.launch.num_args = 6;
	memcpy(data + 0x20000, args, sizeof(args));
	if (f <= X1_FMT_INT4)
		for (uint32_t r = 0; r < M; r++) {
			put_ones(data + r * 512, f, K);
			put_ones(data + 4096 + r * 512, f, K);
		}
	put_scales(data + 8192, scale);
	put_places(data + 12288, s);
	t_push(t, 0, &c);
	t_ring(t, 0);
	c = t_cmd_sync(X1_CMD_FENCE, T_KDATA, ++value, 0);
	t_push(t, 0, &c);
	t_ring(t, 0);
	while (t_kword(t, 0) < value && !code) {
		if (t_q(t, 0, X1_Q_STATE) == X1_Q_STATE_FAULTED)
			code = T_FAULT_CODE(t, 0);
	}
	if (code) {
		t_op(t, 0, X1_Q_OP_RESET);
		t_until_state(t, 0, X1_Q_STATE_READY);
		t->wptr[0] = t_q(t, 0, X1_Q_RPTR);
	}
	return code;
}

/* REQ-ISA-045: each bit of the registers, and none that is not there. */
static void test_capabilities(void **state)
{
	struct t_host *t = t_new(NULL);
	uint32_t formats = t_rd(t, X1_REG_FORMATS), scales = t_rd(t, X1_REG_SCALES);
	uint32_t sparsities = t_rd(t, X1_REG_SPARSITIES), runs = 0;

	(void)state;
	t_queue(t, 0, NULL);
	for (uint32_t f = 0; f < 16; f++) {
		for (uint32_t scale = 0; scale < 8; scale++) {
			for (uint32_t s = 0; s < 8; s++) {
				bool there = formats >> f & 1 && scales >> scale & 1 &&
					     sparsities >> s & 1;
				bool takes = scale == X1_SCALE_NONE ||
					     (scale == X1_SCALE_NV16 ? f == X1_FMT_E2M1
					      : scale == X1_SCALE_MX32
						      ? f >= X1_FMT_E4M3 && f <= X1_FMT_INT8
						      : f > X1_FMT_TF32);
				float want = (float)stored(s < X1_SPARSE_COUNT ? s : 0) *
					     (scale ? 2 : 1),
				      got;
				int32_t ints;

				if (!there || !takes) {
					assert_int_equal(launch(t, f, scale, s), X1_FAULT_FORMAT);
					continue;
				}
				assert_int_equal(launch(t, f, scale, s), 0);
				runs++;
				for (uint32_t i = 0; i < M * N; i++) {
					memcpy(&got, t->hbm + t->udata + 0x10000 + i * 4, 4);
					memcpy(&ints, &got, 4);
					if (x1_format_is_int(f) && !scale)
						got = (float)ints;
					if (got != want)
						fail_msg("format %u scale %u sparsity %u: %g, "
							 "want %g",
							 f, scale, s, (double)got, (double)want);
				}
			}
		}
	}
	/* 11 formats, 9 of them with both FP32 scales, 6 with MX, one with NVFP4. */
	assert_int_equal(runs, 6 * (11 + 2 * 9 + 6 + 1));
	t_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
