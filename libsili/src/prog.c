// SPDX-License-Identifier: MIT
/*
 * Program builder. Instructions and descriptors grow in two arrays; branch
 * targets and descriptor offsets are known, and patched, when the program is
 * finished. The first error sticks.
 */
#include <stdlib.h>
#include <string.h>

#include "sili_int.h"

#define NO_PLACE UINT32_MAX

enum fix {
	FIX_NONE = 0,
	FIX_LABEL, /* imm is a label */
	FIX_DESC,  /* imm is a descriptor's index */
};

struct sili_prog {
	struct x1_insn *insn;
	uint8_t *fix;
	uint32_t n, room;
	struct x1_desc *desc;
	uint32_t num_desc, desc_room;
	uint32_t *label;
	uint32_t num_labels, label_room;
	uint32_t loop[X1_LOOP_DEPTH]; /* labels of the open loops' ends */
	uint32_t depth;
	uint8_t sems[4];
	int error;
};

static void fail(struct sili_prog *p, int error)
{
	if (!p->error)
		p->error = error;
}

/* Room for one more of `size` bytes. */
static bool grow(struct sili_prog *p, void **array, uint32_t n, uint32_t *room, size_t size)
{
	uint32_t bigger = *room ? 2 * *room : 64;
	void *mem;

	if (n < *room)
		return true;
	mem = realloc(*array, bigger * size);
	if (!mem) {
		fail(p, -ENOMEM);
		return false;
	}
	*array = mem;
	*room = bigger;
	return true;
}

SILI_EXPORT struct sili_prog *sili_prog_new(void)
{
	return calloc(1, sizeof(struct sili_prog));
}

SILI_EXPORT void sili_prog_free(struct sili_prog *prog)
{
	if (!prog)
		return;
	free(prog->insn);
	free(prog->fix);
	free(prog->desc);
	free(prog->label);
	free(prog);
}

static uint32_t emit(struct sili_prog *p, struct x1_insn insn, enum fix fix)
{
	uint32_t room = p->room;

	if (p->error)
		return 0;
	if ((p->n + 1) * X1_INSN_BYTES > X1_MAX_PROGRAM_BYTES) {
		fail(p, -E2BIG);
		return 0;
	}
	if (!grow(p, (void **)&p->insn, p->n, &room, sizeof(*p->insn)) ||
	    !grow(p, (void **)&p->fix, p->n, &p->room, sizeof(*p->fix)))
		return 0;
	memcpy(insn.wait, p->sems, 2);
	memcpy(insn.sig, p->sems + 2, 2);
	memset(p->sems, 0, sizeof(p->sems));
	p->insn[p->n] = insn;
	p->fix[p->n] = (uint8_t)fix;
	return p->n++;
}

SILI_EXPORT void sili_prog_sems(struct sili_prog *prog, uint8_t wait0, uint8_t wait1, uint8_t sig0,
				uint8_t sig1)
{
	prog->sems[0] = wait0;
	prog->sems[1] = wait1;
	prog->sems[2] = sig0;
	prog->sems[3] = sig1;
}

SILI_EXPORT uint32_t sili_prog_emit(struct sili_prog *prog, struct x1_insn insn)
{
	static const uint8_t none[2];

	/* Semaphores in the instruction itself win. */
	if (memcmp(insn.wait, none, 2) || memcmp(insn.sig, none, 2))
		sili_prog_sems(prog, insn.wait[0], insn.wait[1], insn.sig[0], insn.sig[1]);
	return emit(prog, insn, FIX_NONE);
}

SILI_EXPORT void sili_prog_alu(struct sili_prog *prog, enum x1_op op, uint8_t rd, uint8_t ra,
			       uint8_t rb)
{
	emit(prog, (struct x1_insn){.op = (uint8_t)op, .rd = rd, .ra = ra, .rb = rb}, FIX_NONE);
}

SILI_EXPORT void sili_prog_alui(struct sili_prog *prog, enum x1_op op, uint8_t rd, uint8_t ra,
				int64_t imm)
{
	emit(prog,
	     (struct x1_insn){
		     .op = (uint8_t)op, .rd = rd, .ra = ra, .rb = X1_REG_IMM, .imm = (uint64_t)imm},
	     FIX_NONE);
}

SILI_EXPORT void sili_prog_li(struct sili_prog *prog, uint8_t rd, int64_t imm)
{
	sili_prog_alui(prog, X1_OP_ADD, rd, 0, imm);
}

/* Index of an equal descriptor, or of a new one. */
static uint32_t intern(struct sili_prog *p, const struct x1_desc *desc)
{
	for (uint32_t i = 0; i < p->num_desc; i++)
		if (!memcmp(&p->desc[i], desc, sizeof(*desc)))
			return i;
	if (!grow(p, (void **)&p->desc, p->num_desc, &p->desc_room, sizeof(*desc)))
		return 0;
	p->desc[p->num_desc] = *desc;
	return p->num_desc++;
}

