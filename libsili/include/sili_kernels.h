/* SPDX-License-Identifier: MIT */
/*
 * libsili: families of kernels beyond sili_gemm().
 *
 * All work as sili_gemm() does. A request is a struct with its own size in
 * `size`, device addresses (DVA), formats and shapes; zero is the default of
 * every field that has one. The call appends commands to cmds, which has room
 * for max, and returns how many, or -errno; nothing has been appended then.
 * Programs are generated once per shape and kept with the device; addresses
 * are arguments. A kernel that needs workspace has a field for its DVA and a
 * function that says how many bytes. Strides are bytes, 0 = dense.
 *
 * Errors of all: -EINVAL (size, shape, format, stride), -E2BIG (nothing fits
 * the MCU, or beyond a limit of the device), -ENOMEM, -ENOSPC (max).
 *
 * Unless a family says otherwise, results follow docs/manual/numerics.md to
 * the bit and depend on the request alone: not on the number of MCUs, nor on
 * the tiles that the cost model chooses.
 */
#ifndef SILI_KERNELS_H
#define SILI_KERNELS_H

#include <sili.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- convolution -------------------------------------------------------- */

/*
 * y[i][oy][ox][k] = out_scale * act(s * sum + bias[k] + residual), in y_fmt,
 * with s = col_scale[k] * scale and sum over the taps r, s and channels c of
 *   x[i][oy * stride_h + r * dil_h - pad_top][ox * stride_w + s * dil_w - pad_left][c]
 *   * w[k][r][s][c];
 * x outside of the image is 0. A 1-D convolution has h = r = 1.
 *
 * x is NHWC, w is KRSC and dense; with groups > 1, filters
 * [g * k / groups, (g + 1) * k / groups) read the g-th part of the channels,
 * and w has c / groups channels. Transposed: x's pixel (iy, ix) adds
 * x * w[k][r][s] to y's pixel (iy * stride_h + r * dil_h - pad_top,
 * ix * stride_w + s * dil_w - pad_left); each pixel of y needs a tap at least.
 *
 * Order of the sum: the accumulate rule with the taps as runs of k, in rising
 * r, then s, then c. Every run starts on a multiple of 32 of k. A run is the
 * c / groups channels of a tap; where s > 1, dil_w is 1, c / groups is 16 or
 * less and the filter has at most 64 KiB, not transposed, it is a row of taps,
 * s * c / groups long. Depthwise (groups = c = k): sum = fma(x, w, sum) from
 * +0, taps in rising order, and INT32 for integers.
 *
 * Formats: those of MATRIX without block scales and sparsity, x and w both
 * integers or neither; rows of c / groups elements are whole bytes. Addresses
 * of formats of 16 and 32 bits need no alignment.
 */
struct sili_conv {
	uint32_t size; /* sizeof(struct sili_conv) */
	uint32_t n, h, w, c;
	uint32_t k, r, s;
	uint32_t stride_h, stride_w, dil_h, dil_w; /* 0 = 1 */
	uint32_t pad_top, pad_left, pad_bottom, pad_right;
	uint32_t groups; /* 0 = 1 */
	bool transposed;
	uint32_t out_pad_h, out_pad_w; /* transposed: rows and columns added to y */
	enum x1_format x_fmt, w_fmt, y_fmt;
	uint64_t x, weights, y;                                /* DVA */
	uint64_t x_pixel, x_row, x_image;                      /* strides, 0 = dense */
	uint64_t y_pixel, y_row, y_image;                      /* strides, 0 = dense */
	uint64_t bias;                                         /* k FP32 values, or 0 */
	uint64_t col_scale;                                    /* k FP32 values, or 0 */
	uint64_t residual;                                     /* of y's shape, or 0 */
	uint64_t residual_pixel, residual_row, residual_image; /* strides, 0 = dense */
	enum x1_format residual_fmt;
	enum sili_act act;
	float scale, out_scale; /* 0 = 1 */
	enum sili_prefetch prefetch;
	struct {
		uint64_t dva, bytes;
	} ahead[2]; /* as sili_gemm's; only where MATRIX computes */
};

