/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests that Linux takes about block devices, from whichever header this system has them in:
 * a C library of its own, such as musl, may come without the kernel's headers.
 */
#ifndef IO_BLOCK_DEVICE_H
#define IO_BLOCK_DEVICE_H

#include <sys/ioctl.h>
#ifdef HAVE_LINUX_FS_H
#include <linux/fs.h>
#else
#include <sys/mount.h>
#ifndef BLKDISCARD
#define BLKDISCARD _IO(0x12, 119)
#endif
#ifndef BLKZEROOUT
#define BLKZEROOUT _IO(0x12, 127)
#endif
#endif

#endif
