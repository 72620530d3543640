// SPDX-License-Identifier: MIT
/*
 * Half of a product on each of two devices, named by the arguments or else the
 * first two cards. B goes to both, A and C are split by rows; the whole has the
 * bits that one device would give.
 */
#include <err.h>
#include <stdio.h>
#include <string.h>

#include <sili.h>

#define M 128u
#define N 256u
#define K 512u

struct half {
	struct sili_device *dev;
	struct sili_queue *queue;
	struct sili_bo *a, *b, *c;
	struct sili_fence *fence;
};

static struct sili_bo *upload(struct sili_device *dev, const float *src, size_t n)
{
	struct sili_bo *bo;

	if (sili_bo_new(dev, sili_format_bytes(X1_FMT_BF16, n), SILI_HBM, 0, &bo) ||
	    !sili_bo_map(bo))
		errx(1, "out of memory");
	sili_from_f32(X1_FMT_BF16, src, sili_bo_map(bo), n);
	return bo;
}

/* Begin rows of A times B; others may begin theirs meanwhile. */
static void begin(struct half *h, const char *spec, const float *a, uint32_t rows, const float *b)
{
	struct sili_gemm g = {.size = sizeof(g), .m = rows, .n = N, .k = K};
	union x1_cmd cmd;
	char why[256];
	int ret;

	if (sili_open(&h->dev, spec, why, sizeof(why)))
		errx(1, "%s", why);
	if (sili_queue_new(h->dev, NULL, &h->queue) ||
	    sili_bo_new(h->dev, rows * N * sizeof(float), SILI_HBM, 0, &h->c))
		errx(1, "%s: out of memory", spec);
	h->a = upload(h->dev, a, (size_t)rows * K);
	h->b = upload(h->dev, b, (size_t)N * K);
	g.a_fmt = g.b_fmt = X1_FMT_BF16;
	g.c_fmt = X1_FMT_FP32;
	g.a = sili_bo_dva(h->a);
	g.b = sili_bo_dva(h->b);
	g.c = sili_bo_dva(h->c);
	ret = sili_gemm(h->dev, &g, &cmd, 1, NULL);
	if (ret > 0)
		ret = sili_submit(h->queue, &cmd, 1, &h->fence);
	if (ret)
		errx(1, "%s: %s", spec, strerror(-ret));
}

static void end(struct half *h, float *c, uint32_t rows)
{
	int ret = sili_fence_wait(h->fence, -1);

	if (ret)
		errx(1, "%s", strerror(-ret));
	if (!sili_bo_map(h->c))
		errx(1, "out of memory");
	memcpy(c, sili_bo_map(h->c), rows * N * sizeof(float));
	sili_fence_free(h->fence);
	sili_bo_free(h->a);
	sili_bo_free(h->b);
	sili_bo_free(h->c);
	sili_queue_free(h->queue);
	sili_close(h->dev);
}

int main(int argc, char **argv)
{
	static float a[M * K], b[N * K], both[M * N], one[M * N];
	const char *first = argc > 1 ? argv[1] : "/dev/sili0";
	const char *second = argc > 2 ? argv[2] : "/dev/sili1";
	struct half h[2];
	uint32_t seed = 1;

	for (size_t i = 0; i < M * K; i++)
		a[i] = (float)(int)((seed = seed * 1664525u + 1013904223u) >> 24) / 128 - 1;
	for (size_t i = 0; i < N * K; i++)
		b[i] = (float)(int)((seed = seed * 1664525u + 1013904223u) >> 24) / 128 - 1;
	begin(&h[0], first, a, M / 2, b);
	begin(&h[1], second, a + M / 2 * K, M / 2, b);
	end(&h[0], both, M / 2);
	end(&h[1], both + M / 2 * N, M / 2);
	begin(&h[0], first, a, M, b);
	end(&h[0], one, M);
	if (memcmp(both, one, sizeof(one))) {
		printf("two devices give other bits than one\n");
		return 1;
	}
	printf("two devices give the bits of one\n");
	return 0;
}