/* What was chosen; of the last launch where there are several. */
struct sili_conv_plan {
	uint32_t launches;
	bool vector;                         /* on VECTOR: depthwise */
	bool window;                         /* a tile's part of x is loaded once for all taps */
	uint32_t tile_n, tile_h, tile_w;     /* images, rows, columns of y */
	uint32_t tile_k;                     /* filters */
	uint32_t chunk, stages, work_groups; /* of the sum's k; of LOAD */
	uint64_t cycles;                     /* expected, of all launches */
	uint64_t roofline;                   /* true multiplications at peak, or bytes */
	uint32_t split_k, split_k_step;      /* as sili_gemm_plan's; transposed: 1 */
};

/* Height and width of y. -EINVAL: the filter is larger than the padded image. */
int sili_conv_shape(const struct sili_conv *conv, uint32_t *oh, uint32_t *ow);

/* Transposed: stride_h * stride_w launches at most, else one. */
int sili_conv(struct sili_device *dev, const struct sili_conv *conv, union x1_cmd *cmds,
	      uint32_t max, struct sili_conv_plan *plan);

/* ---- pooling ------------------------------------------------------------ */

enum sili_pool_op {
	SILI_POOL_MAX = 0, /* NaN wins */
	SILI_POOL_AVG,     /* over the pixels inside of the image */
	SILI_POOL_AVG_PAD, /* over r * s: padding counts as zeros */
};

/*
 * y[i][oy][ox][c] over windows of r x s, in y_fmt; r = s = 0: the whole image.
 * MAX is exact. AVG adds in FP32 (the first of the window starts the sum, then
 * rising r, s; padding adds +0), divides once, and multiplies by out_scale.
 * Padding is smaller than the window. Any formats of 4 bits and more but E8M0;
 * a pixel's channels are whole bytes.
 */
struct sili_pool {
	uint32_t size; /* sizeof(struct sili_pool) */
	enum sili_pool_op op;
	uint32_t n, h, w, c;
	uint32_t r, s;
	uint32_t stride_h, stride_w; /* 0 = 1 */
	uint32_t pad_top, pad_left, pad_bottom, pad_right;
	enum x1_format x_fmt, y_fmt;
	uint64_t x, y;                    /* DVA */
	uint64_t x_pixel, x_row, x_image; /* strides, 0 = dense */
	uint64_t y_pixel, y_row, y_image; /* strides, 0 = dense */
	float out_scale;                  /* 0 = 1 */
};

int sili_pool(struct sili_device *dev, const struct sili_pool *pool, union x1_cmd *cmds,
	      uint32_t max);

/* ---- attention ---------------------------------------------------------- */

/*
 * o = out_scale * softmax(scale * q·kᵀ + bias) · v, for each batch and head.
 *
 * q is q_len tokens of heads, k and v are kv_len tokens of kv_heads, which
 * divides heads: heads [g * heads / kv_heads, ...) read the g-th. Each operand
 * lies as [batch][token][head][dim] unless its strides say otherwise; k and v
 * have dim up to 576, v_dim up to 512. With a latent cache (MLA) kv_heads is 1
 * and v is the first v_dim elements of k's rows: where v and its strides equal
 * k's, a row is read once.
 *
 * Token t of q stands at kv_len - q_len + t. causal: it sees keys up to its
 * own place; window: the last `window` of those. Keys that are not seen have
 * no influence, but their v has to be finite. bias: q_len rows of kv_len, per
 * head and batch where bias_head and bias_batch are not 0; -Inf hides a key.
 *
 * Formats of q, k, v: BF16, FP16, E4M3, E5M2; of o any but E8M0; of bias FP32,
 * BF16, FP16.
 *
 * In bits, up to the sign of zeros, for each row, with keys in blocks of 128
 * from key 0: s = q·kᵀ by the accumulate rule; x = scale * s, or fma(s, scale,
 * bias); M = max(M, scale * max s), or max x, from -1e20; p = EXPSUM(scale * s
 * - (M - c)) in v's format, c = ln 256 for E4M3, else 0; L = L * a + the sum
 * of p before conversion, and O = O * a + p·v, with a = EXP(M of before - M),
 * p·v as MATRIX adds it to O; o = O * (RECIP(L) * out_scale). Against the formula in
 * double precision the error is that of p's format: less than 2^-4 (E4M3) of
 * the largest |v|, 2^-9 (BF16), 2^-11 (FP16) beside that of o's format.
 */
