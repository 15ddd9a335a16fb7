// SPDX-License-Identifier: GPL-2.0-only
//! Makes a sequence that shows something as short as it can be (delta debugging).

use anyhow::Result;

/// The shortest part of `items`, in their order, that `shows` still holds of, as far as it was found within `tries`
/// attempts. `items` itself is known to.
///
/// # Errors
///
/// Those of `shows`.
pub(crate) fn shrink<T: Clone>(
    items: &[T],
    tries: usize,
    mut shows: impl FnMut(&[T]) -> Result<bool>,
) -> Result<Vec<T>> {
    let mut left = items.to_vec();
    let mut piece = left.len().div_ceil(2);
    let mut tried = 0;
    while piece > 0 {
        let before = left.len();
        // From the end: what shows a difference is there, what leads to it is before, most of it for nothing.
        let mut end = left.len();
        while end > 0 && tried < tries {
            let start = end.saturating_sub(piece);
            let without: Vec<T> = [&left[..start], &left[end..]].concat();
            if !without.is_empty() {
                tried += 1;
                if shows(&without)? {
                    left = without;
                }
            }
            end = start;
        }
        if tried >= tries {
            break;
        }
        // Single ones are tried until none can go.
        piece = if piece > 1 { piece / 2 } else { usize::from(left.len() < before) };
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_remains_in_its_order() {
        let items: Vec<u32> = (0..60).collect();
        let left = shrink(&items, 1000, |part| Ok([3, 17, 58].iter().all(|needed| part.contains(needed)))).unwrap();
        assert_eq!(left, [3, 17, 58]);
    }

    #[test]
    fn what_only_shows_together_is_kept_together() {
        let items: Vec<u32> = (0..9).collect();
        let left =
            shrink(&items, 1000, |part| Ok(part.contains(&4) && (!part.contains(&7) || part.contains(&8)))).unwrap();
        assert_eq!(left, [4]);
    }

    #[test]
    fn attempts_are_bounded_and_the_result_still_shows_it() {
        let items: Vec<u32> = (0..100).collect();
        let mut tries = 0;
        let left = shrink(&items, 5, |part| {
            tries += 1;
            Ok(part.contains(&50))
        });
        assert!(left.unwrap().contains(&50));
        assert_eq!(tries, 5);
    }

    #[test]
    fn an_attempt_that_fails_ends_it() {
        assert!(shrink(&[1, 2], 9, |_| anyhow::bail!("the guest is gone")).is_err());
    }
}
