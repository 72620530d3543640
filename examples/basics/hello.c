// SPDX-License-Identifier: MIT
/*
 * The smallest program of one's own: a work-group stores a number where its
 * argument says. Then the same number is read here.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sili.h>

#define NUMBER 42

int main(void)
{
	struct sili_info info = {.size = sizeof(info)};
	struct sili_prog *prog = sili_prog_new();
	struct sili_kernel *kernel;
	struct sili_device *dev;
	struct sili_queue *queue;
	struct sili_bo *args, *out;
	union x1_cmd cmd;
	uint64_t seen;
	char why[256];
	int ret;

	if (sili_open(&dev, NULL, why, sizeof(why)))
		errx(1, "%s", why);
	sili_get_info(dev, &info);
	printf("%s: %u MCUs, %" PRIu64 " MiB of HBM\n", info.path, info.mcus, info.hbm_bytes >> 20);

	if (!prog || sili_queue_new(dev, NULL, &queue) ||
	    sili_bo_new(dev, sizeof(uint64_t), SILI_HBM, 0, &out) ||
	    sili_bo_new(dev, sizeof(uint64_t), SILI_HBM, 0, &args) || !sili_bo_map(out) ||
	    !sili_bo_map(args))
		errx(1, "out of memory");
	/* Eight (2^3) bytes of r2 to the address in the first argument's register. */
	sili_prog_li(prog, 2, NUMBER);
	sili_prog_emit(prog,
		       (struct x1_insn){.op = X1_OP_STM, .rd = 2, .ra = X1_REG_ARG0, .rb = 3});
	sili_prog_emit(prog, (struct x1_insn){.op = X1_OP_END});
	ret = sili_prog_finish(prog, dev, &kernel);
	sili_prog_free(prog);
	if (ret)
		errx(1, "program: %s", strerror(-ret));

	*(uint64_t *)sili_bo_map(args) = sili_bo_dva(out);
	sili_cmd_launch(&cmd, kernel, 1, 1, 1, sili_bo_dva(args), 1);
	ret = sili_run(queue, &cmd, 1);
	if (ret)
		errx(1, "run: %s", strerror(-ret));
	seen = *(volatile uint64_t *)sili_bo_map(out);
	printf("the device says %" PRIu64 "\n", seen);

	sili_kernel_free(kernel);
	sili_bo_free(args);
	sili_bo_free(out);
	sili_queue_free(queue);
	sili_close(dev);
	return seen == NUMBER ? 0 : 1;
}
