// SPDX-License-Identifier: MIT
/* Execution, traps and CSRs of the management core (see x1_rv.h). */
#include "x1_rv.h"

#include <stdlib.h>
#include <string.h>

#include "x1_rv_int.h"

#define MSTATUS_MIE  (1u << 3)
#define MSTATUS_MPIE (1u << 7)
#define MSTATUS_MPP  (3u << 11) /* machine mode is all there is */
#define MISA         (1u << 30 | 1u << ('I' - 'A') | 1u << ('M' - 'A') | 1u << ('C' - 'A'))
#define IRQ_MASK     (1u << X1_RV_IRQ_SOFT | 1u << X1_RV_IRQ_TIMER | 1u << X1_RV_IRQ_EXT)

enum cause {
	CAUSE_FETCH_FAULT = 1,
	CAUSE_ILLEGAL = 2,
	CAUSE_BREAK = 3,
	CAUSE_LOAD_MISALIGNED = 4,
	CAUSE_LOAD_FAULT = 5,
	CAUSE_STORE_MISALIGNED = 6,
	CAUSE_STORE_FAULT = 7,
	CAUSE_ECALL = 11,
	CAUSE_IRQ = 1u << 31,
};

struct x1_rv {
	struct x1_rv_cfg cfg;
	struct x1_rv_state s;
	struct x1_rv_insn *decoded; /* one per halfword of SRAM */
	bool trapped;               /* the current instruction trapped */
	bool irq_check;             /* an enable or a pending bit changed */
};

struct x1_rv *x1_rv_new(const struct x1_rv_cfg *cfg)
{
	struct x1_rv *rv = calloc(1, sizeof(*rv));

	if (!rv)
		return NULL;
	rv->cfg = *cfg;
	/* One more: the last halfword may start a 32-bit instruction. */
	rv->decoded = calloc(cfg->sram_bytes / 2 + 1, sizeof(*rv->decoded));
	if (!rv->decoded) {
		free(rv);
		return NULL;
	}
	return rv;
}

void x1_rv_free(struct x1_rv *rv)
{
	if (!rv)
		return;
	free(rv->decoded);
	free(rv);
}

void x1_rv_flush_decoded(struct x1_rv *rv)
{
	memset(rv->decoded, 0, (rv->cfg.sram_bytes / 2 + 1) * sizeof(*rv->decoded));
}

void x1_rv_reset(struct x1_rv *rv, uint32_t pc)
{
	memset(&rv->s, 0, sizeof(rv->s));
	rv->s.pc = pc;
	rv->s.mstatus = MSTATUS_MPP;
	x1_rv_flush_decoded(rv);
}

struct x1_rv_state *x1_rv_state(struct x1_rv *rv)
{
	return &rv->s;
}

void x1_rv_set_irq(struct x1_rv *rv, unsigned int irq, bool level)
{
	if (level)
		rv->s.mip |= 1u << irq;
	else
		rv->s.mip &= ~(1u << irq);
	rv->irq_check = true;
}

static bool in_sram(const struct x1_rv *rv, uint32_t addr, uint32_t size)
{
	uint32_t off = addr - rv->cfg.sram_base;

	return off < rv->cfg.sram_bytes && size <= rv->cfg.sram_bytes - off;
}

static void trap(struct x1_rv *rv, uint32_t cause, uint32_t tval)
{
	struct x1_rv_state *s = &rv->s;
	uint32_t base = s->mtvec & ~3u;

	rv->trapped = true;
	if (!(cause & CAUSE_IRQ)) {
		/* It does not retire. */
		s->instret--;
		if (s->handling) {
			/* The handler itself is broken: what it was called for stays readable. */
			s->dead = 1;
			return;
		}
		memcpy(s->trap_x, s->x, sizeof(s->trap_x));
	}
	s->handling = 1;
	s->mepc = s->pc;
	s->mcause = cause;
	s->mtval = tval;
	s->mstatus = (s->mstatus & ~(MSTATUS_MIE | MSTATUS_MPIE)) |
		     (s->mstatus & MSTATUS_MIE ? MSTATUS_MPIE : 0);
	if (cause & CAUSE_IRQ && s->mtvec & 1)
		base += 4 * (cause & 0xff);
	/* A handler outside of memory would fault for ever. */
	if (!in_sram(rv, base, 2))
		s->dead = 1;
	s->pc = base;
}

static uint32_t load(struct x1_rv *rv, uint32_t addr, unsigned int size)
{
	uint32_t v = 0;

	if (addr & (size - 1)) {
		trap(rv, CAUSE_LOAD_MISALIGNED, addr);
	} else if (in_sram(rv, addr, size)) {
		memcpy(&v, rv->cfg.sram + (addr - rv->cfg.sram_base), size);
	} else if (!rv->cfg.read(rv->cfg.arg, addr, size, &v)) {
		trap(rv, CAUSE_LOAD_FAULT, addr);
	}
	return v;
}

