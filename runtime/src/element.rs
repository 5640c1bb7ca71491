//! Numbers as files store them, and their way into [`Data`].
//!
//! IDX, `.npy` and safetensors share this list of types. Floats become f32 (f64 is rounded, f16 and bf16 are exact),
//! integers wider than a byte become i32 and must fit; u8, i8 and bool stay bytes. Nothing here knows a file format.

use std::io::{self, Write};

use crate::tensor::Data;

/// The type of a number in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// A byte that is 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of an f32.
    BF16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// The least significant byte.
    Little,
    /// The most significant byte.
    Big,
}

/// An integer of a file does not fit into an i32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("element {index} is {value}, which does not fit into an i32")]
pub struct IntegerTooLarge {
    /// Where it is, in stored order.
    pub index: usize,
    /// What it is.
    pub value: i128,
}

impl Element {
    /// Bytes that one number takes in the file.
    #[must_use]
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The name used in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Decodes numbers; a rest too short for one is ignored, so the caller checks lengths.
    pub(crate) fn decode(self, bytes: &[u8], order: ByteOrder) -> Result<Data, IntegerTooLarge> {
        Ok(match self {
            Self::Bool => Data::U8(bytes.iter().map(|&byte| u8::from(byte != 0)).collect()),
            Self::U8 => Data::U8(bytes.to_vec()),
            Self::I8 => Data::I8(bytes.iter().map(|&byte| byte.cast_signed()).collect()),
            Self::U16 => Data::I32(numbers(bytes, order, |b| i32::from(u16::from_le_bytes(b)))),
            Self::I16 => Data::I32(numbers(bytes, order, |b| i32::from(i16::from_le_bytes(b)))),
            Self::I32 => Data::I32(numbers(bytes, order, i32::from_le_bytes)),
            Self::U32 => integers(bytes, order, u32::from_le_bytes)?,
            Self::U64 => integers(bytes, order, u64::from_le_bytes)?,
            Self::I64 => integers(bytes, order, i64::from_le_bytes)?,
            Self::F16 => Data::F32(numbers(bytes, order, |b| f32_from_f16(u16::from_le_bytes(b)))),
            Self::BF16 => Data::F32(numbers(bytes, order, |b| {
                f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
            })),
            Self::F32 => Data::F32(numbers(bytes, order, f32::from_le_bytes)),
            Self::F64 => Data::F32(numbers(bytes, order, |b| f64::from_le_bytes(b) as f32)),
        })
    }
}

/// Writes elements as every format here wants them: little-endian and close together.
pub(crate) fn write_little_endian(out: &mut dyn Write, data: &Data) -> io::Result<()> {
    match data {
        Data::U8(values) => out.write_all(values),
        Data::I8(values) => out.write_all(bytemuck::cast_slice(values)),
        Data::F32(values) => write_floats(out, values),
        Data::I32(values) if cfg!(target_endian = "little") => out.write_all(bytemuck::cast_slice(values)),
        Data::I32(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())),
    }
}

/// The same for floats wherever they are.
pub(crate) fn write_floats(out: &mut dyn Write, values: &[f32]) -> io::Result<()> {
    if cfg!(target_endian = "little") {
        out.write_all(bytemuck::cast_slice(values))
    } else {
        values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
    }
}

fn numbers<const SIZE: usize, T>(bytes: &[u8], order: ByteOrder, from_le: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    let (chunks, _rest) = bytes.as_chunks::<SIZE>();
    match order {
        ByteOrder::Little => chunks.iter().map(|&chunk| from_le(chunk)).collect(),
        ByteOrder::Big => chunks
            .iter()
            .map(|&chunk| {
                let mut chunk = chunk;
                chunk.reverse();
                from_le(chunk)
            })
            .collect(),
    }
}

fn integers<const SIZE: usize, T>(
    bytes: &[u8],
    order: ByteOrder,
    from_le: impl Fn([u8; SIZE]) -> T,
) -> Result<Data, IntegerTooLarge>
where
    T: Copy + Into<i128>,
{
    let (chunks, _rest) = bytes.as_chunks::<SIZE>();
    let narrow = |(index, &chunk): (usize, &[u8; SIZE])| {
        let mut chunk = chunk;
        if order == ByteOrder::Big {
            chunk.reverse();
        }
        let value: i128 = from_le(chunk).into();
        i32::try_from(value).map_err(|_| IntegerTooLarge { index, value })
    };
    Ok(Data::I32(
        chunks.iter().enumerate().map(narrow).collect::<Result<_, _>>()?,
    ))
}

/// Widens half precision: 1 sign, 5 exponent and 10 fraction bits. Exact, subnormals included.
fn f32_from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits & 0x3ff);
    let magnitude = match exponent {
        // Subnormal: fraction · 2⁻²⁴, exact in f32.
        0 => (fraction as f32 * (1.0 / 16_777_216.0)).to_bits(),
        0x1f => 0x7f80_0000 | (fraction << 13),
        normal => ((normal + 127 - 15) << 23) | (fraction << 13),
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_widened_exactly() {
        let cases = [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555_e-5),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, expected) in cases {
            let found: f32 = f32_from_f16(bits);
            assert_eq!(found.to_bits(), f32::to_bits(expected), "{bits:#06x}");
        }
        assert!(f32_from_f16(0x7e00).is_nan());
    }

    #[test]
    fn both_byte_orders() {
        assert_eq!(
            Element::I16.decode(&[1, 0, 0xff, 0xff], ByteOrder::Little),
            Ok(Data::I32(vec![1, -1]))
        );
        assert_eq!(
            Element::I16.decode(&[0, 1, 0xff, 0xfe], ByteOrder::Big),
            Ok(Data::I32(vec![1, -2]))
        );
        assert_eq!(
            Element::F64.decode(&1.5f64.to_be_bytes(), ByteOrder::Big),
            Ok(Data::F32(vec![1.5]))
        );
        assert_eq!(
            Element::BF16.decode(&[0x80, 0x3f], ByteOrder::Little),
            Ok(Data::F32(vec![1.0]))
        );
        assert_eq!(
            Element::Bool.decode(&[0, 7], ByteOrder::Little),
            Ok(Data::U8(vec![0, 1]))
        );
        assert_eq!(Element::I8.decode(&[0xff], ByteOrder::Big), Ok(Data::I8(vec![-1])));
    }

    #[test]
    fn integers_that_do_not_fit_are_named() {
        let bytes = [7i64.to_le_bytes(), (1i64 << 31).to_le_bytes()].concat();
        let error = Element::I64.decode(&bytes, ByteOrder::Little).unwrap_err();
        assert_eq!(
            error,
            IntegerTooLarge {
                index: 1,
                value: 1 << 31
            }
        );
        assert_eq!(
            Element::U32
                .decode(&[0, 0, 0, 128], ByteOrder::Little)
                .unwrap_err()
                .value,
            1 << 31
        );
        assert_eq!(
            Element::I64.decode(&(-5i64).to_be_bytes(), ByteOrder::Big),
            Ok(Data::I32(vec![-5]))
        );
    }
}
