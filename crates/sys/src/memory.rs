//! Advice to the kernel about memory.

use rustix::mm::{Advice, madvise};

/// A page that is one step for the processor's memory of places (x86-64; elsewhere as good a measure of "large").
const LARGE: usize = 2 << 20;

/// Puts large pages under this memory, which is looked at in no order: fewer places to remember for the processor. It is
/// written to from now on (all of it is taken from the system at once), and what is in it stays. A kernel that has no such
/// pages does as before; so does memory too small for one.
///
/// The process has them switched off ([`crate::process::huge_pages`]), so they are on for as long as this takes.
pub fn prefer_large_pages<T>(memory: &mut [T]) {
    let page = rustix::param::page_size();
    let from = memory.as_mut_ptr().addr();
    let (first, end) = (from.next_multiple_of(page), (from + size_of_val(memory)) / page * page);
    if end.saturating_sub(first) < LARGE {
        return;
    }
    let start = memory.as_mut_ptr().cast::<u8>().wrapping_add(first - from);
    let advise = |advice| {
        // SAFETY: the pages are wholly inside of `memory`; neither advice changes their content or who may do what with them.
        let _ = unsafe { madvise(start.cast(), end - first, advice) };
    };
    crate::process::huge_pages(true);
    advise(Advice::LinuxHugepage);
    advise(Advice::LinuxPopulateWrite);
    crate::process::huge_pages(false);
}

#[cfg(test)]
mod tests {
    #[test]
    fn advice_changes_nothing() {
        for size in [0, 1, 4096, 5 << 20] {
            let mut memory = vec![7u8; size];
            super::prefer_large_pages(&mut memory);
            assert!(memory.iter().all(|b| *b == 7));
        }
    }
}
