// SPDX-License-Identifier: MIT
/*
 * .sili files. A header, a table of sections, a section with records that
 * build the graph in the order in which it was built, a section with the
 * weights. The loader checks where things lie and their digests; what they say
 * is checked by the functions that build, because it calls them.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "rv/x1_sha256.h"

/* ---- writing ---- */

struct writer {
	FILE *f;
	uint64_t at;
	struct x1_sha256 sha;
	uint32_t records;
};

static void put(struct writer *w, const void *data, size_t bytes)
{
	fwrite(data, 1, bytes, w->f);
	x1_sha256_update(&w->sha, data, bytes);
	w->at += bytes;
}

static void put_u32(struct writer *w, uint32_t v)
{
	put(w, &v, sizeof(v));
}

static void put_u64(struct writer *w, uint64_t v)
{
	put(w, &v, sizeof(v));
}

/* Zeros up to the alignment; they belong to no section. */
static void pad(struct writer *w)
{
	static const char zero[DATA_ALIGN];
	size_t n = (DATA_ALIGN - w->at % DATA_ALIGN) % DATA_ALIGN;

	fwrite(zero, 1, n, w->f);
	w->at += n;
}

static void put_record(struct writer *w, enum record_kind kind, const char *name, uint32_t words)
{
	struct record r = {.kind = kind, .bytes = (uint32_t)sizeof(r) + words * 4};

	memcpy(r.name, name, sizeof(r.name));
	put(w, &r, sizeof(r));
	w->records++;
}

static void put_shape(struct writer *w, const struct graph_tensor *t)
{
	put_u32(w, t->fmt);
	put_u32(w, t->rank);
	put(w, t->dim, sizeof(t->dim));
}

#define SHAPE_WORDS (2 + SILI_MAX_RANK)

static uint32_t field_words(const struct graph_op *op)
{
	uint32_t n = 0;

	for (uint32_t f = 0; f < GRAPH_FIELDS; f++)
		if (op->fields >> f & 1)
			n += graph_fields[f].count;
	return n;
}

static void write_node(struct writer *w, const struct graph_node *node)
{
	const struct graph_op *op = graph_op(node->n.op);

	put_record(w, RECORD_NODE, node->name, 2 + SILI_NODE_INPUTS + field_words(op));
	put_u32(w, node->n.op);
	put_u32(w, node->n.precision);
	put(w, node->n.in, sizeof(node->n.in));
	for (uint32_t f = 0; f < GRAPH_FIELDS; f++)
		if (op->fields >> f & 1)
			put(w, (const char *)&node->n + graph_fields[f].offset,
			    graph_fields[f].count * 4u);
}

/* Records in the order of tensors' numbers, which the loader gives again. */
static void write_records(struct writer *w, const struct sili_graph *g)
{
	uint64_t at = 0;
	uint32_t node = 0;

	for (uint32_t i = 1; i < g->num_tensors; i++) {
		const struct graph_tensor *t = &g->tensor[i];

		if (t->role == GRAPH_INPUT) {
			put_record(w, RECORD_INPUT, t->name, SHAPE_WORDS);
			put_shape(w, t);
		} else if (t->role == GRAPH_WEIGHT) {
			put_record(w, RECORD_WEIGHT, t->name, SHAPE_WORDS + 4);
			put_shape(w, t);
			put_u64(w, at);
			put_u64(w, graph_bytes(t));
			at += sili_align(graph_bytes(t), DATA_ALIGN);
		} else if (node < g->num_nodes && g->node[node].out[0] == i) {
			write_node(w, &g->node[node++]);
		}
	}
	for (uint32_t i = 0; i < g->num_outputs; i++) {
		put_record(w, RECORD_OUTPUT, g->output[i].name, 2);
		put_u32(w, g->output[i].tensor);
		put_u32(w, g->output[i].fmt);
	}
}

static void write_data(struct writer *w, const struct sili_graph *g)
{
	static const char zero[DATA_ALIGN];

	for (uint32_t i = 1; i < g->num_tensors; i++) {
		const struct graph_tensor *t = &g->tensor[i];

		if (t->role != GRAPH_WEIGHT)
			continue;
		put(w, t->data, graph_bytes(t));
		put(w, zero, sili_align(graph_bytes(t), DATA_ALIGN) - graph_bytes(t));
	}
}

static void begin_section(struct writer *w, struct file_section *s, enum section_type type)
{
	pad(w);
	s->type = type;
	s->offset = w->at;
	w->records = 0;
	x1_sha256_init(&w->sha);
}

static void end_section(struct writer *w, struct file_section *s)
{
	s->records = w->records;
	s->bytes = w->at - s->offset;
	x1_sha256_final(&w->sha, s->digest);
}

