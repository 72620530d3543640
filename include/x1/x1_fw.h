/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Management core, firmware image and mailbox.
 *
 * The core is RV32IMC with machine mode, SRAM, the host's registers at
 * X1_MC_REGS_BASE and a few of its own at X1_MC_BASE.
 */
#ifndef X1_FW_H
#define X1_FW_H

#include "x1_types.h"

/* Memory map of the management core. */
#define X1_MC_SRAM_BASE		0x80000000u
#define X1_MC_SRAM_BYTES	(512u << 10)
#define X1_MC_REGS_BASE		0x40000000u	/* BAR0's register page, X1_REGS_BYTES */
#define X1_MC_BASE		0x02000000u
#define X1_MC_MTIME_LO		(X1_MC_BASE + 0x00)	/* microseconds of host time since boot */
#define X1_MC_MTIME_HI		(X1_MC_BASE + 0x04)
#define X1_MC_MTIMECMP_LO	(X1_MC_BASE + 0x08)
#define X1_MC_MTIMECMP_HI	(X1_MC_BASE + 0x0c)
#define X1_MC_IRQ_PENDING	(X1_MC_BASE + 0x10)	/* X1_MC_IRQ_*, write 1 to clear */
#define X1_MC_RAISE		(X1_MC_BASE + 0x14)	/* write X1_IRQ_* bits: raise to the host */
#define X1_MC_BIST		(X1_MC_BASE + 0x18)	/* write an MCU's number: test it; reads 0 = good */
#define X1_MC_BOOT_REASON	(X1_MC_BASE + 0x1c)	/* enum x1_boot_reason */
#define X1_MC_BYTES		0x100u

#define X1_MC_IRQ_MBOX		(1u << 0)	/* host wrote X1_REG_MBOX_SEND */
#define X1_MC_IRQ_FAULT		(1u << 1)	/* a queue faulted */

/* Firmware image: this header, then the payload. */
#define X1_FW_MAGIC		0x57463158u	/* "X1FW" */
#define X1_FW_HEADER_VERSION	1u
#define X1_FW_ABI		1u		/* mailbox ABI that this device speaks */
#define X1_FW_MAX_BYTES		(X1_MC_SRAM_BYTES)
#define X1_FW_PATH		"siliflow/x1-fw.bin"

struct x1_fw_header {
	uint32_t magic;
	uint32_t header_version;
	uint32_t header_bytes;	/* sizeof(struct x1_fw_header) */
	uint32_t fw_version;	/* major << 16 | minor << 8 | patch */
	uint32_t abi;
	uint32_t payload_bytes;	/* multiple of 4; image size = header + payload */
	uint32_t load_addr;	/* in SRAM */
	uint32_t entry;		/* inside the payload, 4-byte aligned */
	uint8_t sha256[32];	/* of header (this field zero) and payload */
};

X1_STATIC_ASSERT(sizeof(struct x1_fw_header) == 64);

enum x1_fw_state {
	X1_FW_STATE_RESET = 0,
	X1_FW_STATE_CHECKING = 1,	/* boot ROM */
	X1_FW_STATE_REFUSED = 2,	/* X1_REG_FW_ERROR says why */
	X1_FW_STATE_STARTED = 3,	/* jumped to the entry */
	X1_FW_STATE_READY = 4,		/* firmware checked in */
	X1_FW_STATE_CRASHED = 5,
};

enum x1_boot_reason {
	X1_BOOT_COLD = 0,	/* X1_FW_CTRL_BOOT */
	X1_BOOT_UPDATE = 1,	/* X1_FW_CTRL_UPDATE, queues and VMs are as they were */
	X1_BOOT_FALLBACK = 2,	/* the update did not check in: the image before it */
};

#define X1_FW_CAUSE_STOPPED	25u	/* X1_FW_CTRL_STOP; RISC-V leaves 24 to 31 to the platform */
#define X1_FW_CHECKIN_MS	5000u	/* host time that an update has to check in */

/*
 * Crash dump, word by word through X1_REG_FW_DUMP_INDEX and _DATA. Taken when
 * the state becomes CRASHED, kept until the next boot, halt or reset.
 */
#define X1_FW_DUMP_MAGIC	0x504d4458u	/* "XDMP"; 0 = there is none */
#define X1_FW_DUMP_STACK	128u

struct x1_fw_dump {
	uint32_t magic;
	uint32_t fw_version;
	uint32_t pc, cause, tval, mstatus;
	uint32_t uptime_ms;
	uint32_t heartbeat;
	uint32_t log_head;
	uint32_t request;	/* op of the mailbox request in progress, 0 = none */
	uint32_t reserved[4];
	uint32_t stack_addr;	/* of stack[0]: the stack pointer, 4-byte aligned */
	uint32_t stack_words;	/* that are valid */
	uint32_t x[32];		/* registers where it happened */
	uint32_t stack[X1_FW_DUMP_STACK];
};