struct sili_attention {
	uint32_t size;  /* sizeof(struct sili_attention) */
	uint32_t batch; /* 0 = 1 */
	uint32_t q_len, kv_len, heads;
	uint32_t kv_heads; /* 0 = heads */
	uint32_t dim;
	uint32_t v_dim; /* 0 = dim */
	enum x1_format q_fmt, k_fmt, v_fmt, o_fmt;
	uint64_t q, k, v, o;               /* DVA */
	uint64_t q_token, q_head, q_batch; /* strides, 0 = dense */
	uint64_t k_token, k_head, k_batch;
	uint64_t v_token, v_head, v_batch;
	uint64_t o_token, o_head, o_batch;
	bool causal;
	uint32_t window; /* 0 = all; with causal alone */
	uint64_t bias;   /* or 0 */
	enum x1_format bias_fmt;
	uint64_t bias_row;              /* stride, 0 = dense */
	uint64_t bias_head, bias_batch; /* strides, 0 = shared */
	float scale;                    /* above 0; 0 = 1 / sqrt(dim) */
	float out_scale;                /* 0 = 1 */
	enum sili_prefetch prefetch;
	uint64_t work; /* DVA of sili_attention_work_bytes(), or 0: keys are not split */
};

struct sili_attention_plan {
	uint32_t tile_tokens, tile_heads; /* rows of a work-group */
	uint32_t stages, score_buffers, work_groups;
	uint32_t parts, part_keys; /* of the keys; 1 where they are not split */
	uint64_t cycles;           /* expected, without that of adding up parts */
	uint64_t roofline;         /* products of the keys that are seen at peak, or bytes */
};

/*
 * Few rows and many keys (decoding) leave MCUs idle, so with workspace the keys
 * are split in parts, which are rows of their own up to M, L and O, and then
 * added up: M is the largest, w = EXP(M of the part - M), L = RSUM(L * w), and
 * O = fma(O of the part, w, O) from +0, parts in rising order. The parts follow
 * from the request; 0 bytes: it is not split. Not with a window, nor for more
 * than one causal token.
 */
int64_t sili_attention_work_bytes(const struct sili_attention *attention);

/*
 * One launch, or two where keys are split. kv_len is an argument of the kernel: a growing cache
 * needs no new program. -EINVAL also where kv_len is below q_len and causal is set.
 */
int sili_attention(struct sili_device *dev, const struct sili_attention *attention,
		   union x1_cmd *cmds, uint32_t max, struct sili_attention_plan *plan);

/* ---- softmax and normalisation ------------------------------------------ */

/*
 * dst[r] = softmax(scale * src[r] + mask[r % mask_rows]) along rows of cols.
 *
 * In FP32: m = max(x), e = exp(x - m), dst = e * (1 / sum(e)), converted. Sums
 * run as VECTOR's RSUM does, in parts of 16,384 columns; the error of a result
 * is below (4 + |x - m| / 2) * 2^-23 of it, plus its conversion; with a mask or
 * a negative scale x itself is rounded, which adds (|x| + |m|) / 2. A row of -inf
 * alone gives NaN. Any formats but E8M0, rows of whole bytes. Rows
 * beyond what the scratchpad holds (448 KiB for an FP32 and the elements of all
 * operands for each column: 57,344 columns of FP16) pass through memory in
 * five commands, with workspace. -E2BIG: 2^28 columns.
 */
