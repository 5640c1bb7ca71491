//! Where each register of the IR lives: in a register of the processor, or on the stack for all its life.
//!
//! Linear scan (Poletto and Sarkar, 1999) over the lives; when registers run out, the one that is used least in inner
//! loops goes to the stack. Kernels are written so that their inner loops fit, so this is about correctness elsewhere.

use super::level::Level;
use super::live::{Life, Lives};
use crate::ir::{Class, Kernel, Register};

/// A register file of the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum File {
    /// 64-bit integers.
    General,
    /// Vectors, and single floats and words in their lowest lane.
    Vector,
    /// AVX-512 mask registers.
    Mask,
}

/// Where a register's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the processor's register of this number.
    Register(u8),
    /// In the stack slot of this number, of its file.
    Slot(usize),
}

/// The result of allocation.
pub(super) struct Allocation {
    places: Vec<Option<Place>>,
    /// Stack slots in each file, in [`File`]'s order.
    pub(super) slots: [usize; 3],
    /// General registers in use.
    pub(super) general_used: Vec<u8>,
}

impl Allocation {
    pub(super) fn place(&self, register: Register) -> Place {
        self.places[register.0 as usize].expect("every register that is read or written was given a place")
    }
}

/// The file that a class lives in.
pub(super) fn file_of(class: Class, level: Level) -> File {
    match class {
        Class::Int => File::General,
        Class::Float | Class::Word => File::Vector,
        Class::Mask if level == Level::Avx512 => File::Mask,
        Class::Mask => File::Vector,
    }
}

/// General registers that hold values: all but the stack pointer, and rax and rdx, which emission works with. Those that
/// a callee must restore come last.
const GENERAL: [u8; 13] = [1, 6, 7, 8, 9, 10, 11, 3, 5, 12, 13, 14, 15];

fn registers(file: File, level: Level) -> Vec<u8> {
    match file {
        File::General => GENERAL.to_vec(),
        // The last two are for emission to work with.
        File::Vector => (0..u8::try_from(level.registers() - 2).expect("at most 30")).collect(),
        // k0 means "no mask"; k6 and k7 are for emission to work with.
        File::Mask => (1..6).collect(),
    }
}

/// Gives every register with a life a place.
pub(super) fn allocate(kernel: &Kernel, lives: &Lives, level: Level) -> Allocation {
    let mut allocation = Allocation {
        places: vec![None; lives.lives.len()],
        slots: [0; 3],
        general_used: Vec::new(),
    };
    for file in [File::General, File::Vector, File::Mask] {
        let of_file = |index: usize| match kernel.registers.get(index) {
            Some(ty) => file_of(ty.class, level) == file,
            None => file == File::General,
        };
        let mut order: Vec<(usize, Life)> = lives
            .lives
            .iter()
            .enumerate()
            .filter(|(index, _)| of_file(*index))
            .filter_map(|(i, l)| Some((i, (*l)?)))
            .collect();
        order.sort_by_key(|(index, life)| (life.first, *index));
        scan(&order, registers(file, level), file, &mut allocation);
    }
    let mut used: Vec<u8> = (0..allocation.places.len())
        .filter(|&index| kernel.registers.get(index).is_none_or(|ty| ty.class == Class::Int))
        .filter_map(|index| match allocation.places[index] {
            Some(Place::Register(number)) => Some(number),
            _ => None,
        })
        .collect();
    used.sort_unstable();
    used.dedup();
    allocation.general_used = used;
    allocation
}

fn scan(order: &[(usize, Life)], mut free: Vec<u8>, file: File, allocation: &mut Allocation) {
    free.reverse();
    let mut active: Vec<(usize, Life, u8)> = Vec::new();
    for &(index, life) in order {
        active.retain(|&(_, other, number)| {
            let alive = other.last >= life.first;
            if !alive {
                free.push(number);
            }
            alive
        });
        if let Some(number) = free.pop() {
            allocation.places[index] = Some(Place::Register(number));
            active.push((index, life, number));
            continue;
        }
        let slot = Place::Slot(allocation.slots[file as usize]);
        allocation.slots[file as usize] += 1;
        // The weight is spread over the life: a long life in few uses costs little to spill.
        let density = |life: &Life| life.weight / (life.last - life.first + 1) as f64;
        let cheapest = active
            .iter_mut()
            .min_by(|a, b| density(&a.1).total_cmp(&density(&b.1)).then(a.0.cmp(&b.0)))
            .expect("registers are taken");
        if density(&cheapest.1) < density(&life) {
            allocation.places[cheapest.0] = Some(slot);
            allocation.places[index] = Some(Place::Register(cheapest.2));
            *cheapest = (index, life, cheapest.2);
        } else {
            allocation.places[index] = Some(slot);
        }
    }
}
