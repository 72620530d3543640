/* SPDX-License-Identifier: MIT */
/* What lies where in a .sili file. Little-endian, as every host of this library is. */
#ifndef SILI_GRAPH_FILE_H
#define SILI_GRAPH_FILE_H

#include "graph.h"

#define FILE_MAGIC    "\x89SILI\r\n\x1a"
#define FILE_VERSION  1u
#define FILE_SECTIONS 2u
#define DATA_ALIGN    64u
#define DIGEST_BYTES  32u

enum section_type {
	SECTION_GRAPH = 1,
	SECTION_DATA = 2,
};

struct file_header {
	char magic[8];
	uint32_t version;
	uint32_t sections;
	uint64_t bytes; /* of the file */
	uint64_t reserved;
	uint8_t digest[DIGEST_BYTES]; /* SHA-256 of header, this field zero, and table */
};

struct file_section {
	uint32_t type; /* enum section_type */
	uint32_t records;
	uint64_t offset; /* in the file, multiple of DATA_ALIGN */
	uint64_t bytes;
	uint64_t reserved;
	uint8_t digest[DIGEST_BYTES];
};

struct file_head {
	struct file_header h;
	struct file_section s[FILE_SECTIONS]; /* SECTION_GRAPH, SECTION_DATA */
};

enum record_kind {
	RECORD_INPUT = 1,
	RECORD_WEIGHT = 2,
	RECORD_NODE = 3,
	RECORD_OUTPUT = 4,
};

/* What follows, in 32-bit words, is in write_*() and read_*(). */
struct record {
	uint32_t kind;
	uint32_t bytes; /* with this head */
	char name[SILI_NAME_LEN];
};

_Static_assert(sizeof(struct file_head) % DATA_ALIGN == 0, "sections follow the table");

#endif /* SILI_GRAPH_FILE_H */
