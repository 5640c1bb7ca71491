//! Memory that kernels compute in: aligned, zeroed, and asked for without ever aborting.
//!
//! Small regions come from the allocator; large ones are mapped, start on a huge-page boundary and ask Linux for huge
//! pages. A request that cannot be met is an error that says how much was asked for and what the limit was. Nothing
//! here knows what the bytes mean.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use memmap2::MmapMut;

/// Every region starts on a multiple of this: a cache line, and the widest vector there is.
pub const ALIGNMENT: usize = 64;

/// Regions of at least this many bytes are mapped on their own.
const MAPPED_FROM_BYTES: usize = 1 << 20;

/// The size of a huge page on x86-64 and aarch64.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// The limit where the machine does not tell how much memory it has.
const FALLBACK_LIMIT_BYTES: usize = 8 << 30;

/// Memory could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// The limit of the session would be passed.
    #[error("{requested} bytes more than the {used} already in use would pass the limit of {limit} bytes")]
    OverLimit {
        /// Bytes asked for.
        requested: usize,
        /// Bytes in use.
        used: usize,
        /// The limit.
        limit: usize,
    },
    /// The system refused.
    #[error("the system refused {requested} bytes of memory")]
    Refused {
        /// Bytes asked for.
        requested: usize,
    },
}

/// A run of bytes at a fixed address, zero at first, aligned to [`ALIGNMENT`].
#[derive(Debug)]
pub struct Region {
    start: NonNull<u8>,
    size_bytes: usize,
    backing: Backing,
}

/// Who gave the bytes, and so who takes them back.
#[derive(Debug)]
enum Backing {
    /// Nobody: the region is empty.
    Empty,
    /// The allocator, under this layout.
    Allocated(Layout),
    /// A mapping of its own, unmapped when dropped.
    Mapped(MmapMut),
}

// SAFETY: a region owns its bytes alone, as `Box<[u8]>` does; writing safely takes `&mut self`.
unsafe impl Send for Region {}
// SAFETY: as above; through `&self` nothing can be written but by unsafe code, which answers for it.
unsafe impl Sync for Region {}

impl Region {
    /// A region of no bytes.
    #[must_use]
    pub const fn empty() -> Self {
        // An address that is aligned and never dereferenced.
        let start = NonNull::<Line>::dangling().cast();
        Self {
            start,
            size_bytes: 0,
            backing: Backing::Empty,
        }
    }

    /// This many zero bytes. Errors if the system refuses.
    pub fn zeroed(size_bytes: usize) -> Result<Self, MemoryError> {
        match size_bytes {
            0 => Ok(Self::empty()),
            1..MAPPED_FROM_BYTES => Self::allocated(size_bytes),
            _ => Self::mapped(size_bytes),
        }
    }

    fn allocated(size_bytes: usize) -> Result<Self, MemoryError> {
        let refused = MemoryError::Refused { requested: size_bytes };
        let layout = Layout::from_size_align(size_bytes, ALIGNMENT).map_err(|_| refused)?;
        // SAFETY: the size is not zero (`zeroed` sends zero elsewhere).
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(refused)?;
        Ok(Self {
            start,
            size_bytes,
            backing: Backing::Allocated(layout),
        })
    }

    fn mapped(size_bytes: usize) -> Result<Self, MemoryError> {
        let refused = MemoryError::Refused { requested: size_bytes };
        // Room to start on a huge page wherever the mapping lands.
        let padded = size_bytes
            .checked_add(HUGE_PAGE_BYTES)
            .filter(|&bytes| isize::try_from(bytes).is_ok());
        let mut mapping = MmapMut::map_anon(padded.ok_or(refused)?).map_err(|_| refused)?;
        let skip = mapping.as_ptr().align_offset(HUGE_PAGE_BYTES);
        #[cfg(target_os = "linux")]
        {
            // Only pages that are filled: the rest of the last one would be memory that nobody asked for. A kernel without
            // huge pages answers with an error and ordinary pages: slower, never wrong.
            let filled = size_bytes / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
            let _ = mapping.advise_range(memmap2::Advice::HugePage, skip, filled);
        }
        let start = mapping
            .get_mut(skip..)
            .map(|bytes| NonNull::from(bytes).cast())
            .ok_or(refused)?;
        Ok(Self {
            start,
            size_bytes,
            backing: Backing::Mapped(mapping),
        })
    }

