//! Advice to the kernel about memory.

use rustix::mm::{Advice, madvise};

/// Asks for large pages under this memory, which is looked at in no order: fewer places to remember for the processor. Says
/// nothing about what is in it; a kernel that has none does as before.
pub fn prefer_large_pages<T>(memory: &mut [T]) {
    let page = rustix::param::page_size();
    let from = memory.as_mut_ptr().addr();
    let (first, end) = (from.next_multiple_of(page), (from + size_of_val(memory)) / page * page);
    if first < end {
        let start = memory.as_mut_ptr().cast::<u8>().wrapping_add(first - from);
        // SAFETY: the pages are wholly inside of `memory`, and this advice changes neither their content nor who may do
        // what with them.
        let _ = unsafe { madvise(start.cast(), end - first, Advice::LinuxHugepage) };
    }
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