static void store(struct x1_rv *rv, uint32_t addr, unsigned int size, uint32_t v)
{
	if (addr & (size - 1)) {
		trap(rv, CAUSE_STORE_MISALIGNED, addr);
	} else if (in_sram(rv, addr, size)) {
		uint32_t off = addr - rv->cfg.sram_base;

		memcpy(rv->cfg.sram + off, &v, size);
		/* Also an instruction that began one halfword earlier. */
		rv->decoded[off / 2].op = RV_NONE;
		rv->decoded[(off + size - 1) / 2].op = RV_NONE;
		if (off >= 2)
			rv->decoded[off / 2 - 1].op = RV_NONE;
	} else if (!rv->cfg.write(rv->cfg.arg, addr, size, v)) {
		trap(rv, CAUSE_STORE_FAULT, addr);
	}
}

/* ---- CSRs ---- */

static bool is_hpm(uint32_t csr)
{
	return (csr >= 0xb03 && csr <= 0xb1f) || (csr >= 0xb83 && csr <= 0xb9f) ||
	       (csr >= 0x323 && csr <= 0x33f);
}

static bool csr_read(struct x1_rv *rv, uint32_t csr, uint32_t *v)
{
	const struct x1_rv_state *s = &rv->s;
	uint64_t time;

	switch (csr) {
	case 0x300:
		*v = s->mstatus;
		return true;
	case 0x301:
		*v = MISA;
		return true;
	case 0x304:
		*v = s->mie;
		return true;
	case 0x305:
		*v = s->mtvec;
		return true;
	case 0x340:
		*v = s->mscratch;
		return true;
	case 0x341:
		*v = s->mepc;
		return true;
	case 0x342:
		*v = s->mcause;
		return true;
	case 0x343:
		*v = s->mtval;
		return true;
	case 0x344:
		*v = s->mip;
		return true;
	case 0xb00:
	case 0xc00:
		*v = (uint32_t)s->cycle;
		return true;
	case 0xb80:
	case 0xc80:
		*v = (uint32_t)(s->cycle >> 32);
		return true;
	case 0xb02:
	case 0xc02:
		*v = (uint32_t)s->instret;
		return true;
	case 0xb82:
	case 0xc82:
		*v = (uint32_t)(s->instret >> 32);
		return true;
	case 0xc01:
	case 0xc81:
		time = rv->cfg.time ? rv->cfg.time(rv->cfg.arg) : 0;
		*v = (uint32_t)(csr == 0xc01 ? time : time >> 32);
		return true;
	case 0x320: /* mcountinhibit: both counters always run */
	case 0xf11: /* mvendorid, marchid, mimpid, mhartid, mconfigptr */
	case 0xf12:
	case 0xf13:
	case 0xf14:
	case 0xf15:
	case 0x310: /* mstatush */
		*v = 0;
		return true;
	default:
		/* Counters and events 3 to 31 exist and are zero. */
		*v = 0;
		return is_hpm(csr);
	}
}

/* A written counter holds that value for the next instruction: one is added before it. */
static void set_counter(uint64_t *counter, bool high, uint32_t v)
{
	uint64_t now = high ? (uint32_t)*counter | (uint64_t)v << 32
			    : (*counter & ~0xffffffffull) | v;

	*counter = now - 1;
}

static bool csr_write(struct x1_rv *rv, uint32_t csr, uint32_t v)
{
	struct x1_rv_state *s = &rv->s;

	switch (csr) {
	case 0x300:
		s->mstatus = (v & (MSTATUS_MIE | MSTATUS_MPIE)) | MSTATUS_MPP;
		rv->irq_check = true;
		return true;
	case 0x304:
		s->mie = v & IRQ_MASK;
		rv->irq_check = true;
		return true;
	case 0x305:
		s->mtvec = v & ~2u;
		return true;
	case 0x340:
		s->mscratch = v;
		return true;
	case 0x341:
		s->mepc = v & ~1u;
		return true;
	case 0x342:
		s->mcause = v;
		return true;
	case 0x343:
		s->mtval = v;
		return true;
	case 0x344: /* all bits are driven by hardware */
	case 0x301:
	case 0x310:
	case 0x320:
		return true;
	case 0xb00:
	case 0xb80:
		set_counter(&s->cycle, csr == 0xb80, v);
		return true;
	case 0xb02:
	case 0xb82:
		set_counter(&s->instret, csr == 0xb82, v);
		return true;
	default:
		return is_hpm(csr);
	}
}

