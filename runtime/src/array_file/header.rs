//! The header of a `.npy` file: magic, version, length, and a Python dictionary with three known keys.
//!
//! The dictionary is read by a small scanner for exactly the literals that NumPy writes. It has no recursion, so no
//! input can exhaust the stack, and it reads a header only once its length was checked.

use super::ArrayProblem;
use crate::element::{ByteOrder, Element};
use crate::tensor::Shape;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read; NumPy's own limit is 10,000.
const MAX_HEADER_BYTES: usize = 1 << 16;

/// Written headers end at a multiple of this, as the format asks.
const ALIGNMENT_BYTES: usize = 64;

/// What a `.npy` file holds, and where its elements begin.
pub(super) struct Header {
    pub(super) element: Element,
    pub(super) order: ByteOrder,
    pub(super) fortran_order: bool,
    pub(super) shape: Shape,
    pub(super) data_start: usize,
}

/// Reads the header at the start of a file.
pub(super) fn parse(file: &[u8]) -> Result<Header, ArrayProblem> {
    let rest = file.strip_prefix(MAGIC).ok_or(ArrayProblem::NotNpy)?;
    let &[major, minor, ref rest @ ..] = rest else {
        return Err(ArrayProblem::NotNpy);
    };
    let cut_short = ArrayProblem::Header("the file ends inside it");
    let (length, rest) = match (major, minor, rest) {
        (1, 0, &[a, b, ref rest @ ..]) => (usize::from(u16::from_le_bytes([a, b])), rest),
        (2 | 3, 0, &[a, b, c, d, ref rest @ ..]) => (u32::from_le_bytes([a, b, c, d]) as usize, rest),
        (1..=3, 0, _) => return Err(cut_short),
        _ => return Err(ArrayProblem::Version { major, minor }),
    };
    if length > MAX_HEADER_BYTES {
        return Err(ArrayProblem::Header("longer than 65536 bytes"));
    }
    let text = rest.get(..length).ok_or(cut_short)?;
    let text = std::str::from_utf8(text).map_err(|_| ArrayProblem::Header("not text"))?;
    let Dictionary {
        descr,
        fortran_order,
        shape,
    } = Dictionary::parse(text).map_err(ArrayProblem::Header)?;
    let (element, order) = element(descr)?;
    Ok(Header {
        element,
        order,
        fortran_order,
        shape: Shape::new(shape),
        data_start: file.len() - rest.len() + length,
    })
}

/// The header of an array with this type code and shape.
pub(super) fn encode(descr: &str, shape: &Shape) -> Vec<u8> {
    let extents: String = shape.extents().iter().map(|extent| format!("{extent}, ")).collect();
    let extents = if shape.rank() == 1 {
        extents.trim_end()
    } else {
        extents.trim_end_matches(", ")
    };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({extents}), }}");
    // Version 1.0 counts up to 65,535 bytes: thousands of axes.
    let before = MAGIC.len() + 4;
    let padding = (before + text.len() + 1).next_multiple_of(ALIGNMENT_BYTES) - (before + text.len() + 1);
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let length = u16::try_from(text.len()).expect("a shape of fewer than 5000 axes");
    [MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()
}

/// A type code such as `<f4`: byte order, kind, bytes.
fn element(descr: &str) -> Result<(Element, ByteOrder), ArrayProblem> {
    let unknown = || ArrayProblem::ElementType(descr.chars().take(20).collect());
    let (order, code) = descr.split_at_checked(1).ok_or_else(unknown)?;
    let order = match order {
        "<" => ByteOrder::Little,
        ">" => ByteOrder::Big,
        "|" if matches!(code, "b1" | "u1" | "i1") => ByteOrder::Little,
        _ => return Err(unknown()),
    };
    let element = match code {
        "b1" => Element::Bool,
        "u1" => Element::U8,
        "i1" => Element::I8,
        "u2" => Element::U16,
        "i2" => Element::I16,
        "u4" => Element::U32,
        "i4" => Element::I32,
        "u8" => Element::U64,
        "i8" => Element::I64,
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        _ => return Err(unknown()),
    };
    Ok((element, order))
}

