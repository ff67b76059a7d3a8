/* SPDX-License-Identifier: Apache-2.0 */
/* Exact shares, well mixed: at each turn everybody gets his share of it, and who has most takes it. Pure. */
#ifndef OTASIM_TURNS_H
#define OTASIM_TURNS_H

#include "engine/base/base.h"

#define TURNS_MAX 16

struct turns {
	size_t n;
	int64_t share[TURNS_MAX], due[TURNS_MAX];
};
void turns_add(struct turns *t, int64_t share);
/* Whose turn it is; there has to be a share above 0. */
size_t turns_next(struct turns *t);

#endif
