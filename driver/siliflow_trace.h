/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM siliflow

#if !defined(_SILIFLOW_TRACE_H_) || defined(TRACE_HEADER_MULTI_READ)
#define _SILIFLOW_TRACE_H_

#include <linux/tracepoint.h>

#include <x1/x1_fault.h>

/* A job goes from its submitter to the scheduler, and from there to the ring. */
DECLARE_EVENT_CLASS(siliflow_job,
	TP_PROTO(u32 dev, u32 queue, u64 context, u64 seqno, u64 addr, u32 num_cmds),
	TP_ARGS(dev, queue, context, seqno, addr, num_cmds),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, queue)
		__field(u64, context)
		__field(u64, seqno)
		__field(u64, addr)
		__field(u32, num_cmds)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->queue = queue;
		__entry->context = context;
		__entry->seqno = seqno;
		__entry->addr = addr;
		__entry->num_cmds = num_cmds;
	),
	TP_printk("sili%u queue=%u fence=%llu:%llu addr=%#llx cmds=%u", __entry->dev,
		  __entry->queue, __entry->context, __entry->seqno, __entry->addr,
		  __entry->num_cmds)
);

DEFINE_EVENT(siliflow_job, siliflow_submit,
	TP_PROTO(u32 dev, u32 queue, u64 context, u64 seqno, u64 addr, u32 num_cmds),
	TP_ARGS(dev, queue, context, seqno, addr, num_cmds)
);

DEFINE_EVENT(siliflow_job, siliflow_run,
	TP_PROTO(u32 dev, u32 queue, u64 context, u64 seqno, u64 addr, u32 num_cmds),
	TP_ARGS(dev, queue, context, seqno, addr, num_cmds)
);

TRACE_EVENT(siliflow_fence,
	TP_PROTO(u32 dev, u32 queue, u64 context, u64 seqno, int error),
	TP_ARGS(dev, queue, context, seqno, error),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, queue)
		__field(u64, context)
		__field(u64, seqno)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->queue = queue;
		__entry->context = context;
		__entry->seqno = seqno;
		__entry->error = error;
	),
	TP_printk("sili%u queue=%u fence=%llu:%llu error=%d", __entry->dev, __entry->queue,
		  __entry->context, __entry->seqno, __entry->error)
);

TRACE_EVENT(siliflow_fault,
	TP_PROTO(u32 dev, u32 queue, u32 code, u64 addr, u32 unit, u32 mcu, u32 pc),
	TP_ARGS(dev, queue, code, addr, unit, mcu, pc),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, queue)
		__field(u32, code)
		__field(u64, addr)
		__field(u32, unit)
		__field(u32, mcu)
		__field(u32, pc)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->queue = queue;
		__entry->code = code;
		__entry->addr = addr;
		__entry->unit = unit;
		__entry->mcu = mcu;
		__entry->pc = pc;
	),
	TP_printk("sili%u queue=%u code=%u addr=%#llx unit=%u mcu=%#x pc=%#x", __entry->dev,
		  __entry->queue, __entry->code, __entry->addr, __entry->unit, __entry->mcu,
		  __entry->pc)
);

TRACE_EVENT(siliflow_bind,
	TP_PROTO(u32 dev, u32 vm, u32 op, u64 addr, u64 range, u64 offset),
	TP_ARGS(dev, vm, op, addr, range, offset),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u32, vm)
		__field(u32, op)
		__field(u64, addr)
		__field(u64, range)
		__field(u64, offset)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->vm = vm;
		__entry->op = op;
		__entry->addr = addr;
		__entry->range = range;
		__entry->offset = offset;
	),
	TP_printk("sili%u vm=%u op=%u addr=%#llx range=%#llx offset=%#llx", __entry->dev,
		  __entry->vm, __entry->op, __entry->addr, __entry->range, __entry->offset)
);

TRACE_EVENT(siliflow_reset,
	TP_PROTO(u32 dev, const char *what, const char *why),
	TP_ARGS(dev, what, why),
	TP_STRUCT__entry(
		__field(u32, dev)
		__string(what, what)
		__string(why, why)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__assign_str(what);
		__assign_str(why);
	),
	TP_printk("sili%u %s: %s", __entry->dev, __get_str(what), __get_str(why))
);

#endif /* _SILIFLOW_TRACE_H_ */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE siliflow_trace
#include <trace/define_trace.h>