/// The three entries of a header.
struct Dictionary<'a> {
    descr: &'a str,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl<'a> Dictionary<'a> {
    fn parse(text: &'a str) -> Result<Self, &'static str> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut scanner = Scanner { rest: text };
        scanner.expect('{', "does not begin with `{`")?;
        while !scanner.accept('}') {
            let key = scanner.string()?;
            scanner.expect(':', "no `:` after a key")?;
            let fresh = match key {
                "descr" => descr.replace(scanner.descr()?).is_none(),
                "fortran_order" => fortran_order.replace(scanner.boolean()?).is_none(),
                "shape" => shape.replace(scanner.tuple()?).is_none(),
                _ => return Err("a key that is not `descr`, `fortran_order` or `shape`"),
            };
            if !fresh {
                return Err("the same key twice");
            }
            if !scanner.accept(',') {
                scanner.expect('}', "no `,` or `}` after a value")?;
                break;
            }
        }
        if !scanner.rest.trim().is_empty() {
            return Err("something after `}`");
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok(Self {
                descr,
                fortran_order,
                shape,
            }),
            _ => Err("`descr`, `fortran_order` or `shape` is missing"),
        }
    }
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn accept(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start();
        let stripped = self.rest.strip_prefix(wanted);
        self.rest = stripped.unwrap_or(self.rest);
        stripped.is_some()
    }

    fn expect(&mut self, wanted: char, otherwise: &'static str) -> Result<(), &'static str> {
        if self.accept(wanted) { Ok(()) } else { Err(otherwise) }
    }

    /// A string without escapes, which no known header has.
    fn string(&mut self) -> Result<&'a str, &'static str> {
        let quote = ['\'', '"']
            .into_iter()
            .find(|&quote| self.accept(quote))
            .ok_or("no string where one belongs")?;
        let (text, rest) = self.rest.split_once(quote).ok_or("a string without an end")?;
        self.rest = rest;
        Ok(text)
    }

    /// The element type; a list of fields is told apart so that its message says what it is.
    fn descr(&mut self) -> Result<&'a str, &'static str> {
        if self.accept('[') {
            Err("structured arrays are not supported")
        } else {
            self.string()
        }
    }

    fn boolean(&mut self) -> Result<bool, &'static str> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("False", false), ("True", true)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err("`fortran_order` is neither True nor False")
    }

    fn tuple(&mut self) -> Result<Vec<usize>, &'static str> {
        self.expect('(', "`shape` is no tuple")?;
        let mut extents = Vec::new();
        while !self.accept(')') {
            self.rest = self.rest.trim_start();
            let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            let (digits, rest) = self.rest.split_at(end);
            extents.push(
                digits
                    .parse()
                    .map_err(|_| "`shape` holds something that is no extent")?,
            );
            // Python 2 wrote long integers with an `L`.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if !self.accept(',') {
                self.expect(')', "no `,` or `)` after an extent")?;
                break;
            }
        }
        Ok(extents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries() {
        let parse = |text| Dictionary::parse(text).map(|d| (d.descr, d.fortran_order, d.shape));
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n";
        assert_eq!(parse(good), Ok(("<f4", false, vec![3, 4])));
        assert_eq!(
            parse(r#"{"shape":(),"descr":"<f4","fortran_order":True}"#),
            Ok(("<f4", true, vec![]))
        );
        assert_eq!(
            parse("{'shape': (5L,), 'descr': '|u1', 'fortran_order': False}"),
            Ok(("|u1", false, vec![5]))
        );
        let bad = [
            ("", "does not begin with `{`"),
            ("{", "no string where one belongs"),
            ("{'descr", "a string without an end"),
            ("{'descr' '<f4'}", "no `:` after a key"),
            ("{'descr': [('a', '<f4')]}", "structured arrays are not supported"),
            ("{'descr': '<f4', 'descr': '<f4'}", "the same key twice"),
            ("{'descr': '<f4'}", "`descr`, `fortran_order` or `shape` is missing"),
            ("{'descr': '<f4' 'shape': ()}", "no `,` or `}` after a value"),
            ("{'shape': 3}", "`shape` is no tuple"),
            ("{'shape': (-3,)}", "`shape` holds something that is no extent"),
            (
                "{'shape': (99999999999999999999,)}",
                "`shape` holds something that is no extent",
            ),
            ("{'shape': (3 4)}", "no `,` or `)` after an extent"),
            ("{'fortran_order': maybe}", "`fortran_order` is neither True nor False"),
            ("{'other': 1}", "a key that is not `descr`, `fortran_order` or `shape`"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': ()} x",
                "something after `}`",
            ),
        ];
        for (text, reason) in bad {
            assert_eq!(parse(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn headers_end_aligned_and_as_numpy_writes_them() {
        let header = |extents: &[usize]| encode("<f4", &extents.into());
        for rank in 0..40 {
            assert_eq!(header(&vec![7; rank]).len() % ALIGNMENT_BYTES, 0);
        }
        let text = |extents: &[usize]| String::from_utf8_lossy(&header(extents)[10..]).trim_end().to_owned();
        assert_eq!(text(&[]), "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
        assert_eq!(text(&[3]), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
        assert_eq!(
            text(&[3, 4]),
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }"
        );
    }

    #[test]
    fn long_headers_are_not_read() {
        let mut file = b"\x93NUMPY\x02\x00".to_vec();
        file.extend(u32::MAX.to_le_bytes());
        assert!(matches!(
            parse(&file),
            Err(ArrayProblem::Header("longer than 65536 bytes"))
        ));
        assert!(matches!(
            parse(b"\x93NUMPY\x01\x00\x10"),
            Err(ArrayProblem::Header("the file ends inside it"))
        ));
    }
}