struct sili_softmax {
	uint32_t size;
	uint32_t rows, cols;
	float scale; /* 0 = 1 */
	enum x1_format src_fmt, dst_fmt, mask_fmt;
	uint64_t src, dst; /* DVA; may be the same with one format and stride */
	uint64_t mask;     /* mask_rows rows that are added, or 0 */
	uint64_t src_stride, dst_stride, mask_stride;
	uint32_t mask_rows; /* divides rows; 0 = rows */
	uint64_t work;      /* sili_softmax_work_bytes(), which may be 0 */
	enum sili_prefetch prefetch;
};
int64_t sili_softmax_work_bytes(const struct sili_softmax *op);
int sili_softmax(struct sili_device *dev, const struct sili_softmax *op, union x1_cmd *cmds,
		 uint32_t max);

enum sili_norm_kind {
	SILI_NORM_LAYER = 0,
	SILI_NORM_RMS,
};

/*
 * x = src + residual, which is also stored as sum where that is given;
 * layer: dst = (x - mean(x)) / sqrt(var(x) + eps) * gamma + beta,
 * RMS:   dst = x / sqrt(mean(x * x) + eps) * gamma + beta.
 *
 * In FP32, with VECTOR's row sums in parts of 16,384 columns (mean first, then
 * the squares of what differs from it), then converted to dst_fmt; or block
 * quantised, for the GEMM that reads it: dst_scale_mode FP32 1x128, MX or
 * NVFP4 as sili_quantise() does, scales in rows dst_scale_stride apart. Error
 * below 2^-21 * (1 + max|x| / std) of the largest result of a row, plus the
 * conversion. Formats as of sili_softmax(); -E2BIG: rows beyond what
 * the scratchpad holds, 4 bytes for a column and those of all operands.
 */
struct sili_norm {
	uint32_t size;
	enum sili_norm_kind kind;
	uint32_t rows, cols;
	float eps;
	enum x1_format src_fmt, dst_fmt, residual_fmt, sum_fmt, param_fmt;
	uint64_t src, dst;
	uint64_t residual, sum; /* or 0 */
	uint64_t gamma, beta;   /* cols values in param_fmt, or 0 */
	uint64_t src_stride, dst_stride, residual_stride, sum_stride;
	enum x1_scale_mode dst_scale_mode;
	float dst_tensor; /* NVFP4: its scale per tensor, 0 = 1 */
	uint64_t dst_scales, dst_scale_stride;
	uint64_t copy; /* or 0: dst's values in copy_fmt as well, each rounded once */
	enum x1_format copy_fmt;
	uint64_t copy_stride;
	enum sili_prefetch prefetch;
};
int sili_norm(struct sili_device *dev, const struct sili_norm *op, union x1_cmd *cmds,
	      uint32_t max);

/*
 * Inference: f = gamma / sqrt(var + eps) per channel,
 * dst = act(fma(src, f, beta - mean * f) + residual).
 *
 * Dense tensors of batch x channels x pixels, or with channels_last of
 * batch x pixels x channels. Parameters are FP32, one per channel; gamma and
 * beta may be 0. All in FP32 and then converted: the error is below 2^-22 of
 * |src * f| + |mean * f| + |beta|, then act's and the conversion's. -E2BIG: channels_last
 * with more channels than the scratchpad holds (at least 8,192).
 */
struct sili_batch_norm {
	uint32_t size;
	uint32_t batch, channels, pixels;
	bool channels_last;
	enum sili_act act;
	float eps;
	enum x1_format src_fmt, dst_fmt, residual_fmt;
	uint64_t src, dst, residual; /* residual: or 0 */
	uint64_t mean, var, gamma, beta;
	enum sili_prefetch prefetch;
};
int sili_batch_norm(struct sili_device *dev, const struct sili_batch_norm *op, union x1_cmd *cmds,
		    uint32_t max);

/* ---- element-wise, reductions, rotary embedding ------------------------- */

/*
 * An operand of up to four dimensions. stride[0] is in elements, the others in
 * bytes; 0 repeats one element for all of the dimension. Formats below 8 bits
 * have dense rows (stride[0] 1) of whole bytes.
 */
struct sili_tensor {
	enum x1_format fmt;
	uint64_t dva;
	int64_t stride[4]; /* 0 .. 2^31 - 1 */
};

