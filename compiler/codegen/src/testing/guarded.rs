//! Memory between two inaccessible pages: an access beside it faults, and so ends the test.
//!
//! A mapping is cut into pages, so the bytes touch only one of the two; tests run once with each [`Edge`]. What lies
//! between the bytes and the other page is known, and must survive. Compiled into the tests of this crate and, from the
//! same file, into those of whole programs.

/// Which end of the bytes touches an inaccessible page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// The first byte lies right behind one.
    Start,
    /// The last byte lies right before one.
    End,
}

/// Some bytes between two inaccessible pages.
pub(crate) struct Guarded {
    pages: region::Allocation,
    /// Where the bytes start in `pages`, whose first page is inaccessible.
    offset: usize,
    count: usize,
    /// Accessible bytes.
    usable: usize,
}

/// What fills the rest of the accessible pages.
const BESIDE: u8 = 0xa5;

impl Guarded {
    /// A copy of these bytes.
    pub(crate) fn new(contents: &[u8], edge: Edge) -> Self {
        let page = region::page::size();
        let count = contents.len();
        let usable = count.next_multiple_of(page).max(page);
        let mut pages = region::alloc(usable + 2 * page, region::Protection::READ_WRITE).expect("memory for a test");
        let offset = match edge {
            Edge::Start => page,
            Edge::End => page + usable - count,
        };
        let start = pages.as_mut_ptr::<u8>();
        // SAFETY: the allocation just made has a page, `usable` bytes and another page, and nobody else knows of it.
        unsafe {
            let accessible = std::slice::from_raw_parts_mut(start.add(page), usable);
            accessible.fill(BESIDE);
            accessible[offset - page..][..count].copy_from_slice(contents);
            for guard in [start, start.add(page + usable)] {
                region::protect(guard, page, region::Protection::NONE).expect("a guard page");
            }
        }
        Self {
            pages,
            offset,
            count,
            usable,
        }
    }

    /// From now on, writing the bytes faults as well.
    pub(crate) fn read_only(self) -> Self {
        let page = region::page::size();
        let accessible = self.pages.as_ptr::<u8>().wrapping_add(page);
        // SAFETY: these pages are this value's own, and no reference to them is alive.
        unsafe { region::protect(accessible, self.usable, region::Protection::READ) }.expect("pages to be read only");
        self
    }

    /// Address of the first byte.
    pub(crate) fn start(&mut self) -> *mut u8 {
        self.pages.as_mut_ptr::<u8>().wrapping_add(self.offset)
    }

    /// What the bytes are now. Panics if a byte beside them has changed.
    pub(crate) fn contents(&self) -> Vec<u8> {
        let page = region::page::size();
        let base = self.pages.as_ptr::<u8>().wrapping_add(page);
        // SAFETY: all bytes between the guard pages are initialized and readable.
        let accessible = unsafe { std::slice::from_raw_parts(base, self.usable) };
        let (before, rest) = accessible.split_at(self.offset - page);
        let (contents, behind) = rest.split_at(self.count);
        let untouched = before.iter().chain(behind).all(|byte| *byte == BESIDE);
        assert!(untouched, "something was written beside its memory");
        contents.to_vec()
    }
}
