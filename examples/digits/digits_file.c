// SPDX-License-Identifier: MIT
/* The two files (see train.py for their layout), checked before use. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "digits.h"

#define MAX_FILE  (64u << 20)
#define MAX_WIDTH 65536u

struct header {
	char magic[4];
	uint32_t version, count, crc;
};

/* Whole file with a checked header; *body and *bytes are what follows it. */
static void *load(const char *path, const char *magic, struct header *head, const uint8_t **body,
		  size_t *bytes, char *err, size_t err_len)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	struct stat st;

	if (!f || fstat(fileno(f), &st)) {
		snprintf(err, err_len, "%s: %s", path, strerror(errno));
		goto fail;
	}
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(*head) || st.st_size > MAX_FILE) {
		snprintf(err, err_len, "%s: %lld bytes, expected %zu to %u", path,
			 (long long)st.st_size, sizeof(*head), MAX_FILE);
		goto fail;
	}
	data = malloc((size_t)st.st_size);
	if (!data || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		snprintf(err, err_len, "%s: %s", path, data ? "cannot be read" : "out of memory");
		goto fail;
	}
	memcpy(head, data, sizeof(*head));
	*body = data + sizeof(*head);
	*bytes = (size_t)st.st_size - sizeof(*head);
	if (memcmp(head->magic, magic, 4) || head->version != 1) {
		snprintf(err, err_len, "%s: not a version 1 file of kind %.4s", path, magic);
		goto fail;
	}
	if (crc32(0, *body, (uInt)*bytes) != head->crc) {
		snprintf(err, err_len, "%s: cut short or damaged (CRC differs)", path);
		goto fail;
	}
	fclose(f);
	return data;
fail:
	free(data);
	if (f)
		fclose(f);
	return NULL;
}

static int bad(char *err, size_t err_len, const char *path, const char *what)
{
	snprintf(err, err_len, "%s: %s", path, what);
	return -1;
}

int digits_load_model(struct digits_model *m, const char *path, char *err, size_t err_len)
{
	const uint8_t *body;
	struct header head;
	size_t bytes, want;
	float *at;

	memset(m, 0, sizeof(*m));
	m->file = load(path, "X1DM", &head, &body, &bytes, err, err_len);
	if (!m->file)
		return -1;
	m->layers = head.count;
	want = 8ull * m->layers;
	if (!m->layers || m->layers > DIGITS_MAX_LAYERS || bytes < want) {
		digits_free_model(m);
		return bad(err, err_len, path, "number of layers out of range");
	}
	for (uint32_t i = 0; i < m->layers; i++) {
		memcpy(&m->inputs[i], body + 8 * i, 4);
		memcpy(&m->outputs[i], body + 8 * i + 4, 4);
		if (!m->inputs[i] || m->inputs[i] > MAX_WIDTH || !m->outputs[i] ||
		    m->outputs[i] > MAX_WIDTH || (i && m->inputs[i] != m->outputs[i - 1])) {
			digits_free_model(m);
			return bad(err, err_len, path, "layer widths do not match");
		}
		want += 4ull * m->outputs[i] * (m->inputs[i] + 1ull);
	}
	if (m->inputs[0] != DIGITS_PIXELS || m->outputs[m->layers - 1] != DIGITS_CLASSES ||
	    bytes != want) {
		digits_free_model(m);
		return bad(err, err_len, path, "size does not match the layers");
	}
	/* 16 + 8 n bytes: the floats are aligned. */
	at = (float *)(body + 8ull * m->layers);
	for (uint32_t i = 0; i < m->layers; i++) {
		m->weights[i] = at;
		m->bias[i] = at + (size_t)m->outputs[i] * m->inputs[i];
		at = m->bias[i] + m->outputs[i];
	}
	return 0;
}

int digits_load_set(struct digits_set *s, const char *path, char *err, size_t err_len)
{
	const uint8_t *body;
	struct header head;
	size_t bytes;

	memset(s, 0, sizeof(*s));
	s->file = load(path, "X1DT", &head, &body, &bytes, err, err_len);
	if (!s->file)
		return -1;
	s->images = head.count;
	s->pixels = body;
	s->labels = body + (size_t)s->images * DIGITS_PIXELS;
	if (!s->images || bytes != (size_t)s->images * (DIGITS_PIXELS + 1)) {
		digits_free_set(s);
		return bad(err, err_len, path, "size does not match the number of images");
	}
	for (uint32_t i = 0; i < s->images; i++) {
		if (s->labels[i] >= DIGITS_CLASSES) {
			digits_free_set(s);
			return bad(err, err_len, path, "label out of range");
		}
	}
	return 0;
}

void digits_free_model(struct digits_model *model)
{
	free(model->file);
	memset(model, 0, sizeof(*model));
}

void digits_free_set(struct digits_set *set)
{
	free(set->file);
	memset(set, 0, sizeof(*set));
}