/*
 * dst = op(a[, b[, c]]) over dim[0] x .. x dim[3] (dim[0] fastest; unused ones
 * are 1), op as enum x1_vec_op from MOV to SELECT, with conversion. b or c with
 * dva 0 is the scalar. dst repeats nothing and overlaps no source, unless it is
 * the same tensor. Results are those of VECTOR, one rounding more where dst_fmt
 * is not FP32; a MOV moves bits where formats are equal.
 */
struct sili_map {
	uint32_t size;
	enum x1_vec_op op;
	uint32_t dim[4];
	struct sili_tensor dst, a, b, c;
	float b_scalar, c_scalar; /* rounded to INT32 where all formats are integers */
	enum sili_prefetch prefetch;
};
int sili_map(struct sili_device *dev, const struct sili_map *op, union x1_cmd *cmds, uint32_t max);

enum sili_reduce_op {
	SILI_REDUCE_SUM = 0,
	SILI_REDUCE_MEAN,
	SILI_REDUCE_MAX,
	SILI_REDUCE_MIN,
	SILI_REDUCE_AMAX,
	SILI_REDUCE_SUMSQ,
};

/*
 * Reduce each row, or each column, to one value.
 *
 * With `columns` dst is one row, else one column.
 *
 * In FP32, then converted; INT32 throughout where src and dst are integers and
 * there is one group. Rows are summed as RSUM does in groups of 16,384 columns,
 * columns in groups of 64 rows by halves (row i takes row i + 32, then + 16, ..);
 * what groups give is reduced the same way. The error of a sum is below
 * 2^-24 * (n / 64 + 8) (rows, n <= 16,384) or 2^-23 * (6 * log64(n) + 1)
 * (columns) of the sum of magnitudes. sili_reduce_work_bytes() is 0 with one
 * group, and -EINVAL as an int64_t for a bad request. Takes a command per level of groups.
 */
struct sili_reduce {
	uint32_t size;
	enum sili_reduce_op op;
	bool columns;
	uint32_t rows, cols;
	enum x1_format src_fmt, dst_fmt;
	uint64_t src, dst, src_stride;
	uint64_t work; /* DVA of sili_reduce_work_bytes() bytes */
	enum sili_prefetch prefetch;
};
int64_t sili_reduce_work_bytes(const struct sili_reduce *op);
int sili_reduce(struct sili_device *dev, const struct sili_reduce *op, union x1_cmd *cmds,
		uint32_t max);

/*
 * Rotary embedding of the first `rotate` elements of each head; pair i of token
 * t is (x[i], x[i + rotate / 2]), or with `interleaved` (x[2i], x[2i + 1]):
 * dst0 = x0 * cos - x1 * sin, dst1 = x0 * sin + x1 * cos.
 *
 * cos and sin: FP32 rows of rotate / 2 per token, table_stride apart. Or
 * computed on the device: the angle is freq[i] * positions[t], rounded to FP32
 * (rotate / 2 FP32, tokens INT32). In FP32, each product and sum rounded, then
 * converted: the error is below 2^-22 * (|x0| + |x1|), with computed tables
 * 2^-24 of the angle more. fmt has 8 bits or more. src may be dst; elements
 * beyond `rotate` are copied where it is not.
 */
struct sili_rope {
	uint32_t size;
	uint32_t tokens, heads, dim;
	uint32_t rotate; /* even; 0 = dim */
	bool interleaved;
	enum x1_format fmt;
	uint64_t src, dst;
	uint64_t token_stride, head_stride, dst_token_stride, dst_head_stride;
	uint64_t cos, sin, table_stride;
	uint64_t freq, positions;
	enum sili_prefetch prefetch;
};
int sili_rope(struct sili_device *dev, const struct sili_rope *op, union x1_cmd *cmds,
	      uint32_t max);

/* ---- rows by number ------------------------------------------------------ */

