//! A state that is an image of memory: what `configure` builds is there again at every `evaluate`, at
//! the same addresses, without being read.
//!
//! For a policy whose state is a structure that costs more to build than to copy: syntax trees, maps.
//! It needs the feature `snapshot`, and a linker that leaves room between stack and data
//! (`--global-base`):
//!
//! ```text
//! 0       __stack_high            __global_base      __heap_base
//! │ stack │ arguments │ snapshot … request … │ data │ heap …
//! ```
//!
//! `configure` works in the heap, with an allocator that uses freed blocks again, because reading a
//! configuration may make much and keep little; [`Snapshot::take`] builds in the room, with one that
//! moves a pointer up. At `evaluate` the state is the second thing that the engine asks memory for,
//! after the record of the arguments: it gets the place where it was built, and the engine's copy into
//! the instance is all that restores it. What follows lies after it, and in the heap when the room is
//! full.
//!
//! A snapshot is for the component that took it, to the byte; the worker gives a state to no other.
//! What is in it points into it or at constants, never at what lies in the heap: it must be built from
//! nothing that is shared with what was built before, such as a clone of an `Arc`.
//!
//! Natively there are no images: a snapshot holds its value, and is not written.

use crate::State;

/// A value that was built in the room for it.
#[derive(Debug)]
pub struct Snapshot<T: 'static> {
    #[cfg(target_arch = "wasm32")]
    image: image::Image<T>,
    #[cfg(not(target_arch = "wasm32"))]
    value: T,
}

/// The value does not fit into the room.
#[derive(Debug)]
pub struct Full;

#[cfg(not(target_arch = "wasm32"))]
impl<T> Snapshot<T> {
    /// Builds a value as a snapshot.
    ///
    /// # Errors
    ///
    /// [`Full`], in the sandbox alone.
    pub fn take(build: impl FnOnce() -> T) -> Result<Self, Full> {
        Ok(Self { value: build() })
    }