static void head_digest(const struct file_head *head, uint8_t digest[DIGEST_BYTES])
{
	struct file_head copy = *head;
	struct x1_sha256 sha;

	memset(copy.h.digest, 0, sizeof(copy.h.digest));
	x1_sha256_init(&sha);
	x1_sha256_update(&sha, &copy, sizeof(copy));
	x1_sha256_final(&sha, digest);
}

/* All but the head's contents, which are in *head then. */
static void write_body(const struct sili_graph *g, FILE *f, struct file_head *head)
{
	struct writer w = {.f = f};

	*head = (struct file_head){.h = {.version = FILE_VERSION, .sections = FILE_SECTIONS}};
	memcpy(head->h.magic, FILE_MAGIC, sizeof(head->h.magic));
	put(&w, head, sizeof(*head));
	begin_section(&w, &head->s[0], SECTION_GRAPH);
	write_records(&w, g);
	end_section(&w, &head->s[0]);
	begin_section(&w, &head->s[1], SECTION_DATA);
	write_data(&w, g);
	end_section(&w, &head->s[1]);
	head->h.bytes = w.at;
	head_digest(head, head->h.digest);
}

SILI_EXPORT int sili_graph_save(const struct sili_graph *g, const char *path, char *err,
				size_t err_len)
{
	struct file_head head;
	FILE *f;
	int ret = 0;

	if (g->code)
		return sili_fail(err, err_len, -EINVAL, "%s: %s", path, g->error);
	f = fopen(path, "wb");
	if (!f)
		return sili_fail(err, err_len, -errno, "%s: %s", path, strerror(errno));
	errno = 0;
	write_body(g, f, &head);
	if (fseek(f, 0, SEEK_SET) || fwrite(&head, sizeof(head), 1, f) != 1 || ferror(f))
		ret = errno ? -errno : -EIO;
	if (fclose(f) && !ret)
		ret = -errno;
	return ret ? sili_fail(err, err_len, ret, "%s: %s", path, strerror(-ret)) : 0;
}

SILI_EXPORT int sili_graph_pack(const struct sili_graph *g, void **data, size_t *bytes)
{
	struct file_head head;
	char *mem = NULL;
	bool bad;
	FILE *f;

	*data = NULL;
	*bytes = 0;
	if (g->code)
		return -EINVAL;
	f = open_memstream(&mem, bytes);
	if (!f)
		return -ENOMEM;
	write_body(g, f, &head);
	bad = ferror(f);
	if (fclose(f) || bad) {
		free(mem);
		return -ENOMEM;
	}
	memcpy(mem, &head, sizeof(head));
	*data = mem;
	return 0;
}

/* ---- reading ---- */

struct reader {
	const uint8_t *p;
	uint64_t left;
	uint8_t *data; /* the section of weights */
	uint64_t data_bytes, data_at;
	char *err;
	size_t err_len;
};