/*
 * Rows by number: gather, scatter, scatter-add.
 *
 * sili_gather() (embedding lookup): dst[r] = src[index[r]], src has `limit` rows.
 *
 * sili_scatter(): dst[index[r]] = src[r], dst has `limit` rows; numbers differ.
 *
 * sili_scatter_add(): dst[index[r]] += src[r], r rising, in FP32, converted once.
 *
 * index: rows INT32. Beyond 0 .. limit - 1 gather gives a row of zeros, the
 * others pass the row over. Gather and scatter move bits where formats are
 * equal. Scatter-add reads src once for each block of up to 512 rows of dst.
 */
struct sili_rows {
	uint32_t size;
	uint32_t rows, cols, limit;
	enum x1_format src_fmt, dst_fmt;
	uint64_t src, dst, index;
	uint64_t src_stride, dst_stride;
	enum sili_prefetch prefetch;
};
int sili_gather(struct sili_device *dev, const struct sili_rows *op, union x1_cmd *cmds,
		uint32_t max);
int sili_scatter(struct sili_device *dev, const struct sili_rows *op, union x1_cmd *cmds,
		 uint32_t max);
int sili_scatter_add(struct sili_device *dev, const struct sili_rows *op, union x1_cmd *cmds,
		     uint32_t max);

enum sili_bag_op {
	SILI_BAG_SUM = 0,
	SILI_BAG_MEAN,
	SILI_BAG_MAX,
};

/*
 * Embedding bag: dst[b] is the sum (of rows times weights), mean or maximum of
 * rows index[offsets[b]] .. index[offsets[b + 1] - 1] of a table of `limit`
 * rows; or of bag_size numbers for each bag, as sili_route() gives them. A
 * number out of range stands for a row of zeros; an empty bag is 0.
 *
 * Sums are FP32 in the order of the numbers, weights multiply before and round
 * once, the mean is the sum times 1 / n; then converted. The error is below
 * 2^-24 * (n + 2) of the sum of magnitudes. index: INT32; offsets: bags + 1
 * uint32, never falling; weights: one FP32 per number, with SUM alone.
 */
struct sili_bag {
	uint32_t size;
	enum sili_bag_op op;
	uint32_t bags, cols, limit;
	uint32_t bag_size; /* or offsets */
	enum x1_format table_fmt, dst_fmt;
	uint64_t table, dst, index;
	uint64_t offsets, weights; /* or 0 */
	uint64_t table_stride, dst_stride;
	enum sili_prefetch prefetch;
};
int sili_bag(struct sili_device *dev, const struct sili_bag *op, union x1_cmd *cmds, uint32_t max);

/* ---- shapes -------------------------------------------------------------- */

/*
 * dst dimension i is src dimension axis[i]; both dense, dim are those of src,
 * dimension 0 fastest; bits are moved. Transpose of a matrix: axis 1, 0, 2, 3.
 * Below 8 bits the dense dimensions of both are whole bytes.
 */
struct sili_permute {
	uint32_t size;
	enum x1_format fmt;
	uint32_t dim[4], axis[4];
	uint64_t src, dst;
	enum sili_prefetch prefetch;
};
int sili_permute(struct sili_device *dev, const struct sili_permute *op, union x1_cmd *cmds,
		 uint32_t max);

/* A border of `value` around a dense tensor; formats of 8 bits and more. */
struct sili_pad {
	uint32_t size;
	enum x1_format fmt;
	uint32_t dim[4], before[4], after[4];
	float value;
	uint64_t src, dst;
	enum sili_prefetch prefetch;
};
int sili_pad(struct sili_device *dev, const struct sili_pad *op, union x1_cmd *cmds, uint32_t max);

/*
 * Concatenate dense tensors along an axis, or split one: `num` parts, each with
 * dimensions dim but extent[i] along the axis. One COPY per part; parts are
 * whole bytes per row of the axis.
 */
struct sili_parts {
	uint32_t size;
	enum x1_format fmt;
	uint32_t num, axis;
	uint32_t dim[4];        /* dim[axis] is not looked at */
	const uint32_t *extent; /* num */
	const uint64_t *part;   /* num DVAs */
	uint64_t whole;
};
int sili_concat(struct sili_device *dev, const struct sili_parts *op, union x1_cmd *cmds,
		uint32_t max);
