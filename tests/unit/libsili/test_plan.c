// SPDX-License-Identifier: MIT
/* The memory planner on random graphs: nothing that lives at once overlaps. */
#include <stdlib.h>

#include "graph/plan.h"
#include "util.h"

#define ALIGN 256u

static uint32_t next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	return *seed ^= *seed << 5;
}

static void check(const struct graph_block *b, uint32_t n, uint64_t peak)
{
	uint64_t top = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t end = b[i].offset + b[i].bytes;

		assert_int_equal(b[i].offset % ALIGN, 0);
		top = end > top ? end : top;
		for (uint32_t j = 0; j < i; j++)
			if (b[i].first <= b[j].last && b[j].first <= b[i].last)
				assert_true(end <= b[j].offset ||
					    b[j].offset + b[j].bytes <= b[i].offset);
	}
	assert_int_equal(top, peak);
}

/* Most that lives at once, step by step. */
static uint64_t most(const struct graph_block *b, uint32_t n, uint32_t steps)
{
	uint64_t best = 0;

	for (uint32_t s = 0; s < steps; s++) {
		uint64_t live = 0;

		for (uint32_t i = 0; i < n; i++)
			live += b[i].first <= s && s <= b[i].last ? b[i].bytes : 0;
		best = live > best ? live : best;
	}
	return best;
}

static void test_random(void **state)
{
	uint32_t seed = 12345;

	(void)state;
	for (int round = 0; round < 300; round++) {
		uint32_t n = 1 + next(&seed) % 60, steps = 1 + next(&seed) % 40;
		struct graph_block b[60];
		uint64_t peak, bound;

		for (uint32_t i = 0; i < n; i++) {
			uint32_t first = next(&seed) % steps, len = next(&seed) % 8;

			b[i] = (struct graph_block){
				.bytes = 1 + next(&seed) % (round % 2 ? 100000 : 700),
				.first = first,
				.last = first + len,
			};
		}
		assert_int_equal(graph_plan(b, n, ALIGN, &peak, &bound), 0);
		check(b, n, peak);
		assert_int_equal(bound, most(b, n, steps + 8));
		assert_true(peak >= bound);
	}
}

/* A chain of layers with a residual around each two: the bound is reached. */
static void test_chain(void **state)
{
	struct graph_block b[200];
	uint64_t peak, bound;

	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		b[i] = (struct graph_block){
			.bytes = (i % 4 == 2 ? 4 : 1) * 65536ull,
			.first = i,
			.last = i + (i % 4 ? 1 : 4),
		};
	assert_int_equal(graph_plan(b, 200, ALIGN, &peak, &bound), 0);
	check(b, 200, peak);
	assert_int_equal(peak, bound);
}

static void test_nothing(void **state)
{
	uint64_t peak = 1, bound = 1;

	(void)state;
	assert_int_equal(graph_plan(NULL, 0, ALIGN, &peak, &bound), 0);
	assert_int_equal(peak, 0);
	assert_int_equal(bound, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
