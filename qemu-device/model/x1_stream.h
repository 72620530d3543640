/* SPDX-License-Identifier: MIT */
/*
 * A flat stream of bytes for saved state: what is put in order is got in the
 * same order. Reading never trusts the bytes: a value that is out of range, or
 * more than there is, makes the stream bad; from then on everything reads as
 * zero, so that loaders check once at the end of a part.
 */
#ifndef X1_STREAM_H
#define X1_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct x1_out {
	uint8_t *buf;
	size_t len, cap;
	bool failed; /* out of memory */
};

struct x1_in {
	const uint8_t *p;
	size_t left;
	const char *bad; /* the first thing that was wrong, NULL = none */
};

static inline void x1_put(struct x1_out *o, const void *data, size_t n)
{
	if (o->failed)
		return;
	if (n > o->cap - o->len) {
		size_t cap = o->cap ? o->cap * 2 : 65536;
		uint8_t *bigger;

		while (cap - o->len < n)
			cap *= 2;
		bigger = realloc(o->buf, cap);
		if (!bigger) {
			o->failed = true;
			return;
		}
		o->buf = bigger;
		o->cap = cap;
	}
	if (n)
		memcpy(o->buf + o->len, data, n);
	o->len += n;
}

static inline void x1_put_u64(struct x1_out *o, uint64_t v)
{
	x1_put(o, &v, sizeof(v));
}

static inline void x1_put_u32(struct x1_out *o, uint32_t v)
{
	x1_put(o, &v, sizeof(v));
}

/* Always false, so that checks can return it. */
static inline bool x1_in_bad(struct x1_in *in, const char *what)
{
	if (!in->bad)
		in->bad = what;
	in->left = 0;
	return false;
}

static inline bool x1_get(struct x1_in *in, void *data, size_t n)
{
	if (n > in->left || in->bad) {
		memset(data, 0, n);
		return x1_in_bad(in, "truncated");
	}
	if (n)
		memcpy(data, in->p, n);
	in->p += n;
	in->left -= n;
	return true;
}

static inline uint64_t x1_get_u64(struct x1_in *in)
{
	uint64_t v;

	x1_get(in, &v, sizeof(v));
	return v;
}

static inline uint32_t x1_get_u32(struct x1_in *in)
{
	uint32_t v;

	x1_get(in, &v, sizeof(v));
	return v;
}

/* A value up to max; what names it. */
static inline uint32_t x1_get_max(struct x1_in *in, uint32_t max, const char *what)
{
	uint32_t v = x1_get_u32(in);

	if (v <= max)
		return v;
	x1_in_bad(in, what);
	return 0;
}

static inline bool x1_get_bool(struct x1_in *in)
{
	return x1_get_max(in, 1, "flag");
}

/* Bytes that may be mostly zero: 4 KiB pages that are all zero cost a bit. */
#define X1_SPARSE_PAGE 4096u

static inline void x1_put_sparse(struct x1_out *o, const uint8_t *data, size_t n)
{
	for (size_t at = 0; at < n; at += X1_SPARSE_PAGE) {
		size_t len = n - at < X1_SPARSE_PAGE ? n - at : X1_SPARSE_PAGE;
		bool zero = !data[at] && !memcmp(data + at, data + at + 1, len - 1);

		x1_put_u32(o, !zero);
		if (!zero)
			x1_put(o, data + at, len);
	}
}

/* Into memory that is zero already. */
static inline void x1_get_sparse(struct x1_in *in, uint8_t *data, size_t n)
{
	for (size_t at = 0; at < n && !in->bad; at += X1_SPARSE_PAGE) {
		size_t len = n - at < X1_SPARSE_PAGE ? n - at : X1_SPARSE_PAGE;

		if (x1_get_bool(in))
			x1_get(in, data + at, len);
	}
}

/* Parts begin with a tag, so that two versions do not misread each other for long. */
static inline void x1_get_tag(struct x1_in *in, uint32_t tag, const char *what)
{
	if (x1_get_u32(in) != tag)
		x1_in_bad(in, what);
}

#define X1_TAG(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

#endif /* X1_STREAM_H */