int sili_split(struct sili_device *dev, const struct sili_parts *op, union x1_cmd *cmds,
	       uint32_t max);

/*
 * Images of batch x height x width x channels to other sizes. Nearest: row
 * floor(i * from / to); linear: at (i + 0.5) * from / to - 0.5, clamped to the
 * image (bilinear); with align_corners at i * (from - 1) / (to - 1), nearest
 * rounds that half up. Height first, then width, with an FP32 image between
 * (linear): each is a + (b - a) * part, every operation rounded, the part to
 * FP32 too. The error is below 2^-21 of the largest of the four pixels, plus
 * the conversion; nearest moves bits where formats are equal. Two commands.
 */
struct sili_resize {
	uint32_t size;
	uint32_t batch, height, width, channels;
	uint32_t out_height, out_width; /* sides up to 2^20, lines up to 2^28 elements */
	bool linear, align_corners;
	enum x1_format src_fmt, dst_fmt;
	uint64_t src, dst;
	uint64_t work; /* sili_resize_work_bytes() */
	enum sili_prefetch prefetch;
};
int64_t sili_resize_work_bytes(const struct sili_resize *op);
int sili_resize(struct sili_device *dev, const struct sili_resize *op, union x1_cmd *cmds,
		uint32_t max);

/* ---- choice -------------------------------------------------------------- */

/*
 * The k largest (smallest) of each row in falling (rising) order, of equals the
 * lower column first; a NaN comes before all numbers. values: rows of k in
 * dst_fmt; numbers: rows of k INT32 columns. Exact, then converted. -E2BIG: k
 * above 64, rows beyond what the scratchpad holds.
 */
struct sili_topk {
	uint32_t size;
	uint32_t rows, cols, k;
	bool smallest;
	enum x1_format src_fmt, dst_fmt;
	uint64_t src, values, numbers, src_stride;
	enum sili_prefetch prefetch;
};
int sili_topk(struct sili_device *dev, const struct sili_topk *op, union x1_cmd *cmds,
	      uint32_t max);

enum sili_gate {
	SILI_GATE_SOFTMAX = 0,
	SILI_GATE_SIGMOID,
};

/*
 * Mixture of experts: which experts a token goes to, and where its rows are
 * when they are ordered by expert, tokens rising. Two commands.
 *
 * Scores are the gate's function of the logits, in FP32. Chosen are the top_k
 * largest of score + bias (of equals the lower expert) out of the top_groups
 * groups of neighbouring experts whose group_best largest have the largest sum
 * (DeepSeek-V3: sigmoid, bias, 8 groups, 4 of them, 2). Weights are scores
 * without bias, divided by their sum with `normalise`, times scale.
 *
 * chosen, weights, row_of: tokens x top_k. token_of: the token of each row.
 * counts: rows of each expert, for SILI_GROUP_MASKED; offsets: experts + 1
 * first rows, the group_table of SILI_GROUP_CONTIGUOUS. sili_gather() by
 * token_of makes the experts' input, sili_bag() by row_of with the weights
 * brings their results back. -E2BIG: top_k or top_groups above 64, more than
 * 2,048 experts.
 */
struct sili_route {
	uint32_t size;
	uint32_t tokens, experts, top_k;
	uint32_t groups, top_groups; /* 0: one group, all groups */
	uint32_t group_best;         /* 0 = 2 */
	enum sili_gate gate;
	bool normalise;
	float scale; /* 0 = 1 */
	enum x1_format logits_fmt;
	uint64_t logits, logits_stride;
	uint64_t bias;             /* experts FP32, or 0 */
	uint64_t chosen, weights;  /* INT32, FP32 */
	uint64_t row_of, token_of; /* INT32 */
	uint64_t counts, offsets;  /* uint32 */
	uint64_t work;             /* sili_route_work_bytes() */
	enum sili_prefetch prefetch;
};
int64_t sili_route_work_bytes(const struct sili_route *op);
int sili_route(struct sili_device *dev, const struct sili_route *op, union x1_cmd *cmds,
	       uint32_t max);

