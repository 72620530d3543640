/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Device page tables: 48-bit device virtual addresses (DVA), four levels of
 * 512 eight-byte entries, all tables in HBM, 4 KiB and 2 MiB leaves.
 *
 *   47    39 38    30 29    21 20    12 11     0
 *  | level 3| level 2| level 1| level 0|  offset |
 *
 * A level-1 entry with X1_PTE_HUGE is a 2 MiB leaf. A table entry needs only
 * X1_PTE_VALID and the HBM address of the next table.
 */
#ifndef X1_MMU_H
#define X1_MMU_H

#include "x1_types.h"
#include "x1_limits.h"

#define X1_PT_LEVELS		4
#define X1_PT_ENTRIES		512
#define X1_PT_BYTES		4096
#define X1_PT_LEVEL_BITS	9

#define X1_PTE_VALID		(1ull << 0)
#define X1_PTE_READ		(1ull << 1)
#define X1_PTE_WRITE		(1ull << 2)
#define X1_PTE_EXEC		(1ull << 3)	/* program fetch */
#define X1_PTE_SYSTEM		(1ull << 4)	/* bus address; else HBM offset */
#define X1_PTE_HUGE		(1ull << 5)	/* level 1 only */
#define X1_PTE_ADDR_MASK	0x000ffffffffff000ull
#define X1_PTE_RESERVED		(~(X1_PTE_ADDR_MASK | 0x3full))	/* must be zero, else a fault */

static inline unsigned int x1_pt_index(uint64_t dva, unsigned int level)
{
	return (dva >> (X1_PAGE_SHIFT + level * X1_PT_LEVEL_BITS)) & (X1_PT_ENTRIES - 1);
}

#endif /* X1_MMU_H */
