/* SPDX-License-Identifier: MIT */
/*
 * One MCU on a bench: programs put together instruction by instruction, run
 * against a memory of a few areas, with scratchpad and accumulators open.
 */
#ifndef T_MCU_H
#define T_MCU_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mcu/x1_wg_int.h"

#define T_MEM      0x10000000ull /* read and write */
#define T_MEM_SIZE (2u << 20)
#define T_RO       0x20000000ull /* read only, the same bytes as T_MEM */
#define T_BUS      0x30000000ull /* system memory that cannot be mapped, the same bytes */
#define T_VM       3u

struct t_mcu {
	struct x1_wg *wg;
	struct x1_grid grid;
	struct x1_trace trace;
	struct x1_fault_rec fault; /* of the last run */
	struct x1_program *prog;
	uint8_t *mem;
	uint32_t quiesces; /* looks at pending requests so far */
	uint32_t stop_at;  /* the look that says stop, 0 = none */
	struct x1_insn insn[512];
	struct x1_desc desc[64];
	uint32_t num_insns, num_descs;
};

struct t_mcu *t_mcu_new(void);
void t_mcu_free(struct t_mcu *t);

/* An empty program, a grid of one, default arguments. Storage keeps its bytes. */
void t_begin(struct t_mcu *t);
/* Append; the pointer is good for semaphores. */
struct x1_insn *t_insn(struct t_mcu *t, struct x1_insn insn);
struct x1_insn *t_alu(struct t_mcu *t, unsigned int op, unsigned int rd, unsigned int ra,
		      uint64_t imm);
struct x1_insn *t_li(struct t_mcu *t, unsigned int rd, uint64_t imm);
/* Append an engine instruction whose three registers are r60, r61, r62, set before it. */
struct x1_insn *t_engine(struct t_mcu *t, unsigned int op, uint64_t rd, uint64_t ra, uint64_t rb,
			 const struct x1_desc *desc);
/* Append an engine instruction that reads rd, ra, rb. */
struct x1_insn *t_engine_regs(struct t_mcu *t, unsigned int op, unsigned int rd, unsigned int ra,
			      unsigned int rb, const struct x1_desc *desc);
/* Appends END, decodes, runs. A program that does not decode gives X1_WG_FAULT. */
enum x1_wg_status t_run(struct t_mcu *t);
/* The same, one work-group more of the decoded program. */
enum x1_wg_status t_start(struct t_mcu *t, uint32_t index);
enum x1_wg_status t_continue(struct t_mcu *t);
/* Must end well. */
void t_ok(struct t_mcu *t);
/* Must fault so, in this unit, at the last instruction before END. */
void t_bad(struct t_mcu *t, enum x1_fault code, enum x1_unit unit);

/* Engine record `n` of the trace. */
const struct x1_tr_engine *t_record(const struct t_mcu *t, uint32_t n);

static inline uint8_t *t_local(struct t_mcu *t, uint32_t addr)
{
	return addr >= X1_ACC_ADDR ? t->wg->acc + (addr - X1_ACC_ADDR) : t->wg->spad + addr;
}

#endif /* T_MCU_H */