    /// What was built.
    pub fn value(&self) -> &T {
        &self.value
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl<T> State for Snapshot<T> {
    fn encode(self) -> Vec<u8> {
        Vec::new()
    }

    fn decode(_: Vec<u8>) -> Option<Self> {
        None
    }
}

#[cfg(target_arch = "wasm32")]
impl<T> Snapshot<T> {
    /// Builds a value as a snapshot.
    ///
    /// # Errors
    ///
    /// The value does not fit.
    pub fn take(build: impl FnOnce() -> T) -> Result<Self, Full> {
        image::Image::take(build).map(|image| Self { image })
    }

    /// What was built.
    pub fn value(&self) -> &T {
        self.image.value()
    }
}

#[cfg(target_arch = "wasm32")]
impl<T> State for Snapshot<T> {
    fn encode(self) -> Vec<u8> {
        self.image.bytes()
    }

    fn decode(bytes: Vec<u8>) -> Option<Self> {
        image::Image::restore(bytes).map(|image| Self { image })
    }
}

#[cfg(target_arch = "wasm32")]
mod image {
    #![allow(unsafe_code, reason = "memory is read as what was built in it; runs in the sandbox")]

    use super::{Full, heap};
    use core::marker::PhantomData;
    use core::slice;

    /// The first word of an image.
    const MAGIC: usize = 0x6b73_6e61;

    /// What an image begins with.
    #[repr(C)]
    struct Head {
        magic: usize,
        /// Bytes of the image.
        length: usize,
        /// Where the value lies.
        value: usize,
    }

    /// Memory from the start of the room on, with a value in it.
    #[derive(Debug)]
    pub(super) struct Image<T> {
        head: *const Head,
        of: PhantomData<T>,
    }

    impl<T: 'static> Image<T> {
        pub(super) fn take(build: impl FnOnce() -> T) -> Result<Self, Full> {
            heap::enter_room();
            let head: *mut Head = Box::leak(Box::new(Head { magic: MAGIC, length: 0, value: 0 }));
            let value: *mut T = Box::leak(Box::new(build()));
            let (start, end) = heap::leave_room();
            if head as usize != start || end == 0 {
                return Err(Full);
            }
            // SAFETY: it was leaked above, and nobody else has it.
            unsafe {
                (*head).length = end - start;
                (*head).value = value as usize;
            }
            Ok(Self { head, of: PhantomData })
        }

        pub(super) fn value(&self) -> &T {
            // SAFETY: `head` is from `take` or was checked by `restore`; the value lies where it was
            // built, in the component whose code built it, and is never changed.
            unsafe { &*((*self.head).value as *const T) }
        }

        pub(super) fn bytes(&self) -> Vec<u8> {
            // SAFETY: `take` has filled these bytes, which nobody changes.
            unsafe { slice::from_raw_parts(self.head.cast::<u8>(), (*self.head).length) }.to_vec()
        }

        /// `bytes` are where they were taken, or they are no image.
        pub(super) fn restore(bytes: Vec<u8>) -> Option<Self> {
            let bytes = bytes.leak();
            let head = bytes.as_ptr().cast::<Head>();
            if head as usize != heap::room_start() || bytes.len() < size_of::<Head>() {
                return None;
            }
            // SAFETY: there are as many bytes, aligned as the room's start is, and any bytes are a
            // `Head`.
            let Head { magic, length, value } = unsafe { head.read() };
            let end = (head as usize).checked_add(bytes.len())?;
            let within = value >= head as usize
                && value.checked_add(size_of::<T>())? <= end
                && value.is_multiple_of(align_of::<T>());
            (magic == MAGIC && length == bytes.len() && within)
                .then_some(Self { head, of: PhantomData })
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod heap {
    #![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait; this code runs in the sandbox")]

    use core::alloc::{GlobalAlloc, Layout};
    use core::arch::wasm32::{memory_grow, memory_size};
    use core::cell::Cell;
    use core::ptr;

    const PAGE: usize = 65536;
    /// Room for the record of `evaluate`'s arguments, before a snapshot.
    const ARGUMENTS: usize = 1024;
    /// How a snapshot is aligned; more than anything in it.
    const ALIGN: usize = 64;
    /// The smallest block is one of 2^4 bytes, the largest one of 2^27.
    const SMALLEST: u32 = 4;
    /// Bytes of the largest snapshot: what a state may have.
    const LARGEST: usize = 64 * 1024;
    const CLASSES: usize = 24;
    /// How blocks of the lists are aligned at least.
    const BLOCK_ALIGN: usize = 16;

    unsafe extern "C" {
        /// The linker's symbols: the end of the stack, the start of the data, and their end.
        static __stack_high: u8;
        static __global_base: u8;
        static __heap_base: u8;
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Mode {
        /// Nothing was asked for yet.
        Fresh,
        /// `evaluate`: its arguments are there, the state comes next.
        BeforeState,
        /// A pointer moves up, in the room and then in the heap.
        Upward,
        /// `configure`: freed blocks are used again.
        Reuse,
        /// `configure`, while a snapshot is built in the room.
        Room,
    }

    /// Who knows about a block.
    enum Owner {
        /// The lists: it is freed and used again.
        Lists,
        /// The pointer that moved up for it.
        Pointer,
    }

    #[global_allocator]
    static HEAP: Heap = Heap {
        mode: Cell::new(Mode::Fresh),
        next: Cell::new(0),
        room: Cell::new(0),
        free: [const { Cell::new(0) }; CLASSES],
    };

    struct Heap {
        mode: Cell<Mode>,
        /// The first free address; of the heap, while a snapshot is built.
        next: Cell<usize>,
        /// The first free address of the room while a snapshot is built; 0 when it did not fit.
        room: Cell<usize>,
        /// Freed blocks by size, each list through the blocks' first words.
        free: [Cell<usize>; CLASSES],
    }

    // SAFETY: a module for wasm32-unknown-unknown without atomics has one thread.
    unsafe impl Sync for Heap {}

    fn stack_end() -> usize {
        (&raw const __stack_high) as usize
    }

    fn room_end() -> usize {
        (&raw const __global_base) as usize
    }

    fn heap_start() -> usize {
        (&raw const __heap_base) as usize
    }

    /// Where a snapshot lies.
    pub(super) fn room_start() -> usize {
        (stack_end() + ARGUMENTS).next_multiple_of(ALIGN)
    }

    /// From here on, what is allocated belongs to the snapshot.
    pub(super) fn enter_room() {
        HEAP.mode.set(Mode::Room);
        HEAP.room.set(room_start());
    }

    /// Where the snapshot lies, and where it ends: 0 if it did not fit.
    pub(super) fn leave_room() -> (usize, usize) {
        HEAP.mode.set(Mode::Reuse);
        (room_start(), HEAP.room.get())
    }

    /// The number of the list, and the size of its blocks.
    fn class(layout: Layout) -> Option<(usize, usize)> {
        let size =
            layout.size().max(layout.align()).max(1 << SMALLEST).checked_next_power_of_two()?;
        let class = size.trailing_zeros() - SMALLEST;
        Some((class as usize, size))
    }

    /// Makes memory reach to `end`.
    fn reach(end: usize) -> bool {
        let have = memory_size(0).saturating_mul(PAGE);
        end <= have || memory_grow(0, (end - have).div_ceil(PAGE)) != usize::MAX
    }

    impl Heap {
        fn begin(&self, layout: Layout) {
            // A configuration is bytes; the arguments of `evaluate` are a record.
            let configure = layout.align() == 1 || layout.size() > ARGUMENTS;
            self.mode.set(if configure { Mode::Reuse } else { Mode::BeforeState });
            self.next.set(if configure { heap_start() } else { stack_end() });
        }

        fn upward(&self, layout: Layout) -> Option<usize> {
            let next = self.next.get();
            let (start, end) = crate::allocator::place(next, layout.size(), layout.align())?;
            if next <= room_end() && end > room_end() {
                let (start, end) =
                    crate::allocator::place(heap_start(), layout.size(), layout.align())?;
                return self.take(start, end);
            }
            self.take(start, end)
        }

        fn take(&self, start: usize, end: usize) -> Option<usize> {
            reach(end).then(|| {
                self.next.set(end);
                start
            })
        }

        /// A block of the list, or a new one at the heap's end.
        fn reuse(&self, layout: Layout) -> Option<usize> {
            let (_, size) = class(layout)?;
            let list = self.list(layout)?;
            if list.get() == 0 || layout.align() > BLOCK_ALIGN {
                let align = layout.align().max(BLOCK_ALIGN);
                let (start, end) = crate::allocator::place(self.next.get(), size, align)?;
                return self.take(start, end);
            }
            let block = list.get();
            // SAFETY: the block was freed with its list's next block in its first word.
            list.set(unsafe { *(block as *const usize) });
            Some(block)
        }

        fn in_room(&self, layout: Layout) -> Option<usize> {
            let next = match self.room.get() {
                0 => return self.reuse(layout),
                next => next,
            };
            match crate::allocator::place(next, layout.size(), layout.align()) {
                Some((start, end)) if end <= room_end().min(room_start() + LARGEST) => {
                    self.room.set(end);
                    Some(start)
                }
                // Work goes on in the heap, and the snapshot is refused at its end.
                _ => {
                    self.room.set(0);
                    self.reuse(layout)
                }
            }
        }

        fn list(&self, layout: Layout) -> Option<&Cell<usize>> {
            self.free.get(class(layout)?.0)
        }

        fn owner(&self, block: usize) -> Owner {
            match self.mode.get() {
                Mode::Reuse | Mode::Room if block >= heap_start() => Owner::Lists,
                _ => Owner::Pointer,
            }
        }

        /// Makes the newest block larger where it is.
        fn extend(&self, block: usize, layout: Layout, size: usize) -> bool {
            let next = if self.mode.get() == Mode::Room { &self.room } else { &self.next };
            let Some(end) = block.checked_add(size) else { return false };
            let newest = block.checked_add(layout.size()) == Some(next.get());
            let fits = block >= heap_start() || end <= room_end();
            let extended = newest && fits && reach(end);
            if extended {
                next.set(end);
            }
            extended
        }
    }

    // SAFETY: `alloc` hands out addresses of the room or the heap, aligned as asked, each to one block
    // at a time; a block is handed out again only after it was freed.
    unsafe impl GlobalAlloc for Heap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if self.mode.get() == Mode::Fresh {
                self.begin(layout);
                if self.mode.get() == Mode::BeforeState {
                    return self.upward(layout).unwrap_or(0) as *mut u8;
                }
            }
            let start = match self.mode.get() {
                Mode::BeforeState => {
                    self.mode.set(Mode::Upward);
                    self.next.set(room_start());
                    self.upward(layout)
                }
                Mode::Reuse => self.reuse(layout),
                Mode::Room => self.in_room(layout),
                Mode::Fresh | Mode::Upward => self.upward(layout),
            };
            start.unwrap_or(0) as *mut u8
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            if let (Owner::Lists, Some(list)) = (self.owner(block as usize), self.list(layout)) {
                // SAFETY: the block is at least 16 bytes long, aligned, and the caller's no more.
                unsafe { *block.cast::<usize>() = list.get() };
                list.set(block as usize);
            }
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            // SAFETY: the caller promises a size and alignment that make a layout.
            let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
            let stays = match self.owner(block as usize) {
                Owner::Lists => class(layout) == class(new),
                Owner::Pointer => {
                    size <= layout.size() || self.extend(block as usize, layout, size)
                }
            };
            if stays {
                return block;
            }
            // SAFETY: the new block does not overlap the old one, which is freed after the copy.
            unsafe {
                let copy = self.alloc(new);
                if !copy.is_null() {
                    ptr::copy_nonoverlapping(block, copy, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                copy
            }
        }
    }
}
