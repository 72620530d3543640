/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Fault codes and the fields of a queue's fault record. A fault halts its
 * queue alone; the record stays readable until the queue is reset.
 */
#ifndef X1_FAULT_H
#define X1_FAULT_H

enum x1_fault {
	X1_FAULT_NONE = 0,
	X1_FAULT_UNMAPPED = 1,		/* no valid translation */
	X1_FAULT_PERMISSION = 2,	/* translation forbids the access */
	X1_FAULT_BAD_PTE = 3,		/* reserved bits, misaligned or out-of-range address */
	X1_FAULT_BAD_DVA = 4,		/* address above 48 bits, or wraps */
	X1_FAULT_DMA = 5,		/* the bus refused a system-memory access */
	X1_FAULT_BAD_VM = 6,		/* queue's VM is not attached */
	X1_FAULT_BAD_COMMAND = 7,	/* opcode, flags or reserved field */
	X1_FAULT_BAD_FIELD = 8,		/* command field out of range */
	X1_FAULT_BAD_RING = 9,		/* write pointer runs past the ring */
	X1_FAULT_BAD_PROGRAM = 10,	/* size, alignment or branch target */
	X1_FAULT_ILLEGAL = 11,		/* illegal instruction */
	X1_FAULT_OPERAND = 12,		/* operand out of scratchpad or accumulator, bad shape */
	X1_FAULT_FORMAT = 13,		/* combination of formats, scales, sparsity not allowed */
	X1_FAULT_DEADLOCK = 14,		/* every engine and the sequencer wait */
	X1_FAULT_WATCHDOG = 15,		/* work-group exceeded its instruction limit */
	X1_FAULT_BUDGET = 16,		/* LAUNCH exceeded the queue's cycle budget */
	X1_FAULT_TRAP = 17,		/* program executed TRAP; address = its code */
	X1_FAULT_SEMAPHORE = 18,	/* counter overflow */
	X1_FAULT_GRID = 19,		/* cooperative grid too large, or wait on a higher index */
	X1_FAULT_ECC = 20,		/* uncorrectable HBM error */
	X1_FAULT_NO_MCU = 21,		/* no healthy MCU in the partition */
	X1_FAULT_INJECTED = 22,		/* fault on purpose: hung or wrong unit */
	X1_FAULT_COUNT = 23,
};

enum x1_access {
	X1_ACCESS_NONE = 0,
	X1_ACCESS_READ = 1,
	X1_ACCESS_WRITE = 2,
	X1_ACCESS_EXEC = 3,
};

/* Units: who made the access. */
enum x1_unit {
	X1_UNIT_FETCH = 0,	/* ring and CALL commands, read-pointer write-back */
	X1_UNIT_CMD = 1,	/* FENCE, WAIT, TIMESTAMP, indirect grids */
	X1_UNIT_COPY = 2,	/* COPY and FILL */
	X1_UNIT_SEQ = 3,	/* sequencer: program fetch, scalar accesses */
	X1_UNIT_LOAD = 4,
	X1_UNIT_MATRIX = 5,
	X1_UNIT_VECTOR = 6,
	X1_UNIT_STORE = 7,
	X1_UNIT_COUNT = 8,
};

/* X1_Q_FAULT_INFO register: */
#define X1_FAULT_INFO_CODE(v)	((v) & 0xff)
#define X1_FAULT_INFO_ACCESS(v)	(((v) >> 8) & 0xf)
#define X1_FAULT_INFO_UNIT(v)	(((v) >> 12) & 0xf)
#define X1_FAULT_INFO_MCU(v)	(((v) >> 16) & 0xffff)	/* 0xffff = none */
#define X1_FAULT_INFO(code, access, unit, mcu) \
	((uint32_t)(code) | (uint32_t)(access) << 8 | (uint32_t)(unit) << 12 | (uint32_t)(mcu) << 16)
#define X1_FAULT_MCU_NONE	0xffffu

/* Short lower-case name for logs; "unknown" for a code not in the list. */
static inline const char *x1_fault_name(unsigned int code)
{
	static const char *const names[X1_FAULT_COUNT] = {
		"none", "unmapped", "permission", "bad-pte", "bad-dva", "dma", "bad-vm",
		"bad-command", "bad-field", "bad-ring", "bad-program", "illegal-instruction",
		"operand", "format", "deadlock", "watchdog", "budget", "trap", "semaphore",
		"grid", "ecc", "no-mcu", "injected",
	};

	return code < X1_FAULT_COUNT ? names[code] : "unknown";
}

#endif /* X1_FAULT_H */
