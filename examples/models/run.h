/* SPDX-License-Identifier: MIT */
/* A model compiled, run, measured, compared with the host. */
#ifndef MODELS_RUN_H
#define MODELS_RUN_H

#include "models.h"

struct model_run {
	struct sili_device *dev;
	struct sili_graph *graph;
	struct sili_exec *exec;
	double **in; /* what the device reads */
	uint32_t num_in;
};

struct model_result {
	struct sili_exec_info info;
	uint64_t cycles;      /* a run with nothing in L2 */
	uint64_t warm_cycles; /* the run after it */
	double energy_mj;     /* of the package, of the first */
	double utilisation;   /* MATRIX's true multiplications of its peak in the precision */
	double host_seconds;  /* a run, as the host's clock has it */
};

const struct model *model_named(const char *name);
/* Build and compile; size's zeros are the model's own. 0, or -errno with a message in err. */
int model_open(struct model_run *run, struct sili_device *dev, const struct model *model,
	       const struct model_size *size, const struct sili_exec_attr *attr, char *err,
	       size_t err_len);
/* Compile what is open once more, with other attributes. */
int model_compile(struct model_run *run, const struct model *model,
		  const struct sili_exec_attr *attr, char *err, size_t err_len);
void model_close(struct model_run *run);
/* 0, or -errno: sili_exec_error(). */
int model_measure(struct model_run *run, struct model_result *result);
/* 1 - cosine of each output to the host's in double precision; run before. How many, or -errno. */
#define MODEL_OUTPUTS 4u
int model_compare(struct model_run *run, double distance[MODEL_OUTPUTS]);

#endif /* MODELS_RUN_H */