    /// Makes every byte zero, and lets the system take their memory until they are used again.
    pub(crate) fn clear_lazily(&mut self) {
        #[cfg(target_os = "linux")]
        if let Backing::Mapped(mapping) = &self.backing {
            // SAFETY: `&mut self` is the only access to these bytes, which no other process shares; what is dropped of such
            // a mapping reads as zeros.
            if unsafe { mapping.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) }.is_ok() {
                return;
            }
        }
        self.bytes_mut().fill(0);
    }

    /// Number of bytes.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Address of the first byte, for compiled code. Whoever writes through it must know that nobody looks.
    #[must_use]
    pub const fn address(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        // SAFETY: `size_bytes` bytes from `start` belong to this region and were zeroed when they were asked for.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size_bytes) }
    }

    /// The bytes, to be changed.
    #[must_use]
    pub const fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`, and `&mut self` makes it the only access.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.size_bytes) }
    }
}

/// What [`Region::empty`] points at in name.
#[repr(align(64))]
struct Line;

impl Drop for Region {
    fn drop(&mut self) {
        if let Backing::Allocated(layout) = self.backing {
            // SAFETY: `start` came from `alloc_zeroed` with this very layout and is given back once.
            unsafe { dealloc(self.start.as_ptr(), layout) };
        }
    }
}

/// Keeps the sum of a session's regions below a limit.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: usize,
}

impl Budget {
    /// Nothing used of this many bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, used: 0 }
    }

    /// A zeroed region within the budget. Errors if it does not fit or the system refuses.
    pub fn take(&mut self, size_bytes: usize) -> Result<Region, MemoryError> {
        self.used = self.check(size_bytes)?;
        Region::zeroed(size_bytes).inspect_err(|_| self.used -= size_bytes)
    }

    /// Gives a region's bytes back to the system and to the budget; leaves an empty region.
    pub fn give_back(&mut self, region: &mut Region) {
        self.used = self.used.saturating_sub(region.size_bytes());
        *region = Region::empty();
    }

    /// Bytes in use.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    /// What would be used with this many bytes more. Errors if that passes the limit.
    pub fn check(&self, size_bytes: usize) -> Result<usize, MemoryError> {
        let sum = self.used.checked_add(size_bytes).filter(|&sum| sum <= self.limit);
        sum.ok_or(MemoryError::OverLimit {
            requested: size_bytes,
            used: self.used,
            limit: self.limit,
        })
    }
}

/// The memory of this machine, where it tells (Linux); otherwise 8 GiB. The default limit of a session.
#[must_use]
pub fn machine_bytes() -> usize {
    let table = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = table
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    total
        .and_then(|kib| kib.trim().parse::<usize>().ok()?.checked_mul(1024))
        .unwrap_or(FALLBACK_LIMIT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_aligned_zeroed_and_writable() {
        for size in [0, 1, 63, 64, 4096, MAPPED_FROM_BYTES - 1, MAPPED_FROM_BYTES, 5 << 20] {
            let mut region = Region::zeroed(size).unwrap();
            assert_eq!(region.address().align_offset(ALIGNMENT), 0);
            assert_eq!(region.bytes().len(), size);
            assert!(region.bytes().iter().all(|&byte| byte == 0));
            region.bytes_mut().fill(7);
            assert!(region.bytes().iter().all(|&byte| byte == 7));
        }
        assert_eq!(
            Region::zeroed(3 << 20).unwrap().address().align_offset(HUGE_PAGE_BYTES),
            0
        );
    }

    #[test]
    fn impossible_requests_are_errors() {
        for size in [usize::MAX, usize::MAX / 2, isize::MAX as usize, 1 << 60] {
            assert_eq!(
                Region::zeroed(size).unwrap_err(),
                MemoryError::Refused { requested: size }
            );
        }
    }

    #[test]
    fn a_budget_counts_what_is_taken_and_given_back() {
        let mut budget = Budget::new(1000);
        let mut first = budget.take(600).unwrap();
        let error = budget.take(401).unwrap_err();
        assert_eq!(
            error,
            MemoryError::OverLimit {
                requested: 401,
                used: 600,
                limit: 1000
            }
        );
        assert_eq!(
            budget.take(usize::MAX).unwrap_err().to_string().split(' ').next(),
            Some("18446744073709551615")
        );
        budget.give_back(&mut first);
        assert_eq!((budget.used(), first.size_bytes()), (0, 0));
        assert!(budget.take(1000).is_ok());
        assert!(machine_bytes() > 1 << 20);
    }
}
