//! Loads and stores at a base and a known distance.

use super::Builder;
use crate::ir::{Address, Class, Float, Int, Statement, Word};

impl Builder {
    fn address(&mut self, base: Int, offset: usize) -> Address {
        let Int::Register(mut register) = base else {
            panic!("an address cannot be a constant")
        };
        let small = i32::try_from(offset).unwrap_or_else(|_| {
            let Int::Register(sum) = self.add(base, offset) else {
                unreachable!("a register plus a constant")
            };
            register = sum;
            0
        });
        Address {
            base: register,
            offset: small,
        }
    }

    /// Floats at `base + offset` bytes.
    pub(crate) fn load(&mut self, base: Int, offset: usize, lanes: usize) -> Float {
        let address = self.address(base, offset);
        let result = self.register(Class::Float, lanes, false);
        self.push(Statement::Load { result, address });
        Float(result)
    }

    /// The first `count` floats at `base + offset` bytes, then zeros; no other memory is touched.
    pub(crate) fn load_first(&mut self, base: Int, offset: usize, count: usize, lanes: usize) -> Float {
        if count == lanes {
            return self.load(base, offset, lanes);
        }
        let address = self.address(base, offset);
        let result = self.register(Class::Float, lanes, false);
        self.push(Statement::LoadFirst { result, address, count });
        Float(result)
    }

    /// Words at `base + offset` bytes.
    pub(crate) fn load_words(&mut self, base: Int, offset: usize, lanes: usize) -> Word {
        let address = self.address(base, offset);
        let result = self.register(Class::Word, lanes, false);
        self.push(Statement::Load { result, address });
        Word(result)
    }

    /// One float in all lanes.
    pub(crate) fn broadcast(&mut self, base: Int, offset: usize, lanes: usize) -> Float {
        if lanes == 1 {
            return self.load(base, offset, 1);
        }
        let address = self.address(base, offset);
        let result = self.register(Class::Float, lanes, false);
        self.push(Statement::Broadcast { result, address });
        Float(result)
    }

    /// Stores all lanes.
    pub(crate) fn store(&mut self, value: Float, base: Int, offset: usize) {
        let address = self.address(base, offset);
        self.push(Statement::Store {
            value: value.0,
            address,
        });
    }

    /// One byte at `base`, as a word.
    pub(crate) fn load_byte(&mut self, base: Int, signed: bool) -> Word {
        let address = self.address(base, 0);
        let result = self.register(Class::Word, 1, false);
        self.push(Statement::LoadByte {
            result,
            address,
            signed,
        });
        Word(result)
    }

    /// Stores the low 8 bits of a word of one lane.
    pub(crate) fn store_byte(&mut self, value: Word, base: Int) {
        let address = self.address(base, 0);
        self.push(Statement::StoreByte {
            value: value.0,
            address,
        });
    }

    /// Stores the first `count` lanes, at least one.
    pub(crate) fn store_first(&mut self, value: Float, count: usize, base: Int, offset: usize) {
        if count == self.lanes(value) {
            return self.store(value, base, offset);
        }
        let address = self.address(base, offset);
        self.push(Statement::StoreFirst {
            value: value.0,
            address,
            count,
        });
    }
}
