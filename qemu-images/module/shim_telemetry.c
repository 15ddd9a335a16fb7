// SPDX-License-Identifier: GPL-2.0-only
/* What is counted by package, by way of resctrl_aet.ko where that can be had. */
#include <linux/io.h>
#include <linux/module.h>
#include "resctrl_aet.h"
#include "shim.h"

/* The same for every group. Each group has a reference to its module. */
static const struct resctrl_aet_ops *ops;

/* Lets modprobe load resctrl_aet.ko, which depmod knows by its symbol. */
struct resctrl_aet_group *shim_telemetry_get(u32 feature)
{
	const struct resctrl_aet_ops *found = symbol_request(resctrl_aet_ops);
	struct resctrl_aet_group *group;

	if (!found)
		return NULL;
	group = found->get(feature);
	if (group)
		ops = found;
	else
		symbol_put(resctrl_aet_ops);
	return group;
}

void shim_telemetry_put(struct resctrl_aet_group *group)
{
	ops->put(group);
	symbol_put(resctrl_aet_ops);
}

size_t shim_telemetry_count(const struct resctrl_aet_group *group)
{
	return group->count;
}

void shim_telemetry_region(const struct resctrl_aet_group *group, size_t index,
			   struct shim_telemetry_region *region)
{
	const struct resctrl_aet_region *found = &group->regions[index];

	region->guid = found->guid;
	region->package = found->package;
	region->num_rmids = found->num_rmids;
	region->size = found->size;
}

u64 shim_telemetry_read(const struct resctrl_aet_group *group, size_t index, size_t offset)
{
	return readq(group->regions[index].addr + offset);
}
