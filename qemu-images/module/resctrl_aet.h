/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What resctrl_aet.ko gives resctrl.ko: the telemetry regions of packages, which
 * Intel's driver for them (pmt_telemetry) has found.
 *
 * That driver's symbols are not in every kernel, and are not for symbol_get().
 * So they are needed by a small module of their own, whose one symbol resctrl.ko
 * asks for when it wants it. It keeps this module, and with it the driver, loaded
 * for as long as it uses a region; this module knows nothing of resctrl.ko.
 */
#ifndef RESCTRL_AET_H
#define RESCTRL_AET_H

#include <linux/types.h>

struct resctrl_aet_region {
	u32 guid;
	u32 package;
	u32 num_rmids;
	size_t size;
	void __iomem *addr;
};

struct resctrl_aet_group {
	/* The driver's, as it was got. */
	void *of_driver;
	size_t count;
	struct resctrl_aet_region regions[] __counted_by(count);
};

struct resctrl_aet_ops {
	/* NULL: there is no region of this feature (enum pmt_feature_id), or no memory. */
	struct resctrl_aet_group *(*get)(u32 feature);
	void (*put)(struct resctrl_aet_group *group);
};

extern const struct resctrl_aet_ops resctrl_aet_ops;

#endif
