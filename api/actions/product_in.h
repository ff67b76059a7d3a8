/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that the calls about products share (api §8.1 to 8.5). */
#ifndef API_ACTIONS_PRODUCT_IN_H
#define API_ACTIONS_PRODUCT_IN_H

#include "api/action.h"

#define PRODUCT_DESC_MAX 100

#define PRODUCT_KEY_FIELD(type, member)                                                 \
	STR(type, member, "ProductKey", "The product.", .flags = REQUIRED, .chars = "", \
	    .err = ERR_PRODUCT_KEY_FORMAT)
#define PRODUCT_NAME_FIELD(type, member)                                                                     \
	STR(type, member, "ProductName",                                                                     \
	    "4 to 30 wide (a Chinese character counts as 2): Chinese, letters, digits, underscores; unique " \
	    "per account.",                                                                                  \
	    .flags = REQUIRED)

#endif