static void csr_op(struct x1_rv *rv, const struct x1_rv_insn *in)
{
	uint32_t csr = (uint32_t)in->imm, old = 0, arg, new;
	bool imm = in->op >= RV_CSRRWI;
	unsigned int op = imm ? in->op - RV_CSRRWI : in->op - RV_CSRRW;
	bool write = op == 0 || in->rs1;

	arg = imm ? in->rs1 : rv->s.x[in->rs1];
	/* Numbers 0xc00 and up are read-only. */
	if ((write && csr >> 10 == 3) || !csr_read(rv, csr, &old)) {
		trap(rv, CAUSE_ILLEGAL, 0);
		return;
	}
	new = op == 0 ? arg : op == 1 ? old | arg : old & ~arg;
	if (write && !csr_write(rv, csr, new)) {
		trap(rv, CAUSE_ILLEGAL, 0);
		return;
	}
	if (in->rd)
		rv->s.x[in->rd] = old;
}

/* ---- execution ---- */

static void take_irq(struct x1_rv *rv)
{
	struct x1_rv_state *s = &rv->s;
	uint32_t pending = s->mip & s->mie;

	rv->irq_check = false;
	if (!pending)
		return;
	s->wfi = 0;
	if (!(s->mstatus & MSTATUS_MIE))
		return;
	/* Priority: external, software, timer. */
	trap(rv,
	     CAUSE_IRQ | (pending & 1u << X1_RV_IRQ_EXT    ? X1_RV_IRQ_EXT
			  : pending & 1u << X1_RV_IRQ_SOFT ? X1_RV_IRQ_SOFT
							   : X1_RV_IRQ_TIMER),
	     0);
}

static const struct x1_rv_insn *fetch(struct x1_rv *rv)
{
	uint32_t off = rv->s.pc - rv->cfg.sram_base, word = 0;
	struct x1_rv_insn *in;

	if (off >= rv->cfg.sram_bytes || off & 1) {
		trap(rv, CAUSE_FETCH_FAULT, rv->s.pc);
		return NULL;
	}
	in = &rv->decoded[off / 2];
	if (in->op != RV_NONE)
		return in;
	memcpy(&word, rv->cfg.sram + off, off + 4 <= rv->cfg.sram_bytes ? 4 : 2);
	*in = x1_rv_decode(word);
	if (in->len == 4 && off + 4 > rv->cfg.sram_bytes) {
		in->op = RV_NONE;
		trap(rv, CAUSE_FETCH_FAULT, rv->s.pc + 2);
		return NULL;
	}
	return in;
}

static uint32_t divide(unsigned int op, uint32_t a, uint32_t b)
{
	bool overflow = a == 0x80000000u && b == 0xffffffffu;

	switch (op) {
	case RV_DIV:
		return !b ? 0xffffffffu : overflow ? a : (uint32_t)((int32_t)a / (int32_t)b);
	case RV_DIVU:
		return b ? a / b : 0xffffffffu;
	case RV_REM:
		return !b ? a : overflow ? 0 : (uint32_t)((int32_t)a % (int32_t)b);
	default:
		return b ? a % b : a;
	}
}

/* What is rare: system instructions. Returns the next pc. */
static uint32_t system_insn(struct x1_rv *rv, const struct x1_rv_insn *in, uint32_t next)
{
	struct x1_rv_state *s = &rv->s;

	switch (in->op) {
	case RV_FENCE:
		break;
	case RV_FENCE_I:
		x1_rv_flush_decoded(rv);
		break;
	case RV_ECALL:
		trap(rv, CAUSE_ECALL, 0);
		break;
	case RV_EBREAK:
		trap(rv, CAUSE_BREAK, s->pc);
		break;
	case RV_MRET:
		s->handling = 0;
		s->mstatus = MSTATUS_MPP | MSTATUS_MPIE |
			     (s->mstatus & MSTATUS_MPIE ? MSTATUS_MIE : 0);
		rv->irq_check = true;
		return s->mepc;
	case RV_WFI:
		s->wfi = !(s->mip & s->mie);
		break;
	case RV_ILLEGAL:
		trap(rv, CAUSE_ILLEGAL, 0);
		break;
	default:
		csr_op(rv, in);
		break;
	}
	return next;
}

