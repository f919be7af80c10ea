// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Virtio devices whose places are given as a parameter, for a kernel that has CONFIG_VIRTIO_MMIO but not
 * CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES, such as Debian's:
 *
 *     devices=<size>@<base>:<irq>[:<id>][,...]
 *
 * the form of virtio_mmio.device= in Documentation/admin-guide/kernel-parameters.txt. Each becomes a
 * platform device that the driver virtio_mmio binds to. There is no way to unload it.
 */
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/string.h>

static char *devices = "";
module_param(devices, charp, 0);
MODULE_PARM_DESC(devices, "size@base:irq[:id], separated by commas");

static int add(char *text, int number)
{
	struct resource where[2] = {};
	struct platform_device *device;
	unsigned long long size, base;
	unsigned int irq;
	char *rest;

	size = memparse(text, &rest);
	if (!size || sscanf(rest, "@%lli:%u", &base, &irq) != 2)
		return -EINVAL;
	where[0] = (struct resource)DEFINE_RES_MEM(base, size);
	where[1] = (struct resource)DEFINE_RES_IRQ(irq);
	device = platform_device_register_simple("virtio-mmio", number, where, 2);
	return PTR_ERR_OR_ZERO(device);
}

static int __init add_all(void)
{
	char *rest = devices, *text;
	int number = 0, failed = 0;

	while (!failed && (text = strsep(&rest, ",")))
		if (*text)
			failed = add(text, number++);
	return failed;
}
module_init(add_all);

MODULE_DESCRIPTION("Virtio devices at places that are given as a parameter");
MODULE_LICENSE("Dual MIT/GPL");