X1_STATIC_ASSERT(sizeof(struct x1_fw_dump) == 4 * (16 + 32 + X1_FW_DUMP_STACK));

/* X1_REG_FW_CRASH_CAUSE of a crash on purpose: the first of RISC-V's custom causes. */
#define X1_FW_CAUSE_INJECTED	24u

enum x1_fw_error {
	X1_FW_OK = 0,
	X1_FW_ERR_RANGE = 1,		/* address or size not inside HBM, or misaligned */
	X1_FW_ERR_TRUNCATED = 2,	/* shorter than header or header + payload */
	X1_FW_ERR_MAGIC = 3,
	X1_FW_ERR_HEADER = 4,		/* header version or size */
	X1_FW_ERR_ABI = 5,
	X1_FW_ERR_LAYOUT = 6,		/* load address, size or entry outside SRAM */
	X1_FW_ERR_HASH = 7,
	X1_FW_ERR_START = 8,		/* an update that did not check in */
	X1_FW_ERR_COUNT = 9,
};

static inline const char *x1_fw_error_name(unsigned int error)
{
	static const char *const names[X1_FW_ERR_COUNT] = {
		"ok", "image not inside HBM", "image truncated", "bad magic", "bad header version",
		"wrong ABI", "load address or entry outside SRAM", "SHA-256 mismatch",
		"update did not check in",
	};

	return error < X1_FW_ERR_COUNT ? names[error] : "unknown error";
}

/*
 * Mailbox. The host writes X1_REG_MBOX_REQ, then X1_REG_MBOX_SEND; firmware
 * answers in X1_REG_MBOX_RSP with the same op and seq and clears BUSY, which
 * raises X1_IRQ_MBOX. One request at a time.
 */
enum x1_mbox_op {
	X1_MBOX_PING = 1,		/* reply arg[0] = request arg[0] */
	X1_MBOX_QUEUE_CREATE = 2,	/* struct x1_mbox_queue_create */
	X1_MBOX_QUEUE_DESTROY = 3,	/* arg[0] = queue */
	X1_MBOX_VM_ATTACH = 4,		/* arg[0] = vm, arg[1..2] = root lo, hi */
	X1_MBOX_VM_DETACH = 5,		/* arg[0] = vm */
	X1_MBOX_TELEMETRY = 6,		/* reply: struct x1_mbox_telemetry */
	X1_MBOX_LOG_READ = 7,		/* arg[0] = position; reply: struct x1_mbox_log */
	X1_MBOX_SELF_TEST = 8,		/* reply: struct x1_mbox_self_test */
	X1_MBOX_MCU_QUARANTINE = 9,	/* arg[0] = MCU, arg[1] = 1 quarantine, 0 return */
	X1_MBOX_POWER = 10,		/* arg[0] = enum x1_power */
	X1_MBOX_QUEUE_BUDGET = 11,	/* arg[0] = queue, arg[1..2] = cycles; queue must be idle */
	X1_MBOX_LIMITS = 12,		/* struct x1_mbox_limits; reply: those in force */
};

enum x1_mbox_status {
	X1_MBOX_OK = 0,
	X1_MBOX_ERR_OP = 1,		/* unknown op */
	X1_MBOX_ERR_ARG = 2,		/* arg[0] of the reply = index of the bad argument */
	X1_MBOX_ERR_BUSY = 3,
	X1_MBOX_ERR_NONE = 4,		/* no such queue, VM or log entry */
	X1_MBOX_ERR_HW = 5,		/* hardware did not answer */
};

/*
 * Firmware holds the clock down above the one until the temperature is below
 * the other. X1_MBOX_LIMITS moves both.
 */
#define X1_FW_THROTTLE_MC	95000
#define X1_FW_RESUME_MC		90000

enum x1_power {
	X1_POWER_FULL = 0,
	X1_POWER_IDLE = 1,		/* no queue may exist */
};

#define X1_MBOX_ARGS	14
struct x1_mbox_msg {
	uint16_t op;
	uint16_t seq;
	uint32_t status;	/* reply */
	uint32_t arg[X1_MBOX_ARGS];
};

X1_STATIC_ASSERT(sizeof(struct x1_mbox_msg) == 64);