static int bad(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int bad(struct reader *r, const char *fmt, ...)
{
	va_list ap;

	if (r->err && r->err_len) {
		va_start(ap, fmt);
		vsnprintf(r->err, r->err_len, fmt, ap);
		va_end(ap);
	}
	return -EBADMSG;
}

static bool take(struct reader *r, void *dst, size_t bytes)
{
	if (r->left < bytes)
		return false;
	memcpy(dst, r->p, bytes);
	r->p += bytes;
	r->left -= bytes;
	return true;
}

static bool digest_is(const void *data, uint64_t bytes, const uint8_t want[DIGEST_BYTES])
{
	uint8_t digest[DIGEST_BYTES];
	struct x1_sha256 sha;

	x1_sha256_init(&sha);
	x1_sha256_update(&sha, data, bytes);
	x1_sha256_final(&sha, digest);
	return !memcmp(digest, want, sizeof(digest));
}

static bool zeros(const void *data, uint64_t bytes)
{
	const uint8_t *p = data;

	for (uint64_t i = 0; i < bytes; i++)
		if (p[i])
			return false;
	return true;
}

static int check_head(struct reader *r, const struct file_head *head, uint64_t bytes)
{
	uint8_t digest[DIGEST_BYTES];

	if (memcmp(head->h.magic, FILE_MAGIC, sizeof(head->h.magic)))
		return bad(r, "no .sili file: the magic is wrong");
	if (head->h.version != FILE_VERSION) {
		bad(r, "header: version %u, this library reads %u", head->h.version, FILE_VERSION);
		return -ENOTSUP;
	}
	if (head->h.bytes != bytes)
		return bad(r, "header: the file says %" PRIu64 " bytes and has %" PRIu64,
			   head->h.bytes, bytes);
	if (head->h.sections != FILE_SECTIONS || head->h.reserved)
		return bad(r, "header: %u sections, not %u, or reserved bytes are set",
			   head->h.sections, FILE_SECTIONS);
	head_digest(head, digest);
	if (memcmp(digest, head->h.digest, sizeof(digest)))
		return bad(r, "header: checksum is wrong");
	return 0;
}

static int check_section(struct reader *r, const struct file_head *head, uint32_t i,
			 const uint8_t *file)
{
	const struct file_section *s = &head->s[i];
	uint64_t from = i ? head->s[i - 1].offset + head->s[i - 1].bytes : sizeof(*head);

	if (s->type != (i ? SECTION_DATA : SECTION_GRAPH) || s->reserved)
		return bad(r, "section %u: type %u is unknown, or reserved bytes are set", i,
			   s->type);
	/* One after the other up to the end, zeros between them. */
	if (s->offset != sili_align(from, DATA_ALIGN) || s->offset > head->h.bytes ||
	    s->bytes > head->h.bytes - s->offset ||
	    (i + 1 == FILE_SECTIONS && s->offset + s->bytes != head->h.bytes))
		return bad(r, "section %u: offset %" PRIu64 ", %" PRIu64 " bytes: not its place", i,
			   s->offset, s->bytes);
	if (!zeros(file + from, s->offset - from))
		return bad(r, "section %u: bytes before it are not 0", i);
	if (!digest_is(file + s->offset, s->bytes, s->digest))
		return bad(r, "section %u: checksum is wrong", i);
	return 0;
}

/* ---- records ---- */

/* A record that ends too early; what it says is not looked at. */
#define CUT_OFF 1

struct shape {
	uint32_t fmt, rank, dim[SILI_MAX_RANK];
};

_Static_assert(sizeof(struct shape) == SHAPE_WORDS * 4, "no padding");

static int read_input(struct sili_graph *g, struct reader *r, const struct record *rec)
{
	struct shape s;

	if (!take(r, &s, sizeof(s)))
		return CUT_OFF;
	sili_graph_input(g, rec->name, (enum x1_format)s.fmt, s.rank, s.dim);
	return 0;
}

static int read_weight(struct sili_graph *g, struct reader *r, const struct record *rec)
{
	uint64_t where[2], room;
	struct shape s;
	uint32_t id;

	if (!take(r, &s, sizeof(s)) || !take(r, where, sizeof(where)))
		return CUT_OFF;
	id = graph_new_tensor(g, rec->name, GRAPH_WEIGHT, (enum x1_format)s.fmt, s.rank, s.dim);
	if (!id)
		return 0;
	/* One after the other; zeros fill them up. */
	room = sili_align(where[1], DATA_ALIGN);
	if (where[0] != r->data_at || where[1] != graph_bytes(&g->tensor[id]) ||
	    room > r->data_bytes - where[0] ||
	    !zeros(r->data + where[0] + where[1], room - where[1]))
		return bad(r, "weight '%s': offset %" PRIu64 ", %" PRIu64 " bytes: not its data",
			   rec->name, where[0], where[1]);
	r->data_at += room;
	g->tensor[id].data = r->data + where[0];
	return 0;
}

static int read_node(struct sili_graph *g, struct reader *r, const struct record *rec)
{
	struct sili_node n = {.size = sizeof(n), .name = rec->name};
	const struct graph_op *op;
	uint32_t code;

	if (!take(r, &code, 4) || !take(r, &n.precision, 4) || !take(r, n.in, sizeof(n.in)))
		return CUT_OFF;
	n.op = (enum sili_op)code;
	op = graph_op(n.op);
	for (uint32_t f = 0; op && f < GRAPH_FIELDS; f++)
		if (op->fields >> f & 1 &&
		    !take(r, (char *)&n + graph_fields[f].offset, graph_fields[f].count * 4u))
			return CUT_OFF;
	sili_graph_add(g, &n);
	return 0;
}

static int read_output(struct sili_graph *g, struct reader *r, const struct record *rec)
{
	uint32_t v[2];

	if (!take(r, v, sizeof(v)))
		return CUT_OFF;
	sili_graph_output(g, v[0], rec->name, (enum x1_format)v[1]);
	return 0;
}

static int read_record(struct sili_graph *g, struct reader *all, uint32_t i)
{
	struct reader r = *all;
	struct record rec;
	size_t len;
	int ret = 0;

	if (!take(&r, &rec, sizeof(rec)) || rec.bytes < sizeof(rec) || rec.bytes > all->left)
		return bad(all, "record %u: is cut off", i);
	len = strnlen(rec.name, sizeof(rec.name));
	if (len == sizeof(rec.name) || !zeros(rec.name + len, sizeof(rec.name) - len))
		return bad(all, "record %u: name: has no end", i);
	r.left = rec.bytes - sizeof(rec);
	all->p += rec.bytes;
	all->left -= rec.bytes;
	switch (rec.kind) {
	case RECORD_INPUT:
		ret = read_input(g, &r, &rec);
		break;
	case RECORD_WEIGHT:
		ret = read_weight(g, &r, &rec);
		break;
	case RECORD_NODE:
		ret = read_node(g, &r, &rec);
		break;
	case RECORD_OUTPUT:
		ret = read_output(g, &r, &rec);
		break;
	default:
		return bad(all, "record %u: kind %u is unknown", i, rec.kind);
	}
	if (!ret && g->code) {
		bad(all, "record %u: %s", i, g->error);
		return g->code == -ENOMEM ? -ENOMEM : -EBADMSG;
	}
	all->data_at = r.data_at;
	if (ret == CUT_OFF || (!ret && r.left))
		return bad(all, "record %u ('%s'): its length %u is not right", i, rec.name,
			   rec.bytes);
	return ret;
}

/* image is the file, which the graph owns from now on. */
static int unpack(struct sili_graph *g, uint8_t *image, uint64_t bytes, char *err, size_t err_len)
{
	struct reader r = {.err = err, .err_len = err_len};
	struct file_head head;
	int ret;

	g->image = image;
	if (bytes < sizeof(head))
		return bad(&r, "no .sili file: %" PRIu64 " bytes, the header has %zu", bytes,
			   sizeof(head));
	memcpy(&head, image, sizeof(head));
	ret = check_head(&r, &head, bytes);
	for (uint32_t i = 0; i < FILE_SECTIONS && !ret; i++)
		ret = check_section(&r, &head, i, image);
	if (ret)
		return ret;
	r.p = image + head.s[0].offset;
	r.left = head.s[0].bytes;
	r.data = image + head.s[1].offset;
	r.data_bytes = head.s[1].bytes;
	for (uint32_t i = 0; i < head.s[0].records && !ret; i++)
		ret = read_record(g, &r, i);
	if (!ret && (r.left || r.data_at != r.data_bytes))
		return bad(&r,
			   "%" PRIu64 " bytes after the last record, %" PRIu64
			   " after the last weight",
			   r.left, r.data_bytes - r.data_at);
	if (!ret && sili_graph_check(g))
		return bad(&r, "%s", g->error);
	return ret;
}

/* Takes image. */
static int unpack_new(struct sili_graph **out, uint8_t *image, uint64_t bytes, char *err,
		      size_t err_len)
{
	struct sili_graph *g = sili_graph_new();
	int ret;

	*out = NULL;
	if (!g) {
		free(image);
		return sili_fail(err, err_len, -ENOMEM, "out of memory");
	}
	ret = unpack(g, image, bytes, err, err_len);
	if (ret)
		sili_graph_free(g);
	else
		*out = g;
	return ret;
}

SILI_EXPORT int sili_graph_unpack(struct sili_graph **graph, const void *data, size_t bytes,
				  char *err, size_t err_len)
{
	uint8_t *image = malloc(bytes ? bytes : 1);

	*graph = NULL;
	if (!image)
		return sili_fail(err, err_len, -ENOMEM, "out of memory");
	if (bytes)
		memcpy(image, data, bytes);
	return unpack_new(graph, image, bytes, err, err_len);
}

static int read_file(const char *path, uint8_t **image, uint64_t *bytes)
{
	FILE *f = fopen(path, "rb");
	long size;
	int ret = 0;

	*image = NULL;
	if (!f)
		return -errno;
	if (fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET)) {
		ret = -errno;
	} else {
		*bytes = (uint64_t)size;
		*image = malloc(*bytes ? *bytes : 1);
		if (!*image)
			ret = -ENOMEM;
		else if (fread(*image, 1, *bytes, f) != *bytes)
			ret = -EIO;
	}
	fclose(f);
	if (ret)
		free(*image);
	return ret;
}

SILI_EXPORT int sili_graph_load(struct sili_graph **graph, const char *path, char *err,
				size_t err_len)
{
	char why[GRAPH_ERROR_LEN] = "";
	uint64_t bytes = 0;
	uint8_t *image;
	int ret;

	*graph = NULL;
	ret = read_file(path, &image, &bytes);
	if (ret)
		return sili_fail(err, err_len, ret, "%s: %s", path, strerror(-ret));
	ret = unpack_new(graph, image, bytes, why, sizeof(why));
	return ret ? sili_fail(err, err_len, ret, "%s: %s", path, why) : 0;
}
