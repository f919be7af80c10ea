//! An allocator for one evaluation: it only moves a pointer up.
//!
//! An instance lives for one call, so nothing is worth freeing. As long as a call
//! fits into what is left of the memory the instance starts with (64 KiB less the
//! stack and the data), it makes no system call at all; growing memory costs two
//! `mprotect` an evaluation, which is why a general allocator is four times slower
//! here. Above that, memory grows by whole pages up to the engine's limit, and a
//! policy that meets the limit is stopped, which is a deny.
//!
//! On `wasm32` this is the global allocator of every policy built with this crate.

/// Where the next allocation goes, for a request of `size` bytes at a multiple of
/// `align`, and where the one after it may start; `None` if that overflows.
///
/// `align` is a power of two.
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "used by the allocator, which is for wasm32 alone")
)]
pub(crate) fn place(next: usize, size: usize, align: usize) -> Option<(usize, usize)> {
    let mask = align.checked_sub(1)?;
    let start = next.checked_add(mask)? & !mask;
    Some((start, start.checked_add(size)?))
}

#[cfg(all(target_arch = "wasm32", not(feature = "snapshot")))]
mod bump {
    #![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait; this code runs in the sandbox")]

    use core::alloc::{GlobalAlloc, Layout};
    use core::arch::wasm32::{memory_grow, memory_size};
    use core::ptr;
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    const PAGE: usize = 65536;

    unsafe extern "C" {
        /// The linker's symbol at the end of stack and data.
        static __heap_base: u8;
    }

    #[global_allocator]
    static BUMP: Bump = Bump { next: AtomicUsize::new(0) };

    /// Atomics only because a static must be `Sync`: there are no threads.
    struct Bump {
        /// The first free address; 0 before the first allocation.
        next: AtomicUsize,
    }

    impl Bump {
        fn next(&self) -> usize {
            match self.next.load(Relaxed) {
                0 => (&raw const __heap_base) as usize,
                next => next,
            }
        }

        /// Takes the memory up to `end`, growing it if it ends before.
        fn take(&self, end: usize) -> bool {
            let have = memory_size(0).saturating_mul(PAGE);
            if end > have && memory_grow(0, (end - have).div_ceil(PAGE)) == usize::MAX {
                return false;
            }
            self.next.store(end, Relaxed);
            true
        }
    }

    // SAFETY: `alloc` hands out addresses between `__heap_base` and the end of
    // memory, aligned as asked, each once; `realloc` grows the newest block in place
    // and copies any other to a block of its own.
    unsafe impl GlobalAlloc for Bump {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            match super::place(self.next(), layout.size(), layout.align()) {
                Some((start, end)) if self.take(end) => start as *mut u8,
                _ => ptr::null_mut(),
            }
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if size <= layout.size() {
                return block;
            }
            let start = block as usize;
            if start.wrapping_add(layout.size()) == self.next() {
                return match start.checked_add(size) {
                    Some(end) if self.take(end) => block,
                    _ => ptr::null_mut(),
                };
            }
            // SAFETY: the caller promises a size and alignment that make a layout;
            // the new block does not overlap the old one.
            unsafe {
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    ptr::copy_nonoverlapping(block, new, layout.size());
                }
                new
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn places_are_aligned_and_do_not_overlap() {
        assert_eq!(place(17, 3, 1), Some((17, 20)));
        assert_eq!(place(17, 8, 8), Some((24, 32)));
        assert_eq!(place(24, 0, 8), Some((24, 24)));
    }

    #[test]
    fn an_overflow_is_no_place() {
        assert_eq!(place(usize::MAX - 3, 8, 1), None);
        assert_eq!(place(usize::MAX - 3, 0, 16), None);
    }
}