/* arg[] of QUEUE_CREATE; the reply's arg[0] is the queue number. */
struct x1_mbox_queue_create {
	uint32_t ring_lo, ring_hi;
	uint32_t rptr_lo, rptr_hi;
	uint16_t ring_log2;
	uint16_t priority;
	uint32_t ring_vm;
	uint32_t user_vm;
	uint16_t mcu_first;
	uint16_t mcu_count;
	uint32_t budget_lo, budget_hi;
	uint32_t vector;
	uint32_t queue;		/* wanted number, or X1_MBOX_QUEUE_ANY */
	uint32_t reserved[2];
};

#define X1_MBOX_QUEUE_ANY	0xffffffffu

X1_STATIC_ASSERT(sizeof(struct x1_mbox_queue_create) == X1_MBOX_ARGS * 4);

struct x1_mbox_telemetry {
	uint32_t temp_mc;
	uint32_t power_mw;
	uint32_t core_power_mw;
	uint32_t util_permille;
	uint32_t clock_mhz;
	uint32_t uptime_ms;
	uint32_t throttled;	/* 1 while the clock is held down */
	uint32_t queues;	/* in use */
	uint32_t mcus_healthy;
	uint32_t throttle;	/* X1_REG_THROTTLE */
	uint32_t throttle_count; /* times that the clock began to be held down */
	uint32_t power_limit_mw; /* 0 = none */
	uint32_t temp_limit_mc;
	uint32_t reserved;
};

X1_STATIC_ASSERT(sizeof(struct x1_mbox_telemetry) == X1_MBOX_ARGS * 4);

/* Above either limit the clock is held down. */
struct x1_mbox_limits {
	uint32_t set;		/* 1 = take the others, 0 = only read them */
	uint32_t power_mw;	/* package; 0 = none */
	uint32_t temp_mc;	/* X1_TEMP_LIMIT_MIN..X1_TEMP_LIMIT_MAX */
	uint32_t reserved[11];
};

#define X1_TEMP_LIMIT_MIN	50000u
#define X1_TEMP_LIMIT_MAX	105000u

X1_STATIC_ASSERT(sizeof(struct x1_mbox_limits) == X1_MBOX_ARGS * 4);

#define X1_SELF_TEST_CLOCK	(1u << 0)	/* time stands still */
#define X1_SELF_TEST_REGS	(1u << 1)	/* a register does not keep what it is given */
#define X1_SELF_TEST_ALU	(1u << 2)	/* arithmetic of the management core */
#define X1_SELF_TEST_SRAM	(1u << 3)
#define X1_SELF_TEST_MCU	(1u << 4)	/* MCUs failed, and were put into quarantine */

struct x1_mbox_self_test {
	uint32_t failed;	/* X1_SELF_TEST_* */
	uint32_t mcus_tested;	/* the healthy ones */
	uint32_t mcus_failed;
	uint32_t first_failed;	/* MCU, 0xffffffff = none */
	uint32_t sram_words;	/* tested */
	uint32_t reserved[9];
};

X1_STATIC_ASSERT(sizeof(struct x1_mbox_self_test) == X1_MBOX_ARGS * 4);

/* Event log entry, oldest overwritten first. */
enum x1_log_event {
	X1_LOG_BOOT = 1,		/* data: version, abi, enum x1_boot_reason */
	X1_LOG_QUEUE_CREATED = 2,	/* queue, user vm */
	X1_LOG_QUEUE_DESTROYED = 3,	/* queue */
	X1_LOG_QUEUE_FAULT = 4,		/* queue, fault info */
	X1_LOG_VM_ATTACHED = 5,
	X1_LOG_VM_DETACHED = 6,
	X1_LOG_MCU_HEALTH = 7,		/* mcu, healthy */
	X1_LOG_THERMAL = 8,		/* temperature, throttled, power in mW */
	X1_LOG_BAD_REQUEST = 9,		/* op, status */
	X1_LOG_POWER = 10,
	X1_LOG_SELF_TEST = 11,		/* failed tests, MCUs that failed */
	X1_LOG_LIMITS = 12,		/* power, temperature */
	X1_LOG_COUNT = 13,
};

static inline const char *x1_log_event_name(unsigned int event)
{
	static const char *const names[X1_LOG_COUNT] = {
		"none", "boot", "queue created", "queue destroyed", "queue fault", "VM attached",
		"VM detached", "MCU health", "thermal", "bad request", "power",
		"self-test", "limits",
	};

	return event < X1_LOG_COUNT ? names[event] : "unknown";
}

struct x1_mbox_log {
	uint32_t position;	/* of this entry; the oldest kept one if the request was older */
	uint32_t head;		/* entries written so far */
	uint32_t time_us_lo, time_us_hi;
	uint32_t event;		/* enum x1_log_event */
	uint32_t data[3];
	uint32_t reserved[6];
};

X1_STATIC_ASSERT(sizeof(struct x1_mbox_log) == X1_MBOX_ARGS * 4);

#endif /* X1_FW_H */