SILI_EXPORT void sili_prog_engine(struct sili_prog *prog, enum x1_op op, uint8_t rd, uint8_t ra,
				  uint8_t rb, const struct x1_desc *desc)
{
	uint32_t index = intern(prog, desc);

	emit(prog, (struct x1_insn){.op = (uint8_t)op, .rd = rd, .ra = ra, .rb = rb, .imm = index},
	     FIX_DESC);
}

SILI_EXPORT uint32_t sili_prog_label(struct sili_prog *prog)
{
	if (!grow(prog, (void **)&prog->label, prog->num_labels, &prog->label_room,
		  sizeof(*prog->label)))
		return 0;
	prog->label[prog->num_labels] = NO_PLACE;
	return prog->num_labels++;
}

SILI_EXPORT void sili_prog_place(struct sili_prog *prog, uint32_t label)
{
	if (label >= prog->num_labels || prog->label[label] != NO_PLACE)
		fail(prog, -EINVAL);
	else
		prog->label[label] = prog->n;
}

SILI_EXPORT void sili_prog_branch(struct sili_prog *prog, enum x1_op op, uint8_t ra, uint8_t rb,
				  uint32_t label)
{
	if (label >= prog->num_labels)
		fail(prog, -EINVAL);
	emit(prog, (struct x1_insn){.op = (uint8_t)op, .ra = ra, .rb = rb, .imm = label},
	     FIX_LABEL);
}

SILI_EXPORT void sili_prog_loop(struct sili_prog *prog, uint8_t count_reg)
{
	uint32_t end = sili_prog_label(prog);

	if (prog->depth == X1_LOOP_DEPTH) {
		fail(prog, -EINVAL);
		return;
	}
	prog->loop[prog->depth++] = end;
	sili_prog_branch(prog, X1_OP_LOOP, count_reg, 0, end);
}

SILI_EXPORT void sili_prog_loop_end(struct sili_prog *prog)
{
	if (!prog->depth)
		fail(prog, -EINVAL);
	else
		sili_prog_place(prog, prog->loop[--prog->depth]);
}

SILI_EXPORT void sili_desc_reg(struct x1_desc *desc, uint32_t i, uint8_t r)
{
	desc->regs |= 1ull << i;
	desc->f[i] = r;
}

SILI_EXPORT void sili_desc_set(struct x1_desc *desc, uint32_t i, int64_t value)
{
	desc->regs &= ~(1ull << i);
	desc->f[i] = (uint32_t)value;
}

static int link_program(struct sili_prog *p)
{
	if (p->error)
		return p->error;
	if (!p->n || p->depth)
		return -EINVAL;
	if (p->n * X1_INSN_BYTES + p->num_desc * sizeof(struct x1_desc) > X1_MAX_PROGRAM_BYTES)
		return -E2BIG;
	for (uint32_t i = 0; i < p->n; i++) {
		struct x1_insn *insn = &p->insn[i];

		if (p->fix[i] == FIX_DESC)
			insn->imm = p->n * X1_INSN_BYTES + insn->imm * sizeof(struct x1_desc);
		else if (p->fix[i] == FIX_LABEL && p->label[insn->imm] == NO_PLACE)
			return -EINVAL;
		else if (p->fix[i] == FIX_LABEL)
			insn->imm = p->label[insn->imm];
		p->fix[i] = FIX_NONE;
	}
	return 0;
}

int sili_kernel_room(struct sili_device *dev, size_t bytes, uint32_t flags,
		     struct sili_kernel **out)
{
	struct sili_kernel *k = calloc(1, sizeof(*k));
	int ret;

	*out = NULL;
	if (!k)
		return -ENOMEM;
	ret = sili_bo_new(dev, bytes, SILI_HBM, flags, &k->bo);
	if (ret) {
		free(k);
		return ret;
	}
	*out = k;
	return 0;
}

SILI_EXPORT int sili_prog_finish(struct sili_prog *prog, struct sili_device *dev,
				 struct sili_kernel **out)
{
	size_t code = (size_t)prog->n * X1_INSN_BYTES;
	size_t data = prog->num_desc * sizeof(struct x1_desc);
	struct sili_kernel *k;
	uint8_t *image;
	int ret;

	*out = NULL;
	ret = link_program(prog);
	if (!ret)
		ret = sili_kernel_room(dev, code + data, SILI_BO_EXEC, &k);
	if (ret)
		return ret;
	image = sili_bo_map(k->bo);
	if (!image) {
		sili_kernel_free(k);
		return -ENOMEM;
	}
	memcpy(image, prog->insn, code);
	if (data)
		memcpy(image + code, prog->desc, data);
	k->bytes = (uint32_t)(code + data);
	k->num_insns = prog->n;
	*out = k;
	return 0;
}

SILI_EXPORT void sili_kernel_free(struct sili_kernel *kernel)
{
	if (!kernel)
		return;
	sili_bo_free(kernel->bo);
	free(kernel->note);
	free(kernel);
}
