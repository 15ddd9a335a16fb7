// SPDX-License-Identifier: GPL-2.0-only
//! resctrl on Arm MPAM.
//!
//! What is here: [`bandwidth`], the arithmetic between the percentages of a schemata line and the fixed-point fractions
//! of MPAM's bandwidth registers.
//!
//! What is not here: the driver. Nothing in this crate discovers or programs a memory system component (MSC), and there
//! is no [`Arch`](resctrl_types::Arch) for MPAM; a kernel module built from this workspace does not support MPAM.
#![no_std]
#![forbid(unsafe_code)]

pub mod bandwidth;