uint64_t x1_rv_run(struct x1_rv *rv, uint64_t max, enum x1_rv_stop *stop)
{
	struct x1_rv_state *s = &rv->s;
	uint32_t *x = s->x;
	uint64_t n = 0, counted = 0;

	rv->irq_check = true;
	*stop = X1_RV_BUDGET;
	while (n < max) {
		const struct x1_rv_insn *in;
		uint32_t next, a, b, v;

		if (rv->irq_check)
			take_irq(rv);
		if (s->dead) {
			*stop = X1_RV_DEAD;
			break;
		}
		if (s->wfi) {
			*stop = X1_RV_WFI;
			break;
		}
		rv->trapped = false;
		n++;
		in = fetch(rv);
		if (!in)
			continue;
		next = s->pc + in->len;
		a = x[in->rs1];
		b = x[in->rs2];
		switch (in->op) {
		case RV_LUI:
			v = (uint32_t)in->imm;
			break;
		case RV_AUIPC:
			v = s->pc + (uint32_t)in->imm;
			break;
		case RV_JAL:
			v = next;
			next = s->pc + (uint32_t)in->imm;
			break;
		case RV_JALR:
			v = next;
			next = (a + (uint32_t)in->imm) & ~1u;
			break;
		case RV_BEQ:
			s->pc = a == b ? s->pc + (uint32_t)in->imm : next;
			continue;
		case RV_BNE:
			s->pc = a != b ? s->pc + (uint32_t)in->imm : next;
			continue;
		case RV_BLT:
			s->pc = (int32_t)a < (int32_t)b ? s->pc + (uint32_t)in->imm : next;
			continue;
		case RV_BGE:
			s->pc = (int32_t)a >= (int32_t)b ? s->pc + (uint32_t)in->imm : next;
			continue;
		case RV_BLTU:
			s->pc = a < b ? s->pc + (uint32_t)in->imm : next;
			continue;
		case RV_BGEU:
			s->pc = a >= b ? s->pc + (uint32_t)in->imm : next;
			continue;
		case RV_LB:
			v = (uint32_t)(int8_t)load(rv, a + (uint32_t)in->imm, 1);
			break;
		case RV_LH:
			v = (uint32_t)(int16_t)load(rv, a + (uint32_t)in->imm, 2);
			break;
		case RV_LW:
			v = load(rv, a + (uint32_t)in->imm, 4);
			break;
		case RV_LBU:
			v = load(rv, a + (uint32_t)in->imm, 1);
			break;
		case RV_LHU:
			v = load(rv, a + (uint32_t)in->imm, 2);
			break;
		case RV_SB:
		case RV_SH:
		case RV_SW:
			/* The store may drop this very entry from the cache: done with it. */
			store(rv, a + (uint32_t)in->imm, 1u << (in->op - RV_SB), b);
			if (!rv->trapped)
				s->pc = next;
			continue;
		case RV_ADDI:
			v = a + (uint32_t)in->imm;
			break;
		case RV_SLTI:
			v = (int32_t)a < in->imm;
			break;
		case RV_SLTIU:
			v = a < (uint32_t)in->imm;
			break;
		case RV_XORI:
			v = a ^ (uint32_t)in->imm;
			break;
		case RV_ORI:
			v = a | (uint32_t)in->imm;
			break;
		case RV_ANDI:
			v = a & (uint32_t)in->imm;
			break;
		case RV_SLLI:
			v = a << in->imm;
			break;
		case RV_SRLI:
			v = a >> in->imm;
			break;
		case RV_SRAI:
			v = (uint32_t)((int32_t)a >> in->imm);
			break;
		case RV_ADD:
			v = a + b;
			break;
		case RV_SUB:
			v = a - b;
			break;
		case RV_SLL:
			v = a << (b & 31);
			break;
		case RV_SLT:
			v = (int32_t)a < (int32_t)b;
			break;
		case RV_SLTU:
			v = a < b;
			break;
		case RV_XOR:
			v = a ^ b;
			break;
		case RV_SRL:
			v = a >> (b & 31);
			break;
		case RV_SRA:
			v = (uint32_t)((int32_t)a >> (b & 31));
			break;
		case RV_OR:
			v = a | b;
			break;
		case RV_AND:
			v = a & b;
			break;
		case RV_MUL:
			v = a * b;
			break;
		case RV_MULH:
			v = (uint32_t)((uint64_t)((int64_t)(int32_t)a * (int32_t)b) >> 32);
			break;
		case RV_MULHSU:
			v = (uint32_t)((uint64_t)((int64_t)(int32_t)a * (int64_t)b) >> 32);
			break;
		case RV_MULHU:
			v = (uint32_t)((uint64_t)a * b >> 32);
			break;
		case RV_DIV:
		case RV_DIVU:
		case RV_REM:
		case RV_REMU:
			v = divide(in->op, a, b);
			break;
		default:
			/* The counters are exact where they can be read: up to this instruction. */
			s->cycle += n - 1 - counted;
			s->instret += n - 1 - counted;
			counted = n - 1;
			next = system_insn(rv, in, next);
			if (!rv->trapped)
				s->pc = next;
			continue;
		}
		if (rv->trapped)
			continue;
		if (in->rd)
			x[in->rd] = v;
		s->pc = next;
	}
	s->cycle += n - counted;
	s->instret += n - counted;
	return n;
}
