//! The allocator of the process: mimalloc, asked for alignment only where its blocks do not have it anyway.

use libmimalloc_sys as mi;
use std::alloc::{GlobalAlloc, Layout};

/// Alignment of every block of at least as many bytes (`MI_MAX_ALIGN_SIZE`).
const NATURAL: usize = 16;

/// mimalloc. Asked for an aligned block, it takes one that is larger by the alignment wherever it has no free block of
/// the right size at hand, so that most memory would come from the next larger size: nearly all layouts need no such care.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

/// Does every block of this size lie as the layout wants?
const fn natural(size: usize, align: usize) -> bool {
    align <= NATURAL && align <= size
}

// SAFETY: blocks come from mimalloc alone and go back to it alone, which takes them of whatever call they came from; each
// is as large as its layout says, and as aligned: `natural` asks for no more than mimalloc gives to all blocks.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    // SAFETY: as the trait demands: the layout has a size that is not 0.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: any size and any power of two may be asked for.
        unsafe { if natural(size, align) { mi::mi_malloc(size) } else { mi::mi_malloc_aligned(size, align) } }
            .cast()
    }
    #[inline]
    // SAFETY: likewise.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as above.
        unsafe { if natural(size, align) { mi::mi_zalloc(size) } else { mi::mi_zalloc_aligned(size, align) } }
            .cast()
    }
    #[inline]
    // SAFETY: as the trait demands: the block came from here, and is not used afterwards.
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller has it of one of these functions, and does not use it again.
        unsafe { mi::mi_free(block.cast()) }
    }
    #[inline]
    // SAFETY: likewise, with the layout that it came with and a size that is not 0.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let align = layout.align();
        // SAFETY: as for `dealloc`; a block that stays where it is keeps the alignment that it has.
        unsafe {
            match natural(size, align) && natural(layout.size(), align) {
                true => mi::mi_realloc(block.cast(), size),
                false => mi::mi_realloc_aligned(block.cast(), size, align),
            }
        }
        .cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lie_as_their_layouts_say() {
        for align in [1, 2, 4, 8, 16, 32, 128, 4096] {
            for size in (1..300).chain([512, 1000, 4096, 5000, 70_000, 3 << 20]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: each block is used within its size and given back once, with the layout that it has by then.
                unsafe {
                    let blocks: Vec<*mut u8> = (0..5)
                        .map(|n| if n % 2 == 0 { Heap.alloc(layout) } else { Heap.alloc_zeroed(layout) })
                        .collect();
                    for (n, block) in blocks.into_iter().enumerate() {
                        assert_eq!(block.addr() % align, 0, "{size} bytes at {align}");
                        if n % 2 == 1 {
                            assert!((0..size).all(|at| *block.add(at) == 0), "{size} bytes at {align}");
                        }
                        *block.add(size - 1) = 7;
                        let larger = size * 3 + 1;
                        let block = Heap.realloc(block, layout, larger);
                        assert_eq!(block.addr() % align, 0, "{size} bytes at {align}, then {larger}");
                        assert_eq!(*block.add(size - 1), 7);
                        Heap.dealloc(block, Layout::from_size_align(larger, align).unwrap());
                    }
                }
            }
        }
    }
}
