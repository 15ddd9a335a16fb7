// SPDX-License-Identifier: GPL-2.0-only
//! From the kernel's numbers to the types of resctrl and back.

use resctrl_types::cache::CacheLevel;
use resctrl_types::{CpuId, Errno, Result};

/// What a C function returns for a result: 0 or a negative error number.
pub(crate) fn to_ret(result: Result<()>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(errno) => errno.to_ret(),
    }
}

/// The result of a C function that returns 0 or a negative error number.
///
/// # Errors
/// The number; `EINVAL` for one that is none.
pub(crate) fn from_ret(ret: i32) -> Result<()> {
    match ret {
        0 => Ok(()),
        _ => Err(ret.checked_neg().and_then(Errno::new).unwrap_or(Errno::EINVAL)),
    }
}

/// A number that is negative where there is none (`NUMA_NO_NODE`, no CPU).
pub(crate) fn non_negative(number: i32) -> Option<u32> {
    u32::try_from(number).ok()
}

/// A CPU number, negative for none.
pub(crate) fn cpu(number: i32) -> Option<CpuId> {
    non_negative(number).map(CpuId)
}

/// The level as cacheinfo numbers it.
pub(crate) const fn cache_level(level: CacheLevel) -> u32 {
    match level {
        CacheLevel::L2 => 2,
        CacheLevel::L3 => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_survive_the_way_to_c_and_back() {
        for result in [Ok(()), Err(Errno::ENOMEM), Err(Errno::EOPNOTSUPP)] {
            assert_eq!(from_ret(to_ret(result)), result);
        }
    }

    #[test]
    fn a_return_value_that_is_no_error_number_is_einval() {
        for ret in [1, -4096, i32::MIN] {
            assert_eq!(from_ret(ret), Err(Errno::EINVAL));
        }
    }

    #[test]
    fn a_negative_cpu_is_none() {
        assert_eq!(cpu(-1), None);
        assert_eq!(cpu(3), Some(CpuId(3)));
    }

    #[test]
    fn cache_levels_are_cacheinfos() {
        assert_eq!((cache_level(CacheLevel::L2), cache_level(CacheLevel::L3)), (2, 3));
    }
}