/* ---- quantisation -------------------------------------------------------- */

/*
 * Block quantisation on the device, both ways.
 *
 * sili_quant(): coded and scales from plain, the bits of sili_quantise().
 *
 * sili_dequant(): plain = coded * scales, in FP32 and then converted.
 *
 * rows x k elements, scales as sili_scale_row_bytes() and sili_scale_rows() say,
 * in the mode's format. NVFP4 has a scale per tensor: tensor_value, or one FP32
 * at `tensor`, which sili_quant() computes (amax / 6 / 448, 1 for zeros; more
 * commands, and workspace) and sili_dequant() reads.
 */
struct sili_quant {
	uint32_t size;
	enum x1_scale_mode mode;
	uint32_t rows, k;
	enum x1_format plain_fmt, coded_fmt;
	uint64_t plain, coded, scales;
	uint64_t plain_stride, coded_stride, scale_stride;
	float tensor_value; /* NVFP4: this, or */
	uint64_t tensor;
	uint64_t work; /* sili_quant_work_bytes() */
	enum sili_prefetch prefetch;
};
int64_t sili_quant_work_bytes(const struct sili_quant *op);
int sili_quant(struct sili_device *dev, const struct sili_quant *op, union x1_cmd *cmds,
	       uint32_t max);
int sili_dequant(struct sili_device *dev, const struct sili_quant *op, union x1_cmd *cmds,
		 uint32_t max);

/*
 * Structured sparsity of `rows` rows of k, bits as sili_sparse_compress(): of
 * each group the largest magnitudes (of equal ones the first, a NaN before any
 * number), in rows of sili_sparse_k() and of sili_sparse_meta_bytes(). FP32 and
 * BF16 subnormals become zeros. Floating formats of 8 bits and more; -E2BIG:
 * rows beyond what the scratchpad holds (at least 8,192 elements).
 */
struct sili_compress {
	uint32_t size;
	enum x1_sparsity sparsity;
	uint32_t rows, k;
	enum x1_format fmt;
	uint64_t src, stored, meta;
	uint64_t src_stride, stored_stride, meta_stride;
	enum sili_prefetch prefetch;
};
int sili_compress(struct sili_device *dev, const struct sili_compress *op, union x1_cmd *cmds,
		  uint32_t max);

/* ---- recurrent cells ----------------------------------------------------- */

enum sili_cell_kind {
	SILI_CELL_LSTM = 0,
	SILI_CELL_GRU,
};

/*
 * One step of a recurrent layer, dense rows:
 * LSTM: i, f, g, o = x * Wx + h * Wh + biases (in this order, hidden rows each),
 *       c_out = sigmoid(f) * c + sigmoid(i) * tanh(g), h_out = sigmoid(o) * tanh(c_out);
 * GRU:  r = sigmoid(xr + hr), z = sigmoid(xz + hz), n = tanh(xn + r * hn),
 *       h_out = n + z * (h - n).
 *
 * Weights are (4 or 3) * hidden rows of inputs (hidden); products as
 * sili_gemm() has them with x_fmt, h_fmt on both sides and FP32 results, gates
 * and c in FP32, h_out in h_fmt. The error beyond that of the products p is
 * below 2^-21 * (1 + |c|) plus h_fmt's conversion.
 */
struct sili_cell {
	uint32_t size;
	enum sili_cell_kind kind;
	uint32_t batch, inputs, hidden;
	enum x1_format x_fmt, h_fmt;
	uint64_t x, h, c; /* c: FP32, LSTM alone */
	uint64_t x_weights, h_weights;
	uint64_t x_bias, h_bias; /* FP32, or 0 */
	uint64_t h_out, c_out;
	uint64_t work; /* sili_cell_work_bytes() */
	enum sili_prefetch prefetch;
};
int64_t sili_cell_work_bytes(const struct sili_cell *op);
int sili_cell(struct sili_device *dev, const struct sili_cell *op, union x1_cmd *cmds,
	      uint32_t max);

#ifdef __cplusplus
}
#endif

#endif /* SILI_KERNELS_H */
