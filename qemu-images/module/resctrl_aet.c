// SPDX-License-Identifier: GPL-2.0-only
/* resctrl_aet.ko: see resctrl_aet.h. */
#include <linux/err.h>
#include <linux/intel_pmt_features.h>
#include <linux/intel_vsec.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "resctrl_aet.h"

static struct resctrl_aet_group *get_group(u32 feature)
{
	struct pmt_feature_group *found = intel_pmt_get_regions_by_feature(feature);
	struct resctrl_aet_group *group;

	if (IS_ERR_OR_NULL(found))
		return NULL;
	group = kzalloc(struct_size(group, regions, found->count), GFP_KERNEL);
	if (!group) {
		intel_pmt_put_feature_group(found);
		return NULL;
	}
	group->of_driver = found;
	group->count = found->count;
	for (size_t i = 0; i < group->count; i++) {
		const struct telemetry_region *region = &found->regions[i];

		group->regions[i] = (struct resctrl_aet_region) {
			.guid = region->guid,
			.package = region->plat_info.package_id,
			.num_rmids = region->num_rmids,
			.size = region->size,
			.addr = region->addr,
		};
	}
	return group;
}

static void put_group(struct resctrl_aet_group *group)
{
	intel_pmt_put_feature_group(group->of_driver);
	kfree(group);
}

const struct resctrl_aet_ops resctrl_aet_ops = {
	.get = get_group,
	.put = put_group,
};
/* Only what is exported so can be asked for by symbol_get(). */
EXPORT_SYMBOL_GPL(resctrl_aet_ops);

MODULE_DESCRIPTION("Telemetry of packages for resctrl.ko");
MODULE_AUTHOR("The resctrl project");
MODULE_LICENSE("GPL");
